"""One TOML file as a task."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from flantune.errors import TaskError, TemplateError, did_you_mean
from flantune.prompts.compiled import compile_side
from flantune.prompts.language import SIDES, Side
from flantune.prompts.styles import RESERVED_SLOTS
from flantune.settings.sections import Problems, check_section, require_section
from flantune.settings.toml_file import read_toml
from flantune.tasks.columns import AnswerColumn, ColumnAdapter, FieldColumn, OptionColumns
from flantune.tasks.conversations import ConversationAdapter
from flantune.tasks.labels import as_label
from flantune.tasks.shipped_files import shipped_collection
from flantune.tasks.sources.kinds import read_source
from flantune.tasks.sources.slices import parse_slice
from flantune.tasks.taskfile_conversation import AS_SAID, METRICS, read_conversation
from flantune.tasks.taskfile_sections import (
    DEFAULT_METRICS,
    AdapterSection,
    AnswerSection,
    Fields,
    HeadSection,
    OptionsSection,
    Splits,
    TemplateSection,
)
from flantune.tasks.tidy import TidyAdapter
from flantune.tasks.user_code import PythonAdapter, load_adapter
from flantune.types import Kind, Source, Task, Template

_TABLES = ("source", "splits", "fields", "options", "answer", "adapter", "conversation", "templates")
_SLOT = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_FORMAT = re.compile("[!:]")
RUN_SECTIONS = frozenset({"data", "holdout", "model", "training", "evaluation", "packing"})
_ROLES = ("train", "dev", "test")


TaskAdapter = ColumnAdapter | ConversationAdapter | PythonAdapter


@dataclass(frozen=True, slots=True, kw_only=True)
class _Sections:
    """The valid parts of a task file; None for those that are missing or wrong."""

    head: HeadSection | None
    source: Source | None
    splits: Splits | None
    adapter: TaskAdapter | None
    templates: tuple[Template, ...]


def is_task_file(tree: Mapping[str, Any]) -> bool:
    """Whether a TOML file is a task file: a run file has neither templates nor a conversation."""
    return "templates" in tree or "conversation" in tree


def load_task_file(path: Path, *, mirror: Path | None = None) -> Task:
    """A task from its TOML file.

    Args:
        path: The file.
        mirror: Folder that mirrors the hub; None: the hub.

    Raises:
        TaskError: The file cannot be read or is wrong; all its problems come at once.
    """
    _, tree = read_toml(path, error=TaskError, what="task file")
    if not is_task_file(tree) and RUN_SECTIONS & set(tree):
        hint = "name the files of its [data] tasks instead; `flantune run` takes this one as it is"
        raise TaskError("this is a run file, not a task file", where=str(path), hint=hint)
    problems = Problems()
    sections = _check(tree, path, problems)
    if sections.head is None or sections.source is None or sections.splits is None or sections.adapter is None:
        raise problems.error(TaskError, where=str(path))
    if problems.lines:
        raise problems.error(TaskError, where=str(path))
    head, adapter = sections.head, sections.adapter
    kept = TidyAdapter(adapter, adapter.fingerprint) if head.tidy else adapter
    return Task(
        name=head.name,
        clusters=head.clusters,
        source_family=head.family or head.name,
        kind=head.kind,
        source=sections.source if mirror is None else sections.source.with_mirror(mirror),
        adapter=kept,
        splits=sections.splits.given(),
        templates=sections.templates,
        metrics=head.metrics or DEFAULT_METRICS[head.kind],
        licence=head.licence,
        citation=head.citation,
        description=head.description,
        origin=str(path),
        adapter_fingerprint=kept.fingerprint,
        confirmed=head.confirmed,
        every_reply=isinstance(adapter, ConversationAdapter) and adapter.trains_on == "every",
        languages=tuple(dict.fromkeys(head.languages)),
        collection=head.collection or shipped_collection(path),
    )


def _check(tree: Mapping[str, Any], path: Path, problems: Problems) -> _Sections:
    is_conversation = "conversation" in tree
    head_keys = {key: value for key, value in tree.items() if key not in _TABLES}
    if is_conversation:
        head_keys = {"kind": "generation", "metrics": METRICS, **head_keys}
    head = check_section(HeadSection, head_keys, "", problems=problems, neighbors=_TABLES)
    kind = head.kind if head is not None else None
    if "source" not in tree:
        problems.add("source", "is missing")
    source = read_source(tree["source"], folder=path.parent, problems=problems) if "source" in tree else None
    splits = require_section(Splits, tree, "splits", problems=problems)
    _check_splits(tree.get("splits"), tree.get("source"), problems)
    adapter, slots = _check_adapter(tree, kind, path, problems)
    if is_conversation and "templates" not in tree:
        templates: tuple[Template, ...] = (AS_SAID,)
    else:
        templates = _check_templates(tree.get("templates"), slots, kind, problems)
    return _Sections(head=head, source=source, splits=splits, adapter=adapter, templates=templates)


def _check_splits(splits: Any, source: Any, problems: Problems) -> None:
    """Collects invalid slices, and splits without a file, from the raw tables."""
    if not isinstance(splits, Mapping):
        return
    if not splits:
        problems.add("splits", "names no split; set train, dev or test")
    files = source.get("files") if isinstance(source, Mapping) else None
    for role, text in splits.items():
        if not isinstance(text, str):
            continue  # reported for its section
        try:
            split = parse_slice(text).source_split
        except ValueError as error:
            problems.add(f"splits.{role}", str(error))
            continue
        if isinstance(files, Mapping) and role in _ROLES and split not in files:
            near = did_you_mean(split, files) or f"available: {', '.join(files)}"
            problems.add(f"splits.{role}", f'source.files has no split "{split}"; {near}')


def _check_adapter(
    tree: Mapping[str, Any], kind: Kind | None, path: Path, problems: Problems
) -> tuple[TaskAdapter | None, tuple[str, ...] | None]:
    """The adapter, and the slots it fills, as far as known."""
    if "conversation" in tree:
        return _check_conversation(tree, kind, problems)
    if "adapter" not in tree:
        return _check_columns(tree, kind, problems)
    for key in ("fields", "options", "answer"):
        if key in tree:
            problems.add(key, "cannot be combined with adapter, whose function gives it")
    section = check_section(AdapterSection, tree["adapter"], "adapter", problems=problems)
    if section is None:
        return None, None
    try:
        return load_adapter(section.python, path.parent), None
    except TaskError as error:
        problems.add("adapter.python", error.render().replace("\n", "; "))
        return None, None


def _check_conversation(
    tree: Mapping[str, Any], kind: Kind | None, problems: Problems
) -> tuple[ConversationAdapter | None, tuple[str, ...]]:
    for key in ("options", "answer", "adapter"):
        if key in tree:
            problems.add(key, "cannot be combined with conversation, whose replies are what is asked for")
    if kind == "classification":
        problems.add("kind", 'should be "generation", or left out, with conversation')
    fields = check_section(Fields, tree["fields"], "fields", problems=problems) if "fields" in tree else None
    columns = _field_columns(fields, problems) if fields is not None else {}
    return read_conversation(tree["conversation"], columns, problems)


def _check_columns(
    tree: Mapping[str, Any], kind: Kind | None, problems: Problems
) -> tuple[ColumnAdapter | None, tuple[str, ...] | None]:
    fields = require_section(Fields, tree, "fields", problems=problems)
    answer = require_section(AnswerSection, tree, "answer", problems=problems)
    has_options = "options" in tree
    options = check_section(OptionsSection, tree["options"], "options", problems=problems) if has_options else None
    if kind is not None and has_options != (kind == "classification"):
        problems.add("options", _NO_OPTIONS if has_options else 'is missing, with kind = "classification"')
    columns = _field_columns(fields, problems) if fields is not None else None
    if answer is not None:
        _check_answer(answer, options, has_options, problems)
    if columns is None or answer is None or (has_options and options is None):
        return None, tuple(columns) if columns is not None else None
    choice = _option_columns(options) if options is not None else None
    return ColumnAdapter(fields=columns, options=choice, answer=_answer_column(answer)), tuple(columns)


_NO_OPTIONS = 'belongs to kind = "classification" only'


def _field_columns(fields: Fields, problems: Problems) -> dict[str, FieldColumn]:
    columns = {}
    for slot, column in (fields.model_extra or {}).items():
        if slot in RESERVED_SLOTS:
            problems.add(f"fields.{slot}", "is filled in by flantune; use another name")
        elif not _SLOT.fullmatch(slot):
            problems.add(f"fields.{slot}", "a slot's name is made of letters, digits and _")
        joined = FieldColumn(column=column) if isinstance(column, str) else FieldColumn(**column.model_dump())
        columns[slot] = joined
    if not columns:
        problems.add("fields", "names no field")
    return columns


def _option_columns(options: OptionsSection) -> OptionColumns:
    return OptionColumns(values=options.values or (), column=options.column or "", columns=options.columns or ())


def _answer_column(answer: AnswerSection) -> AnswerColumn:
    return AnswerColumn(
        column=answer.column,
        reading=answer.read or "",
        keys=answer.keys if isinstance(answer.keys, tuple) else (),
        keys_column=answer.keys if isinstance(answer.keys, str) else "",
        map=answer.map,
        separator=answer.separator,
        drop=tuple(as_label(value) for value in answer.drop),
        group=answer.group,
    )


def _check_answer(answer: AnswerSection, options: OptionsSection | None, has_options: bool, problems: Problems) -> None:
    if not has_options and answer.keys is not None:
        problems.add("answer.keys", "needs options")
    if has_options and answer.separator:
        problems.add("answer.separator", "is for several references, which a classification task does not have")
    if answer.read is not None and not has_options:
        problems.add("answer.read", "needs options")
    if answer.read is not None and (answer.keys is not None or answer.map):
        problems.add("answer.read", "cannot be combined with keys or map, which say what each value means")
    if answer.keys is not None and answer.map:
        problems.add("answer", "set either keys or map")
    if options is None:
        return
    number = len(options.values or options.columns or ())
    if isinstance(answer.keys, tuple) and number and len(answer.keys) != number:
        problems.add("answer.keys", f"got {len(answer.keys)} keys for {number} options")
    for value, text in answer.map.items():
        if options.values is not None and text not in options.values:
            near = did_you_mean(text, options.values) or f"options are: {', '.join(options.values)}"
            problems.add(f"answer.map.{value}", f'"{text}" is not an option; {near}')


def _check_templates(
    tables: Any, slots: tuple[str, ...] | None, kind: Kind | None, problems: Problems
) -> tuple[Template, ...]:
    if isinstance(tables, Mapping):
        problems.add("templates", "is one table; write [[templates]], in double brackets, above each template")
        return ()
    if not isinstance(tables, list) or not tables:
        problems.add("templates", "is missing; write at least one [[templates]] table")
        return ()
    templates: list[Template] = []
    for number, table in enumerate(tables):
        path = f"templates[{number}]"
        section = check_section(TemplateSection, table, path, problems=problems)
        if section is None:
            continue
        name = section.name or f"t{number + 1}"
        if name in {template.name for template in templates}:
            problems.add(f"{path}.name", f'there is another template "{name}"')
        template = Template(
            name=name,
            inputs=section.inputs,
            targets=section.targets,
            is_inverted=section.inverted,
            language=section.language,
            answer_choices=section.answer_choices,
        )
        for side in SIDES:
            _check_slots(template, side, f"{path}.{side}", slots, kind, problems)
        templates.append(template)
    return tuple(templates)


def _check_slots(
    template: Template, side: Side, path: str, slots: tuple[str, ...] | None, kind: Kind | None, problems: Problems
) -> None:
    try:
        names = compile_side(template, side).slots
    except TemplateError as error:
        problems.add(path, f"{error.message}; {error.hint}")
        return
    for name in dict.fromkeys(names):
        if name == "options" and kind == "generation":
            problems.add(path, "asks for {options}, which a generation task does not have")
        elif mark := _FORMAT.search(name):
            name_alone = name[: mark.start()]
            problems.add(
                path, f"a slot is a name alone; got {{{name_alone}…}}; literal braces are written {{{{ and }}}}"
            )
        elif slots is not None and name not in (*slots, *RESERVED_SLOTS):
            near = did_you_mean(name, slots) or f"available: {', '.join(slots)}"
            problems.add(path, f'no field "{name}"; {near}')
