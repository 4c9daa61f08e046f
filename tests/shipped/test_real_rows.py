"""The shipped tasks on real rows: every row of every split at hand becomes an example."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from flantune.errors import SourceError
from flantune.prompts.lint import lint_task
from flantune.prompts.render import render
from flantune.tasks.rows import BadRow, check_example
from flantune.tasks.sources.slices import parse_slice
from flantune.tasks.taskfile import load_task_file
from flantune.types import Example, Task

MIRROR = Path(__file__).parents[2] / "../shared/data/hub"
FILES = {path.stem: path for path in sorted((Path(__file__).parents[2] / "src/flantune/shipped").glob("*/*.toml"))}


def has_data(path: Path) -> bool:
    source = load_task_file(path, mirror=MIRROR).source
    return (MIRROR / source.id / (source.config or "default")).is_dir()


NAMES = [name for name, path in FILES.items() if MIRROR.is_dir() and has_data(path)]
pytestmark = pytest.mark.skipif(not NAMES, reason="no real data here")


def adapt(task: Task, split: str) -> tuple[list[Example], Counter[str]]:
    kept, bad = [], Counter[str]()
    for row in task.source.rows(split):
        try:
            example = task.adapter(row)
            if example is None:
                bad["dropped"] += 1
                continue
            check_example(example, task.kind)
        except BadRow as error:
            bad[error.reason] += 1
            continue
        kept.append(example)
    return kept, bad


def splits_at_hand(task: Task) -> list[str]:
    found = []
    for split in dict.fromkeys(parse_slice(text).source_split for text in task.splits.values()):
        try:
            next(iter(task.source.rows(split)))
        except SourceError:
            continue
        found.append(split)
    return found


Adapted = tuple[Task, dict[str, tuple[list[Example], Counter[str]]]]


@pytest.fixture(scope="module", params=NAMES)
def adapted(request: pytest.FixtureRequest) -> Adapted:
    """A task, and what its adapter makes of each split's rows."""
    task = load_task_file(FILES[request.param], mirror=MIRROR)
    return task, {split: adapt(task, split) for split in splits_at_hand(task)}


def test_every_real_row_adapts(adapted: Adapted) -> None:
    task, splits = adapted
    assert splits
    for split, (kept, bad) in splits.items():
        assert kept
        assert bad == Counter(), f"{task.name} {split}"


def test_real_prompts_are_clean(adapted: Adapted) -> None:
    task, splits = adapted
    kept, _ = next(iter(splits.values()))
    some = kept[:: max(1, len(kept) // 50)]
    assert lint_task(task, some) == ()
    for number, example in enumerate(some):
        prompt = render(task, example, task.templates[number % len(task.templates)], split="train")
        assert prompt.inputs == prompt.inputs.strip()
        assert prompt.targets == prompt.targets.strip() != ""
