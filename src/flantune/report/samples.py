"""Single prompts to browse: every model's answer side by side and how it was read, up to a limit."""

from __future__ import annotations

import json
import math
import os
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import numpy as np
from markupsafe import Markup

from flantune.errors import EvaluationError
from flantune.evaluation.exam_result import ExamResult
from flantune.evaluation.exams import Exam
from flantune.evaluation.metrics.graders import Grader, MetricGrader, columns_of, parser_of
from flantune.evaluation.metrics.rank_classification import Normalization, option_scores
from flantune.evaluation.results import Results
from flantune.evaluation.samples import SUFFIX, read_samples
from flantune.runs.files import RunFiles
from flantune.types import Kind, Sample

MOST_ROWS = 60
"""Largest number of embedded rows per task, template and number of exemplars."""
MOST_TEMPLATES = 2
"""Number of embedded templates per task: the last model's best and worst."""
MOST_CHARACTERS = 6_000
"""Longest text embedded whole; a longer one lacks its middle, with a note."""
BUDGET = 1_900_000
"""Largest size of all embedded samples, in bytes of JSON."""
OF_TWO = ("fixed", "broken", "right", "wrong")
"""Outcomes of two models, in display order: wrong → right, right → wrong, right in both, wrong in both."""
OF_MANY = ("mixed", "wrong", "right")
"""Outcomes of one model, or of more than two: right for some, for none, for all."""

_HALF = 0.5

