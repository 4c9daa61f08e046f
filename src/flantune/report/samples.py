"""The single examples a reader can look at: base and tuned side by side, a bounded number of them."""

from __future__ import annotations

import json
import math
import zlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from markupsafe import Markup

from flantune.evaluation.answers import normalize_answer
from flantune.evaluation.rank import NORMALIZATIONS, Normalization, choose, option_scores
from flantune.report.load import FoldFiles, RunFiles, read_lines
from flantune.report.numbers import as_number
from flantune.report.results import Results, TaskResult
from flantune.report.values import Json
from flantune.types import Sample

MOST_ROWS = 60
"""Rows embedded of one task, template and number of exemplars."""
MOST_TEMPLATES = 2
"""Templates embedded of one task: the one the tuned model is best with and the one it is worst with."""
MOST_CHARACTERS = 6_000
"""Longest text embedded whole; of a longer one the middle is left out, and that is said."""
BUDGET = 1_900_000
"""Bytes of JSON that all embedded samples may take together."""
OUTCOMES = ("fixed", "broken", "right", "wrong")
"""Wrong → right, right → wrong, right in both, wrong in both."""

Key = tuple[int, str, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Browser:
    """What the page's sample browser shows.

    Attributes:
        groups: One JSON object a task and fold: see ``_group``.
        shown: Samples embedded.
        total: Samples on disk.
    """

    groups: tuple[Json, ...]
    shown: int
    total: int

    def script(self) -> Markup:
        """The groups as JSON that is safe inside a script element."""
        return script_json({"groups": self.groups})


def script_json(value: object) -> Markup:
    r"""JSON whose text can end no element and start no tag or entity: everything HTML could read is escaped.

    >>> script_json({"text": "</script><b>&"})
    Markup('{"text":"\\u003c/script\\u003e\\u003cb\\u003e\\u0026"}')
    """
    written = json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    for character in "<>&\u2028\u2029":
        written = written.replace(character, f"\\u{ord(character):04x}")
    return Markup(written.encode("utf-8", "replace").decode("utf-8"))


def collect_samples(run: RunFiles, *, budget: int = BUDGET) -> Browser:
    """Picks the samples that the page carries, the same ones every time.

    Every task of every fold gets the same share of the budget; what one leaves unused goes to those after it.
    """
    pairs = [(fold, path) for fold in run.folds for path in sorted(fold.samples.glob("[!.]*.jsonl.gz"))]
    groups, shown, total, left = [], 0, 0, budget
    for done, (fold, path) in enumerate(pairs):
        group, seen = _group(run, fold, path, budget=left // (len(pairs) - done))
        total += seen
        if group is None:
            continue
        groups.append(group)
        shown += len(group["rows"])
        left -= _bytes(group)
    return Browser(groups=tuple(groups), shown=shown, total=total)


def _group(run: RunFiles, fold: FoldFiles, path: Path, *, budget: int) -> tuple[dict[str, Any] | None, int]:
    """The embedded part of one task's samples in one fold, and how many there are on disk."""
    normalization = _normalization(run.results)
    base_path = run.base_samples / path.name
    wanted = _wanted_templates(_scored(run.results, task_name(path), fold.name))
    before, after = _read(base_path, wanted, normalization), _read(path, wanted, normalization)
    outcome = {key: _outcome(before.right[key], right) for key, right in after.right.items() if key in before.right}
    if not outcome:
        return None, len(after.right)
    chosen = _choose([key for key in outcome if key in after.kept and key in before.kept], outcome)
    rows = (_row(before.kept[key], after.kept[key], outcome[key], normalization) for key in chosen)
    fitting = _fit(rows, budget=budget)
    first = next(iter(after.kept.values()), None)
    group = {
        "task": first.task if first else task_name(path),
        "fold": fold.name,
        "totals": {name: sum(1 for o in outcome.values() if o == name) for name in OUTCOMES},
        "total": len(outcome),
        "paths": [_relative(base_path, run.folder), _relative(path, run.folder)],
        "rows": sorted(fitting, key=lambda row: (row["s"], row["t"], row["r"])),
    }
    return group, len(after.right)


def _normalization(results: Results | None) -> Normalization:
    """What the run divides log-likelihoods by."""
    return next((n for n in NORMALIZATIONS if results and n == results.normalization), "sum")


def _fit(rows: Iterable[dict[str, Any]], *, budget: int) -> list[dict[str, Any]]:
    """Rows until their JSON is larger than the budget; always at least one."""
    fitting: list[dict[str, Any]] = []
    for row in rows:
        budget -= _bytes(row)
        if budget < 0 and fitting:
            break
        fitting.append(row)
    return fitting


def _bytes(value: object) -> int:
    return len(script_json(value).encode("utf-8"))


def task_name(path: Path) -> str:
    """The task a file of samples belongs to.

    >>> task_name(Path("tuned/samples/my%2Ftask.jsonl.gz"))
    'my/task'
    """
    return unquote(path.name.removesuffix(".jsonl.gz"))


def _relative(path: Path, folder: Path) -> str:
    return path.relative_to(folder).as_posix()


def _scored(results: Results | None, task: str, fold: str) -> tuple[TaskResult, ...]:
    if results is None:
        return ()
    return tuple(t for t in results.tasks if t.task == task and t.fold in (fold, ""))


def _wanted_templates(scored: Sequence[TaskResult]) -> tuple[str, ...]:
    """The tuned model's best and worst templates; empty when nothing was scored, so that the first ones are taken."""
    known = sorted(
        ((s.value, s.template) for t in scored[:1] for s in t.tuned.templates if s.value is not None),
        key=lambda pair: (-pair[0], pair[1]),
    )
    names = [template for _, template in known]
    return tuple(dict.fromkeys([*names[:1], *names[-1:]]))[:MOST_TEMPLATES]


@dataclass(slots=True)
class _Read:
    """What is remembered of a file of samples: who is right on every row, and the wanted rows whole."""

    right: dict[Key, bool]
    kept: dict[Key, Sample]


def _read(path: Path, wanted: Sequence[str], normalization: Normalization) -> _Read:
    found, templates = _Read({}, {}), list(wanted)
    for raw in read_lines(path):
        sample = to_sample(raw)
        if sample.split != "test":
            continue
        key = (sample.row, sample.template, sample.shots)
        found.right[key] = is_right(sample, normalization)
        if not wanted and sample.template not in templates and len(templates) < MOST_TEMPLATES:
            templates.append(sample.template)
        if sample.template in templates:
            found.kept[key] = sample
    return found


def _outcome(before: bool, after: bool) -> str:
    return OUTCOMES[(2 if before else 3) if before == after else (0 if after else 1)]


def _choose(keys: Sequence[Key], outcome: Mapping[Key, str]) -> list[Key]:
    """At most ``MOST_ROWS`` rows of each template and shots, the four outcomes in turn, in an order fixed by a hash."""
    chosen: list[tuple[int, int, Key]] = []
    for template, shots in sorted({(k[1], k[2]) for k in keys}):
        ours = sorted((k for k in keys if k[1:] == (template, shots)), key=lambda k: zlib.crc32(f"{k[0]}".encode()))
        queues = [[k for k in ours if outcome[k] == name] for name in OUTCOMES]
        turns = [(place, turn, key) for turn, queue in enumerate(queues) for place, key in enumerate(queue)]
        chosen += sorted(turns)[:MOST_ROWS]
    return [key for _, _, key in sorted(chosen)]


def to_sample(raw: Json) -> Sample:
    """A sample from its JSON form; fields it lacks are empty."""
    answer = raw.get("answer")
    return Sample(
        task=str(raw.get("task") or ""),
        split=raw.get("split") or "test",
        row=int(raw.get("row") or 0),
        template=str(raw.get("template") or ""),
        shots=int(raw.get("shots") or 0),
        inputs=str(raw.get("inputs") or ""),
        options=tuple(map(str, raw.get("options") or ())),
        answer=None if answer is None else int(answer),
        references=tuple(map(str, raw.get("references") or ())),
        scores=tuple(_finite(score) for score in raw.get("scores") or ()),
        lengths=tuple(map(int, raw.get("lengths") or ())),
        prediction=str(raw.get("prediction") or ""),
    )


def _finite(score: object) -> float:
    """A log-likelihood; what is not a number counts as all but impossible."""
    known = as_number(score)
    return -1e9 if known is None else known


def is_right(sample: Sample, normalization: Normalization) -> bool:
    """Whether a sample counts as right: the gold option ranks first, or the text equals a reference.

    Texts are compared without case, punctuation and articles; the task's own metric may be more lenient.

    >>> from dataclasses import replace
    >>> asked = Sample(task="t", split="test", row=0, template="a", shots=0, inputs="…")
    >>> is_right(replace(asked, options=("yes", "no"), answer=1, scores=(-4.0, -3.5), lengths=(1, 1)), "sum")
    True
    >>> is_right(replace(asked, references=("The Nile",), prediction="nile."), "sum")
    True
    """
    if sample.scores:
        return choose(option_scores(sample, normalization)).index == sample.answer
    said = normalize_answer(sample.prediction)
    return any(normalize_answer(reference) == said for reference in sample.references)


def probabilities(scores: Sequence[float]) -> list[float]:
    """Softmax, to a tenth of a percent.

    >>> probabilities([0.0, 0.0, -100.0])
    [0.5, 0.5, 0.0]
    """
    powers = [math.exp(s - max(scores)) for s in scores]
    return [round(p / sum(powers), 3) for p in powers]


def _row(before: Sample, after: Sample, outcome: str, normalization: Normalization) -> dict[str, Any]:
    """One embedded sample, with short keys, since there are thousands."""
    row: dict[str, Any] = {
        "r": after.row,
        "t": after.template,
        "s": after.shots,
        "c": outcome,
        "x": _cut(after.inputs),
    }
    if after.scores:
        row["o"] = [_cut(option) for option in after.options]
        row["g"] = after.answer
        row["b"] = _bars(before, normalization)
        row["u"] = _bars(after, normalization)
    else:
        row["f"] = [_cut(reference) for reference in after.references]
        row["p"] = [_cut(before.prediction), _cut(after.prediction)]
    return row


def _bars(sample: Sample, normalization: Normalization) -> list[tuple[float, float]]:
    """(log-likelihood, probability) of each option."""
    scores = option_scores(sample, normalization)
    return list(zip([round(s, 3) for s in scores], probabilities(scores), strict=True))


def _cut(text: str) -> str:
    """The text, or its two ends and how much is missing between them."""
    if len(text) <= MOST_CHARACTERS:
        return text
    half = MOST_CHARACTERS // 2
    return f"{text[:half]}\n[… {len(text) - 2 * half:,} characters left out here …]\n{text[-half:]}"
