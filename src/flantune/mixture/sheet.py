"""An overview of a mixture before training: its tree, licences, and warnings."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from flantune.mixture.parts import part_paths
from flantune.mixture.proportions import parts_of
from flantune.mixture.tree import MixedTask, MixtureTree, mixture_tree
from flantune.prompts.compiled import slots_of
from flantune.settings.plain_words import first_names
from flantune.tasks.licences import licence_use
from flantune.tasks.same_data import hub_name

if TYPE_CHECKING:
    from pathlib import Path

    from flantune.mixture.holdout import FoldTasks
    from flantune.mixture.mixture import Mixture
    from flantune.mixture.portions import Portion
    from flantune.settings.mixture_settings import MixtureSettings

_MOST_NAMES = 8
_listed = partial(first_names, most=_MOST_NAMES)


@dataclass(frozen=True, slots=True, kw_only=True)
class MixtureSheet:
    """An overview of a mixture.

    Attributes:
        held_out: What the fold holds out.
        draws: The number of draws that the epochs in ``tree`` refer to.
        tree: Parts, clusters and tasks.
        licences: Licence as stated by its authors → share of the draws.
        uses: Permitted use ("commercial", "non-commercial", "unknown") → share of the draws.
        skipped: Tasks without data → why.
        excluded: Tasks excluded from training by holding out → why.
        warnings: What a user should know before training, as sentences.
    """

    held_out: tuple[str, ...]
    draws: int
    tree: MixtureTree
    licences: Mapping[str, float]
    uses: Mapping[str, float]
    skipped: Mapping[str, str]
    excluded: Mapping[str, str]
    warnings: tuple[str, ...]

    @property
    def tasks(self) -> tuple[MixedTask, ...]:
        """All tasks, the largest share first."""
        found = (task for cluster in self.tree.clusters for task in cluster.tasks)
        return tuple(sorted(found, key=lambda task: (-task.rate, task.name)))

    def to_json(self) -> dict[str, Any]:
        """The sheet as JSON values."""
        return asdict(self)


def mixture_sheet(
    mixture: Mixture, settings: MixtureSettings, split: FoldTasks, *, skipped: Mapping[str, str], draws: int
) -> MixtureSheet:
    """The overview of a mixture.

    Args:
        mixture: The mixture.
        settings: The settings it was made with.
        split: Its fold.
        skipped: Tasks without data → why.
        draws: The number of draws that epochs refer to.
    """
    licences: dict[str, float] = {}
    uses: dict[str, float] = {}
    for portion in mixture.portions:
        licence = portion.task.licence or "not stated"
        licences[licence] = licences.get(licence, 0.0) + portion.share
        use = licence_use(licence)
        uses[use] = uses.get(use, 0.0) + portion.share
    return MixtureSheet(
        held_out=split.held_out,
        draws=draws,
        tree=mixture_tree(mixture, draws=draws),
        licences=dict(sorted(licences.items(), key=lambda item: -item[1])),
        uses=dict(sorted(uses.items())),
        skipped=skipped,
        excluded={one.task: one.reason for one in split.excluded},
        warnings=tuple(_warnings(mixture.portions, settings, skipped)),
    )


def _warnings(portions: Sequence[Portion], settings: MixtureSettings, skipped: Mapping[str, str]) -> Iterator[str]:
    if skipped:
        yield f"{_count(len(skipped), 'task')} without data: {_listed(list(skipped))}"
    yield from empty_parts(portions, settings)
    for (one, other), names in _same_without_options(portions).items():
        yield f'"{one}" and "{other}" ask {_count(len(names), "task")} the same: no options to hide in {_listed(names)}'
    for names, rate in _same_data(portions):
        yield f"{_listed(names)} read the same training rows, which are {rate:.2%} of the draws together"
    capped = [portion for portion in portions if portion.capped < portion.examples]
    if capped:
        names = list(dict.fromkeys(portion.task.name for portion in capped))
        yield f"rows beyond the cap are never drawn, in {_count(len(names), 'task')}: {_listed(names)}"


def empty_parts(portions: Sequence[Portion], settings: MixtureSettings) -> Iterator[str]:
    """A sentence about parts without tasks, whose share goes to others; nothing if all have some."""
    filled = {f"{portion.part}." for portion in portions}
    paths = () if settings.only else part_paths(parts_of(settings))
    empty = [path for path in paths if not any(part.startswith(f"{path}.") for part in filled)]
    tops = [path for path in empty if path.rpartition(".")[0] not in empty]
    if tops:
        yield f"no task is in {_listed(tops)}; those beside {'it' if len(tops) == 1 else 'them'} have that share"


def _same_without_options(portions: Sequence[Portion]) -> dict[tuple[str, str], list[str]]:
    """Pairs of parts that differ only in showing options → their tasks whose templates never show any."""
    by_task: dict[str, list[Portion]] = {}
    for portion in portions:
        by_task.setdefault(portion.task.name, []).append(portion)
    found: dict[tuple[str, str], list[str]] = {}
    for name, several in by_task.items():
        hidden = [one for one in several if not one.style.show_options]
        for one in hidden:
            twins = [
                other
                for other in several
                if other.style.show_options and (other.shots, other.templates) == (one.shots, one.templates)
            ]
            if twins and not any("options" in slots_of(template) for template in one.templates):
                found.setdefault((twins[0].part, one.part), []).append(name)
    return found


def _same_data(portions: Sequence[Portion]) -> Iterator[tuple[list[str], float]]:
    """Tasks that train on the same rows, from the hub or files, and their joint share."""
    readers: dict[tuple[str | frozenset[Path], str], dict[str, float]] = {}
    for portion in portions:
        place = hub_name(portion.task.source) or portion.task.source.files_here()
        if place:
            key = (place, portion.task.splits.get("train", ""))
            shares = readers.setdefault(key, {})
            shares[portion.task.name] = shares.get(portion.task.name, 0.0) + portion.share
    for shares in readers.values():
        if len(shares) > 1:
            yield sorted(shares), sum(shares.values())


def _count(number: int, what: str) -> str:
    return f"{number:,} {what}{'' if number == 1 else 's'}"
