"""Datasets in promptsource's templates as tasks. Paper: Bach et al. 2022; Sanh et al. 2021."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flantune.errors import ConfigError, NotAskedError, TaskError, TemplateError, did_you_mean
from flantune.prompts.promptsource import PROMPTSOURCE, ask, compile_promptsource, fields_of, fixed_choices, truncated
from flantune.tasks.languages import language_name
from flantune.tasks.promptsource_rows import OwnRows, read_rows_file, renamed
from flantune.tasks.rows import NOT_AN_OPTION, BadRow, short
from flantune.tasks.shipped_files import collection_files
from flantune.tasks.sources.hub import HubSource
from flantune.tasks.sources.promptsource import FILE, PromptsourceTemplate, find_datasets, read_template_file
from flantune.tasks.t_zero import NO_FORMAT, SANS_FLAN, facts, prompt_name
from flantune.types import Example, Kind, SplitRole, Task, Template

if TYPE_CHECKING:
    from flantune.prompts.language import Asked
    from flantune.prompts.promptsource import Truncation
    from flantune.settings.promptsource import PromptsourceSettings
    from flantune.types import Row

TEMPLATE_FAILS = "template fails"
"""The reason of bad rows on which a template fails."""
COLLECTION = "t0"
"""The collection's name in a mixture."""
_ADAPTER = "promptsource 1"
_FAMILIES = {
    "wsc.fixed": "wsc",
    "ai2_arc": "arc",
    "cos_e": "commonsenseqa",
    "winogrande_xl": "winogrande",
    "labeled_final": "paws",
    "hotpotqa": "hotpotqa",
}
_COLLECTIONS = frozenset({"glue", "super_glue", "kilt_tasks", "paws"})
"""Names that stand for several datasets, one per configuration."""
_METRICS = {
    "Accuracy": ("exact_match",),
    "BLEU": ("bleu",),
    "ROUGE": ("rougeL",),
    "Squad": ("token_f1", "exact_match"),
    "Trivia QA": ("trivia_f1", "trivia_exact_match"),
}
_MOST_NAME = 120


@dataclass(frozen=True, slots=True, kw_only=True)
class PromptsourceAdapter:
    """Raw row → example whose fields are the row itself; its answer comes from the first template that accepts it.

    A row that no template accepts is dropped on purpose. One on which a template fails is a bad row.

    Attributes:
        templates: The dataset's templates, the scored ones first.
        kind: Of the task.
        columns: The templates' names for the columns of a user's own rows; see ``promptsource_rows``.
    """

    templates: tuple[Template, ...]
    kind: Kind
    columns: tuple[tuple[str, str, tuple[tuple[str, Any], ...]], ...] = ()

    def __call__(self, row: Row) -> Example | None:
        """Adapts a row.

        Raises:
            BadRow: A template fails on it, or its answer is not among the choices.
        """
        fields = fields_of(renamed(row, self.columns))
        asked = [(one, found) for one in self.templates if (found := _asked(one, fields)) is not None]
        if self.kind == "generation":
            return Example(row=0, fields=fields, references=(asked[0][1].targets,)) if asked else None
        choices = [found for one, found in asked if not one.is_inverted]
        if not choices:
            return None
        first = choices[0]
        if first.targets not in first.options:
            raise BadRow(NOT_AN_OPTION, f"got {short(first.targets)}; expected one of {short(list(first.options))}")
        answer = first.options.index(first.targets)
        return Example(row=0, fields=fields, options=first.options, answer=answer, references=(first.targets,))

    @property
    def fingerprint(self) -> str:
        """Changes with any text."""
        parts = [_ADAPTER, self.kind, self.columns, *(asdict(one) for one in self.templates)]
        return sha256(json.dumps(parts).encode()).hexdigest()


def _asked(template: Template, fields: Mapping[str, str]) -> Asked | None:
    try:
        return ask(template, fields, 0)
    except NotAskedError:
        return None
    except TemplateError as error:
        raise BadRow(TEMPLATE_FAILS, f"{template.name}: {error.message}") from None


def load_promptsource(settings: PromptsourceSettings, *, root: Path) -> tuple[Task, ...]:
    """The tasks of the run file's ``[data.promptsource]``; their rows are read when prepared.

    Args:
        settings: The section.
        root: The folder that relative paths are relative to.

    Raises:
        ConfigError: A template to exclude does not exist, or the texts differ from the digest.
        SourceError: A template file is missing or invalid.
        TaskError: A text is not Jinja.
    """
    folder = root / settings.folder.expanduser()
    trained = _trained(settings, folder)
    files = _files(settings, folder)
    _check_excluded(settings.exclude, files)
    _check_digest(settings.digest, files)
    rows = read_rows_file(root / settings.rows.expanduser()) if settings.rows is not None else {}
    _check_rows(rows, files)
    return tuple(
        replace(task, name=_plain(f"{settings.prefix}{task.name}"))
        for name, found in files.items()
        for task in _tasks_of(name, found, folder, settings, rows=rows.get(name), is_trained=name in trained)
    )


