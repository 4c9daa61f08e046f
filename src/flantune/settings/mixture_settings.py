"""The settings that say how much of each task: caps, rates, and a tree of parts."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, model_validator

from flantune.settings.sections import Section
from flantune.settings.setting_types import Factor, Names, Natural, Switch, Text, Weight

CapKind = Literal["rows", "rate"]
RateKind = Literal["examples-proportional", "per-template", "equal"]
TemplateKind = Literal["all", "forward", "inverted"]
ProportionsName = Literal["", "flan2022_paper_a", "flan2022_paper_b", "flan2022_released"]

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*")


def _part_name(value: str) -> str:
    if not _NAME.fullmatch(value):
        raise ValueError("should be a name of letters, digits, _ and -")
    return value


def _agreeing(parts: Mapping[str, PartSettings]) -> Mapping[str, PartSettings]:
    """The parts, if all of them have a share or none has."""
    without = [name for name, part in parts.items() if part.share is None]
    if without and len(without) < len(parts):
        raise ValueError(f"should all have a share, or none; there is none in {', '.join(without)}")
    return parts


Parts = Annotated[dict[Annotated[str, AfterValidator(_part_name)], "PartSettings"], AfterValidator(_agreeing)]
Temperature = Annotated[Factor, Field(ge=0.1, le=1e6)]


class PartSettings(Section):
    """One part of the mixture: how much of it, which tasks, and how they are asked. What is left out is as above it."""

    share: Annotated[Factor, Field(le=1e6)] | None = None
    """Share of this part relative to its neighbors, which must all have a share or none; 2 to 1 means the same as 0.4
    to 0.2. Without shares, a part counts as much as its tasks together."""
    collections: Names = ()
    """Tasks of these collections: "flan2021", "natural_instructions" …"""
    clusters: Names = ()
    """Tasks of these clusters."""
    tasks: Names = ()
    """Tasks with these names, `*` for any letters. If none of the three is given: all tasks of the parent part."""
    max_examples: Natural | None = None
    """As in `[mixture]`, for the tasks of this part."""
    max_rate: Natural | None = None
    """As in `[mixture]`."""
    cap: CapKind | None = None
    """As in `[mixture]`."""
    rates: RateKind | None = None
    """As in `[mixture]`."""
    temperature: Temperature | None = None
    """As in `[mixture]`."""
    train_shots: Annotated[tuple[Natural, ...], Field(min_length=1)] | None = None
    """As in `[prompts]`: `[0]` makes a zero-shot part."""
    show_options: Switch | None = None
    """As in `[prompts]`."""
    options_layout: Literal["listed", "lettered", "varied"] | None = None
    """As in `[prompts]`."""
    shuffle_options: Switch | None = None
    """As in `[prompts]`."""
    exemplar_format: Literal["plain", "varied"] | None = None
    """As in `[prompts]`."""
    trigger: Text | None = None
    """As in `[prompts]`."""
    templates: TemplateKind | None = None
    """Which templates: all, those that ask the task itself ("forward"), or those that turn it around ("inverted").
    None: as `prompts.include_inverted` says. A task that has none of these is not in the part."""
    template_names: Names = ()
    """Only templates with these names, `*` for any letters. A task that has none of these is not in the part."""
    parts: Parts = Field(default_factory=dict)
    """Parts of this part, to any depth. Each task of this part must then be in at least one of them."""


class MixtureSettings(Section):
    """How much of each task."""

    max_examples: Natural = 30_000
    """At most this many training examples per task; 0 means no cap. Paper: FLAN 2021, section 2.4."""
    max_rate: Natural = 3_000
    """For examples-proportional mixing, the largest size a task counts as; 0 means no maximum."""
    cap: CapKind = "rows"
    """What `max_examples` caps: the "rows" that are ever drawn (FLAN 2021), or only the "rate" (Flan 2022), so that
    all rows of a large task are drawn, at the rate of a capped one."""
    rates: RateKind = "examples-proportional"
    """Shares in proportion to the number of examples (up to the maximum), to that of each template ("per-template": a
    task above the maximum has it once for all its templates; T0's rates at 500,000), or the same for every task."""
    temperature: Temperature = 1.0
    """Each task counts as its size to the power of 1/temperature: 1 is proportional, higher values even sizes out."""
    proportions: ProportionsName = ""
    """A tree of parts by name: "flan2022_paper_a" (of its ablations), "flan2022_paper_b" (of its final models) or
    "flan2022_released" (of its public code)."""
    only: Names = ()
    """Draw only from these parts, by dotted path: "cot", "flan2021.zero_shot". They keep their relative shares. Empty:
    all."""
    max_epochs: Weight = 0.0
    """Limit on how often a task's rows repeat in `planned_draws`: its share is cut, and the rest goes to the others
    of its part. 0 means no limit."""
    planned_draws: Natural = 0
    """Number of draws that `max_epochs` refers to."""
    parts: Parts = Field(default_factory=dict)
    """A tree of parts, `[mixture.parts.NAME]`, `[mixture.parts.NAME.parts.NAME]` …; see `docs/mixture.md`."""

    @model_validator(mode="after")
    def _agrees_with_itself(self) -> MixtureSettings:
        if self.parts and self.proportions:
            raise ValueError(
                f'proportions = "{self.proportions}" and parts cannot be used together: both are a tree of parts;'
                " remove one of them (`flantune mixture proportions NAME` prints a tree by name, to be changed)"
            )
        if self.only and not (self.parts or self.proportions):
            raise ValueError("only names parts, and there are none: add parts or proportions, or remove only")
        if bool(self.max_epochs) != bool(self.planned_draws):
            raise ValueError("max_epochs and planned_draws belong together: set both, or neither")
        return self
