from __future__ import annotations

import dataclasses
import re
from pathlib import Path

from flantune.packing.packs import Counts
from flantune.training.state import Step, Window
from flantune.training.values import TaskLoss

PAGE = (Path(__file__).parents[2] / "docs/training.md").read_text(encoding="utf-8")


def test_code_on_the_page_runs():
    blocks = re.findall(r"```python\n(.*?)```", PAGE, flags=re.DOTALL)
    assert blocks
    for block in blocks:
        exec(compile(block, "docs/training.md", "exec"), {})


def test_the_page_lists_every_field_of_a_metrics_line():
    step = Step(
        cursor=1,
        loss=1.0,
        tasks={"t": TaskLoss(nll=1.0, target_tokens=1)},
        learning_rate=1.0,
        grad_norm=1.0,
        counts=Counts(positions=1),
        seconds=1.0,
        data_wait_seconds=0.0,
    )
    fields = Window().after(step).line(step=1, cursor=1, seconds=1.0)
    listed = re.findall(r"`(\w+)`", PAGE.split("| field of a metrics line")[1].replace("`training", ""))
    assert {one.name for one in dataclasses.fields(fields)} == {*listed, "clusters", "measured"}
