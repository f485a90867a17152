"""What the Hub answers when something is wrong -> `PvzooError` with the way out."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from huggingface_hub import constants
from huggingface_hub.errors import (
    EntryNotFoundError,
    GatedRepoError,
    HfHubHTTPError,
    HFValidationError,
    HTTPError,
    LocalEntryNotFoundError,
    OfflineModeIsEnabled,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)

from pvzoo.errors import DataError, HubError, ModelNotFoundError, WeightsError, nearest_beside


class Unreachable(HubError):
    """The Hub did not answer, or answered that it is out of order."""


class NotCached(HubError):
    """The Hub cannot be asked, and the cache does not have it."""


class NoRepo(ModelNotFoundError):
    """The Hub has no repo of that name, or does not show it."""


@contextmanager
def explained(repo: str, revision: str | None = None) -> Iterator[None]:
    """Turn what `huggingface_hub` raises about a repo into a `PvzooError` with the way out."""
    page = f"{constants.ENDPOINT}/{repo}"
    try:
        yield
    except GatedRepoError as error:
        raise _gated(f"Hub repo {repo}", page) from error
    except RepositoryNotFoundError as error:
        raise NoRepo(
            f"The Hub has no repo {repo}, or it is private and you are not logged in.",
            "Check the spelling; for a private repo run 'hf auth login' or set HF_TOKEN.",
        ) from error
    except RevisionNotFoundError as error:
        raise ModelNotFoundError(
            f"The Hub repo {repo} has no revision {revision!r}.",
            f"See its branches and tags at {page}/tree/main.",
        ) from error
    except HFValidationError as error:
        raise _no_id(repo, error) from error
    except EntryNotFoundError as error:
        cause = error.__cause__
        if isinstance(error, LocalEntryNotFoundError) and cause is not None:
            raise Unreachable(_out_of_reach(type(cause).__name__)) from error
        raise WeightsError(f"A file is missing in the Hub repo {repo} ({error}).") from error
    except HfHubHTTPError as error:
        status = error.response.status_code
        if status >= 500 or status == 429:
            what = "is out of order" if status >= 500 else "wants fewer requests"
            raise Unreachable(
                f"the Hub ({constants.ENDPOINT}) {what} (it answered {status})"
            ) from error
        raise _answered(error, repo) from error
    except (HTTPError, OfflineModeIsEnabled, ConnectionError, TimeoutError) as error:
        raise Unreachable(_out_of_reach(f"{type(error).__name__}: {error}")) from error
    except OSError as error:  # a full disk, or a download that stays incomplete
        raise HubError(
            f"{repo} cannot be downloaded into the cache {constants.HF_HUB_CACHE} ({error}).",
            "See that the disk has room and can be written; HF_HOME chooses another folder.",
        ) from error


@contextmanager
def explained_dataset(repo: str) -> Iterator[None]:
    """Turn what `datasets` raises about a Hub dataset into a `PvzooError` with the way out."""
    from datasets.exceptions import DataFilesNotFoundError, DatasetNotFoundError, DatasetsError

    page = f"{constants.ENDPOINT}/datasets/{repo}"
    not_here = f"There is no file or folder {repo} (here is {Path.cwd()}), and"
    try:
        yield
    except DataFilesNotFoundError as error:
        raise DataError(
            f"The Hub dataset {repo} has no files that datasets can read.",
            f"See {page}/tree/main for what it holds; download it and load the folder.",
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
    except HFValidationError as error:
        raise _no_id(repo, error) from error
    except HfHubHTTPError as error:
        raise _answered(error, f"the dataset {repo}") from error
    except (DatasetsError, HTTPError, OSError, RuntimeError, ValueError) as error:
        said = " ".join(str(error.__cause__ or error).split())
        # datasets makes a FileNotFoundError of a Hub that does not answer
        if isinstance(error, (HTTPError, ConnectionError)) or "LocalEntryNotFound" in said:
            raise HubError(
                f"{not_here} {_out_of_reach(said)}.",
                nearest_beside(Path(repo))
                or "Check the path, or load it once with the Hub in reach: then the cache has it.",
            ) from error
        hint = f"See {page} for what it holds."
        if "onfig name is missing" in said or "BuilderConfig" in said:
            hint = f"Name the configuration with {repo}:config."
        raise DataError(f"The Hub dataset {repo} cannot be read ({said}).", hint) from error


def _gated(what: str, page: str) -> HubError:
    return HubError(
        f"The {what} is gated: its authors want to be asked first.",
        f"Ask for access at {page}, then log in with 'hf auth login' or set HF_TOKEN.",
    )


def _no_id(repo: str, error: HFValidationError) -> NoRepo:
    return NoRepo(f"{repo!r} is no id of a Hub repo ({error}).", "A repo id reads owner/name.")


def _out_of_reach(said: str) -> str:
    return f"the Hub ({constants.ENDPOINT}) cannot be reached ({said})"


def _answered(error: HfHubHTTPError, what: str) -> HubError:
    status = error.response.status_code
    if status in (401, 403):
        return HubError(
            f"The Hub refused the access token while asked for {what} ({status}).",
            "Fix or unset HF_TOKEN, or log in again with 'hf auth login'.",
        )
    return HubError(
        f"The Hub answered {status} while asked for {what} ({error}).", "Try again later."
    )
