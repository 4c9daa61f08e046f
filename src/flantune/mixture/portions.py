"""Each task's place in a mixture: its examples, quota, templates and random streams."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np

from flantune.errors import ConfigError, TaskError
from flantune.mixture.permutation import Int64, UInt64, permute
from flantune.mixture.rates import capped_size, quotas
from flantune.prompts.styles import Style, usable_templates
from flantune.system.keyed_random import stream_key
from flantune.tasks.every_reply import EveryReply

if TYPE_CHECKING:
    from flantune.prompts.exemplars import Examples
    from flantune.settings.config import MixtureSettings, PromptSettings
    from flantune.types import Example, SplitRole, Task, Template


class Prepared(Protocol):
    """A task with its examples; ``flantune.tasks.example_store.PreparedTask`` is one."""

    @property
    def task(self) -> Task:
        """The task."""

    @property
    def stores(self) -> Mapping[SplitRole, Examples]:
        """Its examples by split."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Portion:
    """One task's place in the mixture.

    Attributes:
        place: Its index in the order the mixture was given.
        store: Its train examples.
        examples: How many the split has.
        capped: How many of them are used.
        quota: Draws in one cycle.
        templates: The renderings drawn from.
        epoch_key, sample_key, template_key, shots_key, exemplar_key, options_key: Its random streams.
    """

    task: Task
    place: int
    store: Examples
    examples: int
    capped: int
    quota: int
    templates: tuple[Template, ...]
    epoch_key: int
    sample_key: int
    template_key: int
    shots_key: int
    exemplar_key: int
    options_key: int

    @property
    def used(self) -> Examples:
        """The examples within the cap. Exemplars come from them too, so that no row beyond the cap is ever shown."""
        if self.capped == self.examples:
            return self.store
        return CappedExamples(store=self.store, capped=self.capped, key=self.sample_key)


@dataclass(frozen=True, slots=True, kw_only=True)
class CappedExamples:
    """The seeded sample that a cap leaves of a store, by number: a view, nothing is copied."""

    store: Examples
    capped: int
    key: int

    def __len__(self) -> int:
        return self.capped

    def __getitem__(self, index: int, /) -> Example:
        return self.store[permute(index, len(self.store), self.key)]


def lay_out(
    prepared: Sequence[Prepared], *, seed: int, settings: MixtureSettings, prompts: PromptSettings, style: Style
) -> tuple[Portion, ...]:
    """The tasks with their quotas, by name: the order in which tasks are listed changes nothing.

    Raises:
        ConfigError: There is no task, or two have the same name.
        TaskError: A task has no training example or no template to train on.
    """
    _check_names([item.task.name for item in prepared])
    order = sorted(range(len(prepared)), key=lambda place: prepared[place].task.name)
    stores = [_train_store(prepared[place]) for place in order]
    sizes = [len(store) for store in stores]
    capped = [capped_size(size, max_examples=settings.max_examples) for size in sizes]
    quota = quotas(capped, max_rate=settings.max_rate, rates=settings.rates)
    portions = []
    for number, place in enumerate(order):
        task = prepared[place].task
        portions.append(
            Portion(
                task=task,
                place=place,
                store=stores[number],
                examples=sizes[number],
                capped=capped[number],
                quota=quota[number],
                templates=_train_templates(task, prompts=prompts, style=style),
                epoch_key=stream_key(seed, task.name, "epoch"),
                sample_key=stream_key(seed, task.name, "sample"),
                template_key=stream_key(seed, task.name, "template"),
                shots_key=stream_key(seed, task.name, "shots"),
                exemplar_key=stream_key(seed, task.name, "exemplars"),
                options_key=stream_key(seed, task.name, "options"),
            )
        )
    return tuple(portions)


@dataclass(frozen=True, slots=True, kw_only=True)
class PortionArrays:
    """The numbers of all portions as arrays, one entry per task in mixing order.

    Attributes:
        number: Index in the order given → index in mixing order.
        end: Running sum of the quotas.
        templates: How many each has.
    """

    number: Int64
    end: Int64
    place: Int64
    examples: Int64
    capped: Int64
    quota: Int64
    templates: Int64
    epoch_key: UInt64
    sample_key: UInt64
    template_key: UInt64
    shots_key: UInt64
    exemplar_key: UInt64


def arrays_of(portions: Sequence[Portion]) -> PortionArrays:
    """The portions as arrays, for drawing many at once."""

    def counts(name: str) -> Int64:
        return np.array([getattr(portion, name) for portion in portions], dtype=np.int64)

    def keys(name: str) -> UInt64:
        return np.array([getattr(portion, name) for portion in portions], dtype=np.uint64)

    return PortionArrays(
        number=np.argsort(counts("place")).astype(np.int64),
        end=np.cumsum(counts("quota"), dtype=np.int64),
        place=counts("place"),
        examples=counts("examples"),
        capped=counts("capped"),
        quota=counts("quota"),
        templates=np.array([len(portion.templates) for portion in portions], dtype=np.int64),
        epoch_key=keys("epoch_key"),
        sample_key=keys("sample_key"),
        template_key=keys("template_key"),
        shots_key=keys("shots_key"),
        exemplar_key=keys("exemplar_key"),
    )


def _check_names(names: Sequence[str]) -> None:
    if not names:
        raise ConfigError("the mixture has no task", where="data.tasks", hint="name task files or a collection")
    twice = sorted(name for name, count in Counter(names).items() if count > 1)
    if twice:
        raise ConfigError(
            f"two tasks have the same name: {', '.join(twice)}",
            where="data.tasks",
            hint="random streams are keyed by task name: give each its own",
        )


def _train_store(prepared: Prepared) -> Examples:
    store = prepared.stores.get("train")
    if store is None or not len(store):
        raise TaskError(
            "the task has no training examples",
            where=prepared.task.name,
            hint="give it a train split, or take it out with data.exclude",
        )
    return EveryReply(store) if prepared.task.every_reply else store


def _train_templates(task: Task, *, prompts: PromptSettings, style: Style) -> tuple[Template, ...]:
    templates = usable_templates(
        task, style=style, include_inverted=prompts.include_inverted, max_templates=prompts.max_templates
    )
    if not templates:
        raise TaskError(
            "the task has no template to train on",
            where=task.name,
            hint="add a template that is not inverted, or set prompts.include_inverted = true",
        )
    return templates
