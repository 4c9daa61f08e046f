"""Scores of many decisions together: F1 and three correlations, for any number of bootstrap replicates.

Each takes decisions [n, k], whose first column is the truth and whose second is the model's choice, and weights
[replicates, n], which say how often each decision counts; it returns one score per replicate.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Integers = NDArray[np.intp]


def class_f1(decisions: Floats, weights: Floats) -> Floats:
    """F1 of class 1 if the task has two classes, as in GLUE's scores of MRPC and QQP, and MultiRC's F1a.

    With more classes: the plain mean of each class's F1 (macro), over the classes that are right for some row. A class
    that is never right has no F1; choosing it costs the right class. So the formula depends on the task and the rows,
    never on a model's answers, and two models are always measured by the same one. A replicate averages over the
    classes that are right in its rows, which are the same for both models.

    Args:
        decisions: Truth, choice and number of options of each row, shape [n, 3]. If rows have different numbers of
            options, the largest is the number of classes, and a class is a place among the options. A negative truth
            means a row without a right option: choosing a class there costs that class.
        weights: Shape [replicates, n].

    >>> class_f1(np.array([[1.0, 1.0, 2.0], [1.0, 0.0, 2.0], [0.0, 0.0, 2.0]]), np.ones((1, 3))).round(3)
    array([0.667])
    >>> class_f1(np.array([[1.0, 1.0, 3.0], [1.0, 0.0, 3.0], [0.0, 0.0, 3.0]]), np.ones((1, 3))).round(3)
    array([0.667])
    >>> class_f1(np.array([[0.0, 0.0, 3.0], [0.0, 2.0, 3.0]]), np.ones((1, 2))).round(3)
    array([0.667])
    """
    truth, choice, options = (decisions[:, at : at + 1] for at in range(3))
    is_binary = options.max(initial=2.0) <= 2.0
    classes = np.array([1.0]) if is_binary else np.unique(truth[truth >= 0.0])
    is_gold, is_chosen = (truth == classes).astype(np.float64), (choice == classes).astype(np.float64)
    asked, hits = weights @ is_gold, weights @ (is_gold * is_chosen)
    total = asked + weights @ is_chosen
    scores = np.divide(2.0 * hits, total, out=np.zeros_like(total), where=total > 0)
    counts = (asked > 0) | is_binary
    return np.asarray((scores * counts).sum(axis=1) / np.maximum(counts.sum(axis=1), 1))


def matthews(decisions: Floats, weights: Floats) -> Floats:
    """Matthews' correlation of truth and decision, for any number of classes; 0 if either is constant.

    Paper: Matthews 1975; Gorodkin 2004 for more than two classes.

    >>> matthews(np.array([[1.0, 1.0], [1.0, 1.0], [1.0, 0.0], [0.0, 0.0]]), np.ones((1, 4))).round(4)
    array([0.5774])
    """
    classes = np.unique(decisions[:, :2])
    is_gold, is_chosen = ((decisions[:, at : at + 1] == classes).astype(np.float64) for at in (0, 1))
    gold, chosen = weights @ is_gold, weights @ is_chosen
    hits, count = weights @ (is_gold * is_chosen).sum(axis=1), weights.sum(axis=1)
    return _ratio(
        count * hits - (gold * chosen).sum(axis=1),
        (count**2 - (gold**2).sum(axis=1)) * (count**2 - (chosen**2).sum(axis=1)),
    )


def pearson(pairs: Floats, weights: Floats) -> Floats:
    """Pearson's correlation; 0 if either side is constant, as for a model that always gives the same answer.

    >>> pearson(np.array([[0.0, 1.0], [1.0, 3.0], [2.0, 5.0]]), np.ones((1, 3))).round(6)
    array([1.])
    """
    # Centered, so that little precision is lost when sums of squares are subtracted.
    x, y = (pairs - pairs.mean(axis=0)).T
    n, sx, sy, sxx, syy, sxy = (weights @ np.stack([np.ones_like(x), x, y, x * x, y * y, x * y], axis=1)).T
    return _ratio(n * sxy - sx * sy, np.maximum(n * sxx - sx**2, 0.0) * np.maximum(n * syy - sy**2, 0.0))


def spearman(pairs: Floats, weights: Floats) -> Floats:
    """Spearman's correlation: Pearson's of the ranks, where equal values share their mean rank.

    >>> spearman(np.array([[0.0, 1.0], [1.0, 10.0], [2.0, 100.0]]), np.ones((1, 3))).round(6)
    array([1.])
    """
    codes = [np.unique(pairs[:, at], return_inverse=True)[1] for at in (0, 1)]
    joint, place = np.unique(np.stack(codes, axis=1), axis=0, return_inverse=True)
    counts = weights @ _indicator(place.ravel(), len(joint))
    middle = (weights.sum(axis=1, keepdims=True) + 1.0) / 2.0
    x, y = (_ranks(weights, code)[:, joint[:, at]] - middle for at, code in enumerate(codes))
    return _ratio((counts * x * y).sum(axis=1), (counts * x * x).sum(axis=1) * (counts * y * y).sum(axis=1))


def _ranks(weights: Floats, codes: Integers) -> Floats:
    """The mean rank of each value in each replicate, [replicates, values]."""
    counts = weights @ _indicator(codes, int(codes.max()) + 1)
    return np.asarray(counts.cumsum(axis=1) - (counts - 1.0) / 2.0)


def _indicator(codes: Integers, size: int) -> Floats:
    return np.eye(size)[codes]


def _ratio(covariance: Floats, product: Floats) -> Floats:
    """Covariance over the root of the variances' product; 0 if that root is close to 0."""
    scale = np.sqrt(product)
    return np.clip(np.divide(covariance, scale, out=np.zeros_like(scale), where=scale > 1e-9), -1.0, 1.0)
