"""The Hugging Face hub, through its ``datasets`` library; the only module that knows it."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from flantune.errors import SourceError
from flantune.tasks.sources.formats import as_written
from flantune.tasks.sources.raw import HubSource, MissingDataError, hub_reference

if TYPE_CHECKING:
    from collections.abc import Iterator

    from flantune.types import Row

CONVERTED = "refs/convert/parquet"
"""The branch to which the hub itself converts datasets, as ``<config>/<split>/<number>.parquet``.

Datasets that are a loading script can be had from nowhere else: the library runs such scripts no more.
"""

_COMMIT = re.compile(r"[0-9a-f]{40}")


def load_hub_split(hub_id: str, config: str | None, *, split: str, revision: str | None, streaming: bool) -> Any:
    """One split as ``datasets`` gives it.

    Raises:
        SourceError: ``datasets`` is not installed, the hub cannot be reached, or it has no such dataset or split.
    """
    datasets = _library(hub_id, config, revision)
    try:
        if revision == CONVERTED:
            files = {split: converted_files(hub_id, config, split)}
            return datasets.load_dataset("parquet", data_files=files, split=split, streaming=streaming)
        return datasets.load_dataset(hub_id, config, split=split, revision=revision, streaming=streaming)
    except Exception as error:
        # Whatever went wrong between here and the hub; the library raises a dozen unrelated types for it.
        raise explained(error, reference_of(hub_id, config, revision)) from error


def stream_rows(hub_id: str, config: str | None, *, split: str, revision: str | None) -> Iterator[Row]:
    """Rows of a split as plain Python values, streamed.

    Raises:
        SourceError: They cannot be had.
    """
    dataset = load_hub_split(hub_id, config, split=split, revision=revision, streaming=True)
    features = getattr(dataset, "features", None)
    try:
        yield from as_written(dataset, features.arrow_schema) if features else dataset
    except Exception as error:
        raise explained(error, reference_of(hub_id, config, revision)) from error


def split_names(hub_id: str, config: str | None, *, revision: str | None) -> tuple[str, ...]:
    """Names of a dataset's splits.

    Raises:
        SourceError: They cannot be had.
    """
    datasets = _library(hub_id, config, revision)
    try:
        return tuple(datasets.get_dataset_split_names(hub_id, config, revision=revision))
    except Exception as error:
        raise explained(error, reference_of(hub_id, config, revision)) from error


def converted_files(hub_id: str, config: str | None, split: str) -> str:
    """The converted Parquet files of a split. The library would otherwise guess splits from the folders' names.

    >>> converted_files("GEM/web_nlg", "en", "train")
    'hf://datasets/GEM/web_nlg@refs%2Fconvert%2Fparquet/en/train/*.parquet'
    """
    return f"hf://datasets/{hub_id}@{quote(CONVERTED, safe='')}/{config or 'default'}/{split}/*.parquet"


@lru_cache(maxsize=1024)
def resolve_revision(hub_id: str, revision: str | None) -> str | None:
    """The commit that a revision of a dataset stands for now; None when the hub cannot be asked."""
    if revision is not None and _COMMIT.fullmatch(revision):
        return revision
    try:
        from huggingface_hub import HfApi

        commit = HfApi().dataset_info(hub_id, revision=revision, timeout=10).sha
    except Exception:
        # Only sharpens a fingerprint or a record: reading the rows is what reports a hub that cannot be reached.
        return None
    return commit if isinstance(commit, str) else None


def _library(hub_id: str, config: str | None, revision: str | None) -> Any:
    try:
        import datasets
    except ImportError as error:
        raise MissingDataError(
            "the Hugging Face hub is read through the library datasets, which is not installed",
            where=reference_of(hub_id, config, revision),
            hint="in flantune's folder: pip install -e '.[hub]'; or set [data] mirror to what `flantune fetch` wrote",
        ) from error
    return datasets


def explained(error: Exception, reference: str) -> SourceError:
    """An error of the hub's library as one that says what to do; flantune's own stay as they are."""
    if isinstance(error, SourceError):
        return error
    first_line = (str(error).splitlines() or [""])[0]
    is_off = "OfflineModeIsEnabled" in str(error)
    why = "HF_HUB_OFFLINE is set, and it is not in the cache" if is_off else f"{type(error).__name__}: {first_line}"
    return MissingDataError(
        f"cannot be had from the Hugging Face hub: {why}",
        where=reference,
        hint="on a machine with a network run: flantune fetch RUN_FILE --mirror hub; then set [data] mirror to it",
    )


def reference_of(hub_id: str, config: str | None, revision: str | None) -> str:
    """A hub dataset in one word."""
    return hub_reference(HubSource(id=hub_id, config=config, revision=revision))
