"""Whether a metric can read the references of a task, checked and reported before anything is scored.

ROUGE's own tokenizer keeps a–z and 0–9, so that a perfect answer in Thai scores 0. BLEU and token F1 split words at
white space, so that a clause of Chinese is a single word. Such a score would look like any other.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

import numpy as np

from flantune.errors import EvaluationError
from flantune.evaluation.metrics.by_name import Metric, Reading, find_metric
from flantune.evaluation.metrics.normalizers import normalize_instruction_answer
from flantune.evaluation.metrics.same_answer import same_answer
from flantune.evaluation.metrics.scripts import SPACELESS, script_name, scripts_of
from flantune.numerals.reading import parse_number
from flantune.prompts.lint_text import Finding
from flantune.types import Example, Kind, Prompt, Sample, Task

MOST_LOOKED_AT = 500
"""Number of references checked, enough to recognize the script."""
_MOST_UNREAD = 0.02
_MOST_SPACELESS = 0.2
_FEWEST_LETTERS = 20
_MOST_BLURRED = 0.05
_SHORT_NAME = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Readability:
    """How much a metric reads of a task's references.

    Attributes:
        looked_at: Number of references checked.
        blind: Number of them for which a perfect answer scores 0.
        row: The first such row.
        letters: Letters and digits of all references.
        unread: Number of those in no word that the metric counts.
        script: The script of most unread ones, or of most letters if all are read.
        spaceless: Share of letters in scripts without spaces between words.
    """

    looked_at: int
    blind: int
    row: int
    letters: int
    unread: int
    script: str
    spaceless: float

    @property
    def is_refused(self) -> bool:
        """Most perfect answers would score 0, or most of their text is not read."""
        return 2 * self.blind > self.looked_at or 2 * self.unread > self.letters > 0


HasReferences = Example | Sample | Prompt
"""Types with references."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Metered:
    """A benchmark, or a task in results, as far as its metrics need it."""

    metrics: tuple[str, ...]
    name: str = ""
    kind: Kind = "generation"


HasMetrics = Task | Metered
"""Types with metrics."""


def metric_findings(task: HasMetrics, examples: Sequence[Example | Sample]) -> Iterator[Finding]:
    """Findings about metrics that do not fit a task's references.

    Args:
        task: The task; only generation tasks have references to be read.
        examples: Some of its examples, of which at most ``MOST_LOOKED_AT`` are checked.
    """
    for name in task.metrics:
        try:
            metric = find_metric(name, task.kind)
            if metric.check is not None:
                metric.check()
            found = look(metric, examples) if task.kind == "generation" else None
        except EvaluationError as error:
            yield _finding(task, "metric-unavailable", error.message, hint=error.hint, is_error=True)
            continue
        if found is not None:
            yield from _findings(task, metric, found)
            yield from _blurred(task, metric, examples)
        if name in ("f1", "mcc") and task.kind == "classification":
            yield from _classes(task, name, examples)


def reading_notes(metric: str, prompts: Sequence[Prompt]) -> Iterator[str]:
    """Notes for a benchmark about references that a text metric cannot read."""
    found = find_metric(metric, "generation")
    if seen := look(found, prompts):
        yield from (finding.message for finding in _findings(Metered(metrics=(metric,)), found, seen))


def check_readable(task: Task, examples: Sequence[Example]) -> None:
    """Refuses to score a task by a metric that cannot read its references.

    Raises:
        EvaluationError: A perfect answer would score 0 for most rows, or most of its text would not be read.
    """
    for finding in metric_findings(task, examples):
        if finding.severity == "error":
            where = f"{task.origin or 'task'} {task.name}: metrics"
            raise EvaluationError(finding.message, where=where, hint=finding.hint)


def look(metric: Metric, examples: Sequence[HasReferences]) -> Readability | None:
    """How much a metric reads of the first reference of each example; None if there is nothing to check."""
    asked = [example for example in islice(examples, MOST_LOOKED_AT) if example.references]
    if not asked:
        return None
    texts = [example.references[0] for example in asked]
    blind = _blind(metric, asked)
    unread = [_unread(metric.reading, text) for text in texts]
    scripts = scripts_of(texts)
    spaceless = sum(count for script, count in scripts.items() if script in SPACELESS)
    return Readability(
        looked_at=len(texts),
        blind=len(blind),
        row=blind[0].row if blind else -1,
        letters=sum(letter.isalnum() for text in texts for letter in text),
        unread=sum(map(len, unread)),
        script=_main_script(scripts_of(unread) or scripts),
        spaceless=spaceless / max(scripts.total(), 1),
    )


def _main_script(scripts: dict[str, int]) -> str:
    """The script of most letters; Japanese if there is some kana, even if most characters are Chinese."""
    kana = sum(scripts.get(name, 0) for name in ("HIRAGANA", "KATAKANA"))
    if kana * 10 > sum(scripts.values()):
        return "HIRAGANA"
    return max(scripts, key=lambda name: scripts[name]) if scripts else ""


def _blind(metric: Metric, examples: Sequence[HasReferences]) -> list[HasReferences]:
    """The examples whose own reference would score 0."""
    notes = [metric.note(_said(example, example.references[0]), "sum") for example in examples]
    if metric.score is None:
        return [example for example, note in zip(examples, notes, strict=True) if note[0] <= 0.0]
    score = float(metric.score(np.array(notes), np.ones((1, len(notes))))[0])
    return list(examples) if score <= 0.0 else []