def _trained(settings: PromptsourceSettings, folder: Path) -> tuple[str, ...]:
    return (*facts().datasets(settings.mixture), *find_datasets(folder, settings.train))


def _files(settings: PromptsourceSettings, folder: Path) -> dict[str, tuple[PromptsourceTemplate, ...]]:
    """The template files of all datasets that are trained on or measured, by dataset."""
    trained, measured = _trained(settings, folder), find_datasets(folder, settings.measure)
    both = sorted({*trained} & {*measured})
    if both:
        raise ConfigError(f"{both[0]} is trained on and measured", where="data.promptsource.measure")
    if settings.mixture not in ("none", SANS_FLAN):
        measured = (*(name for name in facts().measured if name not in trained), *measured)
    return {name: read_template_file(folder / name / FILE) for name in dict.fromkeys((*trained, *measured))}


def digest_of(settings: PromptsourceSettings, *, root: Path) -> str:
    """SHA-256 of all texts that a run uses.

    Raises:
        SourceError: A template file is missing or invalid.
    """
    return _digest(_files(settings, root / settings.folder.expanduser()))


def _digest(files: Mapping[str, tuple[PromptsourceTemplate, ...]]) -> str:
    texts = [[name, one.name, one.jinja, one.answer_choices] for name in sorted(files) for one in files[name]]
    return sha256(json.dumps(texts).encode()).hexdigest()


def _check_digest(wanted: str, files: Mapping[str, tuple[PromptsourceTemplate, ...]]) -> None:
    found = _digest(files)
    if not found.startswith(wanted):
        raise ConfigError(
            f'the templates differ from those of digest "{wanted}": theirs is "{found[:16]}"',
            where="data.promptsource.digest",
            hint="get the version of promptsource that the digest was made with, or change the digest",
        )


def _check_rows(rows: Mapping[str, OwnRows], files: Mapping[str, object]) -> None:
    for name in rows:
        if name not in files:
            hint = did_you_mean(name, files) or f"available: {', '.join(files)}"
            raise ConfigError(f'rows of "{name}", which is not used', where="data.promptsource.rows", hint=hint)


def _check_excluded(names: tuple[str, ...], files: Mapping[str, tuple[PromptsourceTemplate, ...]]) -> None:
    known = [f"{dataset}/{one.name}".strip() for dataset, templates in files.items() for one in templates]
    for name in names:
        if name.strip() not in known:
            hint = did_you_mean(name, known) or "write the dataset, a slash and the template's name"
            raise ConfigError(f'no template "{name}"', where="data.promptsource.exclude", hint=hint)


def _tasks_of(
    name: str,
    found: tuple[PromptsourceTemplate, ...],
    folder: Path,
    settings: PromptsourceSettings,
    *,
    rows: OwnRows | None,
    is_trained: bool,
) -> Iterator[Task]:
    left_out = {one.strip() for one in settings.exclude}
    kept = [one for one in found if f"{name}/{one.name}".strip() not in left_out]
    kind, templates = templates_of(kept, truncation=settings.truncation, where=str(folder / name / FILE))
    if is_trained:
        templates = _trained_on(templates, kept, settings.prompts)
    else:
        templates = tuple(one for one in templates if not one.is_inverted)
    if not templates:
        return
    task = make_task(
        name, kind, templates, kept, rows=rows or _hub_rows(name, settings), origin=str(folder / name / FILE)
    )
    if rows is None and not is_trained:
        splits = facts().measured.get(name, ("validation",))
        for split in splits:
            own = f"{task.name}_{split.removeprefix('dev_')}" if len(splits) > 1 else task.name
            yield replace(task, name=own, splits={"test": split})
    elif settings.tasks == "datasets" or not is_trained:
        yield task
    else:
        for template in templates:
            yield replace(task, name=_plain(prompt_name(name, template.name)), templates=(template,))


def _hub_rows(name: str, settings: PromptsourceSettings) -> OwnRows:
    """The rows of a dataset on the hub; its validation rows are the dev rows, if it has any."""
    dataset, _, config = name.partition("/")
    splits: dict[SplitRole, str] = {"train": "train"}
    if name not in facts().without_validation:
        splits["dev"] = "validation"
    known, licences = shipped_data().get(dataset, (dataset, {}))
    whole = {*licences.values()}  # most have one licence for all their configurations
    return OwnRows(
        source=HubSource(id=settings.hub.get(dataset, known), config=config or None),
        splits=splits,
        licence=licences.get(config) or (whole.pop() if len(whole) == 1 else ""),
    )


