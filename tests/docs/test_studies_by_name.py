"""The page on the papers' studies names every one that there is."""

from __future__ import annotations

import re
from pathlib import Path

from flantune.studies.catalog import STUDIES

PAGE = Path(__file__).parents[2] / "docs/studies-by-name.md"


def test_the_table_has_a_row_a_study_in_the_lists_order() -> None:
    rows = re.findall(r"^\| `([a-z-]+)` \|", PAGE.read_text(encoding="utf-8"), flags=re.MULTILINE)
    assert rows == list(STUDIES)
