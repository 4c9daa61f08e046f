"""The endless stream of training prompts: prompt ``i`` is a pure function of the seed and ``i``.

A schedule assigns each draw to a leaf of the mixture (a task in a part), and numbers the visits to each leaf. What a
visit shows (row, template, exemplars, order of options) depends only on that number and the names of task and part.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from flantune.errors import NotAskedError, TemplateError
from flantune.mixture.permutation import Int64, UInt64, mix64_array, permute, permute_array
from flantune.mixture.portions import arrays_of, is_plain, lay_out
from flantune.mixture.schedule import Cycles, EvenSpread, Schedule
from flantune.prompts.exemplars import draw_exemplars
from flantune.prompts.layout import Layout
from flantune.prompts.render import render
from flantune.prompts.shots import with_exemplars
from flantune.settings.mixture_settings import MixtureSettings
from flantune.settings.prompt_settings import PromptSettings
from flantune.system.keyed_random import mix64

if TYPE_CHECKING:
    from flantune.mixture.portions import Prepared
    from flantune.types import Prompt

_FORMAT = 1
"""With the exemplars' key, this number draws their format."""


MOST_ATTEMPTS = 5_000
"""Examples tried for a template that accepts few; one that accepts one in 500 finds none once in 22,000 draws."""
NEVER_ASKS_HINT = "leave the template out; its own conditions want other rows"


@dataclass(frozen=True, slots=True, kw_only=True)
class Draw:
    """What one index of the mixture stands for.

    Attributes:
        index: Number of the draw.
        task: Index of the task, in the order the mixture was given.
        portion: Index into ``Mixture.portions``: the task in one part of the mixture.
        visit: Number of draws of this portion with lower visit numbers; it determines everything below.
        epoch: How many times all (capped) examples of the task were visited before.
        example: Index into the task's train store.
        template: Index into the portion's templates.
        shots: Number of exemplars requested; the prompt has fewer if the split or the token budget is too small.
        key: Seeds the exemplars.
    """

    index: int
    task: int
    portion: int
    visit: int
    epoch: int
    example: int
    template: int
    shots: int
    key: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Draws:
    """A block of draws as arrays of shape [n]; the fields are those of ``Draw``."""

    index: Int64
    task: Int64
    portion: Int64
    visit: Int64
    epoch: Int64
    example: Int64
    template: Int64
    shots: Int64
    key: UInt64

    def __len__(self) -> int:
        return len(self.index)

    def __getitem__(self, place: int) -> Draw:
        return Draw(**{name: int(getattr(self, name)[place]) for name in Draw.__slots__})

    def __iter__(self) -> Iterator[Draw]:
        return (self[place] for place in range(len(self)))


