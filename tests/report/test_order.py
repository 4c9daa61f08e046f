"""Tables, figures and the terminal tell tasks and clusters in one order, and in color only what is clear among many."""

from __future__ import annotations

import re
from html import unescape

import pytest

from flantune.evaluation.results import Results
from flantune.report.page import render_run
from flantune.report.score_tables import brief_cluster_table, cluster_table, difference_table, task_table
from flantune.report.sides import compared_clusters, shown_tasks, sides_of
from flantune.report.skill_tables import skill_cluster_table, skill_table
from flantune.runs.files import read_run

LABEL = re.compile(r'<text [^>]*class="label"[^>]*>([^<]*)</text>')


@pytest.fixture(scope="module")
def results(run_folder) -> Results:
    return read_run(run_folder).results


def names(table) -> list[str]:
    return list(dict.fromkeys(row[0].text for row in table.rows))


def test_tasks_have_one_order_the_largest_change_first(results):
    tasks = shown_tasks(results)
    first = [one.exam.differences["tuned"].value for one in tasks if one.exam.shots == tasks[0].exam.shots]
    assert first == sorted(first, reverse=True) and len(first) > 3
    order = list(dict.fromkeys(one.label for one in tasks))
    for table in (task_table(results, tasks), difference_table(results, tasks), skill_table(results, tasks)):
        assert [name for name in order if name in names(table)] == names(table)


def test_clusters_have_one_order_in_every_measure(results):
    (sides,) = sides_of(results)
    order = list(dict.fromkeys(one.name for one in compared_clusters(results, sides)))
    for measure in ("normalized", "discrimination", "calibrated_accuracy"):
        own = list(dict.fromkeys(one.name for one in compared_clusters(results, sides, measure=measure)))
        assert [name for name in order if name in own] == own
    assert names(cluster_table(results)) == order
    assert [name for name in names(brief_cluster_table(results)) if name in order] == order
    assert [name for name in order if name in names(skill_cluster_table(results))] == names(
        skill_cluster_table(results)
    )


def test_figures_of_the_page_have_the_order_of_its_tables(run_folder, results):
    page = render_run(read_run(run_folder))
    order = list(dict.fromkeys(one.label for one in shown_tasks(results)))
    for name in ("differences", "templates"):
        figure = re.search(rf'<figure [^>]*id="figure-{name}".*?</figure>', page, re.DOTALL)[0]
        drawn = list(dict.fromkeys(map(unescape, LABEL.findall(figure))))
        assert [place for one in order for place in drawn if one.startswith(place.rstrip("…"))] == drawn


def test_bold_is_what_is_clear_among_all_tasks(results):
    tasks = shown_tasks(results)
    first = tasks[0].exam
    luck = first.differences["tuned"].model_copy(update={"q": 0.3})
    sure = first.differences["tuned"].model_copy(update={"q": 0.01})
    assert luck.direction == "better", "by its interval alone"
    for difference, tone in ((luck, "undecided"), (sure, "better")):
        exam = first.model_copy(update={"differences": {"tuned": difference}})
        one = [type(tasks[0])(tasks[0].label, exam)]
        for table in (task_table(results, one), difference_table(results, one)):
            at = [column.heading for column in table.columns].index("Difference")
            assert table.rows[0][at].tone == tone


def test_mixtures_are_folded_at_first(run_folder):
    page = render_run(read_run(run_folder))
    section = re.search(r'<section id="mixture".*?</section>', page, re.DOTALL)[0]
    assert section.count("<details") > 1 and "<details open" not in section and " open>" not in section
