"""A figure of a study is added as docs/contributing.md says: a function and a line, and page and files have it."""

from __future__ import annotations

import pytest
from tests.report.made_outcomes import bars_outcome

from flantune.report import study_plates
from flantune.report.figure_files import Look, write_figures
from flantune.report.figures.frame import both
from flantune.report.figures.svg import circle, image
from flantune.report.study_page import render_study
from flantune.report.study_plates import Form


def dots_figure(outcome):
    """Every arm's score as a dot."""

    def draw(page):
        dots = [circle(page.left + 400 * arm.score.value, 20, 4, "mark s0 dot") for arm in outcome.arms]
        return image(dots, width=page.width, height=40, label="Dots.", variant=page.name)

    return both(draw)


@pytest.fixture
def outcome(monkeypatch):
    """The one line of ``study_plates.FORMS``."""
    monkeypatch.setitem(study_plates.FORMS, "dots", Form(draw=dots_figure, says="A dot an arm."))
    return bars_outcome().model_copy(update={"figure": "dots"})


def test_page_and_files_have_it(outcome, tmp_path):
    html = render_study(outcome)
    assert "A dot an arm. 5 tasks" in html and 'aria-label="Dots."' in html
    write_figures(study_plates.study_plates(outcome), tmp_path, Look(formats=("svg",)))
    assert 'aria-label="Dots."' in (tmp_path / "study.svg").read_text()
