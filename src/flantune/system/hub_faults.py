"""Why a request to the Hugging Face hub failed, and what to do, derived from its libraries' exceptions."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass

_UNREACHED = frozenset(
    {
        "OfflineModeIsEnabled",
        "ConnectionError",
        "ConnectError",
        "NetworkError",
        "TimeoutException",
        "LocalEntryNotFoundError",
    }
)
"""Exceptions, or their bases, raised if the hub was not asked or did not answer."""


@dataclass(frozen=True, slots=True)
class HubFault:
    """What was wrong and what to do."""

    message: str
    hint: str


def hub_fault(
    error: BaseException, name: str, *, revision: str | None = None, is_dataset: bool = False
) -> HubFault | None:
    """The fault behind an error of the hub's libraries; None if the error is about something else.

    They wrap the hub's responses in errors of a dozen types, so all causes of the error are examined.

    Args:
        error: What was raised.
        name: Id of the repository.
        revision: The requested branch or commit.
        is_dataset: Whether it is a dataset rather than a model.
    """
    chain = tuple(_chain(error))
    kinds = {base.__name__ for one in chain for base in type(one).__mro__}
    statuses = {status for one in chain if (status := _status(one)) is not None}
    page = f"https://huggingface.co/{'datasets/' if is_dataset else ''}{name}"
    if "GatedRepoError" in kinds or any("gated dataset" in str(one) for one in chain):
        return HubFault(
            "it is gated: the hub gives it only to those who accepted its terms",
            f"accept them at {page}, then log in with `hf auth login` or set HF_TOKEN",
        )
    if "RevisionNotFoundError" in kinds:
        return HubFault(f"it has no revision {revision or 'main'}", f"the commits it has are listed at {page}/commits")
    if 429 in statuses:
        return HubFault(
            "the hub refuses further requests for now (429, too many requests)",
            "wait some minutes and repeat the command; with `hf auth login` the limit is higher",
        )
    if busy := sorted(status for status in statuses if status >= 500):
        return HubFault(f"the hub is out of order ({busy[0]})", "repeat the command later")
    if kinds & {"RepositoryNotFoundError", "DatasetNotFoundError"} or 401 in statuses:
        return HubFault(
            "the hub has no such name, or it is private",
            f"check the name at {page}; for a private one, log in with `hf auth login` or set HF_TOKEN",
        )
    if kinds & _UNREACHED or any("OfflineModeIsEnabled" in str(one) for one in chain):
        return _unreached("dataset" if is_dataset else "model")
    return None


def upload_fault(error: BaseException, name: str) -> HubFault:
    """The fault behind an error of the hub's library when uploading.

    Args:
        error: What was raised.
        name: The repository, "owner/name".
    """
    chain = tuple(_chain(error))
    kinds = {base.__name__ for one in chain for base in type(one).__mro__}
    statuses = {status for one in chain if (status := _status(one)) is not None}
    tokens, owner = "https://huggingface.co/settings/tokens", name.partition("/")[0]
    if kinds & _UNREACHED:
        if os.environ.get("HF_HUB_OFFLINE"):
            return HubFault("HF_HUB_OFFLINE is set", "unset it, if there is a network")
        return HubFault("the hub could not be reached", "check the network, then repeat the command")
    if 429 in statuses:
        return HubFault(
            "the hub refuses further requests for now (429, too many requests)", "wait some minutes and repeat"
        )
    if busy := sorted(status for status in statuses if status >= 500):
        return HubFault(f"the hub is out of order ({busy[0]})", "repeat the command later")
    if 401 in statuses or "LocalTokenNotFoundError" in kinds:
        hint = f"log in with `hf auth login`, or set HF_TOKEN to a token that may write ({tokens})"
        return HubFault("you are not logged in, or the token is not valid (401)", hint)
    if 403 in statuses:
        hint = f"take a token with write access ({tokens}); {owner} must be you or an organization of yours"
        return HubFault(f"this token may not write to {owner} (403)", hint)
    if 404 in statuses:
        return HubFault(
            f"the hub has no owner {owner}, or does not show it to you (404)", "check the name and the token"
        )
    if 409 in statuses or 412 in statuses:
        return HubFault("somebody changed the repository meanwhile", "look at it, then repeat the command")
    said = next((line for line in reversed(str(error).splitlines()) if line.strip()), type(error).__name__)
    return HubFault(
        f"{type(error).__name__}: {said.strip()}", f"see https://huggingface.co/{name}, then repeat the command"
    )


def _unreached(what: str) -> HubFault:
    """The hub was not asked, because of offline mode, or did not answer."""
    if any(os.environ.get(key) for key in ("HF_HUB_OFFLINE", "HF_DATASETS_OFFLINE", "TRANSFORMERS_OFFLINE")):
        return HubFault(
            f"HF_HUB_OFFLINE is set, and the {what} is not in the cache",
            "unset it, or fill the cache on a machine with a network and copy the folder that HF_HOME names",
        )
    hint = (
        "on a machine with a network run: flantune fetch RUN_FILE --mirror hub; then set [data] mirror to it"
        if what == "dataset"
        else "check the network, or set model.path to a folder that holds the model"
    )
    return HubFault(f"it could not be reached, and the {what} is not in the cache", hint)


def _chain(error: BaseException) -> Iterator[BaseException]:
    """An error and all its causes, including suppressed ones."""
    seen: set[int] = set()
    waiting: list[BaseException | None] = [error]
    while waiting:
        one = waiting.pop()
        if one is not None and id(one) not in seen:
            seen.add(id(one))
            yield one
            waiting += [one.__cause__, one.__context__]


def _status(error: BaseException) -> int | None:
    status = getattr(getattr(error, "response", None), "status_code", None)
    return status if isinstance(status, int) else None
