"""The results in a terminal: one short table."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flantune.report.numbers import points, shots_label
from flantune.report.results import Pair, parse_results

if TYPE_CHECKING:
    from rich.table import Table
    from rich.text import Text

    from flantune.report.values import Json

_STYLES = {"better": "bold green", "worse": "bold red", "undecided": ""}
_SHAPES = {"better": "▲", "worse": "▼", "undecided": "·"}


def results_table(results: Json) -> Table:
    """Held-out clusters and their mean as a table for ``rich``: base, tuned, difference and interval, in points.

    Args:
        results: What ``results.json`` holds; parts may be missing.
    """
    from rich.table import Table

    parsed = parse_results(results)
    table = Table(title=_title(parsed.name), title_justify="left", box=None, pad_edge=False, header_style="dim")
    table.add_column("held-out cluster", overflow="fold")
    for heading in ("", "chance", "base", "tuned", "difference", f"{parsed.level} interval"):
        table.add_column(heading, justify="right", no_wrap=True)
    clusters = sorted(parsed.clusters.get("raw", ()), key=lambda pair: (pair.shots, -(pair.difference.value or 0.0)))
    overall = parsed.overall.get("raw", ())
    for pair in clusters:
        table.add_row(*_cells(pair))
    if clusters and overall:
        table.add_section()
    for pair in overall:
        table.add_row(*_cells(pair), style="bold")
    if not clusters and not overall:
        table.add_row("nothing was measured on held-out clusters")
    return table


def _title(name: str) -> Text:
    """The run's name as it is: rich would read square brackets in it as styles."""
    from rich.text import Text

    return Text(name, style="bold")


def _cells(pair: Pair) -> list[Text]:
    from rich.text import Text

    direction = pair.difference.direction
    change = Text(f"{pair.difference.signed()} {_SHAPES[direction]}", style=_STYLES[direction])
    plain = (pair.name, shots_label(pair.shots), points(pair.chance), pair.base.score(), pair.tuned.score())
    return [*map(Text, plain), change, Text(pair.difference.interval())]
