"""The documentation as a site: every page is in it once, and every link leads somewhere."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import yaml

ROOT = Path(__file__).parents[2]


def pages_of(nav: object) -> Iterator[str]:
    if isinstance(nav, str):
        yield nav
    for inner in nav.values() if isinstance(nav, dict) else nav if isinstance(nav, list) else ():
        yield from pages_of(inner)


def test_every_page_is_in_the_menu_once():
    settings = yaml.safe_load((ROOT / "mkdocs.yml").read_text(encoding="utf-8"))
    there = [path.relative_to(ROOT / "docs").as_posix() for path in (ROOT / "docs").rglob("*.md")]
    assert sorted(pages_of(settings["nav"])) == sorted(there)


def test_the_site_builds_and_no_link_is_broken(tmp_path):
    program = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(tmp_path / "site")]
    built = subprocess.run(program, cwd=ROOT, capture_output=True, text=True, check=False)
    assert built.returncode == 0, built.stderr
    assert "held out" in (tmp_path / "site/mixture/index.html").read_text(encoding="utf-8")
    assert (tmp_path / "site/search/search_index.json").stat().st_size > 100_000
