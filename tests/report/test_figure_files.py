"""Figures as files: each shows by itself what the page shows, in light and dark; PDF and PNG where they can be made."""

from __future__ import annotations

import importlib.util
import json
import re
from pathlib import Path
from xml.etree import ElementTree

import pytest
from click.testing import CliRunner
from tests.report.conftest import HOSTILE, make_evaluation

from flantune.cli.main import cli
from flantune.report.figure_files import Look, result_plates, run_plates, write_figures
from flantune.report.figures.files import drawings, palette, standalone
from flantune.runs.files import read_run
from flantune.settings.json_file import value_of

CAN_CONVERT = importlib.util.find_spec("vl_convert") is not None
SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture(scope="module")
def written(run_folder, tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("figures")
    write_figures(run_plates(read_run(run_folder)), out, Look(formats=("svg",)))
    return out


def test_every_figure_of_the_page_is_a_file_with_a_caption(written):
    names = {path.stem for path in written.glob("*.svg")}
    assert {"headline", "clusters-raw-score", "clusters-normalized-against-chance"} <= names
    assert any(name.startswith("differences") for name in names)
    assert any(name.startswith("training-commonsense") and name.endswith("loss") for name in names)
    captions = (written / "captions.md").read_text(encoding="utf-8")
    assert all(f"**{name}**: " in captions for name in names)
    assert "6 tasks, 1,200 rows, 9 templates each" in captions and "95% intervals over rows" in captions


def test_a_file_needs_nothing_else(written):
    for path in written.glob("*.svg"):
        text = path.read_text(encoding="utf-8")
        root = ElementTree.fromstring(text)
        assert root.tag == f"{SVG}svg" and root.get("aria-label")
        assert not re.search(r"var\(|light-dark|currentcolor\(|@media|https?://(?!www\.w3\.org/2000/svg)", text)


def test_nothing_is_cut_at_the_edges(written):
    for path in written.glob("*.svg"):
        root = ElementTree.fromstring(path.read_text(encoding="utf-8"))
        left, top, width, height = map(float, root.get("viewBox").split())
        assert (width, height) == (float(root.get("width")), float(root.get("height")))
        for node in root.iter(f"{SVG}text"):
            assert left < float(node.get("x")) < left + width and top < float(node.get("y")) < top + height


def test_light_and_dark_are_the_colors_of_the_page():
    light, dark = palette("light"), palette("dark")
    assert light.keys() == dark.keys() and light["ink"] != dark["ink"] and light["sans"] == dark["sans"]
    drawing = '<svg class="figure wide" viewBox="0 0 8 6" width="8" height="6" role="img" aria-label="a"><g></g></svg>'
    assert light["paper"] in standalone(drawing) and dark["paper"] in standalone(drawing, scheme="dark")
    assert dark["tuned"] in standalone(drawing, scheme="dark") and dark["tuned"] not in standalone(drawing)


def test_of_the_two_widths_the_wide_one_is_written():
    one, two = '<svg class="figure wide" x="1"></svg>', '<svg class="figure narrow"></svg>'
    assert drawings(one + two) == (one,)
    assert drawings('<p class="missing">Not measured.</p>') == ()


def test_trap_14_hostile_names_stay_text():
    from flantune.evaluation.results import Results

    results = value_of(make_evaluation({"llama": 0.0, HOSTILE: 0.1}), Results, where="made")
    for plate in result_plates(results):
        for view in plate.views:
            for drawing in drawings(view.figure):
                root = ElementTree.fromstring(standalone(drawing))
                assert not list(root.iter(f"{SVG}script")) and not list(root.iter(f"{SVG}img"))


def test_the_command_writes_them_and_says_so(run_folder, tmp_path):
    result = CliRunner().invoke(cli, ["report", str(run_folder), "--figures", str(tmp_path / "f"), "--format", "svg"])
    assert result.exit_code == 0, result.output
    assert (tmp_path / "f/captions.md").is_file() and "figures as svg, and captions.md" in result.stdout


def test_formats_without_a_folder_are_refused(run_folder):
    result = CliRunner().invoke(cli, ["report", str(run_folder), "--format", "svg"])
    assert result.exit_code == 2 and "--figures" in result.stderr


@pytest.mark.skipif(CAN_CONVERT, reason="vl-convert-python is installed")
def test_without_the_converter_the_way_to_it_is_named(run_folder, tmp_path):
    plain = CliRunner().invoke(cli, ["report", str(run_folder), "--figures", str(tmp_path / "svg")])
    assert plain.exit_code == 0 and "pip install -e '.[figures]'" in plain.stderr
    assert {path.suffix for path in (tmp_path / "svg").iterdir()} == {".svg", ".md"}
    wanted = ["--figures", str(tmp_path / "f"), "--format", "pdf"]
    result = CliRunner().invoke(cli, ["report", str(run_folder), *wanted])
    assert result.exit_code != 0 and "pip install -e '.[figures]'" in str(result.exception)
    assert not (tmp_path / "f").exists(), "nothing is written before it is known that all can be"


@pytest.mark.skipif(not CAN_CONVERT, reason="vl-convert-python is not installed")
def test_pdf_and_png_are_made_of_the_same_figure(run_folder, tmp_path):
    found = [plate for plate in run_plates(read_run(run_folder)) if plate.name == "headline"]
    write_figures(found, tmp_path, Look(formats=("pdf", "png")))
    pdf, png = (tmp_path / "headline.pdf").read_bytes(), (tmp_path / "headline.png").read_bytes()
    assert pdf.startswith(b"%PDF") and b"/FontFile" in pdf, "fonts are embedded, as publishers ask"
    width = int.from_bytes(png[16:20], "big")
    assert png.startswith(b"\x89PNG") and width == 3 * 624


def test_what_was_written_is_told_as_json(make_run, tmp_path):
    folder = make_run()
    wanted = ["--figures", str(tmp_path / "drawn"), "--format", "svg", "--json"]
    told = json.loads(CliRunner().invoke(cli, ["report", str(folder), *wanted]).stdout)
    assert told["page"] == str(folder / "report.html")
    assert sorted(told["figures"]) == sorted(map(str, (tmp_path / "drawn").iterdir()))
