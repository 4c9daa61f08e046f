"""Writes the tables of docs/results/*.md from the outcomes of studies, stored in the folder of the same name.

``python docs/generate_results.py demo STUDY_FOLDER...`` copies outcomes and figures from folders of studies to
docs/results/demo, and rewrites the page; without folders it only rewrites the page. ``NAME=STUDY_FOLDER`` stores a
study under another name, where two have the same.
"""

from __future__ import annotations

import json
import re
import shutil
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from flantune.report.numbers import interval, p_value, plural, points, signed, span
from flantune.report.sentences import typeset
from flantune.studies.outcome import ArmOutcome, SeedDifference, StudyOutcome

RESULTS = Path(__file__).parent / "results"
_BLOCK = re.compile(r"<!-- (?P<kind>study|clusters|tasks): (?P<name>[\w-]+) -->\n.*?<!-- end -->", re.DOTALL)
_DIGITS = 5
_WIDTH = 120


def take_over(study: Path, into: Path, *, name: str = "") -> None:
    """Copies what is kept of a study: its outcome, with numbers rounded to five decimals, and its figure."""
    outcome = json.loads((study / "outcome.json").read_text(encoding="utf-8"))
    name = name or outcome["name"]
    text = json.dumps(_rounded(outcome), ensure_ascii=False, separators=(",", ":"))
    (into / f"{name}.json").write_text(text + "\n", encoding="utf-8")
    shutil.copy(study / "figures/study.svg", into / f"{name}-study.svg")


def page(text: str, outcomes: Path) -> str:
    """A page with its generated parts rewritten.

    Args:
        text: The page; ``<!-- study: NAME -->`` to ``<!-- end -->`` is replaced, and so are ``clusters`` and ``tasks``.
        outcomes: Folder of the outcomes.
    """

    def written(found: re.Match[str]) -> str:
        kind, name = found["kind"], found["name"]
        return "\n".join((f"<!-- {kind}: {name} -->", *_PARTS[kind](name, outcomes), "<!-- end -->"))

    return _BLOCK.sub(written, text)


def _outcome(name: str, folder: Path) -> StudyOutcome:
    return StudyOutcome.model_validate_json((folder / f"{name}.json").read_text(encoding="utf-8"))


def study_lines(name: str, folder: Path) -> Iterator[str]:
    """Question, figure, table and verdict of one study."""
    outcome = _outcome(name, folder)
    equal = f" Equal in all arms: {outcome.equal}." if outcome.equal else ""
    about = f"{plural(len(outcome.seeds), 'seed')}. Compared: {outcome.measure}.{equal}"
    yield from _wrapped(f"**{outcome.question}** {about}")
    yield ""
    yield f"![{outcome.question}]({folder.name}/{name}-study.svg)"
    yield ""
    has_rows = any(arm.labeled_rows is not None for arm in outcome.arms)
    rows = " labeled rows |" if has_rows else ""
    yield f"| arm |{rows} base | score | 95% | against | difference | 95% | q |"
    yield f"|---|{'---|' if has_rows else ''}---|---|---|---|---|---|---|"
    for arm in outcome.arms:
        yield _row(arm, has_rows=has_rows)
    yield ""
    yield from _wrapped(typeset(" ".join((outcome.verdict.text, *outcome.verdict.notes))), lead="> ")
    yield ""
    if outcome.lacking:
        lacking = "; ".join(f"{one.arm}, seed {one.seed}" for one in outcome.lacking)
        yield from _wrapped(f"Not finished, and not in these numbers: {lacking}.", lead="- ")
    for note in outcome.notes:
        yield from _wrapped(f"{note[0].upper()}{note[1:]}{'' if note.endswith('.') else '.'}", lead="- ")
    changed = "" if not outcome.written.changed else f" What was run differs: {'; '.join(outcome.written.changed)}."
    when = outcome.written.when[:16].replace("T", " ")
    written = f"The plan was written down on {when} UTC (SHA-256 `{outcome.written.sha256[:16]}…`).{changed}"
    yield from _wrapped(written, lead="- ")


