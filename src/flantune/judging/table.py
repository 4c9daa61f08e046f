"""The outcome of judging in a terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flantune.report.numbers import limit, p_value, points, span

if TYPE_CHECKING:
    from rich.table import Table

    from flantune.judging.summary import Summary


def summary_table(summary: Summary) -> Table:
    """Win rates of every pair of models as a table for ``rich``."""
    from rich.table import Table
    from rich.text import Text

    level = f"{100 * summary.confidence:g}%"
    table = Table(
        title=f"{summary.rated} of {summary.total} pairs rated", title_justify="left", box=None, pad_edge=False,
        padding=(0, 1, 0, 0), header_style="dim",
    )  # fmt: skip
    for heading in ("model", "against"):
        table.add_column(heading, overflow="fold")
    for heading in ("won", "tied", "lost", "win rate", f"{level}", f"bootstrap {level}", "p", "q", "detectable"):
        table.add_column(heading, justify="right", no_wrap=True)
    for pair in summary.pairs:
        cells = (
            pair.model, pair.against, str(pair.wins), str(pair.ties), str(pair.losses), points(pair.win_rate),
            span(pair.interval.low, pair.interval.high), span(pair.bootstrap.low, pair.bootstrap.high),
            p_value(pair.p_value), p_value(pair.q), limit(pair.detectable),
        )  # fmt: skip
        # As text: rich would read square brackets in a name as styles.
        table.add_row(*map(Text, cells))
    return table
