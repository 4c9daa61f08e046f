"""The page and figures of studies of every form: whole, plain about what is lacking, base and chance always drawn."""

from __future__ import annotations

import json
import re
from itertools import combinations, pairwise
from xml.etree import ElementTree

import pytest
from click.testing import CliRunner
from tests.report.conftest import HOSTILE
from tests.report.html_pages import whole_page
from tests.report.made_outcomes import (
    EVERY,
    bars_outcome,
    forest_outcome,
    grid_outcome,
    line_outcome,
    scale_outcome,
    unfinished_outcome,
)
from tests.report.test_page import words

from flantune.cli.main import cli
from flantune.report.figures.files import drawings, palette
from flantune.report.figures.published import PUBLISHED, published
from flantune.report.figures.series import COLORS, series_of
from flantune.report.study_page import render_study, write_study_page
from flantune.report.study_plates import study_plates
from flantune.report.study_tables import arms_table, tasks_table
from flantune.settings.json_file import write_value
from flantune.studies.folder import StudyFolder


def both_widths(figure):
    return [ElementTree.fromstring(one) for one in re.findall(r"<svg .*?</svg>", str(figure), re.DOTALL)]


def answer(outcome):
    """The figure that answers the question, for wide and for narrow screens."""
    (plate,) = [one for one in study_plates(outcome) if one.name == "study"]
    return both_widths(plate.views[0].figure)


def classes(drawing):
    return {name for node in drawing.iter() for name in node.get("class", "").split()}


@pytest.mark.parametrize("make", EVERY, ids=lambda make: make.__name__)
def test_the_page_is_whole(make):
    outcome = make()
    html = render_study(outcome)
    text = whole_page(html, scripts=1).words
    assert all(arm.name in text for arm in outcome.arms)
    assert not re.search(r"\bnan\b|\binf\b|None", text)


@pytest.mark.parametrize("make", EVERY, ids=lambda make: make.__name__)
def test_every_figure_says_how_much_was_measured_and_what_varies(make):
    for plate in study_plates(make()):
        assert re.search(r"\d+ tasks?, [\d,]+( to [\d,]+)? rows?, \d+ templates? each", plate.caption), plate.name
        if plate.name != "templates":
            assert "95% intervals cover other rows" in plate.caption, plate.name


@pytest.mark.parametrize("make", EVERY, ids=lambda make: make.__name__)
def test_marks_and_words_stay_inside_and_words_do_not_meet(make):
    for plate in study_plates(make()):
        for view in plate.views:
            for drawing in both_widths(view.figure):
                width = float(drawing.get("width"))
                for node in drawing.iter():
                    for name in ("x", "x1", "x2", "cx"):
                        if node.get(name) is not None:
                            assert -1 <= float(node.get(name)) <= width, (plate.name, node.attrib)
                if 'transform="' not in ElementTree.tostring(drawing, "unicode"):
                    check_words(drawing)


def check_words(drawing):
    by_line = {}
    for node in drawing.iter("text"):
        said = "".join(node.itertext())
        size, x, anchor = 5.6 * len(said), float(node.get("x")), node.get("text-anchor", "start")
        left = x if anchor == "start" else x - size if anchor == "end" else x - size / 2
        by_line.setdefault(round(float(node.get("y"))), []).append((left, left + size, said))
    for found in by_line.values():
        for (_, right, one), (left, _, other) in pairwise(sorted(found)):
            assert right <= left + 1, (one, other)


@pytest.mark.parametrize("make", [line_outcome, bars_outcome])
def test_base_and_chance_are_always_drawn(make):
    for drawing in answer(make()):
        assert {"chance", "base"} <= classes(drawing)
        assert "whisker" in classes(drawing)


def test_a_grid_names_base_and_chance_and_is_bars_on_narrow_screens():
    wide, narrow = answer(grid_outcome())
    assert any("chance 40.0" in (node.text or "") for node in wide.iter("text"))
    assert "cell" in classes(wide) and "column" in classes(narrow)


