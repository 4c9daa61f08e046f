"""The findings for a terminal."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from flantune.contamination.findings import Contamination, FoldFinding, Settings, TaskFinding, TrainingOverlap
from flantune.contamination.table import contamination_table

LONG = "inference_about_the_matter_of_things"


def finding(name: str) -> TaskFinding:
    return TaskFinding(
        task=name, rows=12_000, too_short=3, overlapping=12, duplicates=4, common_only=0, dirty=(1, 2, 3),
        fields={"premise": 12, "hypothesis": 4}, training=(TrainingOverlap(task=LONG, overlapping=4, duplicates=2),),
        examples=(),
    )  # fmt: skip


@pytest.mark.parametrize("width", [80, 132])
def test_no_name_and_no_number_is_cut_on_a_narrow_terminal(width):
    fold = FoldFinding(held_out=("nli",), tasks=(finding("rte"), finding(LONG)), train=(), common_grams=0)
    console = Console(width=width, record=True, file=io.StringIO())
    console.print(contamination_table(Contamination(name="x", settings=Settings(), folds=(fold,))))
    text = console.export_text()
    assert "…" not in text and max(map(len, text.splitlines())) <= width
    together = "".join(text.split())
    assert LONG in together and "premise12,hypothesis4" in together and text.count("12,000") == 2
    assert f"testrowsbytrainingtask:{LONG}4" in together
