"""Each leaf of a mixture, a task in a part: its examples, quota, templates and random streams."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np

from flantune.errors import ConfigError, TaskError
from flantune.mixture.parts import Leaf, Size, forms_of, plan_leaves
from flantune.mixture.permutation import Int64, UInt64, permute
from flantune.mixture.proportions import parts_of
from flantune.mixture.rates import capped_size
from flantune.mixture.schedule import whole_weights
from flantune.prompts.styles import Style, usable_templates
from flantune.settings.mixture_settings import PartSettings
from flantune.system.keyed_random import stream_key
from flantune.tasks.every_reply import EveryReply
from flantune.tasks.naming import is_named, templates_named

if TYPE_CHECKING:
    from flantune.prompts.exemplars import Examples
    from flantune.settings.config import PromptSettings
    from flantune.settings.mixture_settings import MixtureSettings
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
    """One task in the mixture, or in one part of it.

    Attributes:
        place: Its index in the order the mixture was given.
        part: Dotted path of the part; empty without parts.
        store: Its train examples.
        examples: The number of examples in the split.
        capped: The number of them that are used.
        counts_as: Its size as far as it counts; the mixture's cycle is the sum of these.
        quota: Draws in one period of the schedule.
        share: Share of all draws.
        templates: The renderings drawn from.
        shots: Possible numbers of exemplars, one of which is drawn for each prompt.
        style: How the part asks.
        epoch_key, sample_key, template_key, shots_key, exemplar_key, options_key: Its random streams.
    """

    task: Task
    place: int
    part: str
    store: Examples
    examples: int
    capped: int
    counts_as: int
    quota: int
    share: float
    templates: tuple[Template, ...]
    shots: tuple[int, ...]
    style: Style
    epoch_key: int
    sample_key: int
    template_key: int
    shots_key: int
    exemplar_key: int
    options_key: int

    @property
    def used(self) -> Examples:
        """The examples within the cap. Exemplars come from them too, so that no row beyond the cap is ever shown."""
        return _capped(self.store, self.capped, key=self.sample_key)


@dataclass(frozen=True, slots=True, kw_only=True)
class CappedExamples:
    """The seeded sample of a store that a cap leaves: a view, without copies."""

    store: Examples
    capped: int
    key: int

    def __len__(self) -> int:
        return self.capped

    def __getitem__(self, index: int, /) -> Example:
        return self.store[permute(index, len(self.store), self.key)]


def capped_examples(store: Examples, *, task: str, seed: int, most: int) -> Examples:
    """The rows of a task that a run with this seed tunes on if ``mixture.max_examples`` is ``most``; 0: all."""
    return _capped(store, capped_size(len(store), max_examples=most), key=_sample_key(seed, task))


def _capped(store: Examples, capped: int, *, key: int) -> Examples:
    return store if capped == len(store) else CappedExamples(store=store, capped=capped, key=key)


def _sample_key(seed: int, task: str) -> int:
    """The key of the sample that a cap leaves, by task: the same in all parts of a mixture."""
    return stream_key(seed, task, "sample")


def lay_out(
    prepared: Sequence[Prepared], *, seed: int, settings: MixtureSettings, prompts: PromptSettings
) -> tuple[Portion, ...]:
    """The leaves with their quotas, sorted by part and task: the order in which tasks are listed does not matter.

    Raises:
        ConfigError: There is no task, two have the same name, or the parts do not fit the tasks.
        TaskError: A task has no training example or no template to train on.
    """
    _check_names([item.task.name for item in prepared])
    tasks, stores = [item.task for item in prepared], [_train_store(item) for item in prepared]
    parts = parts_of(settings)

    def size(place: int, _: tuple[str, ...], form: PartSettings) -> Size:
        templates = len(_templates(tasks[place], prompts=prompts, form=form))
        return Size(len(stores[place]) if templates else 0, templates)

    if not parts:
        _check_templates(tasks, prompts)
    leaves = plan_leaves(settings, parts, tasks, size=size)
    is_whole = is_plain(settings)
    quota = [leaf.quota for leaf in leaves] if is_whole else whole_weights([leaf.share for leaf in leaves])
    total = sum(quota)
    return tuple(
        _portion(leaf, tasks[leaf.place], stores[leaf.place], quota=own, share=own / total, seed=seed, prompts=prompts)
        for leaf, own in zip(leaves, quota, strict=True)
    )


def is_plain(settings: MixtureSettings) -> bool:
    """Whether rates are numbers of examples, so that complete cycles meet them exactly."""
    return not parts_of(settings) and settings.temperature == 1 and not settings.max_epochs


def _portion(
    leaf: Leaf, task: Task, store: Examples, *, quota: int, share: float, seed: int, prompts: PromptSettings
) -> Portion:
    # Keyed by part and name, independent of other leaves; a task's rows are the same sample in all its parts.
    names = (task.name, *leaf.path)
    return Portion(
        task=task,
        place=leaf.place,
        part=leaf.part,
        store=store,
        examples=leaf.examples,
        capped=leaf.rows,
        counts_as=leaf.quota,
        quota=quota,
        share=share,
        templates=_templates(task, prompts=prompts, form=leaf.form),
        shots=leaf.form.train_shots or prompts.train_shots or (0,),
        style=_style(prompts, leaf.form),
        epoch_key=stream_key(seed, *names, "epoch"),
        sample_key=_sample_key(seed, task.name),
        template_key=stream_key(seed, *names, "template"),
        shots_key=stream_key(seed, *names, "shots"),
        exemplar_key=stream_key(seed, *names, "exemplars"),
        options_key=stream_key(seed, *names, "options"),
    )


def training_styles(settings: MixtureSettings, prompts: PromptSettings) -> tuple[Style, ...]:
    """Every style of prompt in a mixture: the run file's own, and those of its parts."""
    forms = forms_of(PartSettings(parts=dict(parts_of(settings))))
    return tuple(dict.fromkeys(_style(prompts, form) for form in forms))


