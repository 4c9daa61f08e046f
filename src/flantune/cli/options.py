"""Options and arguments shared by several commands, so that each has one name and one meaning everywhere."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

import click

from flantune.settings.protocols import ProtocolName, ScoreNormalization

if TYPE_CHECKING:
    from click.decorators import FC


class FiniteRange(click.FloatRange):
    """A number in a range, without NaN and infinity, which click itself accepts."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """The number.

        Raises:
            click.BadParameter: The value is not a number in the range.
        """
        number = super().convert(value, param, ctx)
        if not math.isfinite(number):
            self.fail(f"{value} is not a finite number.", param, ctx)
        return number


class Count(click.ParamType[int]):
    """A whole number from 1 on, also written ``1e9`` or ``2_000_000``."""

    name = "count"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """The number.

        Raises:
            click.BadParameter: The value is not such a number.
        """
        try:
            number = float(str(value).replace("_", ""))
        except ValueError:
            number = 0.0
        if not 1 <= number <= 1e15 or number != int(number):
            self.fail(f'"{value}" is not a count, such as 500000 or 1e9.', param, ctx)
        return int(number)


COUNT = Count()
SEED = click.IntRange(0, 2**63 - 1)
FILE = click.Path(dir_okay=False, path_type=Path)
FOLDER = click.Path(file_okay=False, path_type=Path)
OLD_FOLDER = click.Path(exists=True, file_okay=False, path_type=Path)

PROTOCOLS, NORMALIZATIONS = get_args(ProtocolName), get_args(ScoreNormalization)

DEFAULT_FOLDER = "[default: runs/<file name>; for x/run.toml, runs/x]"

run_file = click.argument("run_file", type=click.Path(path_type=Path))
run_file_or_none = click.argument("run_file", type=click.Path(path_type=Path), required=False)


def settings_like(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[str]:  # noqa: ARG001
    """The settings whose names start with the typed text, for shell completion."""
    from flantune.settings.config import RunConfig
    from flantune.settings.run_file import flatten

    return [f"{key}=" for key, _ in flatten(RunConfig()) if key.startswith(incomplete)]


overrides = click.option(
    "--set",
    "overrides",
    multiple=True,
    metavar="KEY=VALUE",
    help="Override a setting of the run file; repeatable.",
    shell_complete=settings_like,
)
fold = click.option(
    "--fold", type=click.IntRange(0), default=0, show_default=True, help="Which fold's mixture, counted from 0."
)
start = click.option("--start", type=click.IntRange(0), default=0, show_default=True, help="Index of the first draw.")
run_folder = click.option(
    "--run", "run_folder", type=FOLDER, help=f"Run folder whose prepared data is used {DEFAULT_FOLDER}."
)
out = click.option("--out", type=FOLDER, help=f"Run folder {DEFAULT_FOLDER}.")
device = click.option("--device", default="auto", show_default=True, metavar="NAME", help="auto, cpu, cuda, cuda:1 …")
planned_device = click.option(
    "--on",
    "device",
    default="",
    metavar="NAME[:COUNT]",
    help='Estimate the time there: "here" times this machine, "h100:8" means eight devices of a known kind.',
)
dtype = click.option(
    "--dtype",
    type=click.Choice(("auto", "float32", "bfloat16")),
    default="float32",
    show_default=True,
    help="Arithmetic; auto: bfloat16 on devices that have it, elsewhere float32.",
)
batch_tokens = click.option(
    "--batch-tokens",
    type=click.IntRange(1),
    default=8192,
    show_default=True,
    help="Largest number of token positions in a batch; a smaller one needs less memory.",
)
backend = click.option(
    "--backend",
    type=click.Choice(("transformers", "vllm")),
    default="transformers",
    show_default=True,
    help="What generates answers; vllm needs a GPU and the extra `vllm`.",
)


def chat(command: FC) -> FC:
    """``--chat`` and its related options."""
    for option in (
        click.option("--system", default="", metavar="TEXT", help="With --chat: a system message."),
        click.option(
            "--thinking/--no-thinking",
            "chat_thinking",
            default=None,
            help="With --chat: tell the template whether the model thinks before a reply [default: unset].",
        ),
        click.option("--chat-template", type=FILE, help="With --chat: use this template instead of the model's."),
        click.option("--chat", is_flag=True, help="Use the chat template of each model's tokenizer."),
    ):
        command = option(command)
    return command


def as_json(what: str) -> Callable[[FC], FC]:
    """``--json``, with what it prints."""
    return click.option("--json", "as_json", is_flag=True, help=f"Print {what} as JSON on stdout.")


def default_folder(run_folder: Path | None, run_file: Path) -> Path:
    """The run folder: the given one, else the one named after the run file."""
    return run_folder or Path("runs") / name_of_run(run_file)


def name_of_run(run_file: Path) -> str:
    """The name of a run file; for the run.toml of another folder, which many projects have, that folder's name."""
    home = run_file.resolve().parent
    is_a_projects = run_file.stem == "run" and home != Path.cwd().resolve()
    return (is_a_projects and home.name) or run_file.stem


def prepared_data(run_folder: Path | None, run_file: Path) -> Path:
    """The folder with the adapted examples of a run."""
    return default_folder(run_folder, run_file) / "data"
