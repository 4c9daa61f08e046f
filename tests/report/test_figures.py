from __future__ import annotations

import re
from dataclasses import replace
from itertools import pairwise
from xml.etree import ElementTree

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flantune.evaluation.estimates import Difference, Estimate
from flantune.evaluation.results import Verdict
from flantune.report.figures.curves import Series, buckets, curve, series
from flantune.report.figures.frame import WIDE, legend
from flantune.report.figures.scores import cluster_figure, difference_figure, template_figure, verdict_figure
from flantune.report.figures.svg import Scale, nice_step, padded_range
from flantune.report.sides import ComparedPair, Sides
from flantune.settings.json_file import plain, value_of
from flantune.training.metrics_line import MetricsLine
from flantune.training.state import Window

TWO = Sides("base", "tuned")


def estimate(value: float, low: float, high: float) -> Estimate:
    return Estimate(value=value, low=low, high=high, se=(high - low) / 4)


def change(value: float, low: float, high: float) -> Difference:
    return Difference(value=value, low=low, high=high, se=(high - low) / 4, p=0.1, detectable=0.1)


def pair(name="RTE", *, value=0.1, low=0.05, high=0.15, shots=0, chance=0.5) -> ComparedPair:
    base, tuned = estimate(0.5, 0.45, 0.55), estimate(0.6, 0.55, 0.65)
    difference = None if value is None else change(value, low, high)
    return ComparedPair(
        name=name, shots=shots, first=base, second=tuned, difference=difference, chance=chance,
        direction=difference.direction if difference else "undecided",
    )  # fmt: skip


def verdict_of(difference: Difference) -> Verdict:
    return Verdict(
        text="", direction=difference.direction, first=0.5, second=0.4, difference=difference, chance=0.5, tasks=1,
        clusters=1, notes=(),
    )  # fmt: skip


def drawings(markup) -> list[ElementTree.Element]:
    return list(ElementTree.fromstring(f"<all>{markup}</all>"))


def test_every_figure_is_well_formed_and_comes_twice():
    for markup in (
        cluster_figure([pair("a < b & c"), pair("a < b & c", shots=5)], [pair("All")], TWO, measure="raw"),
        difference_figure([pair("</svg><script>")], TWO),
    ):
        wide, narrow = drawings(markup)
        assert (wide.get("class"), narrow.get("class")) == ("figure wide", "figure narrow")
        assert wide.get("role") == "img"
        assert "difference +10.0" in wide.get("aria-label") or "+10.0" in wide.get("aria-label")
        assert "script" not in {node.tag for node in wide.iter()}


def test_the_dots_of_a_runs_templates_are_explained():
    dots = "dot: template · bar: IQR · stroke: median"
    assert f">{dots}<" in legend(WIDE, TWO.both, at_end="median, base → tuned", dots=dots)


def test_nothing_to_draw_is_said():
    assert "Not measured." in cluster_figure([], [], TWO, measure="raw")
    assert "Not measured." in difference_figure([pair(value=None)], TWO)
    assert "Not measured." in template_figure([], TWO)


@pytest.mark.parametrize(
    ("low", "high", "tone"),
    [(0.01, 0.2, "better"), (-0.2, -0.01, "worse"), (-0.1, 0.2, "undecided"), (0.0, 0.2, "undecided")],
)
def test_a_difference_whose_interval_includes_zero_is_drawn_undecided(low, high, tone):
    wide = drawings(difference_figure([pair(value=(low + high) / 2, low=low, high=high)], TWO))[0]
    dots = [node.get("class") for node in wide.iter("circle")]
    assert dots == [f"mark {tone} dot"]


def test_an_interval_that_crosses_zero_crosses_the_zero_line():
    wide = drawings(difference_figure([pair(value=0.02, low=-0.03, high=0.07)], TWO))[0]
    lines = {node.get("class"): node for node in wide.iter("line")}
    zero, whisker = float(lines["zero"].get("x1")), lines["mark undecided whisker"]
    assert float(whisker.get("x1")) < zero < float(whisker.get("x2"))


def test_a_difference_that_is_not_clear_among_many_is_drawn_undecided():
    one = replace(pair(value=0.1, low=0.01, high=0.2), q=0.3, direction="undecided")
    for markup in (difference_figure([one], TWO), cluster_figure([one], [], TWO, measure="raw")):
        classes = {node.get("class") for node in drawings(markup)[0].iter()}
        assert "value undecided" in classes
        assert not any(name and "better" in name for name in classes)


