"""A study over a numeric axis: a line per series, with intervals; base, chance and published scores in gray."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence

from markupsafe import Markup

from flantune.report.figures.frame import Page, both, missing
from flantune.report.figures.published import Published
from flantune.report.figures.series import Point, Series, label_of, series_of, shape
from flantune.report.figures.svg import (
    CHARACTER_WIDTH,
    LogScale,
    Scale,
    circle,
    group,
    image,
    line,
    padded_range,
    path,
    shorten,
    text,
)
from flantune.report.numbers import points, short_count, span
from flantune.studies.outcome import ArmOutcome, StudyOutcome

Across = Callable[[float], float]
_LINE = 17.0
_FEW = 9
"""An axis with at most this many positions is labeled at each of them, otherwise at round values."""


def line_figure(outcome: StudyOutcome, published: Sequence[Published] = ()) -> Markup:
    """Scores along the study's axis."""
    arms = [arm for arm in outcome.arms if arm.score is not None]
    return both(lambda page: _lines(outcome, arms, published, page)) if arms else missing("No run of it is finished.")


def _lines(outcome: StudyOutcome, arms: Sequence[ArmOutcome], published: Sequence[Published], page: Page) -> Markup:
    places = _places(arms)
    known = [places[arm.name] for arm in arms]
    shown = [one for one in published if one.x is not None and min(known) <= one.x <= max(known)]
    several = series_of(arms)
    legend = list(_legend(several, shown, page))
    top = 30.0 + (_LINE * len(legend) if page.is_narrow else 0.0)
    left, right = (38.0, page.width - 14) if page.is_narrow else (48.0, page.width - 190)
    bottom = top + (220.0 if page.is_narrow else 300.0)
    up = Scale(*padded_range(list(_heights(arms, shown)), step=0.05, smallest=0.2), bottom, top)
    across = _scale(known, left + 14, right - 14, is_log=outcome.x_scale == "log")
    marks = [*_grid(outcome, arms, places, across, up, (left, right))]
    marks += [*_base(arms, places, across, up), _chance(arms, places, across, up)]
    marks += [mark for one in shown for mark in _cross(one, across, up)]
    for number, series in enumerate(several):
        marks += _series(series, places, across, up, shift=4.0 * (number - (len(several) - 1) / 2))
    marks += _names(several, shown, places, up, right, page) if not page.is_narrow else _stacked(legend)
    label = f"{outcome.question} Scores in points over {outcome.axis}. " + " ".join(_say(arm) for arm in arms)
    return image(marks, width=page.width, height=bottom + 42, label=label, variant=page.name)


def _places(arms: Sequence[ArmOutcome]) -> dict[str, float]:
    """Position of each arm on the axis; labels that are not numbers are numbered in order."""
    if all(arm.x is not None for arm in arms):
        return {arm.name: arm.x for arm in arms if arm.x is not None}
    order = list(dict.fromkeys(label_of(arm) for arm in arms))
    return {arm.name: float(order.index(label_of(arm))) for arm in arms}


def _scale(known: Sequence[float], left: float, right: float, *, is_log: bool) -> Across:
    low, high = min(known), max(known)
    if low == high:
        return Scale(low - 1.0, high + 1.0, left, right)
    return LogScale(low, high, left, right) if is_log and low > 0.0 else Scale(low, high, left, right)


def _heights(arms: Sequence[ArmOutcome], published: Sequence[Published]) -> Iterator[float]:
    for arm in arms:
        yield arm.chance
        for one in (arm.score, arm.base):
            yield from (one.value, one.low, one.high) if one else ()
    yield from (one.value for one in published)


def _grid(
    outcome: StudyOutcome,
    arms: Sequence[ArmOutcome],
    places: dict[str, float],
    across: Across,
    up: Scale,
    ends: tuple[float, float],
) -> Iterator[Markup]:
    for tick in up.ticks(6):
        yield line(ends[0], up(tick), ends[1], up(tick), "grid")
        yield text(ends[0] - 7, up(tick) + 4, points(tick).removesuffix(".0"), "axis", anchor="end")
    end = -1e9
    for place, words in _ticks(arms, places, across):
        half = len(words) * CHARACTER_WIDTH / 2
        if across(place) - half > end + 4:
            yield line(across(place), up.start, across(place), up.start + 4, "rule")
            yield text(across(place), up.start + 18, words, "axis", anchor="middle")
            end = across(place) + half
    yield line(ends[0], up.start, ends[1], up.start, "rule")
    yield text(0, 12, "score, points", "axis")
    wanted = shorten(outcome.axis, ends[1] - ends[0])
    yield text((ends[0] + ends[1]) / 2, up.start + 37, wanted, "axis", anchor="middle")


def _ticks(arms: Sequence[ArmOutcome], places: dict[str, float], across: Across) -> list[tuple[float, str]]:
    if any(arm.x is None for arm in arms):
        return sorted({(places[arm.name], label_of(arm)) for arm in arms})
    values = sorted(set(places.values()))
    if len(values) > _FEW and isinstance(across, Scale | LogScale):
        values = list(across.ticks(7))
    return [(value, f"{value:g}" if abs(value) < 1000 else short_count(value)) for value in values]


