"""The question browser of an evaluation's page, in a real browser: two models' answers; hostile text stays text."""

from __future__ import annotations

import html
import json
import re

import pytest
from tests.judging.devtools import Browser
from tests.suites.world import make_model, short_answers, write_rows

from flantune.commands.evaluate import EvaluationRequest, evaluate
from flantune.evaluation.samples import samples_path
from flantune.report.samples import Asked, collect_samples, metric_grader

from .test_browser import CHROMIUM, look

HOSTILE = "</script><img src=x onerror=alert(1)>{{7*7}}<!--"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("evaluation")
    problems = [{"question": f"{HOSTILE} {n}?", "answer": f"One. {HOSTILE}\n#### {n}"} for n in range(12)]
    for split in ("train", "test"):
        write_rows(folder / "hub/openai/gsm8k/main", split, problems)
    choices = [HOSTILE, "two", "three", "four"]
    rows = [{"question": f"Stone {n}? {HOSTILE}", "choices": choices, "answer": n % 4} for n in range(8)]
    for split in ("dev", "test"):
        write_rows(folder / "hub/cais/mmlu/virology", split, rows)

    with short_answers(12):
        models = [make_model(folder / name, seed=seed) for seed, name in enumerate(("first", "second"))]
        evaluate(
            EvaluationRequest(
                models=tuple(map(str, models)), out=folder / "out", suites=("mmlu_direct", "gsm8k"), root=folder,
                skip_missing=True, answers_each=3, temperature=1.0,
            )
        )  # fmt: skip
    return folder / "out"


@pytest.fixture(scope="module")
def groups(folder):
    page = (folder / "report.html").read_text()
    return json.loads(re.search(r'id="data-samples">(.*?)</script>', page, re.DOTALL).group(1))["groups"]


def test_every_part_has_questions_with_each_models_answer(groups):
    assert [group["task"] for group in groups] == ["mmlu_direct/virology", "gsm8k_cot/main"]
    options, texts = groups
    assert options["models"] == ["first", "second"] and options["total"] == 8 == len(options["rows"])
    for row in options["rows"]:
        assert len(row["o"]) == 4 and [len(answer["b"]) for answer in row["m"]] == [4, 4]
        assert {answer["l"] for answer in row["m"]} == {"likeliest"}
        right = [answer["b"][row["g"]][0] == max(bar[0] for bar in answer["b"]) for answer in row["m"]]
        assert [answer["k"] for answer in row["m"]] == right
        assert row["c"] == {(1, 1): "right", (0, 0): "wrong", (0, 1): "fixed", (1, 0): "broken"}[tuple(right)]
    assert options["right"] == [sum(row["m"][at]["k"] for row in options["rows"]) for at in range(2)]
    answer = texts["rows"][0]["m"][0]
    assert sum(options["totals"].values()) == 8
    assert len(answer["d"]) == 3 and answer["p"] in answer["d"] and 0 <= answer["v"] <= 1
    assert texts["prefix"].count("#### ") == 0 and all(HOSTILE in row["x"] for row in texts["rows"])


def test_the_page_carries_no_more_than_its_budget(folder):
    path = samples_path(folder / "models/first", "mmlu_direct/virology")
    grader = metric_grader("classification", "accuracy", "sum")
    asked = [Asked(name="mmlu_direct/virology", paths={"first": path}, grader=grader)]
    browser = collect_samples(asked, root=folder, budget=3_000)
    assert browser.total == 8 and 1 <= browser.shown < 8 and len(browser.script()) < 4_000


def test_an_interval_is_copied_and_sorted_in_points(folder):
    page = (folder / "report.html").read_text()
    for name in ("table-scores", "table-parts-mmlu_direct"):
        table = page[page.index(f'id="{name}"') :].split("</table>")[0]
        for row in re.findall(r"<tr>.*?</tr>", table.split("<tbody>")[1], re.DOTALL):
            value, text = re.findall(r'<td class="num muted" data-v="([^"]*)">([^<]*)<', row)[0]
            assert f"{float(value):.1f}" == text.split(" to ")[0], row


@pytest.fixture(scope="module")
def seen(folder, tmp_path_factory):
    if CHROMIUM is None:
        pytest.skip("chromium is not installed, so no page can be looked at")
    return look(folder / "report.html", tmp_path_factory.mktemp("profile"), "--dump-dom")


def test_it_shows_a_question_and_how_each_answer_was_read(seen):
    sample = re.search(r'<article id="b-sample".*?</article>', seen.stdout, re.DOTALL).group(0)
    assert re.search(r'id="b-place"[^>]*>1 of 8<', seen.stdout)
    assert '<div id="browser" class="browser">' in seen.stdout, "it is no longer hidden"
    assert sample.count("understood as ") == 2 and sample.count("rule: likeliest") == 2
    assert sample.count('class="score tuned') == sample.count('class="score base') == 4 and sample.count(" chosen") >= 2
    assert ">first</b>" in sample and ">second</b>" in sample
    assert [line for line in seen.stderr.splitlines() if "CONSOLE" in line] == []


def test_trap_14_hostile_text_does_nothing_in_a_browser(seen):
    assert "<img" not in re.sub(r"<script.*?</script>", "", seen.stdout, flags=re.DOTALL)
    shown = html.unescape(" ".join(re.findall(r'<pre class="text"[^>]*>(.*?)</pre>', seen.stdout, re.DOTALL)))
    assert HOSTILE in shown


def test_a_heading_sorts_its_table_and_says_so(folder, tmp_path):
    if CHROMIUM is None:
        pytest.skip("chromium is not installed, so nothing can be clicked")
    with Browser(tmp_path / "profile") as browser:
        browser.open((folder / "report.html").as_uri())
        browser.ask("document.querySelector('#table-tests').scrollIntoView({behavior: 'instant'})")
        browser.click("#table-tests th button")
        assert browser.text("#said") == "Sorted by Task or benchmark, ascending"
        assert browser.ask("document.querySelector('#table-tests th').ariaSort") == "ascending"


def test_screenshot(folder, tmp_path):
    if CHROMIUM is None:
        pytest.skip("chromium is not installed, so no page can be looked at")
    picture = tmp_path / "page.png"
    look(folder / "report.html", tmp_path / "profile", "--window-size=1280,2600", f"--screenshot={picture}")
    assert picture.stat().st_size > 40_000