def test_marks_stay_inside_the_drawing():
    rows = [pair("far", value=-0.9, low=-1.2, high=1.3)]
    for drawing in drawings(difference_figure(rows, TWO)) + drawings(cluster_figure(rows, rows, TWO, measure="raw")):
        width = float(drawing.get("width"))
        for node in drawing.iter():
            for name in ("x", "x1", "x2", "cx"):
                if node.get(name) is not None:
                    assert 0 <= float(node.get(name)) <= width


def test_narrow_text_does_not_overlap_on_a_line():
    rows = [pair("a_task_with_a_rather_long_name_that_goes_on_and_on", value=-0.123, low=-0.234, high=-0.012)]
    narrow = drawings(difference_figure(rows, TWO))[1]
    name, value = (node for node in narrow.iter("text") if node.get("class").split()[0] in ("label", "value"))
    assert float(name.get("x")) + 6.6 * len(name.text) < float(value.get("x")) - 6.6 * len(value.text)


def test_headline_figure_has_the_words_and_the_direction():
    wide = drawings(verdict_figure(verdict_of(change(-0.1, -0.15, -0.05)), TWO))[0]
    assert "−10.0" in [node.text for node in wide.iter("text")]
    assert {"← worse", "better →"} <= {node.text for node in wide.iter("text")}


def spans(drawing, *, least):
    """Left and right end of each text by the line it stands on, at so many pixels a letter."""
    found = {}
    for node in drawing.iter("text"):
        words = "".join(node.itertext())
        width = len(words) * (12.0 if "hero" in node.get("class", "") else least)
        x, anchor = float(node.get("x")), node.get("text-anchor", "start")
        left = x if anchor == "start" else x - width if anchor == "end" else x - width / 2
        found.setdefault(round(float(node.get("y"))), []).append((left, left + width, words))
    return found


@pytest.mark.parametrize(
    ("value", "low", "high"),
    [(0.168, 0.099, 0.237), (-0.3, -0.31, -0.29), (1.0, 0.99, 1.0), (0.142, -1.0, 1.0), (-1.0, -1.0, -0.2)],
)
def test_no_words_of_a_difference_run_into_each_other(value, low, high):
    verdict = verdict_of(change(value, low, high))
    figures = (verdict_figure(verdict, TWO), difference_figure([pair(value=value, low=low, high=high)], TWO))
    for drawing in (one for figure in figures for one in drawings(figure)):
        for line in spans(drawing, least=6.8).values():
            line.sort()
            for (_, right, one), (left, _, other) in pairwise(line):
                assert right <= left, (one, other, drawing.get("class"))


def test_curves_of_a_log_with_gaps_and_nan():
    raw = [{"step": 1, "loss": 3.0, "grad_norm": float("nan")}, {"step": 2, "loss": 2.0}, {"step": 3, "loss": None}]
    whole = plain(Window(steps=1).line(step=1, cursor=1, seconds=1.0)) | {"grad_norm": None}
    log = [value_of({**whole, **line}, MetricsLine, where="metrics.jsonl") for line in raw]
    found, speed = series(log)
    assert (speed.title, speed.values) == ("Speed", (0.0, 0.0, 0.0))
    assert (found.title, found.steps, found.values) == ("Loss", (1.0, 2.0), (3.0, 2.0))
    drawing = ElementTree.fromstring(str(curve(found)))
    assert "first 3, last 2" in drawing.get("aria-label")


def test_one_point_and_a_constant_are_drawn():
    for steps, values in (((10.0,), (0.0,)), ((1.0, 2.0), (0.5, 0.5))):
        drawing = ElementTree.fromstring(str(curve(Series(title="t", unit="u", steps=steps, values=values))))
        assert not re.search("nan|inf", ElementTree.tostring(drawing, "unicode").lower().replace("mean", ""))


@settings(max_examples=50, deadline=None)
@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=400), st.integers(1, 50))
def test_buckets_lose_no_extreme(values, most):
    cells = buckets(list(range(len(values))), values, most=most)
    assert len(cells) <= most
    assert min(c.low for c in cells) == min(values)
    assert max(c.high for c in cells) == max(values)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.floats(-1, 1), min_size=1, max_size=9))
def test_axis_holds_all_values_and_its_ticks(values):
    low, high = padded_range(values, step=0.1, smallest=0.3)
    assert low <= min(values) + 1e-9
    assert high >= max(values) - 1e-9
    ticks = Scale(low, high, 0, 100).ticks(6)
    assert 2 <= len(ticks) <= 8
    assert all(low - 1e-9 <= tick <= high + 1e-9 for tick in ticks)


@settings(max_examples=50, deadline=None)
@given(st.floats(1e-6, 1e6))
def test_steps_are_not_below_what_was_asked(rough):
    assert rough * (1 - 1e-6) <= nice_step(rough) <= rough * 2.6
