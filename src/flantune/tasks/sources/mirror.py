"""A folder that mirrors the Hugging Face hub: where its files are, and what was recorded when they were fetched.

``<org>/<name>/<config>/<split>.parquet`` (or .jsonl.gz, .jsonl, .jsonl.zst, or Parquet shards), and beside them
``fetched.json``.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from flantune.errors import SourceError
from flantune.system.files import check_regular

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

RECORD_NAME = "fetched.json"
_SUFFIXES = (".parquet", ".jsonl.zst", ".jsonl.gz", ".jsonl")
_SHARD = re.compile(r"(?P<split>.+)-(?P<shard>\d{5})-of-(?P<shards>\d{5})")


def mirrored_splits(folder: Path) -> dict[str, tuple[Path, ...]]:
    """Split → its file or shards, for a folder of a mirror; empty if there is no such folder.

    Raises:
        SourceError: A split occurs twice, or a shard is missing.
    """
    found: dict[str, list[Path]] = {}
    for path in sorted(folder.iterdir()) if folder.is_dir() else ():
        suffix = next((suffix for suffix in _SUFFIXES if path.name.endswith(suffix)), None)
        if suffix is not None and not path.name.startswith("."):
            stem = path.name.removesuffix(suffix)
            shard = _SHARD.fullmatch(stem)
            found.setdefault(shard["split"] if shard else stem, []).append(path)
    return {split: _complete(split, paths) for split, paths in found.items()}


def _complete(split: str, paths: Sequence[Path]) -> tuple[Path, ...]:
    shard = _SHARD.match(paths[0].name)
    wanted = int(shard["shards"]) if shard else 1
    if len(paths) != wanted:
        names = ", ".join(path.name for path in paths)
        problem = f'shards of split "{split}" are missing' if len(paths) < wanted else f'split "{split}" occurs twice'
        raise SourceError(
            f"{problem}: {names}", where=str(paths[0].parent), hint="remove the files and run flantune fetch again"
        )
    return tuple(paths)


def read_record(folder: Path) -> dict[str, Any]:
    """What ``flantune fetch`` recorded about a folder of a mirror; empty if nothing."""
    try:
        check_regular(folder / RECORD_NAME)
        record = json.loads((folder / RECORD_NAME).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    return record if isinstance(record, dict) else {}


def split_record(folder: Path, split: str) -> dict[str, Any]:
    """What was recorded about one split; empty if nothing."""
    splits = read_record(folder).get("splits")
    note = splits.get(split) if isinstance(splits, dict) else None
    if not isinstance(note, dict):
        return {}
    kinds = {"rows": int, "is_whole": bool, "revision": str, "commit": str}
    known = {key: note[key] for key, kind in kinds.items() if isinstance(note.get(key), kind)}
    return {"rows": 0, "is_whole": True, "revision": None, "commit": None, **known}


def matches_revision(note: Mapping[str, Any], revision: str | None) -> bool:
    """Whether a fetched split has the requested revision; if that is unknown, it counts as yes.

    >>> matches_revision({"commit": "0a1b2c3d4e", "revision": "main"}, "0a1b2c3")
    True
    >>> matches_revision({"commit": "0a1b2c3d4e", "revision": "main"}, "5f6e7d8")
    False
    """
    known = [name for name in (note.get("commit"), note.get("revision")) if name]
    return not revision or not known or any(name.startswith(revision) for name in known)
