"""Skill against preference on the page, in the card and in a terminal."""

from __future__ import annotations

import random
from dataclasses import replace
from xml.etree import ElementTree

import pytest
from rich.console import Console
from tests.report.conftest import difference, estimate, make_task, scores

from flantune.evaluation.results import Results
from flantune.report.card import model_card
from flantune.report.console import console_tables
from flantune.report.figures.skill import skill_figure
from flantune.report.sentences import note_sentences
from flantune.report.sides import Sides, shown_tasks
from flantune.report.skill_tables import answer_table, skill_cluster_table, skill_table
from flantune.runs.files import read_run
from flantune.settings.json_file import value_of

MEASURES = ("discrimination", "calibrated_accuracy")
HOSTILE = "</svg><script>alert(1)</script>"
TWO = Sides("base", "tuned")


def model(area, distance, *, answer="positive", share=0.8, reason=""):
    own = scores(0.5, 0.0, random.Random(1), "classification")
    return own | {
        "skill": {
            "answers": {
                "answer": answer, "share": share, "gold": 0.5, "distance": distance, "by_place": False,
                "is_collapsed": share > 0.9,
            },
            "discrimination": None if reason else estimate(area, 0.05),
            "not_defined": reason,
            "calibrated_accuracy": estimate(area - 0.1, 0.05),
        },
    }  # fmt: skip


def changed(value):
    return difference(value, 0.05) | {"p": 0.01}


def task(name, base, tuned, *, change=0.2, **more):
    is_defined = base["skill"]["discrimination"] is not None
    one = make_task("verse_entailment", "f", 0, {"base": base, "tuned": tuned})
    raw = changed(0.01)
    one["differences"]["tuned"] |= raw | {
        "skill": {
            "discrimination": changed(change) if is_defined else None,
            "discrimination_q": 0.02 if is_defined else None,
            "calibrated_accuracy": changed(change / 2),
            "calibrated_accuracy_q": 0.2,
        },
    }
    return one | {"name": name, "clusters": ["c"]} | more


def made(tasks, *, skill=True) -> Results:
    mean = {
        "exams": ["reviews"],
        "scores": {"base": estimate(0.5, 0.05), "tuned": estimate(0.7, 0.05)},
        "differences": {"tuned": changed(0.2)},
    }
    means = {"chance": 0.5, "raw": mean, "normalized": mean, **dict.fromkeys(MEASURES, mean if skill else None)}
    verdict = {
        "text": "On 2 tasks", "direction": "undecided", "first": 0.5, "second": 0.5, "difference": changed(0.0),
        "chance": 0.5, "tasks": 2, "clusters": 1, "notes": ["A preference hides a gain (+1.0, -2.0 to +4.0)."],
    }  # fmt: skip
    raw = {
        **empty(), "name": "made", "tasks": tasks, "verdicts": {"tuned": verdict},
        "clusters": [{"cluster": "c", "fold": "f", "shots": 0, **means}], "overall": [{"shots": 0, **means}],
    }  # fmt: skip
    return value_of(raw, Results, where="here")


def empty():
    """Results without anything measured."""
    choices = {"name": "flan2021", "normalization": "sum", "ties": "first"}
    models = [
        {"name": name, "fold": "", "path": "", "fingerprint": "", "trained_by_flantune": False}
        for name in ("base", "tuned")
    ]
    return {
        "schema": 4, "kind": "run", "name": "", "confidence": 0.95, "seed": 7, "limit": 0, "answer_parsing": "none",
        "is_reportable": True, "protocols": {"f21c0ffee": choices}, "models": models, "verdicts": {}, "overall": [],
        "clusters": [], "tasks": [], "benchmarks": [], "normalized_averages": [], "missing": [], "trusted_code": [],
        "seconds": 0.0,
    }  # fmt: skip


TASKS = [
    task("reviews", model(0.5, 0.5, share=1.0), model(0.8, 0.4, answer="negative", share=0.92)),
    task(HOSTILE, model(0.6, 0.1), model(0.55, 0.6, answer=HOSTILE), change=-0.01),
    task("still", model(0.6, 0.1), model(0.6, 0.1), change=0.0),
    task("one_sided", model(0.0, 0.3, reason="the right answer of every row is “a”"),
         model(0.0, 0.2, reason="the right answer of every row is “a”")),
]  # fmt: skip


@pytest.fixture
def results() -> Results:
    return made(TASKS)


def drawings(markup):
    return list(ElementTree.fromstring(f"<all>{markup}</all>"))


def test_the_figure_comes_twice_with_an_arrow_a_task_and_says_it_in_words(results):
    wide, narrow = drawings(skill_figure(shown_tasks(results), TWO, confidence=0.95))
    assert (wide.get("class"), narrow.get("class")) == ("figure wide", "figure narrow")
    for drawing in (wide, narrow):
        said = drawing.get("aria-label")
        assert "reviews, zero-shot: discrimination 50.0 to 80.0 (+20.0, +15.0 to +25.0)" in said
        assert "commonest answer “positive” 100.0% (right 50.0%), then “negative” 92.0%" in said
        assert "one_sided" not in said
        arrows = [node.get("class") for node in drawing.iter("line") if "arrow" in (node.get("class") or "")]
        # The key's own arrow, then one a task; a task that stayed where it was is a dot.
        assert sorted(arrows) == ["mark better arrow", "mark better arrow", "mark undecided arrow"]
        assert "script" not in {node.tag for node in drawing.iter()}


