"""The mixture as data for other trainers: each row with its origin, the same bytes for the same seed."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Literal

from flantune.commands.plan import make_mixture, numbered_split, prepare_tasks
from flantune.prompts.conversations import messages_of
from flantune.prompts.layout import Layout, inputs_text
from flantune.system.files import whole_file
from flantune.tasks.catalog import hub_id
from flantune.tasks.licences import licence_use

if TYPE_CHECKING:
    import pyarrow as pa

    from flantune.mixture.mixture import Mixture
    from flantune.settings.run_file import RunFile
    from flantune.types import Prompt, Task

Format = Literal["jsonl", "parquet", "chat"]
Row = dict[str, Any]

_BLOCK = 1_024
"""Prompts in memory at a time: also a Parquet row group, so that its bytes do not depend on anything else."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Exported:
    """A written file.

    Attributes:
        path: Its path.
        rows: Rows written.
        skipped: Tasks left out for lack of data, with the reason.
        licences: Licence → rows under it; empty text if none is stated.
    """

    path: Path
    rows: int
    skipped: Mapping[str, str]
    licences: Mapping[str, int]


def export(
    file: RunFile,
    *,
    path: Path,
    count: int | None = None,
    form: Format = "jsonl",
    fold: int = 0,
    start: int = 0,
    cache: Path,
    progress: Callable[[int, int], None] | None = None,
) -> Exported:
    """Writes training prompts of a fold, in the order in which a run would draw them.

    Draws are streamed, so memory does not grow with ``count``; the file gets its final name when it is complete. A run
    file without folds exports all its tasks. ``<eos>`` in a separator is kept.

    Args:
        file: The run file; its model is not used.
        path: The file to write.
        count: Draws to write; None: one cycle of the mixture, which has each task's quota. More draws repeat rows, as
            in tuning.
        form: ``jsonl`` and ``parquet`` have one row of flat columns per draw; ``chat`` has ``messages`` and
            ``metadata``.
        fold: The fold whose mixture is exported.
        start: The first draw.
        cache: Where adapted examples are stored; a run folder's ``data`` is reused.
        progress: Called with rows done and rows requested.

    Raises:
        FlantuneError: Something is wrong with the tasks, their data or the file; no incomplete file is left.
    """
    config = file.config
    prepared, skipped = prepare_tasks(config, root=file.root, cache=config.data.cache or cache)
    mixture = make_mixture(config, prepared, numbered_split(config, [one.task for one in prepared], fold))
    licences: Counter[str] = Counter()
    total = mixture.cycle if count is None else count
    rows = _counted(export_rows(mixture, start=start, count=total), licences, total=total, progress=progress)
    writers: dict[Format, Callable[[Iterable[Row], IO[bytes]], None]] = {
        "jsonl": write_jsonl,
        "parquet": write_parquet,
        "chat": partial(write_chat, system=config.prompts.system),
    }
    with whole_file(path) as handle:
        writers[form](rows, handle)
    return Exported(path=path, rows=licences.total(), skipped=skipped, licences=dict(sorted(licences.items())))


def export_rows(mixture: Mixture, *, start: int, count: int) -> Iterator[Row]:
    """Draws ``start`` up to ``start + count`` as rows of plain values, a block at a time."""
    for first in range(start, start + count, _BLOCK):
        for draw in mixture.draws(first, min(first + _BLOCK, start + count)):
            portion = mixture.portions[draw.portion]
            yield export_row(draw.index, mixture.prompt(draw), portion.task, part=portion.part, layout=mixture.layout)


def export_row(index: int, prompt: Prompt, task: Task, *, part: str, layout: Layout) -> Row:
    """One prompt with its origin.

    ``inputs`` is what the model reads, including exemplars. ``turns`` is the same as messages, if the prompt is only a
    conversation. ``row`` and ``exemplar_rows`` number the raw rows of the source split that ``source_split`` slices,
    from 0.
    """
    return {
        "index": index,
        "inputs": inputs_text(prompt, layout),
        "targets": prompt.targets,
        "turns": turns_of(prompt),
        "part": part,
        "collection": task.collection,
        "task": prompt.task,
        "clusters": list(task.clusters),
        "source_family": task.source_family,
        "languages": list(task.languages),
        "kind": task.kind,
        "split": prompt.split,
        "source_split": task.splits[prompt.split],
        "row": prompt.row,
        "template": prompt.template,
        "is_inverted": any(one.is_inverted for one in task.templates if one.name == prompt.template),
        "exemplar_rows": [exemplar.row for exemplar in prompt.exemplars],
        "options": list(prompt.options),
        "answer": prompt.answer,
        "references": list(prompt.references),
        "licence": task.licence,
        "licence_use": licence_use(task.licence),
        "hub": hub_id(task),
    }


