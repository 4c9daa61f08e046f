"""Tasks with hand-written or counted examples."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import pytest
from tests.no_source import NoSource

from flantune.types import Example, Task, Template


@dataclass(frozen=True, slots=True)
class Counted:
    """A store of any size that holds nothing: an example is made from its number."""

    size: int

    def __len__(self) -> int:
        return self.size

    def __getitem__(self, index: int, /) -> Example:
        if not 0 <= index < self.size:
            raise IndexError(index)
        gold = index % 2
        return Example(
            row=index,
            fields={"text": f"text number {index}"},
            options=("even", "odd"),
            answer=gold,
            references=(("even", "odd")[gold],),
        )


@dataclass(frozen=True, slots=True)
class Ready:
    """What a mixture needs of a prepared task."""

    task: Task
    stores: Mapping[str, object]


def make_task(
    name: str,
    *,
    clusters: Sequence[str] = ("counting",),
    family: str | None = None,
    templates: int = 3,
    inverted: int = 1,
    splits: Sequence[str] = ("train", "test"),
) -> Task:
    forward = [Template(name=f"t{n}", inputs=f"Way {n}: {{text}}\n\n{{options}}") for n in range(templates)]
    turned = [
        Template(name=f"i{n}", inputs=f"Way {n}: write something {{answer}}.", targets="{text}", is_inverted=True)
        for n in range(inverted)
    ]
    return Task(
        name=name,
        clusters=tuple(clusters),
        source_family=name if family is None else family,
        kind="classification",
        source=NoSource(),
        adapter=None,
        splits={role: role for role in splits},
        templates=(*forward, *turned),
        metrics=("accuracy",),
    )


@pytest.fixture(name="make_task")
def make_task_fixture() -> Callable[..., Task]:
    return make_task


@pytest.fixture
def ready() -> Callable[..., Ready]:
    def make(name: str, size: int, **more: object) -> Ready:
        return Ready(make_task(name, **more), {"train": Counted(size)})

    return make
