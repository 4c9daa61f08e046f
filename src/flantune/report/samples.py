"""The single examples a reader can look at: base and tuned side by side, a bounded number of them."""

from __future__ import annotations

import json
import math
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import numpy as np
from markupsafe import Markup

from flantune.errors import EvaluationError
from flantune.evaluation.metrics.by_name import find_metric
from flantune.evaluation.metrics.graders import parser_of
from flantune.evaluation.metrics.rank_classification import (
    BASELINES,
    NORMALIZATIONS,
    Normalization,
    choose,
    option_scores,
)
from flantune.evaluation.metrics.texts import exact_match
from flantune.evaluation.samples import SUFFIX, read_samples
from flantune.report.results import Results, TaskResult
from flantune.runs.files import FoldFiles, RunFiles
from flantune.runs.untrusted_json import Json
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

_HALF = 0.5

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
    pairs = [(fold, path) for fold in run.folds for path in sorted(fold.samples.glob(f"[!.]*{SUFFIX}"))]
    groups, shown, total, left = [], 0, 0, budget
    for done, (fold, path) in enumerate(pairs):
        group, seen = _group(run, fold, path, budget=left // (len(pairs) - done))
        total += seen
        if group is None:
            continue
        groups.append(group)
        shown += len(group["rows"])
        left -= json_bytes(group)
    return Browser(groups=tuple(groups), shown=shown, total=total)


def _group(run: RunFiles, fold: FoldFiles, path: Path, *, budget: int) -> tuple[dict[str, Any] | None, int]:
    """The embedded part of one task's samples in one fold, and how many there are on disk."""
    base_path = run.base_samples / path.name
    scored = _scored(run.results, task_name(path), fold.name)
    judge = _judge(run.results, scored)
    before, after = ({key_of(one): is_right(one, judge) for one in measured_rows(p)} for p in (base_path, path))
    outcome = {key: _outcome(before[key], right) for key, right in after.items() if key in before}
    if not outcome:
        return None, len(after)
    templates = _wanted_templates(scored) or tuple(dict.fromkeys(key[1] for key in outcome))[:MOST_TEMPLATES]
    chosen = _choose([key for key in outcome if key[1] in templates], outcome)
    old, new = (read_chosen(p, chosen) for p in (base_path, path))
    rows = (_row(old[key], new[key], outcome[key], judge.normalization) for key in chosen)
    fitting = fit(rows, budget=budget)
    group = {
        "task": task_name(path),
        "fold": fold.name,
        "totals": {name: sum(1 for o in outcome.values() if o == name) for name in OUTCOMES},
        "total": len(outcome),
        "paths": [_relative(base_path, run.folder), _relative(path, run.folder)],
        "rows": sorted(fitting, key=lambda row: (row["s"], row["t"], row["r"])),
    }
    return group, len(after)


def _judge(results: Results | None, scored: Sequence[TaskResult]) -> Judge:
    """How a task's samples were scored, as far as the results say."""
    return Judge(
        metric=next((task.metric for task in scored), ""),
        normalization=next((n for n in (*NORMALIZATIONS, *BASELINES) if results and n == results.normalization), "sum"),
        answer_parsing=results.answer_parsing if results else "none",
    )


def fit(rows: Iterable[dict[str, Any]], *, budget: int) -> list[dict[str, Any]]:
    """Rows until their JSON is larger than the budget; always at least one."""
    fitting: list[dict[str, Any]] = []
    for row in rows:
        budget -= json_bytes(row)
        if budget < 0 and fitting:
            break
        fitting.append(row)
    return fitting


def json_bytes(value: object) -> int:
    """What a value takes on the page."""
    return len(script_json(value).encode("utf-8"))


def task_name(path: Path) -> str:
    """The task a file of samples belongs to.

    >>> task_name(Path("tuned/samples/my%2Ftask.parquet"))
    'my/task'
    """
    return unquote(path.name.removesuffix(SUFFIX))


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


def measured_rows(path: Path) -> Iterator[Sample]:
    """The samples of a file's test rows, one at a time; none where nothing was measured."""
    if path.exists():
        yield from (sample for sample in read_samples(path) if sample.split == "test")


def read_chosen(path: Path, keys: Iterable[Key]) -> dict[Key, Sample]:
    """The samples of some keys: the others are not held in memory."""
    wanted = set(keys)
    return {key: sample for sample in measured_rows(path) if (key := key_of(sample)) in wanted}


def key_of(sample: Sample) -> Key:
    """What tells the samples of a task apart."""
    return sample.row, sample.template, sample.shots


@dataclass(frozen=True, slots=True, kw_only=True)
class Judge:
    """By what a single sample is called right.

    Attributes:
        metric: The task's headline metric; empty: right answers are gold options, or texts that equal a reference.
        normalization: What the run divides log-likelihoods by.
        answer_parsing: What the run does to written answers before it scores them.
    """

    metric: str = ""
    normalization: Normalization = "sum"
    answer_parsing: str = "none"


def is_right(sample: Sample, judge: Judge) -> bool:
    """Whether a sample counts as right by its task's headline metric.

    Options: the gold one ranks first, or by ``exact_match`` one that equals a reference. Texts: the metric gives at
    least half of what it can give to this one answer; of a metric that is right-or-wrong that is all of it.

    >>> from dataclasses import replace
    >>> asked = Sample(task="t", split="test", row=0, template="a", shots=0, inputs="…")
    >>> is_right(replace(asked, options=("yes", "no"), answer=1, scores=(-4.0, -3.5), lengths=(1, 1)), Judge())
    True
    >>> said = replace(asked, references=("1500",), prediction="That makes $1,500.00.")
    >>> is_right(said, Judge(metric="number_match")), is_right(said, Judge(metric="exact_match"))
    (True, False)
    """
    if sample.scores:
        chosen = choose(option_scores(sample, judge.normalization)).index
        if judge.metric == "exact_match":
            return exact_match(sample.options[chosen], sample.references) > 0
        return chosen == sample.answer
    said = parser_of(judge.answer_parsing)(sample.prediction)
    return _credit(replace(sample, prediction=said), judge) >= _HALF


def _credit(sample: Sample, judge: Judge) -> float:
    """What a metric gives to one written answer."""
    try:
        metric = find_metric(judge.metric, "generation")
    except EvaluationError:
        return exact_match(sample.prediction, sample.references)
    note = metric.note(sample, judge.normalization)
    return note[0] if metric.score is None else float(metric.score(np.array([note]), np.ones((1, 1)))[0])


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
        "x": cut(after.inputs),
    }
    if after.scores:
        row["o"] = [cut(option) for option in after.options]
        row["g"] = after.answer
        row["b"] = bars(before, normalization)
        row["u"] = bars(after, normalization)
    else:
        row["f"] = [cut(reference) for reference in after.references]
        row["p"] = [cut(before.prediction), cut(after.prediction)]
    return row


def bars(sample: Sample, normalization: Normalization) -> list[tuple[float, float]]:
    """(log-likelihood, probability) of each option."""
    scores = option_scores(sample, normalization)
    return list(zip([round(s, 3) for s in scores], probabilities(scores), strict=True))


def cut(text: str) -> str:
    """The text, or its two ends and how much is missing between them."""
    if len(text) <= MOST_CHARACTERS:
        return text
    half = MOST_CHARACTERS // 2
    return f"{text[:half]}\n[… {len(text) - 2 * half:,} characters left out here …]\n{text[-half:]}"
