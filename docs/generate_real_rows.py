"""Writes docs/real-rows.md: what becomes of every real row at hand. Run `python docs/generate_real_rows.py MIRROR`."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from flantune.commands.plan import make_mixture, prepare_tasks, split_fold
from flantune.mixture.holdout import folds_of
from flantune.mixture.tree import mixture_tree
from flantune.prompts.render import render
from flantune.settings.config import DataSettings, HoldoutSettings, RunConfig
from flantune.tasks.example_store import PreparedTask

_HEAD = """# Every real row

Made by `docs/generate_real_rows.py` from a folder that mirrors part of the hub; a test makes it again where that folder
is there.

## Rows in, examples out

*dropped*: left out on purpose by the adapter (unlabeled, say). *bad*: could not become an example; the page is only
written when there is none. *prompts*: every kept row rendered in every one of the task's templates, without an error
and without an empty side.

| task | role | slice | rows | adapted | dropped | bad | prompts |
|---|---|---|---|---|---|---|---|
"""
_MIXTURE = """
## The mixture, against the formula

`collection = "flan2021"`, natural language inference held out, cap 30,000, maximum rate K = 3,000. *formula* is
`min(e, K) / Σ min(e, K)` worked out here from the numbers of examples; *rate* is what the mixture says of itself, and
*drawn* what one cycle of {cycle:,} draws held.

| task | examples e | min(e, cap, K) | formula | rate | drawn |
|---|---|---|---|---|---|
"""


def page(mirror: Path, cache: Path) -> str:
    """The page's text."""
    rows = [_HEAD.rstrip("\n")]
    for name in ("flan2021", "more"):
        config = _config(mirror, name)
        prepared, _ = prepare_tasks(config, root=Path(), cache=cache)
        rows += [line for one in prepared for line in _lines(one)]
        if name == "flan2021":
            mixture_lines = list(_mixture(config, prepared))
    return "\n".join([*rows, *mixture_lines]) + "\n"


def _config(mirror: Path, collection: str) -> RunConfig:
    data = DataSettings(collection=(collection,), mirror=mirror, missing="skip")
    folds = (("natural language inference",),) if collection == "flan2021" else ()
    return RunConfig(data=data, holdout=HoldoutSettings(folds=folds))


def _lines(prepared: PreparedTask) -> Iterator[str]:
    task = prepared.task
    for role, report in prepared.reports.items():
        bad = sum(report.bad.values())
        if bad:
            raise SystemExit(f"{task.name} {role}: {dict(report.bad)}")
        prompts = 0
        for example in prepared.stores[role]:
            for template in task.templates:
                prompt = render(task, example, template, split=role)
                prompts += bool(prompt.inputs.strip() and prompt.targets.strip())
        if prompts != report.kept * len(task.templates):
            raise SystemExit(f"{task.name} {role}: {report.kept * len(task.templates) - prompts} empty prompts")
        numbers = " | ".join(f"{n:,}" for n in (report.raw_rows, report.kept, report.dropped, bad, prompts))
        yield f"| {task.name} | {role} | `{task.splits[role]}` | {numbers} |"


def _mixture(config: RunConfig, prepared: Sequence[PreparedTask]) -> Iterator[str]:
    split = split_fold(config, [one.task for one in prepared], folds_of(config.holdout)[0])
    mixture = make_mixture(config, prepared, split)
    counted = dict.fromkeys(mixture.task_names, 0)
    for prompt in mixture.block(0, mixture.cycle):
        counted[prompt.task] += 1
    sizes = {one.task.name: len(one.stores["train"]) for one in prepared if one.task.name in counted}
    kept = {name: min(size, config.mixture.max_examples, config.mixture.max_rate) for name, size in sizes.items()}
    rates = {task.name: task.rate for cluster in mixture_tree(mixture).clusters for task in cluster.tasks}
    yield _MIXTURE.format(cycle=mixture.cycle).rstrip("\n")
    for name, size in sizes.items():
        formula = kept[name] / sum(kept.values())
        if abs(formula - rates[name]) > 1e-12 or counted[name] != kept[name]:
            raise SystemExit(f"{name}: formula {formula}, rate {rates[name]}, drawn {counted[name]}")
        yield f"| {name} | {size:,} | {kept[name]:,} | {formula:.4f} | {rates[name]:.4f} | {counted[name]:,} |"


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        text = page(Path(sys.argv[1]).resolve(), Path(folder))
    Path(__file__).with_name("real-rows.md").write_text(text, encoding="utf-8")
