"""Writes the tables of docs/results/*.md from the studies' outcomes that lie beside them.

``python docs/generate_results.py demo STUDY_FOLDER...`` takes outcomes and figures over from folders of studies into
docs/results/demo, and writes the page; without folders it only writes the page anew.
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

from flantune.report.numbers import interval, points, signed, span
from flantune.report.sentences import typeset
from flantune.studies.outcome import ArmOutcome, StudyOutcome

RESULTS = Path(__file__).parent / "results"
_BLOCK = re.compile(r"<!-- study: (?P<name>[\w-]+) -->\n.*?<!-- end -->", re.DOTALL)
_DIGITS = 5
_WIDTH = 120


def take_over(study: Path, into: Path) -> None:
    """Copies what is kept of a study: its outcome with numbers of five digits, and its figure."""
    outcome = json.loads((study / "outcome.json").read_text(encoding="utf-8"))
    name = outcome["name"]
    text = json.dumps(_rounded(outcome), ensure_ascii=False, separators=(",", ":"))
    (into / f"{name}.json").write_text(text + "\n", encoding="utf-8")
    shutil.copy(study / "figures/study.svg", into / f"{name}-study.svg")


def page(text: str, outcomes: Path) -> str:
    """A page with the part of every study written anew.

    Args:
        text: The page; ``<!-- study: NAME -->`` to ``<!-- end -->`` is replaced.
        outcomes: Folder of the outcomes.
    """

    def written(found: re.Match[str]) -> str:
        name = found["name"]
        return "\n".join((f"<!-- study: {name} -->", *study_lines(name, outcomes), "<!-- end -->"))

    return _BLOCK.sub(written, text)


def study_lines(name: str, folder: Path) -> Iterator[str]:
    """Question, figure, table and verdict of one study."""
    outcome = StudyOutcome.model_validate_json((folder / f"{name}.json").read_text(encoding="utf-8"))
    equal = f" Equal in all arms: {outcome.equal}." if outcome.equal else ""
    about = f"{len(outcome.seeds)} seeds. Compared: {outcome.measure}.{equal}"
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
    for note in outcome.notes:
        yield from _wrapped(f"{note[0].upper()}{note[1:]}{'' if note.endswith('.') else '.'}", lead="- ")
    changed = "" if not outcome.written.changed else f" What was run differs: {'; '.join(outcome.written.changed)}."
    when = outcome.written.when[:16].replace("T", " ")
    written = f"The plan was written down on {when} UTC (SHA-256 `{outcome.written.sha256[:16]}…`).{changed}"
    yield from _wrapped(written, lead="- ")


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
        sure = "" if difference.direction == "undecided" else " ▲" if difference.value > 0 else " ▼"
        rate = difference.p if difference.q is None else difference.q
        cells += [arm.paired_with or "its base", signed(difference.value) + sure]
        cells += [interval(difference.low, difference.high), f"{rate:.3f}"]
    return f"| {' | '.join(cells)} |"


def _rounded(value: Any) -> Any:
    if isinstance(value, float):
        return round(value, _DIGITS)
    if isinstance(value, dict):
        return {key: _rounded(one) for key, one in value.items()}
    return [_rounded(one) for one in value] if isinstance(value, list) else value


if __name__ == "__main__":
    NAME, *STUDIES = sys.argv[1:]
    for STUDY in STUDIES:
        take_over(Path(STUDY), RESULTS / NAME)
    PAGE = RESULTS / f"{NAME}.md"
    PAGE.write_text(page(PAGE.read_text(encoding="utf-8"), RESULTS / NAME), encoding="utf-8")
