"""The contents of a collection's page, as plain values for the HTML template."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import quote

from flantune.errors import FlantuneError, TemplateError
from flantune.mixture.taxonomy import Overlap, Taxonomy
from flantune.prompts.compiled import compile_side, slots_of
from flantune.prompts.language import Side, Span
from flantune.prompts.spans import render_spans
from flantune.prompts.styles import RESERVED_SLOTS
from flantune.prompts.template_facts import template_facts
from flantune.system.files import slug
from flantune.tasks.examples import adapt_row, first_examples
from flantune.tasks.rows import BadRow
from flantune.types import Example, Row, Task, Template

EXAMPLES_SHOWN = 3
SLOT_TONES = 6
_LONGEST_VALUE = 1_200
_NO_ROWS = "Its data is missing, so its templates are shown without rows."


@dataclass(frozen=True, slots=True, kw_only=True)
class Piece:
    """A stretch of text.

    Attributes:
        text: The text.
        slot: The slot that it fills or is; empty for the template's own text.
        tone: Name of the slot's color.
        left_out: Number of characters of the slot's text omitted after ``text``.
        rest: The end of a shortened text.
    """

    text: str
    slot: str = ""
    tone: str = ""
    left_out: int = 0
    rest: str = ""


Pieces = tuple[Piece, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Wording:
    """One template and its rendering of one row.

    Attributes:
        anchor: Its id on the page.
        shown: Rendered inputs and targets; None without a row, or if ``problem`` says why it cannot be rendered.
        row: Number of the shown row, from 1.
        facts: What the template asks for and shows, in words.
    """

    name: str
    anchor: str
    is_inverted: bool
    facts: str
    inputs: Pieces
    targets: Pieces
    shown: tuple[Pieces, Pieces] | None = None
    row: int = 0
    problem: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Relative:
    """Another task of the page that is made from the same data.

    Attributes:
        because: The reason given in the taxonomy.
    """

    name: str
    because: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Dataset:
    """A task's contents on the page.

    Attributes:
        task: The task itself.
        anchor: Its id on the page.
        places: Where its rows come from, one line each: label, text, link (or the empty string).
        fields: Slot → tone, in the order of the row's fields.
        options: The answer options, if all shown rows have the same.
        relatives: Tasks of the page that are its kin.
        wordings: One per template.
        rows_note: Why there are no rows; empty if there are some.
    """

    task: Task
    anchor: str
    places: tuple[tuple[str, str, str], ...]
    fields: Mapping[str, str]
    options: tuple[str, ...]
    relatives: tuple[Relative, ...]
    wordings: tuple[Wording, ...]
    rows_note: str = ""

    @property
    def by_hand(self) -> str:
        """How to get data that cannot be downloaded automatically; empty for most."""
        return self.task.source.manual

    @property
    def inverted(self) -> int:
        """Number of templates that do not ask for the answer."""
        return sum(wording.is_inverted for wording in self.wordings)

    @property
    def reasons(self) -> dict[str, list[str]]:
        """Why other tasks are kin → their names."""
        found: dict[str, list[str]] = {}
        for relative in self.relatives:
            found.setdefault(relative.because, []).append(relative.name)
        return found


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterGroup:
    """The datasets of one cluster.

    Attributes:
        own: Tasks whose first cluster this is, which are described here.
        guests: Tasks that also belong here but are described under another cluster.
        overlaps: What measuring this cluster removes from training.
    """

    name: str
    anchor: str
    own: tuple[Dataset, ...]
    guests: tuple[Dataset, ...]
    overlaps: tuple[Overlap, ...]

    @property
    def members(self) -> tuple[Dataset, ...]:
        """All its datasets."""
        return self.own + self.guests


def cluster_groups(
    tasks: Sequence[Task], rows: Mapping[str, Sequence[Row]], *, taxonomy: Taxonomy
) -> tuple[ClusterGroup, ...]:
    """The tasks by cluster, in the order of the clusters' names; tasks keep their order.

    Args:
        tasks: What to show.
        rows: Task name → raw rows to render it with. Other tasks use the first rows of their data, if they exist.
        taxonomy: Rules for kin and overlap.
    """
    datasets = [_dataset(task, rows.get(task.name), tasks, taxonomy) for task in tasks]
    names = sorted({cluster for task in tasks for cluster in task.clusters}, key=lambda name: (name.casefold(), name))
    anchors = _unique_anchors(names)
    return tuple(
        ClusterGroup(
            name=name,
            anchor=anchors[name],
            own=tuple(found for found in datasets if found.task.clusters[0] == name),
            guests=tuple(found for found in datasets if name in found.task.clusters[1:]),
            overlaps=tuple(
                rule for rule in taxonomy.overlaps if taxonomy.cluster(rule.evaluating) == taxonomy.cluster(name)
            ),
        )
        for name in names
    )


def task_anchor(name: str) -> str:
    """A task's id on the page.

    >>> task_anchor("wmt14_enfr")
    'task-wmt14_enfr'
    """
    return f"task-{quote(name, safe='', errors='replace')}"


def _unique_anchors(names: Sequence[str]) -> dict[str, str]:
    anchors: dict[str, str] = {}
    for name in names:
        stem = anchor = f"cluster-{slug(name) or 'other'}"
        number = 1
        while anchor in anchors.values():
            number += 1
            anchor = f"{stem}-{number}"
        anchors[name] = anchor
    return anchors


def _dataset(task: Task, rows: Sequence[Row] | None, tasks: Sequence[Task], taxonomy: Taxonomy) -> Dataset:
    examples, note = _examples(task, rows)
    fields = slot_tones(task, examples)
    options = {example.options for example in examples}
    return Dataset(
        task=task,
        anchor=task_anchor(task.name),
        places=task.source.places(),
        fields=fields,
        options=next(iter(options)) if len(options) == 1 and len(examples) > 1 else (),
        relatives=tuple(
            Relative(name=other.name, because=because)
            for other in tasks
            if other is not task and (because := taxonomy.kinship(task, other))
        ),
        wordings=tuple(_wording(task, template, k, examples, fields) for k, template in enumerate(task.templates)),
        rows_note=note,
    )


def _examples(task: Task, rows: Sequence[Row] | None) -> tuple[tuple[Example, ...], str]:
    """Examples to show, or why there are none. Damaged data affects only its own rows, not the page."""
    try:
        found = first_examples(task, count=EXAMPLES_SHOWN) if rows is None else _adapted(task, rows)
    except FlantuneError as error:
        return (), f"Its rows cannot be read. {error.render()}"
    return found, "" if found else _NO_ROWS


def _adapted(task: Task, rows: Sequence[Row]) -> tuple[Example, ...]:
    found: list[Example] = []
    for row in rows:
        try:
            example = adapt_row(task, row)
        except BadRow:
            continue
        if example is not None:
            found.append(example)
    return tuple(found[:EXAMPLES_SHOWN])


def slot_tones(task: Task, examples: Sequence[Example]) -> dict[str, str]:
    """Slot → the name of its color: a field has the same color everywhere in its task."""
    asked = dict.fromkeys(slot for one in task.templates for slot in slots_of(one))
    # In the order of the adapter's fields, which matches the data.
    fields = [name for example in examples[:1] for name in example.fields if name in asked]
    own = [name for name in dict.fromkeys([*fields, *asked]) if name not in RESERVED_SLOTS]
    tones = {name: f"slot-{k % SLOT_TONES}" for k, name in enumerate(own)}
    return tones | {name: f"slot-{name}" for name in ("options", "answer") if name in asked}


def _wording(
    task: Task, template: Template, number: int, examples: Sequence[Example], tones: Mapping[str, str]
) -> Wording:
    # Templates alternate between rows, so that all rows are shown and not one of them ten times.
    place = number % len(examples) if examples else 0
    shown, problem = None, ""
    if examples:
        try:
            shown = _filled(task, template, examples[place], tones)
        except TemplateError as error:
            problem = error.render()
    return Wording(
        name=template.name,
        anchor=f"{task_anchor(task.name)}/{quote(template.name, safe='', errors='replace')}",
        is_inverted=template.is_inverted,
        facts=template_facts(task, template).words(),
        inputs=_source(template, "inputs", tones),
        targets=_source(template, "targets", tones),
        shown=shown,
        row=place + 1,
        problem=problem,
    )


def _filled(task: Task, template: Template, example: Example, tones: Mapping[str, str]) -> tuple[Pieces, Pieces]:
    """Both texts of a prompt with the slots' texts marked.

    Raises:
        TemplateError: As ``render_spans``.
    """
    prompt = render_spans(task, example, template)

    def pieces(spans: Sequence[Span]) -> Pieces:
        return tuple(
            _clip(one.text, slot=one.slot, tone=tones[one.slot]) if one.slot else Piece(text=one.text) for one in spans
        )

    return pieces(prompt.inputs), pieces(prompt.targets)


def _source(template: Template, side: Side, tones: Mapping[str, str]) -> Pieces:
    """A template's text with its slots as written; invalid text as it is."""
    try:
        spans = compile_side(template, side).source()
    except TemplateError:
        return (Piece(text=getattr(template, side)),)
    return tuple(
        Piece(text=one.text, slot=one.slot, tone=tones[one.slot]) if one.slot else Piece(text=one.text)
        for one in spans
        if one.text
    )


def _clip(text: str, *, slot: str, tone: str) -> Piece:
    """A slot's text, without its middle if it is very long."""
    left_out = len(text) - _LONGEST_VALUE
    # A cut that saves only a line or two is not worthwhile.
    if left_out <= _LONGEST_VALUE // 6:
        return Piece(text=text, slot=slot, tone=tone)
    head = _LONGEST_VALUE * 2 // 3
    return Piece(text=text[:head], slot=slot, tone=tone, left_out=left_out, rest=text[head + left_out :])