class Mixture:
    """``mixture[i]`` is the i-th training prompt, always the same one.

    Nothing about the stream is stored, so start-up time does not grow with the number of rows, any process can produce
    any part, and one integer is enough to resume it. Adding or reordering tasks does not change the other tasks'
    visits.

    Attributes:
        portions: The leaves in mixing order, by part and name.
        cycle: Draws of one pass: the sum of all sizes as far as they count. Without parts, each cycle has exactly
            these.
        task_names: Names in the order given; ``Draw.task`` is an index into it.
    """

    def __init__(
        self,
        prepared: Sequence[Prepared],
        *,
        seed: int,
        settings: MixtureSettings | None = None,
        prompts: PromptSettings | None = None,
    ) -> None:
        """Plans the tasks without reading any example.

        Args:
            prepared: The tasks to train on, each with a ``train`` store.
            seed: The seed of all randomness.
            settings: Caps and rates; None: the paper's.
            prompts: Style, templates and shots; None: the paper's.

        Raises:
            ConfigError: There is no task, or two have the same name.
            TaskError: A task has no training example or no template to train on.

        Paper: FLAN 2021, section 2.4: at most 30,000 examples a task, examples-proportional mixing with maximum 3,000.
        """
        settings, prompts = settings or MixtureSettings(), prompts or PromptSettings()
        self.layout = Layout.from_settings(prompts)
        self.seed = seed
        self.task_names = tuple(item.task.name for item in prepared)
        self.portions = lay_out(prepared, seed=seed, settings=settings, prompts=prompts)
        self.cycle = sum(portion.counts_as for portion in self.portions)
        quotas = [portion.quota for portion in self.portions]
        self._schedule: Schedule = (Cycles if is_plain(settings) else EvenSpread)(quotas, seed=seed)
        self._columns = arrays_of(self.portions)

    def draw(self, index: int) -> Draw:
        """The draw with number ``index``, in time that grows with the logarithm of the number of tasks.

        Raises:
            IndexError: ``index`` is negative: the stream has a beginning and no end.
        """
        if index < 0:
            raise IndexError(f"draw {index} does not exist: draws are numbered from 0")
        number, visit = self._schedule.visit(index)
        portion = self.portions[number]
        epoch, step = divmod(visit, portion.capped)
        example = permute(step, portion.capped, mix64(portion.epoch_key, epoch))
        if portion.capped < portion.examples:
            example = permute(example, portion.examples, portion.sample_key)
        return Draw(
            index=index,
            task=portion.place,
            portion=number,
            visit=visit,
            epoch=epoch,
            example=example,
            template=mix64(portion.template_key, visit) % len(portion.templates),
            shots=portion.shots[mix64(portion.shots_key, visit) % len(portion.shots)],
            key=mix64(portion.exemplar_key, visit),
        )

    def draws(self, start: int, stop: int) -> Draws:
        """``draw`` for ``start`` up to ``stop`` at once, as arrays; many times faster for whole blocks.

        Raises:
            IndexError: ``start`` is negative.
        """
        if start < 0:
            raise IndexError(f"draw {start} does not exist: draws are numbered from 0")
        column = self._columns
        index = np.arange(start, max(start, stop), dtype=np.int64)
        number, visit = self._schedule.visits(index)
        capped, examples = column.capped[number], column.examples[number]
        epoch, step = np.divmod(visit, capped)
        example = permute_array(step, capped, mix64_array(column.epoch_key[number], epoch))
        cut = np.flatnonzero(capped < examples)
        example[cut] = permute_array(example[cut], examples[cut], column.sample_key[number[cut]])
        shots = mix64_array(column.shots_key[number], visit) % column.shots[number].astype(np.uint64)
        template = mix64_array(column.template_key[number], visit) % column.templates[number].astype(np.uint64)
        return Draws(
            index=index,
            task=column.place[number],
            portion=number,
            visit=visit,
            epoch=epoch,
            example=example,
            template=template.astype(np.int64),
            shots=column.shot_counts[number, shots.astype(np.int64)],
            key=mix64_array(column.exemplar_key[number], visit),
        )

    def prompt(self, draw: Draw) -> Prompt:
        """The prompt of a draw; if the template does not accept the example, another example is used.

        Raises:
            TemplateError: The template cannot be rendered with the example, or accepts none that was tried.
        """
        portion = self.portions[draw.portion]
        template, options_key = portion.templates[draw.template], mix64(portion.options_key, draw.visit)
        example = portion.store[draw.example]
        for attempt in range(MOST_ATTEMPTS):
            try:
                prompt = render(
                    portion.task, example, template, split="train", style=portion.style, options_key=options_key
                )
                break
            except NotAskedError:
                # So a template keeps its share of the draws, and all examples that it accepts are equally likely.
                example = portion.used[mix64(portion.sample_key, draw.visit, attempt) % portion.capped]
        else:
            message = f"the template asks none of {MOST_ATTEMPTS:,} examples that were tried"
            raise TemplateError(message, where=f"{portion.task.name}/{template.name}", hint=NEVER_ASKS_HINT)
        if prompt.frame is not None:
            return prompt
        exemplars = draw_exemplars(
            portion.task,
            portion.used,
            query=example,
            split="train",
            template=template,
            shots=draw.shots,
            key=draw.key,
            style=portion.style,
            options_key=options_key,
        )
        return with_exemplars(prompt, exemplars, style=portion.style, key=mix64(draw.key, _FORMAT))

    def block(self, start: int, stop: int) -> list[Prompt]:
        """``[mixture[i] for i in range(start, stop)]``, faster.

        Raises:
            TemplateError: A template cannot be rendered with an example.
        """
        return [self.prompt(draw) for draw in self.draws(start, stop)]

    def __getitem__(self, index: int) -> Prompt:
        return self.prompt(self.draw(index))
