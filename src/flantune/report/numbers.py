"""Formats for each kind of number, so that figures, tables and sentences agree."""

from __future__ import annotations

from flantune.evaluation.points import score_points, signed_points

MISSING = "–"
MINUS = "−"


def points(value: float | None) -> str:
    """A score in [0, 1] as points on a scale of 0 to 100, one decimal.

    >>> points(0.4126), points(-0.031), points(-0.0001), points(None)
    ('41.3', '−3.1', '0.0', '–')
    """
    if value is None:
        return MISSING
    return score_points(value).replace("-", MINUS)


def signed(value: float | None) -> str:
    """A difference of scores as points, with its sign.

    >>> signed(0.11), signed(-0.042), signed(0.0), signed(None)
    ('+11.0', '−4.2', '0.0', '–')
    """
    return MISSING if value is None else signed_points(value).replace("-", MINUS)


def interval(low: float | None, high: float | None) -> str:
    """An interval of differences.

    An end near zero gets more digits, since its sign matters.

    >>> interval(0.08, 0.142), interval(-0.02, 0.031), interval(0.0002, 0.1), interval(None, 0.1)
    ('+8.0 to +14.2', '−2.0 to +3.1', '+0.02 to +10.0', '–')
    """
    return MISSING if low is None or high is None else f"{end(low)} to {end(high)}"


def end(value: float) -> str:
    """One end of an interval of differences, never rounded to zero unless it is zero.

    >>> end(0.0), end(-0.0004), end(-0.00001)
    ('0.0', '−0.04', '−0.001')
    """
    digits = next((d for d in (1, 2, 3) if abs(value) * 100 >= 0.5 * 10**-d), 1)
    return signed_points(value, digits=digits).replace("-", MINUS)


def span(low: float | None, high: float | None) -> str:
    """An interval of scores.

    >>> span(0.385, 0.442)
    '38.5 to 44.2'
    """
    return MISSING if low is None or high is None else f"{points(low)} to {points(high)}"


def count(value: float | None) -> str:
    """A whole number with thousands separators.

    >>> count(1234567), count(None)
    ('1,234,567', '–')
    >>> count(-0.3)
    '0'
    """
    return MISSING if value is None else f"{value:z,.0f}".replace("-", MINUS)


def short_count(value: float | None) -> str:
    """A large count with three digits.

    >>> short_count(950), short_count(245_760_000), short_count(18_400), short_count(40_000)
    ('950', '246 M', '18.4 k', '40 k')
    """
    if value is None:
        return MISSING
    for unit, name in ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= unit:
            scaled = value / unit
            return f"{scaled:.0f} {name}" if scaled >= 100 else f"{scaled:.1f}".removesuffix(".0") + f" {name}"
    return f"{value:,.0f}"


def share(value: float | None) -> str:
    """A share between 0 and 1 as a percentage.

    >>> share(0.9731), share(0.0004)
    ('97.3%', '0.0%')
    """
    return MISSING if value is None else f"{value * 100:z.1f}%"


def plain(value: float | None, digits: int = 3) -> str:
    """A number without a unit, rounded to significant digits, without trailing zeros.

    >>> plain(0.00003), plain(2.71828), plain(12345.6)
    ('3e-05', '2.72', '12,346')
    """
    if value is None:
        return MISSING
    if abs(value) >= 1000:
        return count(value)
    return f"{value:z.{digits}g}".replace("e-", "e~").replace("-", MINUS).replace("e~", "e-")


def fixed(value: float | None) -> str:
    """A number such as a loss, with as many decimals as its neighbors, for comparison.

    >>> fixed(0.5), fixed(6.0), fixed(12.345), fixed(-0.0001), fixed(None)
    ('0.500', '6.00', '12.3', '0.000', '–')
    """
    if value is None:
        return MISSING
    if abs(value) >= 1000:
        return short_count(value)
    return f"{value:z.{3 if abs(value) < 1 else 2 if abs(value) < 10 else 1}f}".replace("-", MINUS)


def p_value(value: float | None) -> str:
    """A p-value, never written as zero.

    >>> p_value(0.00001), p_value(0.0312), p_value(1.0), p_value(None)
    ('< 0.001', '0.031', '1.000', '–')
    """
    if value is None:
        return MISSING
    return "< 0.001" if value < 0.001 else f"{value:.3f}"


def limit(value: float | None) -> str:
    """The smallest detectable difference in points, never rounded to zero; scores cannot differ by more than 100.

    >>> limit(0.0312), limit(0.0001), limit(1.2), limit(None)
    ('±3.1', '±0.1', '> ±100', '–')
    """
    if value is not None and value > 1.0:
        return "> ±100"
    return MISSING if value is None else f"±{max(value * 100, 0.1 if value else 0.0):.1f}"


def duration(seconds: float | None) -> str:
    """A duration in its two largest units.

    >>> duration(0.42), duration(59.7), duration(754), duration(7384), duration(259_200), duration(None)
    ('0.4 s', '1 min 0 s', '12 min 34 s', '2 h 3 min', '3 d 0 h', '–')
    """
    if seconds is None:
        return MISSING
    if seconds < 10:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    if whole < 86_400:
        return f"{whole // 3600} h {whole % 3600 // 60} min"
    return f"{whole // 86_400} d {whole % 86_400 // 3600} h"


def size(value: float | None) -> str:
    """A number of bytes.

    >>> size(812), size(5_300_000), size(2.5e9)
    ('812 B', '5.3 MB', '2.5 GB')
    """
    if value is None:
        return MISSING
    for unit, name in ((1e9, "GB"), (1e6, "MB"), (1e3, "kB")):
        if value >= unit:
            return f"{value / unit:.1f} {name}"
    return f"{value:.0f} B"


def plural(number: int, noun: str, nouns: str | None = None) -> str:
    """A count with its noun.

    >>> plural(1, "task"), plural(4, "task"), plural(2, "family", "families")
    ('1 task', '4 tasks', '2 families')
    """
    return f"{count(number)} {noun if number == 1 else nouns or noun + 's'}"


def shots_label(shots: int) -> str:
    """The name of a number of exemplars.

    >>> shots_label(0), shots_label(5)
    ('zero-shot', '5-shot')
    """
    return "zero-shot" if shots == 0 else f"{shots}-shot"