def _chance(arms: Sequence[ArmOutcome], places: dict[str, float], across: Across, up: Scale) -> Markup:
    """Chance at each position of the axis."""
    found = {places[arm.name]: arm.chance for arm in arms}
    line_points = _beyond([(across(place), up(value)) for place, value in sorted(found.items())])
    return group(path(line_points, "chance level"), title="chance")


def _base(arms: Sequence[ArmOutcome], places: dict[str, float], across: Across, up: Scale) -> Iterator[Markup]:
    """The base model of the arms' runs, with its interval; nothing if a separate series shows it."""
    if not _has_base(arms):
        return
    found = {places[arm.name]: arm.base for arm in reversed(arms) if arm.base}
    ordered = [(across(place), one) for place, one in sorted(found.items())]
    high = [(x, up(one.high)) for x, one in ordered]
    low = [(x, up(one.low)) for x, one in ordered]
    yield group(
        path([*_beyond(high), *reversed(_beyond(low))], "base-band", is_closed=True),
        path(_beyond([(x, up(one.value)) for x, one in ordered]), "base level"),
        title="base model",
    )


def _has_base(arms: Iterable[ArmOutcome]) -> bool:
    each = list(arms)
    return any(arm.base for arm in each) and not any(arm.reads == "base" for arm in each)


def _beyond(line_points: Sequence[Point]) -> list[Point]:
    """A line, extended a little at both ends."""
    first, last = line_points[0], line_points[-1]
    return [(first[0] - 14, first[1]), *line_points, (last[0] + 14, last[1])]


def _series(series: Series, places: dict[str, float], across: Across, up: Scale, *, shift: float) -> Iterator[Markup]:
    ordered = sorted(series.arms, key=lambda arm: places[arm.name])
    drawn = [(arm, across(places[arm.name]) + shift, arm.score) for arm in ordered if arm.score]
    if len(drawn) > 1:
        yield path([(x, up(score.value)) for _, x, score in drawn], f"mark {series.tone} joined")
    for arm, x, score in drawn:
        yield group(
            line(x, up(score.low), x, up(score.high), f"mark {series.tone} whisker"),
            *(circle(x + 6, up(value), 1.5, f"mark {series.tone} seed") for value in score.each if len(score.each) > 1),
            shape(series.shape, x, up(score.value), f"mark {series.tone} dot"),
            title=_say(arm),
        )


def _cross(one: Published, across: Across, up: Scale) -> Iterator[Markup]:
    x, y = across(one.x or 0.0), up(one.value)
    yield group(
        line(x - 4, y - 4, x + 4, y + 4, "published"),
        line(x - 4, y + 4, x + 4, y - 4, "published"),
        title=f"{one.source}: {points(one.value)}",
    )


def _names(
    several: Sequence[Series],
    published: Sequence[Published],
    places: dict[str, float],
    up: Scale,
    right: float,
    page: Page,
) -> Iterator[Markup]:
    """Names at the ends of lines, moved apart where they would overlap."""
    wanted: list[tuple[float, str, str]] = []
    arms = [arm for series in several for arm in series.arms]
    for series in several:
        last = max(series.arms, key=lambda arm: places[arm.name])
        if last.score:
            wanted.append((up(last.score.value), series.name or "tuned", f"label {series.tone}-text"))
    last_arm = max(arms, key=lambda arm: places[arm.name])
    wanted.append((up(last_arm.chance), "chance", "axis"))
    if last_arm.base and _has_base(arms):
        wanted.append((up(last_arm.base.value), "base model", "axis"))
    if published:
        wanted.append((up(published[-1].value), f"× {published[-1].source}", "axis"))
    y = -1e9
    for height, name, class_ in sorted(wanted):
        y = max(height + 4, y + _LINE - 2)
        yield text(right + 8, y, shorten(name, page.width - right - 8), class_)


def _legend(several: Sequence[Series], published: Sequence[Published], page: Page) -> Iterator[list[Markup]]:
    """The legend on narrow screens: a line per mark, above the plot; heights are set later."""
    for series in several:
        yield [
            shape(series.shape, 8, 0, f"mark {series.tone} dot"),
            text(20, 4, shorten(series.name or "tuned", page.width - 24), "legend"),
        ]
    arms = [arm for series in several for arm in series.arms]
    if _has_base(arms):
        yield [line(0, 0, 16, 0, "base level"), text(20, 4, "base model", "legend")]
    yield [line(0, 0, 16, 0, "chance"), text(20, 4, "chance", "legend")]
    if published:
        yield [text(3, 4, "×", "axis"), text(20, 4, shorten(published[-1].source, page.width - 24), "legend")]


def _stacked(legend: Sequence[Sequence[Markup]]) -> Iterator[Markup]:
    for number, marks in enumerate(legend):
        yield Markup('<g transform="translate(0 {})">{}</g>').format(26 + _LINE * number, Markup("").join(marks))


def _say(arm: ArmOutcome) -> str:
    found = arm.score
    return f"{arm.name}: {points(found.value)} ({span(found.low, found.high)})." if found else ""
