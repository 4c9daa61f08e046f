from __future__ import annotations

import doctest
from pathlib import Path


def test_the_generation_page_tells_the_truth():
    page = Path(__file__).parents[2] / "docs" / "generation.md"
    result = doctest.testfile(str(page), module_relative=False)
    assert (result.failed, result.attempted >= 12) == (0, True)