def test_a_series_of_base_models_is_gray_and_drawn_once():
    outcome = scale_outcome()
    tuned, base = series_of(outcome.arms)
    assert (tuned.tone, base.tone) == ("s0", "base")
    assert "base-band" not in classes(answer(outcome)[0])


def test_a_logarithmic_axis_makes_doublings_alike():
    wide = answer(scale_outcome())[0]
    marks = [float(node.get("cx")) for node in wide.iter("circle") if node.get("class") == "mark s0 dot"]
    steps = [right - left for left, right in pairwise(sorted(marks))]
    assert steps[0] == pytest.approx(steps[1] * 2.245 / 2, rel=0.05), "2 G to 8 G is two doublings"


def test_published_numbers_are_gray_crosses_with_their_source_and_only_on_the_line():
    wide = answer(line_outcome())[0]
    assert sum(node.get("class") == "published" for node in wide.iter("line")) == 2 * 7
    assert any("FLAN 137B" in (node.text or "") for node in wide.iter("text"))
    assert published("none of these") == ()
    assert all(0.0 <= one.value <= 1.0 and one.source for marks in PUBLISHED.values() for one in marks)


def test_published_numbers_of_a_crossed_study_stand_in_the_corner_of_their_cell():
    outcome = grid_outcome()
    changes = {"series": "measured with instructions", "label": "trained with dataset name"}
    arms = (outcome.arms[0].model_copy(update=changes), *outcome.arms[1:])
    (plate, *_) = study_plates(outcome.model_copy(update={"arms": arms}))
    wide = both_widths(plate.views[0].figure)[0]
    gray = [node.text for node in wide.iter("text") if node.get("class") == "axis"]
    assert gray.count("46.6") == 1
    assert "Small, in the corner: FLAN 137B (2021, sec. 4.3), another model on other tasks." in plate.caption


def test_labeled_rows_stand_beside_the_arm_and_in_the_table():
    said = [node.text for node in answer(bars_outcome())[0].iter("text")]
    assert {"few-shot (4) · 4 rows", "zero-shot · no rows", "tuned on it · all rows"} <= set(said)
    table = arms_table(bars_outcome())
    at = [column.heading for column in table.columns].index("Labeled rows")
    assert [row[at].text for row in table.rows] == ["0", "4", "50", "0", "32", "all"]


def test_the_mean_of_all_stands_below_the_others():
    wide = answer(forest_outcome())[0]
    labels = [node.text for node in wide.iter("text") if "label" in node.get("class", "").split()]
    assert labels[-1] == "Mean of all" and len(labels) == 6


def test_a_price_only_of_what_was_shown_to_be_gained():
    table = arms_table(forest_outcome())
    heads = [column.heading for column in table.columns]
    price, low = heads.index("Tokens per point"), len(heads) - 1 - heads[::-1].index("Interval")
    for row in table.rows:
        assert (row[price].sort == "") == (float(row[low].sort) <= 0.0)


def test_what_is_lacking_and_what_was_changed_is_said():
    html = words(render_study(unfinished_outcome()))
    assert "Not finished: 1 run of the study is missing" in html and "not begun, seed 0: not run yet" in html
    changed = line_outcome().written.model_copy(update={"changed": ("arm 3 clusters: 10 steps, not 200",)})
    html = words(render_study(line_outcome().model_copy(update={"written": changed})))
    assert "The runs deviate from this plan" in html and "10 steps, not 200" in html
    assert "The runs follow this plan" in words(render_study(line_outcome()))


def test_a_study_of_nothing_yet_is_a_page_without_figures():
    outcome = unfinished_outcome()
    nothing = outcome.model_copy(update={"arms": outcome.arms[1:]})
    assert "No run of it is finished." in render_study(nothing)
    assert tasks_table(nothing).rows == ()


def test_trap_14_hostile_names_stay_text():
    outcome = line_outcome()
    arm = outcome.arms[0].model_copy(update={"name": HOSTILE, "series": HOSTILE})
    html = render_study(outcome.model_copy(update={"arms": (arm, *outcome.arms[1:]), "question": HOSTILE}))
    assert "<img" not in html


