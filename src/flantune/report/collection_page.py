"""Writes a page for browsing tasks: every dataset, every template, and a rendered row for each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from flantune.mixture.taxonomy import Taxonomy, load_taxonomy
from flantune.report import numbers
from flantune.report.collection import ClusterGroup, cluster_groups, task_anchor
from flantune.report.run_details import Fact
from flantune.report.templating import looks, template, write_page
from flantune.tasks.catalog import rows_beside
from flantune.types import Row, Task


def write_collection_page(
    tasks: Sequence[Task],
    rows: Mapping[str, Sequence[Row]],
    out: Path,
    *,
    title: str,
    taxonomy: Taxonomy | None = None,
) -> Path:
    """Writes one page that shows every template of every task, and returns its path.

    The page is self-contained: no network, no other file. The same tasks and rows give the same bytes.

    Args:
        tasks: What to show.
        rows: Task name → raw rows to render its templates with. Other tasks use the first rows of their data; without
            data, only the templates are shown.
        out: The page.
        title: Its heading.
        taxonomy: Rules for kin and overlap; None: the shipped ones.

    Raises:
        FlantuneError: The page cannot be written.
    """
    page = render_collection_page(tasks, rows, title=title, taxonomy=taxonomy or load_taxonomy(None))
    return write_page(out, page)


def render_collection_page(
    tasks: Sequence[Task], rows: Mapping[str, Sequence[Row]], *, title: str, taxonomy: Taxonomy
) -> str:
    """The whole page as text."""
    groups = cluster_groups(tasks, rows, taxonomy=taxonomy)
    return template("collection.html.jinja").render(
        title=title,
        groups=groups,
        facts=_facts(groups),
        n=numbers,
        anchor_of={task.name: task_anchor(task.name) for task in tasks},
        looks=looks(css=("collection.css",), scripts=("collection.js",)),
    )


def shipped_rows(tasks: Sequence[Task]) -> dict[str, list[Row]]:
    """Task name → the hand-written rows beside its file; tasks without any are left out.

    Raises:
        SourceError: A file of rows is damaged.
    """
    return {task.name: rows for task in tasks if (rows := rows_beside(task)) is not None}


def _facts(groups: Sequence[ClusterGroup]) -> list[Fact]:
    """The collection in four numbers."""
    datasets = [found for group in groups for found in group.own]
    kinds = [found.task.kind for found in datasets]
    templates = sum(len(found.wordings) for found in datasets)
    inverted = sum(found.inverted for found in datasets)
    families = {found.task.source_family or found.task.name for found in datasets}
    choosing, writing = (numbers.count(kinds.count(kind)) for kind in ("classification", "generation"))
    found = (
        (
            "Datasets",
            numbers.count(len(datasets)),
            f"of {numbers.plural(len(families), 'source family', 'source families')}",
        ),
        ("Clusters", numbers.count(len(groups)), "kinds of task, held out whole"),
        ("Templates", numbers.count(templates), f"{numbers.count(inverted)} of them inverted"),
        ("Answers", f"{choosing} + {writing}", "chosen among options + written"),
    )
    return [Fact(name=name, value=value, note=note) for name, value, note in found]