def _style(prompts: PromptSettings, form: PartSettings) -> Style:
    given = {name: getattr(form, name) for name in OWN_PROMPT_SETTINGS}
    return Style.from_settings(
        prompts.model_copy(update={name: value for name, value in given.items() if value is not None})
    )


OWN_PROMPT_SETTINGS = ("show_options", "options_layout", "shuffle_options", "exemplar_format", "trigger")
"""Settings of ``[prompts]`` that a part can override, besides the exemplars."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PortionArrays:
    """The numbers of all portions as arrays, one entry each, in mixing order."""

    place: Int64
    examples: Int64
    capped: Int64
    templates: Int64
    shots: Int64
    epoch_key: UInt64
    sample_key: UInt64
    template_key: UInt64
    shots_key: UInt64
    exemplar_key: UInt64
    shot_counts: Int64


def arrays_of(portions: Sequence[Portion]) -> PortionArrays:
    """The portions as arrays, for drawing many at once; ``shots`` counts the entries of a row of ``shot_counts``."""

    def counts(name: str) -> Int64:
        return np.array([getattr(portion, name) for portion in portions], dtype=np.int64)

    def keys(name: str) -> UInt64:
        return np.array([getattr(portion, name) for portion in portions], dtype=np.uint64)

    def lengths(name: str) -> Int64:
        return np.array([len(getattr(portion, name)) for portion in portions], dtype=np.int64)

    shots = lengths("shots")
    widest = int(shots.max())
    return PortionArrays(
        place=counts("place"),
        examples=counts("examples"),
        capped=counts("capped"),
        templates=lengths("templates"),
        shots=shots,
        epoch_key=keys("epoch_key"),
        sample_key=keys("sample_key"),
        template_key=keys("template_key"),
        shots_key=keys("shots_key"),
        exemplar_key=keys("exemplar_key"),
        shot_counts=np.array([[*one.shots, *[0] * (widest - len(one.shots))] for one in portions], dtype=np.int64),
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


def _check_templates(tasks: Sequence[Task], prompts: PromptSettings) -> None:
    for task in tasks:
        if not _templates(task, prompts=prompts, form=PartSettings()):
            raise TaskError(
                "the task has no template to train on",
                where=task.name,
                hint="add a template that is not inverted, or set prompts.include_inverted = true",
            )


def _templates(task: Task, *, prompts: PromptSettings, form: PartSettings) -> tuple[Template, ...]:
    style = _style(prompts, form)
    kinds = form.templates or ("all" if prompts.include_inverted else "forward")
    found = usable_templates(task, style=style, include_inverted=kinds != "forward", max_templates=0)
    found = templates_named(found, prompts.template_names)
    if kinds == "inverted":
        found = tuple(template for template in found if template.is_inverted)
    if form.template_names:
        found = tuple(one for one in found if is_named(one.name, form.template_names))
    return found[: prompts.max_templates] if prompts.max_templates else found