def turns_of(prompt: Prompt) -> list[dict[str, str]]:
    """The messages before a reply; none if the prompt is not only a conversation."""
    conversation = prompt.conversation
    if conversation is None or not conversation.is_bare or prompt.exemplars:
        return []
    said = messages_of(conversation)
    told = [{"role": "system", "content": said.system}] if said.system else []
    turns = enumerate(said.turns, start=said.is_opened)
    return [*told, *({"role": ("user", "assistant")[at % 2], "content": text} for at, text in turns)]


def write_jsonl(rows: Iterable[Row], handle: IO[bytes]) -> None:
    """One JSON object per line, keys in one order."""
    for row in rows:
        handle.write(json.dumps(row, ensure_ascii=False).encode() + b"\n")


def write_chat(rows: Iterable[Row], handle: IO[bytes], *, system: str = "") -> None:
    """One conversation per line: the user's turn is the whole input with exemplars; the assistant's is the target.

    So a trainer that learns from the last turn only learns from the target, as in the paper. Conversations have their
    own turns before it. The run's system message comes first if the row has none.
    """
    write_jsonl((as_chat(row, system=system) for row in rows), handle)


def as_chat(row: Row, *, system: str = "") -> Row:
    """A row as a conversation.

    >>> as_chat({"inputs": "1+1?", "targets": "2", "task": "sums"})["messages"][1]
    {'role': 'assistant', 'content': '2'}
    """
    turns = row.get("turns") or [{"role": "user", "content": row["inputs"]}]
    told = [{"role": "system", "content": system}] if system and turns[0]["role"] != "system" else []
    messages = [*told, *turns, {"role": "assistant", "content": row["targets"]}]
    metadata = {key: value for key, value in row.items() if key not in ("inputs", "turns", "targets")}
    return {"messages": messages, "metadata": metadata}


def write_parquet(rows: Iterable[Row], handle: IO[bytes]) -> None:
    """A Parquet file with the same columns, one row group per block."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    schema = _schema()
    with pq.ParquetWriter(handle, schema, compression="zstd") as writer:
        stream = iter(rows)
        while block := list(islice(stream, _BLOCK)):
            writer.write_table(pa.Table.from_pylist(block, schema=schema), row_group_size=_BLOCK)


def _schema() -> pa.Schema:
    import pyarrow as pa

    text, texts, whole = pa.string(), pa.list_(pa.string()), pa.int64()
    types = {
        "index": whole,
        "turns": pa.list_(pa.struct([("role", text), ("content", text)])),
        "clusters": texts,
        "languages": texts,
        "row": whole,
        "is_inverted": pa.bool_(),
        "exemplar_rows": pa.list_(whole),
        "options": texts,
        "answer": whole,
        "references": texts,
    }
    names = (
        "index inputs targets turns part collection task clusters source_family languages kind split source_split row "
        "template is_inverted exemplar_rows options answer references licence licence_use hub"
    )
    return pa.schema([(name, types.get(name, text)) for name in names.split()])


def format_of(path: Path) -> Format:
    """The format by a file's name.

    >>> format_of(Path("mixture.parquet")), format_of(Path("mixture.chat.jsonl")), format_of(Path("mixture.jsonl"))
    ('parquet', 'chat', 'jsonl')
    """
    if path.suffix == ".parquet":
        return "parquet"
    return "chat" if ".chat" in path.suffixes else "jsonl"


def _counted(
    rows: Iterable[Row], licences: Counter[str], *, total: int, progress: Callable[[int, int], None] | None
) -> Iterator[Row]:
    for done, row in enumerate(rows, start=1):
        licences[row["licence"]] += 1
        yield row
        if progress is not None and (done % _BLOCK == 0 or done == total):
            progress(done, total)
