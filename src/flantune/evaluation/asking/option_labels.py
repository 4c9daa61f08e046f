"""The label of each option of a ranked prompt: a class that all rows share, or a place in the list."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from flantune.evaluation.metrics.rank_classification import Normalization, option_scores
from flantune.evaluation.statistics.skill import Places, RankedOptions
from flantune.prompts.options import letter
from flantune.types import Sample

Integers = NDArray[np.int64]

_Texts = tuple[str, ...]
_Order = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class _Arrangement:
    """Options as shown by one prompt, and which of the example's own options is at each place."""

    options: _Texts
    order: _Order
    is_marked: bool = False

    @property
    def own(self) -> _Texts:
        """The options in the example's own order."""
        place = {own: at for at, own in enumerate(self.order)} or {at: at for at in range(len(self.options))}
        return tuple(self.options[place[own]] for own in range(len(self.options)))

    @property
    def is_lettered(self) -> bool:
        """Whether marks are the answers, so that the text at a place is not the option's."""
        return self.is_marked or self.options == tuple(map(letter, range(len(self.options))))


@dataclass(slots=True)
class RankedCells:
    """The ranked samples of one task, split and number of exemplars, under construction."""

    normalization: Normalization
    cells: dict[tuple[int, int], tuple[_Arrangement, tuple[float, ...]]] = field(default_factory=dict)
    answers: dict[int, tuple[_Arrangement, int]] = field(default_factory=dict)
    arrangements: dict[_Arrangement, _Arrangement] = field(default_factory=dict)

    def add(self, sample: Sample, *, row: int, template: int) -> None:
        """Adds a sample's scores; one without options is skipped."""
        if not sample.scores:
            return
        found = _Arrangement(sample.options, sample.order, sample.is_marked)
        shown = self.arrangements.setdefault(found, found)
        self.cells[row, template] = (shown, option_scores(sample, self.normalization))
        if sample.answer is not None:
            self.answers.setdefault(row, (shown, sample.answer))

    def options(self, *, rows: int, templates: int, groups: Integers) -> RankedOptions | None:
        """All scores by label; None if nothing was ranked."""
        if not self.cells:
            return None
        shown = tuple(self.arrangements)
        answers = list(self.answers.values())
        labels = _labels(shown, lambda of: len({of(one)[at] for one, at in answers}) > 1)
        of = {one: np.array(labels.of(one), dtype=np.intp) for one in shown}
        scores = np.full((rows, templates, len(labels.names)), np.nan)
        for (row, template), (arrangement, values) in self.cells.items():
            scores[row, template, of[arrangement]] = values
        gold = np.full(rows, -1, dtype=np.int64)
        for row, (arrangement, answer) in self.answers.items():
            gold[row] = of[arrangement][answer]
        return RankedOptions(
            scores=scores, gold=gold, names=labels.names, by_place=labels.by_place, groups=groups,
            places=self._places(of, scores.shape),
        )  # fmt: skip

    def _places(self, of: Mapping[_Arrangement, Integers], shape: tuple[int, ...]) -> Places | None:
        """The place of each label's option; None if every label always has the same place."""
        if all((labels == np.arange(len(labels))).all() for labels in of.values()):
            return None
        at = np.full(shape, -1, dtype=np.int64)
        for (row, template), (arrangement, _) in self.cells.items():
            at[row, template, of[arrangement]] = np.arange(len(arrangement.options))
        lettered = sum(arrangement.is_lettered for arrangement, _ in self.cells.values())
        are_written = 2 * lettered > len(self.cells)
        return Places(at=at, names=_place_names(shape[-1], are_letters=are_written), are_written=are_written)


_Numbering = Callable[[_Arrangement], Sequence[int]]
"""Options as shown → the label of each."""


@dataclass(frozen=True, slots=True)
class _Labels:
    names: _Texts
    of: _Numbering
    by_place: bool = False


def _labels(
    shown: Sequence[_Arrangement], varies: Callable[[Callable[[_Arrangement], Sequence[int]]], bool]
) -> _Labels:
    """The numbering that makes the options of these prompts comparable.

    Options that are the same in every row are labels by number or, if the data shuffles them, by text. Options that
    change from row to row are labels by the place at which they were shown.

    If letters are the answers, an option keeps its number in the data, shuffled or not.

    Args:
        shown: All arrangements.
        varies: Whether the right label varies if options are numbered in this way.
    """
    worded = [one.own for one in shown if not one.is_lettered]
    if worded and _is_one(worded):
        return _Labels(worded[0], _own)
    if worded and _is_one(map(frozenset, worded)) and len(worded) == len(shown) and _is_distinct(worded):
        at = {text: label for label, text in enumerate(worded[0])}
        return _Labels(worded[0], lambda one: [at[text] for text in one.options])
    most = range(max(len(one.options) for one in shown))
    if not worded and any(one.order for one in shown) and varies(_own):
        # Only letters, shuffled: whether their options change is unknown, but does not matter.
        return _Labels(tuple(f"option {place + 1} of the data" for place in most), _own)
    return _Labels(_place_names(len(most), are_letters=not worded), _place, by_place=True)


def _place_names(count: int, *, are_letters: bool) -> _Texts:
    return tuple(letter(place) if are_letters else f"option {place + 1}" for place in range(count))


def _own(one: _Arrangement) -> Sequence[int]:
    return one.order or range(len(one.options))


def _place(one: _Arrangement) -> Sequence[int]:
    return range(len(one.options))


def _is_one(values: Iterable[object]) -> bool:
    return len(set(values)) == 1


def _is_distinct(worded: Sequence[_Texts]) -> bool:
    return len(set(worded[0])) == len(worded[0]) and all(len(one) == len(worded[0]) for one in worded)
