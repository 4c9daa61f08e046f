"""The answer that a model gives most often, and how often it is right: a preference for it is not a skill."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from flantune.evaluation.estimates import CommonestAnswer
from flantune.evaluation.metrics.rank_classification import choose
from flantune.evaluation.statistics.pairs import within
from flantune.evaluation.statistics.skill import RankedOptions

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

COLLAPSED = 0.9
"""A model that gives one answer more often than this has collapsed, unless the gold answers are as lopsided."""


def answers_given(options: RankedOptions) -> CommonestAnswer:
    """The answer that is given most often; among tied options the first one shown counts as given.

    If options move from prompt to prompt, a model can prefer an option wherever it is, or a place whatever is there.
    Answers are counted as written: by place if that is a letter, otherwise by option. If that shows no collapse but the
    other count does, the other is used.

    >>> scores = np.array([[[-1.0, -3.0]], [[-1.0, -1.5]], [[-1.0, -2.0]], [[-2.0, -1.0]]])
    >>> answers_given(RankedOptions(scores=scores, gold=np.array([0, 1, 1, 1]), names=("no", "yes"), by_place=False,
    ...                             groups=np.arange(4)))
    CommonestAnswer(answer='no', share=0.75, gold=0.25, distance=0.5, by_place=False, is_collapsed=False)
    """
    views = list(_views(options))
    return next((view for view in views if view.is_collapsed), views[0])


def _views(options: RankedOptions) -> Iterator[CommonestAnswer]:
    chosen = _chosen(options)
    by_label = _counted(chosen, options.gold, options.names, by_place=options.by_place)
    places = options.places
    if places is None:
        yield by_label
        return
    rows = np.arange(len(options.gold))
    # A row has one order in all templates; a template that it was not asked with has none.
    gold = np.where(options.gold >= 0, places.at.max(axis=1)[rows, options.gold], -1)
    at = np.where(chosen >= 0, np.take_along_axis(places.at, chosen[..., None], axis=2)[..., 0], -1)
    by_place = _counted(at, gold, places.names, by_place=True)
    yield from (by_place, by_label) if places.are_written else (by_label, by_place)


def _chosen(options: RankedOptions) -> Integers:
    """The label that each prompt was answered with, [rows, templates]; -1 if it was not asked."""
    rows, templates, _ = options.scores.shape
    chosen = np.full((rows, templates), -1, dtype=np.int64)
    for row, template in zip(*np.nonzero(~np.isnan(options.scores).all(axis=2)), strict=True):
        scores = options.scores[row, template]
        labels = np.flatnonzero(~np.isnan(scores))
        if options.places is not None:
            labels = labels[options.places.at[row, template, labels].argsort()]
        chosen[row, template] = labels[choose(scores[labels].tolist()).index]
    return chosen


def _counted(chosen: Integers, gold: Integers, names: tuple[str, ...], *, by_place: bool) -> CommonestAnswer:
    """The most common of the chosen answers, [rows, templates], compared with the right ones, [rows]; -1: none."""
    asked = [column[column >= 0] for column in chosen.T]
    shares = np.mean([np.bincount(one, minlength=len(names)) / len(one) for one in asked if len(one)], axis=0)
    known = gold[gold >= 0]
    right = np.bincount(known, minlength=len(names)) / max(len(known), 1)
    most = int(shares.argmax())
    given, wanted = within(float(shares[most])), within(float(right[most]))
    return CommonestAnswer(
        answer=names[most],
        share=given,
        gold=wanted,
        distance=within(float(np.abs(shares - right).sum() / 2.0)),
        by_place=by_place,
        is_collapsed=given > COLLAPSED >= wanted,
    )