@cache
def shipped_data() -> dict[str, tuple[str, dict[str, str]]]:
    """For the datasets of shipped tasks: short name → id on the hub, and the licence of each configuration."""
    found: dict[str, tuple[str, dict[str, str]]] = {}
    for path in collection_files(("flan2021", "more")):
        head = tomllib.loads(path.read_text(encoding="utf-8"))
        hub = str(head["source"].get("hub", ""))
        _, licences = found.setdefault(hub.rpartition("/")[2], (hub, {}))
        config = head["source"].get("config", "")
        licences["" if config in ("default", "plain_text") else config] = head.get("licence", "")
    return found


def make_task(
    dataset: str,
    kind: Kind,
    templates: tuple[Template, ...],
    found: list[PromptsourceTemplate],
    *,
    rows: OwnRows,
    origin: str,
) -> Task:
    """A dataset as a task.

    Args:
        dataset: The dataset: "glue/mrpc".
        kind: The kind that ``templates_of`` returned.
        templates: The templates that it returned, or some of them.
        found: The templates as they are in the file.
        rows: Its rows.
        origin: The file of templates, for messages.
    """
    scored = {one.name for one in templates if not one.is_inverted}
    metrics = dict.fromkeys(
        metric for one in found if one.name in scored for name in one.metrics for metric in _METRICS.get(name, ())
    )
    scored_first = tuple(sorted(templates, key=lambda one: one.is_inverted))
    adapter = PromptsourceAdapter(templates=scored_first, kind=kind, columns=rows.columns)
    return Task(
        name=_plain(dataset),
        clusters=rows.clusters or (facts().formats.get(dataset, NO_FORMAT),),
        source_family=family_of(dataset),
        kind=kind,
        source=rows.source,
        adapter=adapter,
        splits=rows.splits,
        templates=templates,
        metrics=("accuracy",) if kind == "classification" else tuple(metrics) or ("exact_match",),
        description=f"{dataset} in templates of promptsource",
        origin=origin,
        adapter_fingerprint=adapter.fingerprint,
        languages=tuple(dict.fromkeys(language_name(code) for one in found for code in one.languages)),
        licence=rows.licence,
        stored_as=_plain(dataset),
        collection=COLLECTION,
    )


def templates_of(
    found: list[PromptsourceTemplate], *, truncation: Truncation, where: str
) -> tuple[Kind, tuple[Template, ...]]:
    """A dataset's templates, and whether they make it a classification task.

    They do if a template for the original task has answer choices; then only such templates are scored, and the others
    are trained on.

    Raises:
        TaskError: A text is not Jinja.
    """
    is_choice = any(one.is_original and _has_choices(one) for one in found)
    kind: Kind = "classification" if is_choice else "generation"
    templates = []
    for one in found:
        text = one.jinja
        try:
            for jinja in (text := truncated(text, truncation), one.answer_choices):
                compile_promptsource(jinja)
        except TemplateError as error:
            raise TaskError(f'the template "{one.name}": {error.message}', where=where, hint=error.hint) from None
        is_scored = one.is_original and (_has_choices(one) or not is_choice)
        template = Template(
            name=one.name,
            inputs=text,
            targets=text,
            is_inverted=not is_scored,
            language=PROMPTSOURCE.name,
            answer_choices=one.answer_choices,
            shows_options=one.shows_choices,
        )
        templates.append(template)
    return kind, tuple(templates)


def _has_choices(template: PromptsourceTemplate) -> bool:
    """Whether there are choices: those of each row, or at least two that are the same for all rows."""
    try:
        return bool(template.answer_choices) and len(fixed_choices(template.answer_choices)) != 1
    except TemplateError:
        return True


def _trained_on(templates: tuple[Template, ...], found: list[PromptsourceTemplate], which: str) -> tuple[Template, ...]:
    original = [one.name for one in found if one.is_original]
    wanted = {"all": [one.name for one in found], "original": original, "first-original": original[:1]}[which]
    return tuple(one for one in templates if one.name in wanted)


def family_of(dataset: str) -> str:
    """The source family of a dataset's name, as in the taxonomy.

    >>> family_of("glue/mrpc"), family_of("super_glue/wsc.fixed"), family_of("race/high"), family_of("ai2_arc/ARC-Easy")
    ('mrpc', 'wsc', 'race', 'arc')
    """
    name, _, config = dataset.partition("/")
    own = config if name in _COLLECTIONS else name
    return _FAMILIES.get(own, own)


def _plain(name: str) -> str:
    """A name that is valid for a task."""
    plain = re.sub(r"[^A-Za-z0-9_.+-]", "_", name)
    return plain if len(plain) <= _MOST_NAME else f"{plain[: _MOST_NAME - 9]}_{sha256(name.encode()).hexdigest()[:8]}"
