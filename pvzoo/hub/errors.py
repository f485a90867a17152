"""Turn the errors of the Hub into `PvzooError` with a hint.

`huggingface_hub` is imported only when the Hub is used; a model in a folder does not need it.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from pvzoo.errors import DataError, HubError, ModelNotFoundError, WeightsError, nearest_beside

if TYPE_CHECKING:
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError


class Unreachable(HubError):
    """The Hub did not answer, or cannot serve requests now."""


class NotCached(HubError):
    """The Hub cannot be reached, and the cache does not have the repo."""


class NoRepo(ModelNotFoundError):
    """The Hub has no repo of that name, or hides it."""


@contextmanager
def explained(repo: str, revision: str | None = None) -> Iterator[None]:
    """Turn the errors of `huggingface_hub` about a repo into `PvzooError` with a hint."""
    from huggingface_hub import constants
    from huggingface_hub import errors as raised

    page = f"{constants.ENDPOINT}/{repo}"
    try:
        yield
    except raised.GatedRepoError as error:
        raise _gated(f"Hub repo {repo}", page) from error
    except raised.RepositoryNotFoundError as error:
        raise NoRepo(
            f"The Hub has no repo {repo}, or it is private and you are not logged in.",
            "Check the spelling; for a private repo run 'hf auth login' or set HF_TOKEN.",
        ) from error
    except raised.RevisionNotFoundError as error:
        raise ModelNotFoundError(
            f"The Hub repo {repo} has no revision {revision!r}.",
            f"See its branches and tags at {page}/tree/main.",
        ) from error
    except raised.HFValidationError as error:
        raise _no_id(repo, error) from error
    except raised.EntryNotFoundError as error:
        cause = error.__cause__
        if isinstance(error, raised.LocalEntryNotFoundError) and cause is not None:
            raise Unreachable(_out_of_reach(type(cause).__name__)) from error
        raise WeightsError(f"A file is missing in the Hub repo {repo} ({error}).") from error
    except raised.HfHubHTTPError as error:
        status = error.response.status_code
        if status >= 500 or status == 429:
            what = "is not working" if status >= 500 else "got too many requests"
            raise Unreachable(
                f"the Hub ({constants.ENDPOINT}) {what} (it answered {status})"
            ) from error
        raise _answered(error, repo) from error
    except (raised.HTTPError, raised.OfflineModeIsEnabled, ConnectionError, TimeoutError) as error:
        raise Unreachable(_out_of_reach(f"{type(error).__name__}: {error}")) from error
    except OSError as error:  # a full disk, or an incomplete download
        raise HubError(
            f"{repo} cannot be downloaded into the cache {constants.HF_HUB_CACHE} ({error}).",
            "Check that the disk has space and is writable, or choose another folder with HF_HOME.",
        ) from error


@contextmanager
def explained_dataset(repo: str) -> Iterator[None]:
    """Turn the errors of `datasets` about a Hub dataset into `PvzooError` with a hint."""
    from datasets.exceptions import DataFilesNotFoundError, DatasetNotFoundError, DatasetsError
    from huggingface_hub import constants
    from huggingface_hub import errors as raised

    page = f"{constants.ENDPOINT}/datasets/{repo}"
    not_here = f"There is no file or folder {repo} (here is {Path.cwd()}), and"
    try:
        yield
    except DataFilesNotFoundError as error:
        raise DataError(
            f"The Hub dataset {repo} has no files that datasets can read.",
            f"See its files at {page}/tree/main; download it and load the folder.",
        ) from error
    except DatasetNotFoundError as error:
        if "gated" in str(error):
            raise _gated(f"Hub dataset {repo}", page) from error
        raise DataError(
            f"{not_here} the Hub has no dataset of that name, or it is private and you are not "
            "logged in.",
            nearest_beside(Path(repo))
            or "Check the spelling; for a private dataset run 'hf auth login' or set HF_TOKEN.",
        ) from error
    except raised.HFValidationError as error:
        raise _no_id(repo, error) from error
    except raised.HfHubHTTPError as error:
        raise _answered(error, f"the dataset {repo}") from error
    except (DatasetsError, raised.HTTPError, OSError, RuntimeError, ValueError) as error:
        text = " ".join(str(error.__cause__ or error).split())
        # datasets raises a FileNotFoundError if the Hub does not answer
        if isinstance(error, (raised.HTTPError, ConnectionError)) or "LocalEntryNotFound" in text:
            raise HubError(
                f"{not_here} {_out_of_reach(text)}.",
                nearest_beside(Path(repo))
                or "Check the path, or load it once when the Hub is reachable: then it is cached.",
            ) from error
        hint = f"See its files at {page}."
        if "onfig name is missing" in text or "BuilderConfig" in text:
            hint = f"Name the configuration with {repo}:config."
        raise DataError(f"The Hub dataset {repo} cannot be read ({text}).", hint) from error


def _gated(what: str, page: str) -> HubError:
    return HubError(
        f"The {what} is gated: you must ask its authors for access first.",
        f"Ask for access at {page}, then log in with 'hf auth login' or set HF_TOKEN.",
    )


def _no_id(repo: str, error: HFValidationError) -> NoRepo:
    return NoRepo(f"{repo!r} is not a Hub repo id ({error}).", "A repo id has the form owner/name.")


def _out_of_reach(reason: str) -> str:
    from huggingface_hub import constants

    return f"the Hub ({constants.ENDPOINT}) cannot be reached ({reason})"


def _answered(error: HfHubHTTPError, what: str) -> HubError:
    status = error.response.status_code
    if status in (401, 403):
        return HubError(
            f"The Hub refused the access token in a request for {what} ({status}).",
            "Fix or unset HF_TOKEN, or log in again with 'hf auth login'.",
        )
    return HubError(
        f"The Hub answered {status} to a request for {what} ({error}).", "Try again later."
    )
