"""The page of a study: its question, answer and figure, every number, and whether it was run as planned."""

from __future__ import annotations

from pathlib import Path

from flantune.errors import SourceError
from flantune.report import numbers, sentences, study_tables
from flantune.report.study_plates import study_plates
from flantune.report.templating import looks, template, write_page
from flantune.settings.json_file import read_value
from flantune.studies.folder import StudyFolder
from flantune.studies.outcome import StudyOutcome


def write_study_page(root: Path) -> Path:
    """Writes ``report.html`` into a study's folder, using only its outcome, and returns its path.

    Raises:
        FlantuneError: There is no outcome, it is damaged, or the page cannot be written.
    """
    return write_page(StudyFolder(root).report, render_study(read_outcome(root)))


def read_outcome(root: Path) -> StudyOutcome:
    """The outcome of a study, from its folder.

    Raises:
        FlantuneError: It is missing or damaged.
    """
    path, again = StudyFolder(root).outcome, "repeat the study's command: existing runs are kept"
    if not path.is_file():
        raise SourceError("this study has no results yet", where=str(path), hint=again)
    return read_value(path, StudyOutcome, mends=again, error=SourceError)


def render_study(outcome: StudyOutcome) -> str:
    """The whole page as text."""
    verdict = outcome.verdict
    return template("study.html.jinja").render(
        title=outcome.name,
        looks=looks(scripts=("tables.js",)),
        n=numbers,
        outcome=outcome,
        word=sentences.WORDS[verdict.direction],
        shape=sentences.SHAPES[verdict.direction],
        sentence=sentences.typeset(verdict.text),
        notes=tuple(map(sentences.coded, verdict.notes)),
        coded=sentences.coded,
        plates=study_plates(outcome),
        arms=study_tables.arms_table(outcome),
        clusters=study_tables.clusters_table(outcome),
        tasks=study_tables.tasks_table(outcome),
        trends=study_tables.trends_table(outcome),
    )
