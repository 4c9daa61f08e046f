from __future__ import annotations

import doctest
from pathlib import Path


def test_the_pretraining_page_tells_the_truth():
    page = Path(__file__).parents[2] / "docs" / "pretraining.md"
    assert doctest.testfile(str(page), module_relative=False).failed == 0
