"""What the Hub answers when something is wrong -> `PvzooError` with the way out."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

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

from pvzoo.errors import HubError, ModelNotFoundError, WeightsError


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
        raise HubError(
            f"The Hub repo {repo} is gated: its authors want to be asked first.",
            f"Ask for access at {page}, then log in with 'hf auth login' or set HF_TOKEN.",
        ) from error
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
        raise NoRepo(
            f"{repo!r} is no id of a Hub repo ({error}).",
            "A repo id reads owner/name.",
        ) from error
    except EntryNotFoundError as error:
        cause = error.__cause__
        if isinstance(error, LocalEntryNotFoundError) and cause is not None:
            raise Unreachable(
                f"the Hub ({constants.ENDPOINT}) cannot be reached ({type(cause).__name__})"
            ) from error
        raise WeightsError(f"A file is missing in the Hub repo {repo} ({error}).") from error
    except HfHubHTTPError as error:
        status = error.response.status_code
        if status in (401, 403):
            raise HubError(
                f"The Hub refused the access token while asked for {repo} ({status}).",
                "Fix or unset HF_TOKEN, or log in again with 'hf auth login'.",
            ) from error
        if status >= 500 or status == 429:
            what = "is out of order" if status >= 500 else "wants fewer requests"
            raise Unreachable(
                f"the Hub ({constants.ENDPOINT}) {what} (it answered {status})"
            ) from error
        raise HubError(
            f"The Hub answered {status} while asked for {repo} ({error}).", "Try again later."
        ) from error
    except (HTTPError, OfflineModeIsEnabled, ConnectionError, TimeoutError) as error:
        raise Unreachable(
            f"the Hub ({constants.ENDPOINT}) cannot be reached ({type(error).__name__}: {error})"
        ) from error
    except OSError as error:  # a full disk, or a download that stays incomplete
        raise HubError(
            f"{repo} cannot be downloaded into the cache {constants.HF_HUB_CACHE} ({error}).",
            "See that the disk has room and can be written; HF_HOME chooses another folder.",
        ) from error
