"""How much of each task: caps and rates. Paper: FLAN 2021, section 2.4 (examples-proportional mixing, after T5)."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from flantune.settings.mixture_settings import RateKind


def capped_size(examples: int, *, max_examples: int) -> int:
    """How many examples of a task are used: at most ``max_examples``, where 0 means no cap.

    >>> capped_size(392_702, max_examples=30_000), capped_size(250, max_examples=30_000)
    (30000, 250)
    """
    return min(examples, max_examples) if max_examples else examples


def quotas(
    capped: Sequence[int],
    *,
    max_rate: int,
    rates: RateKind = "examples-proportional",
    templates: Sequence[int] = (),
) -> tuple[int, ...]:
    """Draws of each task in one cycle of the mixture; their sum is the length of the cycle.

    Examples-proportional: the task's size, but no more than ``max_rate`` (0: no maximum), so that a task gets no
    additional weight beyond that. Per template: each template counts as a separate dataset, of the task's size or, if
    that is above ``max_rate``, of the template's share of ``max_rate``. Equal: one each.

    >>> quotas([30_000, 250, 3_000], max_rate=3_000)
    (3000, 250, 3000)
    >>> quotas([287_113, 3_600_000], max_rate=500_000, rates="per-template", templates=[9, 9])
    (2584017, 499995)
    >>> quotas([30_000, 250, 3_000], max_rate=3_000, rates="equal")
    (1, 1, 1)

    Paper: T0's public code, for rates by template; T5, for the others.
    """
    if rates == "equal":
        return (1,) * len(capped)
    if rates == "per-template":
        pairs = zip(capped, templates, strict=True)
        return tuple(n * max(1, max_rate // n if max_rate and size > max_rate else size) for size, n in pairs)
    return tuple(min(size, max_rate) if max_rate else size for size in capped)


def shares(quota: Sequence[int]) -> tuple[float, ...]:
    """Each task's share of the draws: r_m = min(e_m, K) / Σ min(e_n, K).

    >>> shares([3_000, 250, 3_000])
    (0.48, 0.04, 0.48)
    """
    total = sum(quota)
    return tuple(part / total for part in quota)


def effective_epochs(capped: Sequence[int], quota: Sequence[int], *, draws: int) -> tuple[float, ...]:
    """How often each (capped) example of each task is seen, on average, in the first ``draws`` draws.

    With a maximum rate, small tasks repeat many times before a large one has been seen once.

    >>> effective_epochs([30_000, 250], [3_000, 250], draws=32_500)
    (1.0, 10.0)
    """
    return tuple(draws * share / size for share, size in zip(shares(quota), capped, strict=True))
