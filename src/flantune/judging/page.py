"""The pages for judging: the rating page, and the page with the outcome."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from markupsafe import Markup

from flantune.judging.summary import PairResult, Summary
from flantune.report import numbers
from flantune.report.figures.frame import AXIS_HEIGHT, Page, axis, both, interval_mark, row_label
from flantune.report.figures.svg import Scale, group, image, line, text
from flantune.report.run_details import Fact
from flantune.report.templating import looks, template, write_page


def judging_page(*, title: str) -> tuple[str, str]:
    """The rating page, and the content security policy to send with it.

    The page contains no answers: its script requests one pair at a time and shows it as text.
    """
    look = looks(css=("judge.css",), scripts=("judge.js",))
    policy = (
        f"default-src 'none'; style-src 'sha256-{look.css_hash}'; script-src 'sha256-{look.script_hash}'; "
        "connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
    page = template("judge.html.jinja").render(title=title, looks=look)
    return page, policy


def write_summary_page(summary: Summary, out: Path, *, title: str) -> Path:
    """Writes the outcome as one self-contained page.

    Raises:
        FlantuneError: The page cannot be written.
    """
    return write_page(out, render_summary_page(summary, title=title))


def render_summary_page(summary: Summary, *, title: str) -> str:
    """The page as HTML text."""
    return template("judged.html.jinja").render(
        title=title,
        summary=summary,
        n=numbers,
        facts=_facts(summary),
        sentences=[sentence(pair) for pair in summary.pairs],
        figure=win_rates(summary.pairs),
        level=f"{100 * summary.confidence:g}%",
        same=sum(pair.same for pair in summary.pairs),
        looks=looks(),
    )


def sentence(pair: PairResult) -> str:
    """A pair's outcome in words.

    >>> from flantune.evaluation.statistics.means import Interval
    >>> interval, bootstrap = Interval(low=0.57, high=0.98), Interval(low=0.7, high=1.0)
    >>> sentence(PairResult(model="a", against="b", prompts=10, wins=9, losses=1, ties=0, same=0, skipped=0,
    ...     win_rate=0.9, interval=interval, bootstrap=bootstrap, p_value=0.021, verdict="better"))
    'a beats b: its answer was preferred on 90.0% of 10 prompts (57.0 to 98.0).'
    """
    low, high = 100 * pair.interval.low, 100 * pair.interval.high
    found = f"on {100 * pair.win_rate:.1f}% of {numbers.plural(pair.prompts, 'prompt')} ({low:.1f} to {high:.1f})."
    if pair.verdict == "better":
        return f"{pair.model} beats {pair.against}: its answer was preferred {found}"
    return f"Undecided between {pair.model} and {pair.against}: the former's answer was preferred {found}"


def _facts(summary: Summary) -> list[Fact]:
    who = ", ".join(name for name in summary.raters if name) or "not named"
    left, agreed = summary.left_share, summary.agreement
    found = [
        ("Rated", f"{summary.rated} of {summary.total}", "comparisons"),
        ("Raters", str(len(summary.raters)), who),
        ("Left side chosen", "–" if left is None else f"{100 * left:.0f}%", "of decided ratings"),
        ("Agreement", "–" if agreed is None else f"{100 * agreed:.0f}%", "of pairs of raters"),
    ]
    return [Fact(name=name, value=value, note=note) for name, value, note in found]


def win_rates(pairs: Sequence[PairResult]) -> Markup:
    """Win rates with intervals, one row per pair."""
    return both(lambda page: _drawn(pairs, page))


def _drawn(pairs: Sequence[PairResult], page: Page) -> Markup:
    scale = Scale(0.0, 100.0, page.left, page.right)
    top, row = 12.0, page.row + page.label
    bottom = top + row * len(pairs)
    marks = axis(scale, page, top, bottom, lambda value: f"{value:.0f}", unit="win rate, %")
    marks.append(line(scale(50.0), top, scale(50.0), bottom, "chance"))
    for number, pair in enumerate(pairs):
        marks += _row(pair, page, top + row * number + page.label, scale)
    label = "; ".join(sentence(pair) for pair in pairs)
    return image(marks, width=page.width, height=bottom + AXIS_HEIGHT, label=label, variant=page.name)


def _row(pair: PairResult, page: Page, y: float, scale: Scale) -> list[Markup]:
    low, high = 100 * pair.interval.low, 100 * pair.interval.high
    return [
        *row_label(f"{pair.model} over {pair.against}", page, y),
        group(*interval_mark(100 * pair.win_rate, (low, high), scale, y + page.row / 2, f"mark {pair.verdict}")),
        *_numbers(pair, page, y),
    ]


def _numbers(pair: PairResult, page: Page, y: float) -> list[Markup]:
    rate, span = f"{100 * pair.win_rate:.1f}", f"{100 * pair.interval.low:.1f} to {100 * pair.interval.high:.1f}"
    if page.is_narrow:
        return [text(page.right, y - 5, f"{rate} ({span})", "value", anchor="end")]
    middle = y + page.row / 2 + 4
    return [
        text(page.right + 52, middle, rate, "value", anchor="end"),
        text(page.width, middle, span, "axis", anchor="end"),
    ]
