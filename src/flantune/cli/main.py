"""The ``flantune`` command. Each subcommand's module is imported only when that subcommand is used."""

from __future__ import annotations

import errno
import sys
from importlib import import_module

import click

from flantune import __version__
from flantune.cli.terminal import guarded
from flantune.errors import FlantuneError
from flantune.system.waiting import wait_by_load

_COMMANDS = {
    "init": (
        "Write a project to begin with: one that runs at once, one for your data, or a paper's settings.",
        "init",
    ),
    "check": ("Check a run file: what would stop the run, what it would leave out, and what it would cost.", "check"),
    "pretrain": ("Train a model on plain text: from scratch, or continuing from another one.", "pretrain"),
    "run": ("Tune a model as a run file says, measure it on held-out clusters, and write the report.", "run"),
    "study": ("Run several variants of a run file with several seeds, and compare them.", "study"),
    "demo": ("Run everything on a small built-in world: offline, in minutes.", "demo"),
    "evaluate": ("Measure models on benchmarks, tasks and lm-eval files, side by side.", "evaluate"),
    "chat": ("Talk to a model in the terminal.", "chat"),
    "answer": ("Store what models answer to open-ended prompts.", "answer"),
    "judge": ("Rate the answers of several models side by side, blind, on a local page.", "judge"),
    "preview": ("Show prompts as the model will see them, with the tokens that carry loss marked.", "preview"),
    "tasks": ("List, show, browse and check tasks.", "tasks"),
    "templates": ("Show templates, and check them for mistakes that spoil training.", "templates"),
    "mixture": ("Show how much of each task a run draws: parts, shares, epochs, licences.", "mixture"),
    "splits": ("Write the papers' splits of the tasks as run files.", "splits"),
    "prepare": ("Render and tokenize a run's training prompts ahead of time, with many processes.", "prepare"),
    "export": ("Write training data or tuned models for other programs.", "export"),
    "push": ("Upload a tuned model to the Hugging Face hub, or list what would be uploaded.", "push"),
    "contamination": ("Find test rows that also occur in the training data.", "contamination"),
    "seen": ("Say whether a model was trained on what another tool measured, or on something related.", "seen"),
    "fetch": ("Download hub datasets into a local mirror, for offline machines.", "fetch"),
    "config": ("Show every setting of a run file, its meaning and the origin of its value.", "config"),
    "samples": (
        "Show single prompts of a run with the models' answers: what tuning fixed, broke or left alone.",
        "samples",
    ),
    "rescore": ("Score a run's stored samples again, without the model.", "rescore"),
    "seeds": ("Combine runs that differ only in their seed.", "seeds"),
    "compare": ("Compare two models on the rows that both answered; can fail a build if one lost too much.", "compare"),
    "report": ("Rewrite a run's report, or write one over several runs; figures as files.", "report"),
}


# Hints for system errors about disks and paths, unless a stage gives a better one.
_FREE_SPACE = "free some space or fix the folder's permissions, then repeat the command"
_MEND_PATH = "fix the path"
_DISK_TROUBLES = {
    **dict.fromkeys((errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EACCES, errno.EPERM, errno.EROFS), _FREE_SPACE),
    errno.EIO: "the disk gives errors: choose a folder on another one",
    **dict.fromkeys((errno.ENAMETOOLONG, errno.ENOTDIR, errno.EISDIR, errno.ELOOP), _MEND_PATH),
    **dict.fromkeys((errno.EMFILE, errno.ENFILE), "let the process open more files, say with `ulimit -n 4096`"),
    errno.ENOMEM: "free some memory, then repeat the command",
}


class _LazyGroup(click.Group):
    """A group that knows its commands' names and help without importing them."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        if cmd_name not in _COMMANDS:
            return None
        module = import_module(f"flantune.cli.{_COMMANDS[cmd_name][1]}")
        command = module.command
        if not isinstance(command, click.Command):  # pragma: no cover - our mistake, not the user's
            raise TypeError(cmd_name)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (text, _) in _COMMANDS.items()])

    main = guarded()(click.Group.main)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        name = args[0] if args else ""
        if name and not name.startswith("-") and name not in _COMMANDS:
            from flantune.errors import did_you_mean

            near = did_you_mean(name, _COMMANDS)
            raise click.UsageError(f'no command "{name}"' + (f"; {near}" if near else ""), ctx)
        return super().resolve_command(ctx, args)


@click.group(
    cls=_LazyGroup,
    # Color codes in data are shown by the guarded streams; without a terminal, click would drop them.
    context_settings={"help_option_names": ["-h", "--help"], "color": True},
    epilog="Start with `flantune demo`. Exit codes: 0 done, 1 problems found, 2 wrong usage, 130 interrupted.",
)
@click.version_option(__version__, prog_name="flantune")
def cli() -> None:
    """Instruction tuning as the FLAN papers describe it: tune on many tasks, measure on held-out kinds of task."""


@guarded()
def main() -> None:
    """Runs the command line; a user's mistake gives a message, never a traceback."""
    wait_by_load()
    try:
        code = cli.main(standalone_mode=False)
        sys.exit(code if isinstance(code, int) else 0)
    except FlantuneError as error:
        click.echo(f"error: {error.render()}", err=True)
        sys.exit(error.exit_code)
    except click.ClickException as error:
        error.show()
        sys.exit(2)
    except (KeyboardInterrupt, click.Abort):
        click.echo("interrupted: repeat the command to resume where it stopped", err=True)
        sys.exit(130)
    except ValueError as error:
        # Settings made from options are checked like those of a run file.
        if not type(error).__module__.startswith("pydantic"):
            raise
        _tell_wrong_options(error)
        sys.exit(2)
    except BrokenPipeError:
        # The reader of our output has closed it (`flantune … | head`), which is not an error.
        sys.stderr.close()
        sys.exit(0)
    except OSError as error:
        if error.errno not in _DISK_TROUBLES:
            raise
        place = f"{error.filename}: " if error.filename else ""
        click.echo(f"error: {place}{error.strerror or error}", err=True)
        click.echo(f"hint: {_DISK_TROUBLES[error.errno]}", err=True)
        sys.exit(1)


def _tell_wrong_options(error: ValueError) -> None:
    from pydantic import ValidationError

    from flantune.settings.plain_words import problems_of, shown

    if isinstance(error, ValidationError):
        for problem in problems_of(error):
            option = str(problem.place[0] if problem.place else "").replace("_", "-")
            click.echo(f"error: --{option}: {problem.text}, got {shown(problem.got)}", err=True)
        click.echo("hint: --help says what each option takes", err=True)