def cluster_lines(name: str, folder: Path) -> Iterator[str]:
    """The change in each cluster, for every arm: score, and skill apart from a preference."""
    outcome = _outcome(name, folder)
    yield "| arm | cluster | base | tuned | change | 95% | q | detectable | discrimination | 95% | calibrated | 95% |"
    yield "|---|---|---|---|---|---|---|---|---|---|---|---|"
    told: list[object] = []
    for arm in outcome.arms:
        if arm.clusters in told:  # the same models once more, compared with others
            continue
        told.append(arm.clusters)
        found = {(one.cluster, one.measure): one for one in arm.clusters}
        for cluster in dict.fromkeys(one.cluster for one in arm.clusters):
            raw = found[cluster, "raw"]
            cells = [arm.name, cluster or "**mean**", points(raw.base), points(raw.tuned), *_changed(raw.difference)]
            cells += [_rate(raw.difference), points(raw.difference.detectable)]
            for measure in ("discrimination", "calibrated_accuracy"):
                skill = found.get((cluster, measure))
                cells += ["", ""] if skill is None else _changed(skill.difference)
            yield f"| {' | '.join(cells)} |"


def task_lines(name: str, folder: Path) -> Iterator[str]:
    """Every task of every arm, and its difference from the arm that it is paired with."""
    outcome = _outcome(name, folder)
    yield "| task | arm | rows | chance | score | 95% | difference | 95% | q | std over templates |"
    yield "|---|---|---|---|---|---|---|---|---|---|"
    names = dict.fromkeys(task.name for arm in outcome.arms for task in arm.tasks)
    for wanted in names:
        for arm in outcome.arms:
            for task in arm.tasks:
                if task.name == wanted:
                    changed = ["", ""] if task.difference is None else _changed(task.difference)
                    rate = "" if task.difference is None else _rate(task.difference)
                    spread = "" if task.template_std is None else points(task.template_std)
                    score = [points(task.score.value), span(task.score.low, task.score.high)]
                    cells = [task.name, arm.name, str(task.rows), points(task.chance), *score, *changed, rate, spread]
                    yield f"| {' | '.join(cells)} |"


def _changed(difference: SeedDifference) -> list[str]:
    sure = "" if difference.direction == "undecided" else " ▲" if difference.value > 0 else " ▼"
    return [signed(difference.value) + sure, interval(difference.low, difference.high)]


def _rate(difference: SeedDifference) -> str:
    return p_value(difference.p if difference.q is None else difference.q)


_PARTS = {"study": study_lines, "clusters": cluster_lines, "tasks": task_lines}


def _wrapped(text: str, *, lead: str = "") -> list[str]:
    further = "> " if lead == "> " else " " * len(lead)
    return textwrap.wrap(text, _WIDTH, initial_indent=lead, subsequent_indent=further, break_on_hyphens=False)


def _row(arm: ArmOutcome, *, has_rows: bool) -> str:
    cells = [arm.name]
    if has_rows:
        cells.append("" if arm.labeled_rows is None else f"{arm.labeled_rows:,}")
    score, difference = arm.score, arm.difference
    cells += ["" if arm.base is None else points(arm.base.value)]
    cells += ["", ""] if score is None else [points(score.value), span(score.low, score.high)]
    if difference is None:
        cells += ["", "", "", ""]
    else:
        cells += [arm.paired_with or "its base", *_changed(difference), _rate(difference)]
    return f"| {' | '.join(cells)} |"


def _rounded(value: Any) -> Any:
    if isinstance(value, float):
        return round(value, _DIGITS)
    if isinstance(value, dict):
        return {key: _rounded(one) for key, one in value.items()}
    return [_rounded(one) for one in value] if isinstance(value, list) else value


if __name__ == "__main__":
    NAME, *STUDIES = sys.argv[1:]
    (RESULTS / NAME).mkdir(exist_ok=True)
    for STUDY in STUDIES:
        CALLED, _, FOLDER = STUDY.rpartition("=")
        take_over(Path(FOLDER), RESULTS / NAME, name=CALLED)
    PAGE = RESULTS / f"{NAME}.md"
    PAGE.write_text(page(PAGE.read_text(encoding="utf-8"), RESULTS / NAME), encoding="utf-8")