def _said(example: HasReferences, text: str) -> Sample:
    return Sample(
        task="", split="test", row=example.row, template="", shots=0, inputs="",
        references=example.references, prediction=text,
    )  # fmt: skip


def _unread(reading: Reading, text: str) -> str:
    """The letters and digits in no word."""
    if reading.words is None:
        return ""
    kept = set("".join(reading.words(text)).casefold())
    return "".join(letter for letter in text if letter.isalnum() and not set(letter.casefold()) & kept)


def _findings(task: HasMetrics, metric: Metric, seen: Readability) -> Iterator[Finding]:
    script, instead = script_name(seen.script), metric.reading.helps(seen.script)
    use = f'use metrics = ["{instead}"]' if instead and " " not in instead else f"use {instead}"
    share = f"{100 * seen.unread / max(seen.letters, 1):.0f}% of the letters of the references ({script})"
    zeros = f"a perfect answer scores 0 by {metric.name} in {seen.blind} of {seen.looked_at} rows"
    is_spaceless = seen.spaceless > _MOST_SPACELESS
    if seen.is_refused and seen.unread:
        yield _finding(task, _REFUSED, f"{metric.name} does not read {share}: {zeros}", hint=use, is_error=True)
    elif seen.is_refused and metric.score is None:
        hint = "use verbatim_match, which sees every character" if metric.reading.words else use
        yield _finding(task, _REFUSED, f"{zeros}, first in row {seen.row}", hint=hint, is_error=True)
    elif seen.is_refused and is_spaceless and metric.reading.needs_spaces:
        what = f"{zeros}: no reference has four separate words ({script})"
        yield _finding(task, _REFUSED, what, hint=use, is_error=True)
    elif seen.is_refused:
        # Longer answers score above zero, so zero is not inherent; but the right ones score zero.
        hint = "use exact_match or token_f1 for answers this short"
        yield _finding(task, _IN_PART, f"{zeros}: no reference has four words", hint=hint)
    elif seen.unread > max(_MOST_UNREAD * seen.letters, _FEWEST_LETTERS - 1):
        yield _finding(task, _IN_PART, f"{metric.name} does not read {share}: these count for nothing", hint=use)
    elif seen.blind:
        hint = use if instead else "use exact_match beside it"
        yield _finding(task, _IN_PART, f"{zeros}, first in row {seen.row}", hint=hint)
    if is_spaceless:
        yield from _without_spaces(task, metric, script, use)


_REFUSED, _IN_PART = "metric-cannot-read", "metric-reads-in-part"


def _classes(task: HasMetrics, name: str, examples: Sequence[Example | Sample]) -> Iterator[Finding]:
    """Findings about classes that differ from row to row, or cannot be determined."""
    sets = {tuple(sorted(example.options)) for example in examples}
    if len(sets) > 1:
        what = f"{name} counts an option by its place, and options differ from row to row: its classes mean nothing"
        yield _finding(task, "classes-differ", what, hint="use accuracy")
    golds = {example.references[0] for example in examples if example.references}
    if name == "f1" and len(sets) == 1 and len(examples) > 1 and max(map(len, sets)) == 2:
        second = examples[0].options[1]
        if isinstance(examples[0], Example) and second not in golds:
            what = f'f1 of two options is that of the second, "{second}", which none of {len(examples)} rows asks for'
            yield _finding(task, "class-without-rows", what, hint="list the options the other way round, or add rows")


def _without_spaces(task: HasMetrics, metric: Metric, script: str, use: str) -> Iterator[Finding]:
    if metric.reading.needs_spaces:
        what = f"{metric.name} parts words at white space, which {script} has none of: a clause counts as one word"
        yield _finding(task, "metric-needs-spaces", what, hint=use)
    elif metric.reading.has_ascii_marks:
        what = f"{metric.name} takes ASCII punctuation away, not the marks of {script}: these must be the same"
        yield _finding(task, "metric-needs-spaces", what, hint=use)


def _blurred(task: HasMetrics, metric: Metric, examples: Sequence[Example | Sample]) -> Iterator[Finding]:
    """Findings about references with meaningful marks (-5, 3.5, A+) that a metric ignores."""
    asked = [example for example in islice(examples, MOST_LOOKED_AT) if example.references]
    blurred = [(one, bare) for one in asked if (bare := _without_marks(one.references[0]))]
    taken = [
        (one, bare) for one, bare in blurred if metric.score is None and metric.note(_said(one, bare), "sum") == (1.0,)
    ]
    if len(taken) > _MOST_BLURRED * len(asked):
        one, bare = taken[0]
        what = (
            f'to {metric.name} "{one.references[0].strip()}" is the same as "{bare}": in {len(taken)} of'
            f" {len(asked)} rows a sign or a mark matters, first in row {one.row}"
        )
        are_numbers = all(parse_number(each.references[0]) for each, _ in taken)
        use = "number_match" if are_numbers else "verbatim_match"
        yield _finding(task, "metric-blurs", what, hint=f'use metrics = ["{use}"]')


def _without_marks(reference: str) -> str:
    """A number or very short name without its marks, if these change the answer; otherwise empty."""
    bare = normalize_instruction_answer(reference)
    says_little = len(bare) <= _SHORT_NAME or parse_number(reference) is not None
    return bare if bare and says_little and not same_answer(reference, bare) else ""


def _finding(task: HasMetrics, rule: str, message: str, hint: str, *, is_error: bool = False) -> Finding:
    return Finding(
        task=task.name,
        template="",
        rule=rule,
        message=message,
        hint=hint,
        severity="error" if is_error else "warning",
    )