Key = tuple[int, str, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """The prompts of a task, and how answers are graded.

    Attributes:
        name: The task, or benchmark and part.
        fold: The tuned model's fold; empty in an evaluation.
        paths: Model → its file of samples.
        grader: What counts as right.
        templates: Templates to show; empty: the first ones.
    """

    name: str
    fold: str = ""
    paths: Mapping[str, Path]
    grader: Grader
    templates: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Browser:
    """Contents of the page's sample browser.

    Attributes:
        groups: One JSON object per task and fold: see ``_group``.
        shown: Number of embedded samples.
        total: Number of samples on disk.
    """

    groups: tuple[Mapping[str, Any], ...] = ()
    shown: int = 0
    total: int = 0

    def script(self) -> Markup:
        """The groups as JSON that is safe inside a script element."""
        return script_json({"groups": self.groups})


def script_json(value: object) -> Markup:
    r"""JSON that cannot end an element or start a tag or entity: everything with a meaning in HTML is escaped.

    >>> script_json({"text": "</script><b>&"})
    Markup('{"text":"\\u003c/script\\u003e\\u003cb\\u003e\\u0026"}')
    """
    written = json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    for character in "<>&\u2028\u2029":
        written = written.replace(character, f"\\u{ord(character):04x}")
    return Markup(written.encode("utf-8", "replace").decode("utf-8"))


# --- available samples ------------------------------------------------------------------------------------------


def asked_in_run(run: RunFiles) -> list[Asked]:
    """Every task of every fold whose tuned model has samples, with the scoring recorded in the results."""
    results, base = run.results, run.folder.base
    return [
        asked_task(
            unquote(path.name.removesuffix(SUFFIX)),
            {"base": base / "samples" / path.name, "tuned": path},
            results,
            fold=fold.name,
        )
        for fold in run.folds
        for path in sorted((fold.folder.tuned / "samples").glob(f"[!.]*{SUFFIX}"))
    ]


def asked_task(name: str, paths: Mapping[str, Path], results: Results | None, *, fold: str = "") -> Asked:
    """A task with the grading recorded in its results; without results, graded as right or wrong."""
    tasks = results.tasks if results else ()
    scored = next((one for one in tasks if one.name == name and one.fold == fold), None)
    if results is None or scored is None:
        first = next((sample for path in paths.values() for sample in measured_samples(path)), None)
        kind: Kind = "classification" if first and first.scores else "generation"
        return Asked(name=name, fold=fold, paths=paths, grader=metric_grader(kind, "", "sum"))
    normalization: Normalization = results.protocols[scored.protocol]["normalization"]
    grader = metric_grader(scored.kind, scored.metric, normalization, answer_parsing=results.answer_parsing)
    return Asked(name=name, fold=fold, paths=paths, grader=grader, templates=_wanted_templates(scored))


def asked_exam(exam: Exam, paths: Mapping[str, Path], results: Results) -> Asked:
    """An exam's prompts and grading."""
    scored = next((one for one in results.tasks if not exam.score and one.name == exam.name), None)
    templates = _wanted_templates(scored) if scored else ()
    return Asked(name=exam.key, paths=paths, grader=exam.grader, templates=templates)


def metric_grader(
    kind: Kind, metric: str, normalization: Normalization, *, answer_parsing: str = "none"
) -> MetricGrader:
    """Grades by a task's headline metric; an unknown one counts as right or wrong."""
    try:
        columns = columns_of(kind, (metric,), normalization=normalization)
    except EvaluationError:
        known = "accuracy" if kind == "classification" else "exact_match"
        columns = columns_of(kind, (known,), normalization=normalization)
    return MetricGrader(columns=columns, parse=parser_of(answer_parsing))


def is_right(sample: Sample, grader: Grader) -> bool:
    """Whether a sample counts as right by the headline metric.

    The metric gives the answer at least half of its maximum, or all of it for a right-or-wrong metric. A ranked option
    under a metric that is not a mean over answers, such as MCC, is right if it is the gold one.

    >>> from dataclasses import replace
    >>> asked = Sample(task="t", split="test", row=0, template="a", shots=0, inputs="…")
    >>> options = replace(asked, options=("yes", "no"), answer=1, scores=(-4.0, -3.5), lengths=(1, 1))
    >>> is_right(options, metric_grader("classification", "accuracy", "sum"))
    True
    >>> said = replace(asked, references=("1500",), prediction="That makes $1,500.00.")
    >>> [is_right(said, metric_grader("generation", name, "sum")) for name in ("number_match", "exact_match")]
    [True, False]
    """
    grade, score = grader.grade(sample), grader.columns.headline.metric.score
    if score is None:
        return grade.notes[0][0] >= _HALF
    if sample.scores:
        return sample.answer is not None and grade.answer == sample.options[sample.answer].strip()
    return float(score(np.array([grade.notes[0]]), np.ones((1, 1)))[0]) >= _HALF


def _wanted_templates(scored: ExamResult) -> tuple[str, ...]:
    """The last model's best and worst templates."""
    *_, last = scored.scores.values()
    names = [one.template for one in sorted(last.templates, key=lambda one: (-one.value, one.template))]
    return tuple(dict.fromkeys([*names[:1], *names[-1:]]))[:MOST_TEMPLATES]


# --- shown samples --------------------------------------------------------------------------------------------


def collect_samples(asked: Sequence[Asked], *, root: Path, budget: int = BUDGET) -> Browser:
    """Chooses the samples that the page contains, the same ones every time.

    Every task gets the same share of the budget; an unused rest goes to the following ones.

    Args:
        asked: Tasks and parts of benchmarks.
        root: Folder to which paths are relative.
        budget: Total bytes of JSON.
    """
    groups: list[Mapping[str, Any]] = []
    shown = total = 0
    for done, one in enumerate(asked):
        group = _group(one, root=root, budget=budget // (len(asked) - done))
        if group is None:
            continue
        groups.append(group)
        shown, total = shown + len(group["rows"]), total + group["total"]
        budget -= _json_bytes(group)
    return Browser(groups=tuple(groups), shown=shown, total=total)


def _group(asked: Asked, *, root: Path, budget: int) -> dict[str, Any] | None:
    """The embedded part of one task's samples, or None if no prompt was given to all models."""
    right = [
        {key_of(one): is_right(one, asked.grader) for one in measured_samples(path)} for path in asked.paths.values()
    ]
    outcome = {key: outcome_of([own[key] for own in right]) for key in right[0] if all(key in own for own in right)}
    if not outcome:
        return None
    templates = asked.templates or tuple(dict.fromkeys(key[1] for key in outcome))[:MOST_TEMPLATES]
    chosen = _choose([key for key in outcome if key[1] in templates], outcome, models=len(right))
    kept = [read_chosen(path, chosen) for path in asked.paths.values()]
    prefix = shared_beginning([kept[0][key].inputs for key in chosen])
    rows = (_row(asked, [own[key] for own in kept], outcome[key], prefix=len(prefix)) for key in chosen)
    fitting = _fit(rows, budget=budget - len(prefix))
    return {
        "task": asked.name,
        "fold": asked.fold,
        "models": list(asked.paths),
        "totals": {name: sum(one == name for one in outcome.values()) for name in _outcomes(len(right))},
        "right": [sum(own[key] for key in outcome) for own in right],
        "total": len(outcome),
        "prefix": _cut(prefix),
        "paths": [path.relative_to(root).as_posix() for path in asked.paths.values()],
        "rows": sorted(fitting, key=lambda row: (row["s"], row["t"], row["r"])),
    }


def _outcomes(models: int) -> tuple[str, ...]:
    return OF_TWO if models == 2 else OF_MANY


def outcome_of(right: Sequence[bool]) -> str:
    """A prompt's outcome, from whether each model was right: see ``OF_TWO`` and ``OF_MANY``."""
    if all(right) or not any(right):
        return "right" if right[0] else "wrong"
    if len(right) == 2:
        return "fixed" if right[1] else "broken"
    return "mixed"


def _choose(keys: Sequence[Key], outcome: Mapping[Key, str], *, models: int) -> list[Key]:
    """At most ``MOST_ROWS`` per template and shots, alternating between outcomes, in an order fixed by a hash."""
    chosen: list[tuple[int, int, Key]] = []
    for template, shots in sorted({(key[1], key[2]) for key in keys}):
        ours = sorted((k for k in keys if k[1:] == (template, shots)), key=lambda k: zlib.crc32(f"{k[0]}".encode()))
        queues = [[key for key in ours if outcome[key] == name] for name in _outcomes(models)]
        turns = [(place, turn, key) for turn, queue in enumerate(queues) for place, key in enumerate(queue)]
        chosen += sorted(turns)[:MOST_ROWS]
    return [key for _, _, key in sorted(chosen)]


def shared_beginning(texts: Sequence[str]) -> str:
    r"""The shared start of all texts, up to the end of a paragraph; empty for a single text.

    >>> shared_beginning(["Q: 1\n\nQ: 2", "Q: 1\n\nQ: 3"])
    'Q: 1\n\n'
    """
    if len(texts) < 2:
        return ""
    # By characters, as wanted here.
    begin, found, _ = os.path.commonprefix(list(texts)).rpartition("\n\n")  # noqa: RUF071
    return begin + found


def measured_samples(path: Path) -> Iterator[Sample]:
    """The samples of a file's test rows, one at a time; none if nothing was measured."""
    if path.exists():
        yield from (sample for sample in read_samples(path) if sample.split == "test")


def read_chosen(path: Path, keys: Iterable[Key]) -> dict[Key, Sample]:
    """The samples with the given keys; the others are not kept in memory."""
    wanted = set(keys)
    return {key: sample for sample in measured_samples(path) if (key := key_of(sample)) in wanted}


def key_of(sample: Sample) -> Key:
    """The key of a sample within its task."""
    return sample.row, sample.template, sample.shots


def _fit(rows: Iterable[dict[str, Any]], *, budget: int) -> list[dict[str, Any]]:
    """Rows whose JSON fits the budget; always at least one."""
    fitting: list[dict[str, Any]] = []
    for row in rows:
        budget -= _json_bytes(row)
        if budget < 0 and fitting:
            break
        fitting.append(row)
    return fitting


def _json_bytes(value: object) -> int:
    return len(script_json(value).encode("utf-8"))


def _row(asked: Asked, samples: Sequence[Sample], outcome: str, *, prefix: int) -> dict[str, Any]:
    """One prompt, with short keys, since there are thousands."""
    first = samples[0]
    row: dict[str, Any] = {"r": first.row, "t": first.template, "s": first.shots, "c": outcome}
    row["x"] = _cut(first.inputs[prefix:])
    if first.scores:
        row["o"], row["g"] = [_cut(option) for option in first.options], first.answer
    else:
        row["f"] = [_cut(reference) for reference in first.references]
    row["m"] = [_answer(asked, sample) for sample in samples]
    return row


def _answer(asked: Asked, sample: Sample) -> dict[str, Any]:
    grade = asked.grader.grade(sample)
    found: dict[str, Any] = {"k": is_right(sample, asked.grader), "l": grade.rule}
    if sample.scores:
        found["b"] = _bars(sample, asked.grader.columns.headline.normalization)
    else:
        found["p"] = _cut(sample.prediction)
    if not sample.scores and grade.answer != sample.prediction:
        found["a"] = None if grade.answer is None else _cut(grade.answer)
    if sample.predictions:
        found["v"], found["d"] = sample.confidence, [_cut(text) for text in sample.predictions]
    return found


def _bars(sample: Sample, normalization: Normalization) -> list[tuple[float, float]]:
    """(log-likelihood, probability) of each option."""
    scores = option_scores(sample, normalization)
    return list(zip([round(s, 3) for s in scores], probabilities(scores), strict=True))


def probabilities(scores: Sequence[float]) -> list[float]:
    """Softmax, to a tenth of a percent.

    >>> probabilities([0.0, 0.0, -100.0])
    [0.5, 0.5, 0.0]
    """
    powers = [math.exp(s - max(scores)) for s in scores]
    return [round(p / sum(powers), 3) for p in powers]


def _cut(text: str) -> str:
    """The text, or its two ends and the length of the omitted middle."""
    if len(text) <= MOST_CHARACTERS:
        return text
    half = MOST_CHARACTERS // 2
    return f"{text[:half]}\n[… {len(text) - 2 * half:,} characters left out here …]\n{text[-half:]}"