def test_the_command_writes_page_and_figures(tmp_path):
    write_value(StudyFolder(tmp_path).outcome, grid_outcome())
    StudyFolder(tmp_path).plan.write_text("{}")
    assert write_study_page(tmp_path) == tmp_path / "report.html"
    out = tmp_path / "f"
    result = CliRunner().invoke(cli, ["report", str(tmp_path), "--figures", str(out), "--format", "svg"])
    assert result.exit_code == 0, result.output
    assert {"study", "differences", "templates"} <= {path.stem for path in out.glob("*.svg")}
    assert all(ElementTree.fromstring(path.read_text()) is not None for path in out.glob("*.svg"))


def test_an_outcome_that_is_damaged_or_not_there_yet_is_named(tmp_path):
    StudyFolder(tmp_path).plan.write_text("{}")
    missing = CliRunner().invoke(cli, ["report", str(tmp_path)])
    assert missing.exit_code != 0 and "outcome.json" in str(missing.exception)
    assert "repeat the study's command" in str(missing.exception)
    StudyFolder(tmp_path).outcome.write_text(json.dumps({"name": "x"}))
    damaged = CliRunner().invoke(cli, ["report", str(tmp_path)])
    assert damaged.exit_code != 0 and "outcome.json" in str(damaged.exception)


def test_files_hold_the_wide_drawing_alone():
    for plate in study_plates(line_outcome()):
        for view in plate.views:
            assert len(drawings(view.figure)) == 1


# --- colors -----------------------------------------------------------------------------------------------------------

# Machado, Oliveira and Fernandes 2009: how the three kinds of color blindness see linear red, green and blue.
SIGHTS = {
    "full": ((1, 0, 0), (0, 1, 0), (0, 0, 1)),
    "protanopia": ((0.152286, 1.052583, -0.204868), (0.114503, 0.786281, 0.099216), (-0.003882, -0.048116, 1.051998)),
    "deuteranopia": ((0.367322, 0.860646, -0.227968), (0.280085, 0.672501, 0.047413), (-0.01182, 0.04294, 0.968881)),
    "tritanopia": ((1.255528, -0.076749, -0.178779), (-0.078411, 0.930809, 0.147602), (0.004733, 0.691367, 0.3039)),
}


def linear(color):
    parts = [int(color[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    return [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]


def seen(color, sight):
    light = linear(color)
    return [min(max(sum(w * v for w, v in zip(row, light, strict=True)), 0.0), 1.0) for row in SIGHTS[sight]]


def lab(light):
    red, green, blue = light
    tristimulus = (
        (0.4124 * red + 0.3576 * green + 0.1805 * blue) / 0.9505,
        0.2126 * red + 0.7152 * green + 0.0722 * blue,
        (0.0193 * red + 0.1192 * green + 0.9505 * blue) / 1.089,
    )
    x, y, z = (value ** (1 / 3) if value > 0.008856 else 7.787 * value + 16 / 116 for value in tristimulus)
    return 116 * y - 16, 500 * (x - y), 200 * (y - z)


def luminance(color):
    red, green, blue = linear(color)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("sight", list(SIGHTS))
def test_any_two_series_can_be_told_apart(scheme, sight):
    colors = [palette(scheme)[f"s{number}"] for number in range(COLORS)]
    for one, other in combinations(colors, 2):
        apart = sum((a - b) ** 2 for a, b in zip(lab(seen(one, sight)), lab(seen(other, sight)), strict=True)) ** 0.5
        assert apart >= 10, (one, other, sight)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_series_stands_out_from_the_ground(scheme):
    found = palette(scheme)
    for number in range(COLORS):
        bright, dark = sorted((luminance(found[f"s{number}"]), luminance(found["paper"])), reverse=True)
        assert (bright + 0.05) / (dark + 0.05) >= 3.0