def test_up_is_skill_and_right_is_preference(results):
    wide, _ = drawings(skill_figure(shown_tasks(results), TWO, confidence=0.95))
    shafts = {}
    for group in wide.iter("g"):
        title, line = group.find("title"), group.find("line")
        if title is not None and line is not None:
            shafts[title.text.split(",")[0]] = [float(line.get(name)) for name in ("x1", "y1", "x2", "y2")]
    x1, y1, x2, y2 = shafts["reviews"]
    assert x2 < x1 and y2 < y1
    x1, y1, x2, y2 = shafts[HOSTILE]
    assert x2 > x1 and y2 > y1


def test_everything_drawn_stays_inside(results):
    results = made(
        [task(f"a_task_with_a_long_name_{at}", model(at / 12, 0.9), model(1.0, at / 12)) for at in range(13)]
    )
    for drawing in drawings(skill_figure(shown_tasks(results), TWO, confidence=0.95)):
        width, height = float(drawing.get("width")), float(drawing.get("height"))
        for node in drawing.iter():
            for names, most in ((("x1", "x2", "cx"), width), (("y1", "y2", "cy"), height)):
                assert all(0 <= float(node.get(name)) <= most for name in names if node.get(name) is not None)
        boxes = [
            (float(node.get("x")), float(node.get("y")), node.get("text-anchor"), node.text)
            for node in drawing.iter("text")
            if "a_task" in (node.text or "")
        ]
        assert len({(x, y) for x, y, _, _ in boxes}) == len(boxes) > 0


def test_nothing_ranked_is_said():
    assert "No ranked task" in skill_figure([], TWO, confidence=0.95)


def test_the_tables_show_raw_discrimination_and_calibrated_side_by_side(results):
    shown = [[cell.text for cell in row] for row in skill_table(results, shown_tasks(results)).rows]
    assert shown[0] == [
        "reviews", "+1.0", "50.0", "80.0", "+20.0", "+15.0 to +25.0", "0.020", "40.0", "70.0", "+10.0",
        "+5.0 to +15.0", "0.200",
    ]  # fmt: skip
    assert shown[3][2:4] == ["not defined", "not defined"]
    answers = [[cell.text for cell in row] for row in answer_table(results, shown_tasks(results)).rows]
    assert answers[0] == ["reviews", "base", "positive", "100.0%", "50.0%", "collapsed"]
    assert answers[1][2:] == ["negative", "92.0%", "50.0%", "collapsed"]
    assert answers[2][-1] == ""
    clusters = [[cell.text for cell in row] for row in skill_cluster_table(results).rows]
    assert [row[0] for row in clusters] == ["c", "All clusters"]
    assert clusters[0][1:5] == ["+20.0", "50.0", "70.0", "+20.0"]


def test_where_nothing_is_ranked_there_are_no_such_tables():
    written = [one | {"scores": {name: own | {"skill": None} for name, own in one["scores"].items()}} for one in TASKS]
    for one in written:
        one["differences"] = {name: own | {"skill": None} for name, own in one["differences"].items()}
    results = made(written, skill=False)
    tasks = shown_tasks(results)
    assert skill_table(results, tasks).rows == answer_table(results, tasks).rows == ()
    assert skill_cluster_table(results).rows == ()
    assert len(list(console_tables(results))) == 1
    assert "No ranked task" in skill_figure(tasks, TWO, confidence=0.95)


def test_one_model_alone_is_a_dot_a_task(results):
    drawing, _ = drawings(skill_figure(shown_tasks(results), Sides("base", None), confidence=0.95))
    assert not [node for node in drawing.iter("line") if "arrow" in (node.get("class") or "")]
    assert "discrimination 50.0; distance 50.0" in drawing.get("aria-label")
    alone = value_of({**empty(), "models": empty()["models"][:1]}, Results, where="here")
    table = skill_table(alone, shown_tasks(results))
    assert [cell.text for cell in table.rows[0]] == ["reviews", "50.0", "40.0"]


def test_a_terminal_of_80_columns_shows_every_number(results):
    console = Console(width=80, record=True)
    _, skill = console_tables(results)
    console.print(skill)
    lines = console.export_text(clear=False).splitlines()
    assert lines[0].strip() == "skill apart from preference: discrimination, then calibrated accuracy"
    assert any(line.split()[:7] == ["c", "50.0", "70.0", "+20.0", "▲", "+15.0", "to"] for line in lines)
    assert "…" not in console.export_text()


def test_an_evaluations_tables_in_a_terminal_say_what_is_what_and_who_collapsed(results):
    """In 80 columns, with nothing cut off."""
    console = Console(width=80, record=True)
    console.print(*console_tables(results.model_copy(update={"kind": "evaluation"})))
    text = console.export_text()
    _, _, shown = text.partition("discrimination: skill apart from preference, where options were ranked")
    _, heads, first, *_ = shown.splitlines()
    assert heads.split() == ["task", "base", "tuned", "change", "95%", "collapsed"]
    assert first.split()[0] == "reviews" and first.split()[-2:] == ["base,", "tuned"]
    _, heads, first, *_ = shown.partition("calibrated accuracy")[2].splitlines()
    assert heads.split() == ["task", "base", "tuned", "change", "95%"] and first.split()[0] == "reviews"
    assert "…" not in text


def test_notes_are_typeset_and_stand_in_the_card(results, run_folder):
    assert note_sentences(results.verdict) == ("A preference hides a gain (+1.0, −2.0 to +4.0).",)
    assert note_sentences(results.verdict.model_copy(update={"notes": ()})) == ()
    run = read_run(run_folder)
    mixture = replace(run.folds[0].mixture, held_out=("c",), unseen=("reviews",))
    card = model_card(run.config, results, mixture, "f")
    assert "| reviews | zero-shot | 50.0 → 80.0 | 40.0 → 70.0 | negative 92.0% | 50.0% |" in card
    assert "A preference hides a gain" in card
    assert "<script>" not in card
