"""Hand-written look-alike rows and tasks."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from tests.no_source import NoSource

from flantune.types import Example, Task, Template

PAIRS = (
    ("The river froze over night.", "It was cold."),
    ("A baker opened her shop at four.", "The shop never opened."),
    ("Nobody came to the concert.", "The hall was full."),
    ("The train left on time.", "The train left."),
    ("Two cats slept on the roof.", "Animals were on the roof."),
    ("He sold his bicycle.", "He still owns the bicycle."),
    ("The soup is made of beans.", "The soup has beans in it."),
    ("She read the letter twice.", "She tore the letter up."),
)


def a_task(*templates: Template) -> Task:
    """A classification task with these templates and nothing else."""
    return Task(
        name="t", clusters=("c",), source_family="t", kind="classification", source=NoSource(),
        adapter=None, splits={}, templates=templates, metrics=("accuracy",),
    )  # fmt: skip


@pytest.fixture
def examples() -> tuple[Example, ...]:
    return tuple(
        Example(
            row=row,
            fields={"premise": premise, "hypothesis": hypothesis},
            options=("yes", "no"),
            answer=row % 2,
            references=(("yes", "no")[row % 2],),
        )
        for row, (premise, hypothesis) in enumerate(PAIRS)
    )


@pytest.fixture
def make_task() -> Callable[..., Task]:
    def make(*templates: Template, name: str = "pairs", kind: str = "classification") -> Task:
        return Task(
            name=name,
            clusters=("inference",),
            source_family=name,
            kind=kind,
            source=NoSource(),
            adapter=None,
            splits={"train": "train", "test": "test"},
            templates=templates
            or (
                Template(name="so", inputs="{premise}\nSo is it true that: {hypothesis}\n\n{options}"),
                Template(name="claim", inputs='Claim: "{hypothesis}"\nText: {premise}\nDoes the text support it?'),
                Template(
                    name="write",
                    inputs="Text: {premise}\nWrite a sentence for which the answer is {answer}.",
                    targets="{hypothesis}",
                    is_inverted=True,
                ),
            ),
            metrics=("accuracy",),
        )

    return make
