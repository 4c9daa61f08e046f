"""A mixture as one page: parts, tasks, licences, warnings."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from flantune.report import numbers
from flantune.report.run_details import Fact
from flantune.report.templating import looks, template
from flantune.system.files import write_text

if TYPE_CHECKING:
    from flantune.mixture.sheet import MixtureSheet
    from flantune.mixture.tree import MixedPart


def write_mixture_page(out: Path, sheet: MixtureSheet, *, title: str) -> Path:
    """Writes the page.

    Raises:
        FlantuneError: The page cannot be written.
    """
    page = template("mixture.html.jinja").render(
        title=title,
        sheet=sheet,
        parts=list(_flat(sheet.tree.parts)),
        facts=_facts(sheet),
        n=numbers,
        looks=looks(),
    )
    # A lone surrogate, which JSON can hold and UTF-8 cannot, is shown as a question mark.
    return write_text(out, page.encode("utf-8", "replace").decode("utf-8"))


def _flat(parts: Sequence[MixedPart], depth: int = 0) -> Iterator[tuple[int, MixedPart]]:
    for part in parts:
        yield depth, part
        yield from _flat(part.parts, depth + 1)


def _facts(sheet: MixtureSheet) -> list[Fact]:
    tasks = sheet.tasks
    rows = sum(task.capped for task in tasks)
    held, clusters = ", ".join(sheet.held_out) or "nothing", len(sheet.tree.clusters)
    left_out = numbers.plural(len(sheet.excluded), "task")
    return [
        Fact(name="Tasks", value=numbers.count(len(tasks)), note=f"in {numbers.plural(clusters, 'cluster')}"),
        Fact(name="Rows", value=numbers.count(rows), note="that are ever drawn"),
        Fact(name="Held out", value=held, note=f"{left_out} not trained on for it"),
        Fact(name="Draws", value=numbers.count(sheet.draws), note="that epochs refer to"),
    ]
