"""``flantune evaluate``: models on benchmarks, tasks and lm-evaluation-harness files."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import click

from flantune.cli import options


@click.command("evaluate", epilog="Example: flantune evaluate BASE TUNED --suite mmlu_direct --data DATA")
@click.argument("models", nargs=-1, required=True, metavar="MODEL...")
@click.option(
    "--suite",
    "suites",
    multiple=True,
    metavar="NAME",
    help="flan2022, mmlu, bbh, tydiqa, mgsm, natural_instructions, gsm8k, winogender, axg, winobias, crows_pairs, "
    "civil_comments, or one variant such as mmlu_direct; repeatable.",
)
@click.option("--tasks", "tasks", multiple=True, metavar="FILE", help="Task file of your own; repeatable.")
@click.option("--collection", multiple=True, metavar="NAME", help="Shipped collection of tasks; repeatable.")
@click.option(
    "--include", multiple=True, metavar="TASK", help="Only this task of the files and collections; repeatable."
)
@click.option(
    "--harness",
    "harness",
    multiple=True,
    type=click.Path(path_type=Path),
    metavar="FILE|NAME",
    help="lm-eval task YAML file, or a task's name if lm-eval is installed; repeatable.",
)
@click.option(
    "--trust-task-code",
    is_flag=True,
    help="Run the Python functions that --harness files name, in a sandbox: this is third-party code.",
)
@click.option(
    "--harness-out", type=options.FOLDER, help="Write results and samples in lm-eval's format into this folder."
)
@click.option(
    "--protocol", type=click.Choice(options.PROTOCOLS), help="Scoring protocol [default: each benchmark's own]."
)
@click.option(
    "--normalization",
    type=click.Choice(options.NORMALIZATIONS),
    help="How options are ranked [default: the protocol's way].",
)
@click.option("--domain-premise", metavar="TEXT", help='For --normalization domain [default: "Answer:"].')
@click.option(
    "--content-free",
    multiple=True,
    metavar="TEXT",
    help='For --normalization contextual; repeatable [default: "N/A", "", "[MASK]"].',
)
@click.option(
    "--samples",
    "answers_each",
    type=click.IntRange(1),
    default=1,
    help="With chain of thought: sample N answers and vote.",
)
@click.option(
    "--temperature",
    type=options.FiniteRange(0),
    help="Sampling temperature [default: 0.7 for several samples, else greedy].",
)
@click.option("--shots", type=click.IntRange(0), help="Number of exemplars [default: as in the papers].")
@click.option(
    "--trigger",
    default="",
    metavar="TEXT",
    help='Text that ends chain-of-thought questions without exemplars, such as "Let\'s think step by step."',
)
@click.option(
    "--limit",
    type=click.IntRange(1),
    help="Ask only the first N questions of each part; such scores should not be reported.",
)
@click.option(
    "--budget",
    type=options.FiniteRange(0.01, 100),
    metavar="POINTS",
    help="Ask only as many questions as are needed to detect a difference of this many points.",
)
@click.option(
    "--data", "root", type=options.OLD_FOLDER, help="Folder with a mirror of the hub and the benchmarks' files."
)
@click.option(
    "--missing",
    type=click.Choice(("error", "skip")),
    default="error",
    show_default=True,
    help="What to do with parts that have no data.",
)
@click.option("--allow-seen", is_flag=True, help="Also measure what a model was trained on, labeled as seen.")
@click.option("--out", type=options.FOLDER, help="Folder for results, samples and page [default: evaluations/<model>].")
@options.chat
@click.option("--exemplars-as-turns", is_flag=True, help="With --chat: show exemplars as earlier turns.")
@click.option("--seed", type=options.SEED, default=0, show_default=True, help="Seed for drawing exemplars and rows.")
@options.batch_tokens
@options.backend
@options.dtype
@options.device
@click.option("--trust-remote-code", is_flag=True, help="Run Python code that comes with a model.")
@options.as_json("the results")
def command(
    models: tuple[str, ...],
    tasks: tuple[str, ...],
    collection: tuple[str, ...],
    include: tuple[str, ...],
    missing: str,
    root: Path | None,
    limit: int | None,
    out: Path | None,
    as_json: bool,
    **chosen: Any,
) -> None:
    """Measure each MODEL (a folder, GGUF file or hub id) on benchmarks and tasks; others are compared with the first.

    Killed or interrupted? The same command resumes where it stopped. Exit code 1: the numbers should not be reported,
    because of --limit, missing parts, or data that a model was trained on.
    """
    from flantune.cli.console import starting
    from flantune.cli.finish import tell

    console = starting()
    from flantune.commands.evaluate import evaluate, folder_for
    from flantune.commands.evaluation_request import EvaluationRequest
    from flantune.settings.config import DataSettings, PromptSettings

    data = None
    if tasks or collection:
        values = {"tasks": tasks, "collection": collection, "include": include, "missing": missing}
        mirror = (root / "hub" if (root / "hub").is_dir() else root) if root else None
        data = DataSettings.model_validate({**values, "mirror": mirror})
    prompts = PromptSettings(
        chat=chosen.pop("chat"),
        chat_template=chosen.pop("chat_template"),
        chat_thinking=chosen.pop("chat_thinking"),
        system=chosen.pop("system"),
        trigger=chosen.pop("trigger"),
        chat_exemplars="turns" if chosen.pop("exemplars_as_turns") else "message",
    )
    # The rest has the names of the request's fields.
    request = EvaluationRequest(
        models=models,
        out=out or folder_for(models),
        data=data,
        root=root,
        limit=limit or 0,
        skip_missing=missing == "skip",
        prompts=prompts,
        **chosen,
    )
    results = evaluate(request, reporter=console)
    tell(results, request.out, as_json=as_json)
    # torchrun treats any other exit code as a crash.
    is_one_of_several = int(os.environ.get("WORLD_SIZE", 1)) > 1
    click.get_current_context().exit(0 if results.is_reportable or is_one_of_several else 1)
