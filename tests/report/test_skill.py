"""Skill against preference on the page, in the card and in a terminal."""

from __future__ import annotations

from dataclasses import replace
from xml.etree import ElementTree

import pytest
from flantune.report.results import parse_results
from flantune.report.verdict import note_sentences
from rich.console import Console

from flantune.report.card import model_card
from flantune.report.console import skill_table as console_table
from flantune.report.figures.skill import skill_figure
from flantune.report.skill_tables import answer_table, skill_cluster_table, skill_table

MEASURES = ("discrimination", "calibrated_accuracy")
HOSTILE = "</svg><script>alert(1)</script>"


def estimate(value, half=0.05):
    return {"value": value, "low": value - half, "high": value + half, "se": half / 2, "p": 0.01, "detectable": half}


def model(area, distance, *, answer="positive", share=0.8, reason=""):
    return {
        "mean": estimate(0.5),
        "templates": [],
        "skill": {
            "answers": {
                "answer": answer, "share": share, "gold": 0.5, "distance": distance, "by_place": False,
                "is_collapsed": share > 0.9,
            },
            "discrimination": None if reason else estimate(area),
            "not_defined": reason,
            "calibrated_accuracy": estimate(area - 0.1),
        },
    }  # fmt: skip


def task(name, base, tuned, *, change=0.2):
    is_defined = base["skill"]["discrimination"] is not None
    return {
        "task": name, "clusters": ["c"], "fold": "f", "kind": "classification", "metric": "accuracy", "shots": 0,
        "is_seen": False, "models": {"base": base, "tuned": tuned}, "difference": estimate(0.01),
        "skill": {
            "discrimination": estimate(change) if is_defined else None,
            "discrimination_q": 0.02 if is_defined else None,
            "calibrated_accuracy": estimate(change / 2),
            "calibrated_accuracy_q": 0.2,
        },
    }  # fmt: skip


@pytest.fixture
def raw():
    contrast = {"base": estimate(0.5), "tuned": estimate(0.7), "difference": estimate(0.2), "tasks": ["reviews"]}
    return {
        "name": "made", "confidence": 0.95,
        "verdict": {
            "text": "On 2 tasks", "direction": "undecided", "interval": [-0.1, 0.1], "difference": 0.0,
            "notes": ["A preference hides a gain (+1.0, -2.0 to +4.0)."],
        },
        "overall": [{"shots": 0, "measure": name, **contrast} for name in ("raw", *MEASURES)],
        "clusters": [{"cluster": "c", "fold": "f", "shots": 0, **contrast, **dict.fromkeys(MEASURES, contrast)}],
        "tasks": [
            task("reviews", model(0.5, 0.5, share=1.0), model(0.8, 0.4, answer="negative", share=0.92)),
            task(HOSTILE, model(0.6, 0.1), model(0.55, 0.6, answer=HOSTILE), change=-0.01),
            task("still", model(0.6, 0.1), model(0.6, 0.1), change=0.0),
            task("one_sided", model(0.0, 0.3, reason="the right answer of every row is “a”"),
                 model(0.0, 0.2, reason="the right answer of every row is “a”")),
        ],
    }  # fmt: skip


def drawings(markup):
    return list(ElementTree.fromstring(f"<all>{markup}</all>"))


def test_the_figure_comes_twice_with_an_arrow_a_task_and_says_it_in_words(raw):
    wide, narrow = drawings(skill_figure(parse_results(raw).tasks))
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


def test_up_is_skill_and_right_is_preference(raw):
    wide, _ = drawings(skill_figure(parse_results(raw).tasks))
    shafts = {}
    for group in wide.iter("g"):
        title, line = group.find("title"), group.find("line")
        if title is not None and line is not None:
            shafts[title.text.split(",")[0]] = [float(line.get(name)) for name in ("x1", "y1", "x2", "y2")]
    x1, y1, x2, y2 = shafts["reviews"]
    assert x2 < x1 and y2 < y1
    x1, y1, x2, y2 = shafts[HOSTILE]
    assert x2 > x1 and y2 > y1


def test_everything_drawn_stays_inside(raw):
    raw["tasks"] = [task(f"a_task_with_a_long_name_{at}", model(at / 12, 0.9), model(1.0, at / 12)) for at in range(13)]
    for drawing in drawings(skill_figure(parse_results(raw).tasks)):
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
    assert "No ranked task" in skill_figure([])


def test_the_tables_show_raw_discrimination_and_calibrated_side_by_side(raw):
    results = parse_results(raw)
    shown = [[cell.text for cell in row] for row in skill_table(results.tasks, level="95%").rows]
    assert shown[0] == [
        "reviews", "zero-shot", "+1.0", "50.0", "80.0", "+20.0", "+15.0 to +25.0", "0.020", "40.0", "70.0", "+10.0",
        "+5.0 to +15.0", "0.200",
    ]  # fmt: skip
    assert shown[3][3:5] == ["not defined", "not defined"]
    answers = [[cell.text for cell in row] for row in answer_table(results.tasks).rows]
    assert answers[0] == ["reviews", "zero-shot", "base", "positive", "100.0%", "50.0%", "collapsed"]
    assert answers[1][3:] == ["negative", "92.0%", "50.0%", "collapsed"]
    assert answers[2][-1] == ""
    clusters = [[cell.text for cell in row] for row in skill_cluster_table(results).rows]
    assert [row[0] for row in clusters] == ["c", "All clusters"]
    assert clusters[0][2:6] == ["+20.0", "50.0", "70.0", "+20.0"]


def test_results_of_an_older_version_have_no_such_tables(raw):
    for one in raw["tasks"]:
        del one["skill"]
    raw["clusters"] = [
        {k: v for k, v in one.items() if "_" not in k and k != "discrimination"} for one in raw["clusters"]
    ]
    raw["overall"] = raw["overall"][:1]
    results = parse_results(raw)
    assert skill_table(results.tasks, level="95%").rows == answer_table(results.tasks).rows == ()
    assert skill_cluster_table(results).rows == ()
    assert console_table(raw) is None
    assert "No ranked task" in skill_figure(results.tasks)


def test_a_terminal_of_80_columns_shows_every_number(raw):
    console = Console(width=80, record=True)
    console.print(console_table(raw))
    lines = console.export_text().splitlines()
    assert any(line.split()[:7] == ["c", "50.0", "70.0", "+20.0", "▲", "+15.0", "to"] for line in lines)
    assert "…" not in console.export_text()


def test_notes_are_typeset_and_stand_in_the_card(raw):
    verdict = parse_results(raw).verdict
    assert note_sentences(verdict) == ("A preference hides a gain (+1.0, −2.0 to +4.0).",)
    assert note_sentences(replace(verdict, notes=())) == ()
    card = model_card({}, raw, {"held_out": ["c"], "unseen": ["reviews"]}, "f")
    assert "| reviews | zero-shot | 50.0 → 80.0 | 40.0 → 70.0 | negative 92.0% | 50.0% |" in card
    assert "A preference hides a gain" in card
    assert "<script>" not in card
