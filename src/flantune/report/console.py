"""The results in a terminal: one short table, of a run or of several seeds."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flantune.report.estimates import Estimate
from flantune.report.numbers import interval, limit, p_value, points, shots_label, signed
from flantune.report.results import Pair, parse_results
from flantune.report.skill_results import SKILL_MEASURES

if TYPE_CHECKING:
    from rich.table import Table
    from rich.text import Text

    from flantune.evaluation.statistics.seeds import SeedEffect, SeedSummary
    from flantune.runs.untrusted_json import Json

_STYLES = {"better": "bold green", "worse": "bold red", "undecided": ""}
_SHAPES = {"better": "▲", "worse": "▼", "undecided": "·"}


def results_table(results: Json) -> Table:
    """Held-out clusters and their mean as a table for ``rich``: base, tuned, difference and interval, in points.

    "detectable" is the smallest true difference that would have been found four times in five.

    Args:
        results: What ``results.json`` holds; parts may be missing.
    """
    from rich.table import Table

    parsed = parse_results(results)
    clusters = sorted(parsed.clusters.get("raw", ()), key=lambda pair: (pair.shots, -(pair.difference.value or 0.0)))
    overall = parsed.overall.get("raw", ())
    shots = {pair.shots for pair in (*clusters, *overall)}
    # One number of exemplars is said once, which keeps the table within 80 columns.
    said = f", {shots_label(min(shots))}" if len(shots) == 1 else ""
    table = Table(
        title=_title(parsed.name + said), title_justify="left", box=None, pad_edge=False, padding=(0, 1, 0, 0),
        header_style="dim",
    )  # fmt: skip
    table.add_column("held-out cluster", overflow="fold")
    headings = ("chance", "base", "tuned", "difference", parsed.level, "p", "detectable")
    for heading in (*(() if said else ("",)), *headings):
        table.add_column(heading, justify="right", no_wrap=True)
    for pair in clusters:
        table.add_row(*_cells(pair, has_shots=not said))
    if clusters and overall:
        table.add_section()
    for pair in overall:
        table.add_row(*_cells(pair, has_shots=not said), style="bold")
    if not clusters and not overall:
        table.add_row("nothing was measured on held-out clusters")
    return table


def skill_table(results: Json) -> Table | None:
    """Held-out clusters' discrimination and calibrated accuracy; None where no ranked task was measured.

    Args:
        results: What ``results.json`` holds; parts may be missing.
    """
    from rich.table import Table
    from rich.text import Text

    parsed = parse_results(results)
    both = {
        measure: {(one.name, one.shots, one.fold): one for part in found for one in part.get(measure, ())}
        for measure in SKILL_MEASURES
        for found in [(parsed.clusters, parsed.overall)]
    }
    if not both["discrimination"]:
        return None
    table = Table(
        title=Text("skill apart from preference: discrimination, then calibrated accuracy", style="bold"),
        title_justify="left", box=None, pad_edge=False, header_style="dim",
    )  # fmt: skip
    table.add_column("held-out cluster", overflow="fold", min_width=13)
    for heading in ("base", "tuned", "change", parsed.level, "base", "tuned", "change"):
        table.add_column(heading, justify="right", no_wrap=True)
    for key, pair in sorted(both["discrimination"].items(), key=_by_change):
        other = both["calibrated_accuracy"].get(key)
        name = pair.name if len(parsed.shots) < 2 else f"{pair.name}, {shots_label(pair.shots)}"
        style = "bold" if pair.name == "All clusters" else ""
        table.add_row(
            Text(name), *_skill_cells(pair), Text(pair.difference.interval()), *_skill_cells(other), style=style
        )
    return table


def _by_change(item: tuple[tuple[str, int, str], Pair]) -> tuple[int, bool, float]:
    """By exemplars, the largest change first and the whole last."""
    pair = item[1]
    return (pair.shots, pair.name == "All clusters", -(pair.difference.value or 0.0))


def _skill_cells(pair: Pair | None) -> list[Text]:
    from rich.text import Text

    if pair is None:
        return [Text("")] * 3
    direction = pair.difference.direction
    change = Text(f"{pair.difference.signed()} {_SHAPES[direction]}", style=_STYLES[direction])
    return [Text(pair.base.score()), Text(pair.tuned.score()), change]


def seeds_table(summary: SeedSummary) -> Table:
    """What tuning changed over several seeds: the mean difference, its interval and its spread, in points."""
    from rich.table import Table

    title = f"{len(summary.seeds)} seeds: {', '.join(map(str, summary.seeds))}"
    table = Table(title=title, title_justify="left", box=None, pad_edge=False, header_style="dim")
    table.add_column("", overflow="fold")
    level = f"{summary.confidence * 100:g}% interval"
    for heading in ("", "difference", level, "p", "detectable", "std"):
        table.add_column(heading, justify="right", no_wrap=True)
    last = ""
    for effect in summary.effects:
        if (
            effect.measure != "raw"
            and effect.level == "task"
            and any(one.level == "cluster" for one in summary.effects)
        ):
            continue  # a run has many tasks: their skill is in the JSON
        if last and f"{effect.measure} {effect.level}" != last:
            table.add_section()
        last = f"{effect.measure} {effect.level}"
        table.add_row(*_seed_cells(effect), style="bold" if effect.level == "overall" else "")
    return table


def _seed_cells(effect: SeedEffect) -> list[Text]:
    from rich.text import Text

    direction = Estimate(effect.value, effect.low, effect.high).direction
    change = Text(f"{signed(effect.value)} {_SHAPES[direction]}", style=_STYLES[direction])
    tested = (interval(effect.low, effect.high), p_value(effect.p), limit(effect.detectable), points(effect.std))
    name = effect.name if effect.measure == "raw" else f"{effect.name}, {effect.measure.replace('_', ' ')}"
    return [Text(name), Text(shots_label(effect.shots)), change, *map(Text, tested)]


def _title(name: str) -> Text:
    """The run's name as it is: rich would read square brackets in it as styles."""
    from rich.text import Text

    return Text(name, style="bold")


def _cells(pair: Pair, *, has_shots: bool) -> list[Text]:
    from rich.text import Text

    direction = pair.difference.direction
    change = Text(f"{pair.difference.signed()} {_SHAPES[direction]}", style=_STYLES[direction])
    shots = (shots_label(pair.shots),) if has_shots else ()
    plain = (pair.name, *shots, points(pair.chance), pair.base.score(), pair.tuned.score())
    tested = (pair.difference.interval(), p_value(pair.difference.p), limit(pair.difference.detectable))
    return [*map(Text, plain), change, *map(Text, tested)]
