"""One page, one console and one set of tables for one, two and four models."""

from __future__ import annotations

import random

import pytest
from rich.console import Console
from tests.report.conftest import HOSTILE, TASKS, TEMPLATES, make_evaluation, make_sample, to_sample
from tests.report.html_pages import whole_page

from flantune.evaluation.results import Results
from flantune.evaluation.samples import samples_path, write_samples
from flantune.report.console import console_tables
from flantune.report.page import render_evaluation
from flantune.report.samples import asked_task, collect_samples
from flantune.report.score_tables import task_table
from flantune.report.sentences import warnings
from flantune.report.sides import shown_tasks
from flantune.settings.json_file import value_of

ONE = {"llama": 0.0}
TWO = {"llama": 0.0, "nli": 0.11}
FOUR = {"llama": 0.0, "nli": 0.11, HOSTILE: -0.1, "seen": 0.02}


def results_of(models: dict[str, float], **more) -> Results:
    return value_of(make_evaluation(models, **more), Results, where="made")


@pytest.fixture(scope="module", params=[ONE, TWO, FOUR], ids=["one", "two", "four"])
def results(request) -> Results:
    return results_of(request.param)


@pytest.fixture(scope="module")
def browser(results, tmp_path_factory):
    """Two tasks' samples of every model."""
    root, asked = tmp_path_factory.mktemp("samples"), []
    for task in ("verse_entailment", "short_facts"):
        paths = {name: samples_path(root / str(at), task) for at, name in enumerate(results.names)}
        for name, path in paths.items():
            chance = random.Random(f"{task} {name}")
            made = [make_sample(task, row, template, 0, 0.5, chance) for row in range(8) for template in TEMPLATES]
            write_samples(path, map(to_sample, made))
        asked.append(asked_task(task, paths, results))
    return collect_samples(asked, root=root)


def test_the_page_is_whole_and_names_every_model(results, browser):
    html = render_evaluation(results, browser)
    page = whole_page(html, scripts=2)
    text = page.words
    assert "img" not in page.tags
    assert all(name in text for name in results.names)
    assert "nan" not in text.lower().replace("finance", "")
    assert page.tags["caption"] == page.tags["table"]


def test_what_a_run_shows_an_evaluation_of_tasks_shows(results):
    """Clusters, spread over templates, rules, and with several models verdicts, differences and their tests."""
    html = render_evaluation(results)
    for name in ("scores", "overall", "clusters", "tasks", "spread", "rules", "templates", "metrics", "averages"):
        assert f'id="table-{name}"' in html
    has_several = len(results.names) > 1
    assert ('id="table-tests"' in html) == has_several
    assert html.count('class="badge"') == len(results.names) - 1
    assert all(verdict.text.split(" points")[0].replace("(-", "(−") in html for verdict in results.verdicts.values())


def test_parts_and_what_is_missing_stand_under_their_benchmark(results):
    html = render_evaluation(results)
    assert 'id="table-parts-mmlu_direct"' in html and "world_religions" in html
    assert ('id="table-differences-mmlu_direct"' in html) == (len(results.names) > 1)
    assert "bbh_cot: not measured; needs prompts of &lt;i&gt;bbh&lt;/i&gt;." in html


def test_a_line_for_each_later_model_beside_the_first(results):
    table = task_table(results, shown_tasks(results))
    headings = [column.heading for column in table.columns]
    assert len(table.rows) == len(TASKS) * max(len(results.names) - 1, 1)
    assert ("Model" in headings) == (len(results.names) > 2)
    assert ("Difference" in headings) == (len(results.names) > 1)
    assert "llama" in headings and ("nli" in headings) == (len(results.names) == 2)


def test_every_answer_stands_beside_the_others(results, browser):
    for group in browser.groups:
        assert group["models"] == list(results.names) and len(group["paths"]) == len(results.names)
        assert sum(group["totals"].values()) == group["total"] == 8 * len(TEMPLATES)
        assert set(group["totals"]) == (
            {"fixed", "broken", "right", "wrong"} if len(results.names) == 2 else {"mixed", "right", "wrong"}
        )
        for row in group["rows"]:
            right = [answer["k"] for answer in row["m"]]
            assert len(right) == len(results.names)
            expected = "right" if all(right) else "wrong" if not any(right) else None
            assert row["c"] == expected or (expected is None and row["c"] in ("fixed", "broken", "mixed"))


def test_a_terminal_shows_every_model_and_what_tells_them_apart(results):
    console = Console(width=160, record=True, file=open("/dev/null", "w"))  # noqa: SIM115, PTH123
    console.print(*console_tables(results))
    text = console.export_text()
    assert all(name in text for name in results.names) or len(results.names) == 4
    assert ("against the first" in text) == (len(results.names) > 1)
    assert "All clusters" in text and "mmlu_direct" in text and "Flan 2022 normalized average" in text


def test_why_numbers_compare_with_no_ones_is_said():
    said = warnings(results_of(FOUR, limit=3))
    assert said[0] == "Not reportable: at most 3 questions of each part were asked (--limit)."
    assert said[1] == "Not reportable: data of bbh_cot is missing."
    assert said[2] == "Not reportable: seen was trained on what mmlu_direct measures; it is labeled seen."
    html = render_evaluation(results_of(FOUR, limit=3))
    assert "mmlu_direct (seen)" in html and "it was trained on &lt;b&gt;it&lt;/b&gt;" in html
