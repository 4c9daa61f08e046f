"""``flantune contamination``: do test rows occur in the training data?"""

from __future__ import annotations

from pathlib import Path

import click

from flantune.cli import options
from flantune.cli.terminal import echo_json, show


@click.command("contamination", epilog="Example: flantune contamination run.toml --clean clean.json")
@options.run_file
@options.overrides
@click.option("--out", type=options.FILE, help="Write the report as JSON here.")
@click.option("--clean", type=options.FILE, help="Write the overlapping rows here, as a filter.")
@click.option("--fold", type=click.IntRange(0), help="Only this fold, counted from 0.")
@click.option(
    "--suite",
    "suites",
    multiple=True,
    metavar="NAME",
    help="A benchmark whose questions are checked too; repeatable.",
)
@click.option("--data", type=options.OLD_FOLDER, help="Where the benchmarks' data is, as for `flantune evaluate`.")
@click.option(
    "--ngram", default=13, show_default=True, type=click.IntRange(2, 255), help="Number of words in an n-gram."
)
@click.option(
    "--max-documents",
    default=10,
    show_default=True,
    type=click.IntRange(0),
    help="Ignore n-grams in more distinct training texts than this; 0: ignore none.",
)
@click.option(
    "--jaccard",
    default=0.8,
    show_default=True,
    type=options.FiniteRange(0, 1, min_open=True),
    help="Similarity from which two rows are near duplicates.",
)
@options.run_folder
@options.as_json("the report")
def command(
    run_file: Path,
    overrides: tuple[str, ...],
    out: Path | None,
    clean: Path | None,
    fold: int | None,
    suites: tuple[str, ...],
    data: Path | None,
    ngram: int,
    max_documents: int,
    jaccard: float,
    run_folder: Path | None,
    as_json: bool,
) -> None:
    """Compare RUN_FILE's unseen test rows with its training rows: shared n-grams and near-duplicate rows.

    For each fold, compares every test row of an unseen task, and every question of a --suite, with the rows trained on.
    Exit code 1: overlap was found.
    """
    from flantune.cli.console import starting

    console = starting()
    from flantune.commands.contamination import check_run
    from flantune.contamination.clean import write_clean
    from flantune.contamination.findings import Settings
    from flantune.settings.run_file import load_run_file
    from flantune.suites.catalog import choose_exams
    from flantune.suites.suite import SuiteData
    from flantune.system.files import write_json

    loaded = load_run_file(run_file, overrides=overrides)
    settings = Settings(
        ngram=ngram,
        min_ngram=min(8, ngram),
        max_documents=max_documents or None,
        jaccard=jaccard,
        seed=loaded.config.seed,
    )
    cache = options.prepared_data(run_folder, run_file)
    exams = choose_exams(suites, SuiteData(root=data)).exams if suites else ()
    report = check_run(loaded, cache=cache, settings=settings, only_fold=fold, exams=exams, reporter=console)
    written = []
    if out is not None:
        written.append(f"report:  {write_json(out, report.to_json())}")
    if clean is not None:
        written.append(f"filter:  {write_clean(clean, report)}")
    if as_json:
        echo_json(report.to_json())
    else:
        from flantune.contamination.table import contamination_table, summary_line

        show(contamination_table(report))
        click.echo(summary_line(report))
    for line in written:
        click.echo(line, err=as_json)
    if report.has_overlap and not as_json and clean is None:
        click.echo("next:    repeat with --clean clean.json to write these rows as a filter")
    click.get_current_context().exit(1 if report.has_overlap else 0)
