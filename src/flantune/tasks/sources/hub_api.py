"""The Hugging Face hub, through its ``datasets`` library; the only module that uses it."""

from __future__ import annotations

import re
import sys
from functools import lru_cache
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from flantune.errors import MissingDataError, SourceError
from flantune.system.hub_faults import hub_fault
from flantune.tasks.sources.formats import as_written

if TYPE_CHECKING:
    from collections.abc import Iterator

    from flantune.types import HubDataset, Row

CONVERTED = "refs/convert/parquet"
"""The branch to which the hub itself converts datasets, as ``<config>/<split>/<number>.parquet``.

This is the only way to get datasets that consist of a loading script, since the library no longer runs scripts.
"""

_COMMIT = re.compile(r"[0-9a-f]{40}")


def load_hub_split(wanted: HubDataset, *, split: str, streaming: bool) -> Any:
    """One split as ``datasets`` returns it.

    Raises:
        SourceError: ``datasets`` is not installed, the hub cannot be reached, or it has no such dataset or split.
    """
    datasets = _library(wanted)
    try:
        if wanted.revision == CONVERTED:
            files = {split: converted_files(wanted, split)}
            return datasets.load_dataset("parquet", data_files=files, split=split, streaming=streaming)
        return datasets.load_dataset(
            wanted.id, wanted.config, split=split, revision=wanted.revision, streaming=streaming
        )
    except Exception as error:
        # Anything can go wrong between here and the hub, and the library raises a dozen unrelated types.
        raise explained(error, wanted) from error


def stream_rows(wanted: HubDataset, *, split: str) -> Iterator[Row]:
    """Rows of a split as plain Python values, streamed.

    Raises:
        SourceError: The rows cannot be read.
    """
    dataset = load_hub_split(wanted, split=split, streaming=True)
    features = getattr(dataset, "features", None)
    try:
        yield from as_written(dataset, features.arrow_schema) if features else dataset
    except Exception as error:
        raise explained(error, wanted) from error


def split_names(wanted: HubDataset) -> tuple[str, ...]:
    """Names of a dataset's splits.

    Raises:
        SourceError: The names cannot be read.
    """
    datasets = _library(wanted)
    try:
        return tuple(datasets.get_dataset_split_names(wanted.id, wanted.config, revision=wanted.revision))
    except Exception as error:
        raise explained(error, wanted) from error


def converted_files(wanted: HubDataset, split: str) -> str:
    """The converted Parquet files of a split. The library would otherwise guess splits from the folders' names.

    >>> from flantune.types import HubDataset
    >>> converted_files(HubDataset(id="GEM/web_nlg", config="en"), "train")
    'hf://datasets/GEM/web_nlg@refs%2Fconvert%2Fparquet/en/train/*.parquet'
    """
    return f"hf://datasets/{wanted.id}@{quote(CONVERTED, safe='')}/{wanted.config or 'default'}/{split}/*.parquet"


@lru_cache(maxsize=1024)
def resolve_revision(wanted: HubDataset) -> str | None:
    """The commit that a dataset's revision currently refers to; None if the hub cannot be reached."""
    if wanted.revision is not None and _COMMIT.fullmatch(wanted.revision):
        return wanted.revision
    try:
        from huggingface_hub import HfApi

        commit = HfApi().dataset_info(wanted.id, revision=wanted.revision, timeout=10).sha
    except Exception:
        # Only makes a fingerprint or record more precise; that the hub cannot be reached is reported when rows are
        # read.
        return None
    return commit if isinstance(commit, str) else None


@lru_cache(maxsize=1)
def hub_answers() -> bool:
    """Whether the hub can be reached at all; tested once, after another failure."""
    from huggingface_hub import constants, get_session

    try:
        get_session().head(constants.ENDPOINT, timeout=10)
    except Exception:  # a dozen unrelated types, of two libraries for the network
        return False
    return True


def _stop_asking() -> None:
    """Restricts the libraries to their cache: without a network they retry for a minute, for every dataset."""
    import datasets
    from huggingface_hub import constants

    constants.HF_HUB_OFFLINE = True
    datasets.config.HF_HUB_OFFLINE = True


def _library(wanted: HubDataset) -> Any:
    try:
        import datasets
    except ImportError as error:
        raise MissingDataError(
            "the Hugging Face hub is read through the library datasets, which is not installed",
            where=str(wanted),
            hint="in flantune's folder: pip install -e '.[hub]'; or set [data] mirror to what `flantune fetch` wrote",
        ) from error
    if not sys.stderr.isatty():
        datasets.disable_progress_bars()
    return datasets


def explained(error: Exception, wanted: HubDataset) -> SourceError:
    """An error of the hub's library as one that says what to do; flantune's own errors are unchanged."""
    if isinstance(error, SourceError):
        return error
    name = type(error).__name__
    fault = hub_fault(error, wanted.id, revision=wanted.revision, is_dataset=True)
    if "Connect" in name and not hub_answers():
        _stop_asking()
    if fault is not None:
        why, hint = fault.message, fault.hint
    else:
        # The library's own message for unreadable rows says nothing; the cause does.
        told = error.__cause__ if name == "DatasetGenerationError" and error.__cause__ else error
        why, hint = f"{type(told).__name__}: {(str(told).splitlines() or [''])[0]}", _hint(told, wanted)
    return MissingDataError(f"cannot be loaded from the Hugging Face hub: {why}", where=str(wanted), hint=hint)


def _hint(error: BaseException, wanted: HubDataset) -> str:
    """A hint if the hub answered, but without rows."""
    if "scripts are no longer supported" in str(error):
        return f'set [source] revision = "{CONVERTED}": rows that the hub itself converted, if it has them'
    page = f"https://huggingface.co/datasets/{wanted.id}/tree/{wanted.revision or 'main'}"
    if type(error).__name__.startswith("Arrow"):
        return f"a file of the dataset cannot be read; tell its authors, or pin an earlier revision: {page}"
    return f"check [source] config and the names of the splits against its files: {page}"
