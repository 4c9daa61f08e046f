"""The page in a real browser: does its script run, does hostile text stay text, does it look like something."""

from __future__ import annotations

import html
import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from tests.conftest import HUNG_AFTER_S

from flantune.report.page import write_report

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed, so no page can be looked at")


def look(page: Path, profile: Path, *arguments: str, fragment: str = "") -> subprocess.CompletedProcess[str]:
    command = [
        CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
        "--disable-dev-shm-usage", "--disable-background-networking", "--disable-component-update", "--disable-sync",
        "--hide-scrollbars", "--enable-logging=stderr", "--virtual-time-budget=4000", f"--user-data-dir={profile}",
        *arguments,
        f"{page.as_uri()}{fragment}",
    ]  # fmt: skip
    return subprocess.run(command, capture_output=True, text=True, timeout=HUNG_AFTER_S, check=True)


@pytest.fixture(scope="module")
def seen(hostile_folder, tmp_path_factory) -> subprocess.CompletedProcess[str]:
    return look(write_report(hostile_folder), tmp_path_factory.mktemp("profile"), "--dump-dom")


def test_sample_browser_shows_a_sample(seen):
    sample = re.search(r'<article id="b-sample".*?</article>', seen.stdout, re.DOTALL).group(0)
    assert 'class="text"' in sample
    assert re.search(r'id="b-place"[^>]*>1 of \d+<', seen.stdout)
    assert sample.count('class="score base') >= 2
    assert sample.count("gold-mark") == 1
    assert '<div id="browser" class="browser">' in seen.stdout, "it is no longer hidden"


def test_trap_14_hostile_text_does_nothing_in_a_browser(seen):
    dom = seen.stdout
    assert "<img" not in re.sub(r"<script.*?</script>", "", dom, flags=re.DOTALL)
    assert re.search(r"<title>[^<]*</title>", dom).group(0) != "<title>owned</title>"
    title = html.unescape(re.search(r"<title>([^<]*)</title>", dom).group(1))
    assert title.endswith("flantune report")
    shown = html.unescape(re.search(r'<pre class="text"[^>]*>(.*?)</pre>', dom, re.DOTALL).group(1))
    assert "</script><img src=x onerror=alert(1)>" in shown
    assert "{{7*7}}" in shown


def test_console_stays_silent(seen):
    assert [line for line in seen.stderr.splitlines() if "CONSOLE" in line] == []


@pytest.mark.parametrize(("size", "fragment"), [("1280,1400", ""), ("390,1400", "#dark")])
def test_screenshot(run_folder, tmp_path, size, fragment):
    page = tmp_path / "report.html"
    page.write_bytes(write_report(run_folder).read_bytes())
    picture = tmp_path / "report.png"
    look(page, tmp_path / "profile", f"--window-size={size}", f"--screenshot={picture}", fragment=fragment)
    assert picture.stat().st_size > 40_000


def test_on_a_narrow_screen_what_a_row_is_stays_in_sight(run_folder, tmp_path):
    text = write_report(run_folder).read_text(encoding="utf-8")
    asks = """<script>
      const box = document.querySelector("#table-tasks .scroll"), table = box.querySelector("table");
      box.scrollLeft = 150;
      box.dispatchEvent(new Event("scroll"));
      const left = (cell) => Math.round(cell.getBoundingClientRect().left - box.getBoundingClientRect().left);
      const said = {
        scrolls: box.scrollWidth > box.clientWidth, heading: left(table.tHead.rows[0].cells[0]),
        name: left(table.tBodies[0].rows[0].cells[0]), number: left(table.tBodies[0].rows[0].cells[1]),
        marked: box.classList.contains("moved"), page: document.documentElement.scrollWidth <= innerWidth,
        shade: getComputedStyle(box).backgroundImage.includes("gradient"),
      };
      document.documentElement.dataset.said = JSON.stringify(said);
    </script></body>"""
    page = tmp_path / "page.html"
    open_to_questions = re.sub(r"<meta http-equiv[^>]*>", "", text).replace("</body>", asks)
    page.write_text(open_to_questions, encoding="utf-8")
    dom = look(page, tmp_path / "profile", "--window-size=420,900", "--dump-dom").stdout
    said = json.loads(html.unescape(re.search(r'data-said="([^"]*)"', dom)[1]))
    assert said["scrolls"] and said["page"], "the table scrolls, the page does not"
    assert said["heading"] == said["name"] == 0 > said["number"] - 150
    assert said["marked"] and said["shade"]
