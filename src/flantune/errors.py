"""One small tree of exceptions. Each says what is wrong, where, and what to do about it."""

from __future__ import annotations

from difflib import get_close_matches
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable


class FlantuneError(Exception):
    """A mistake the user can fix: shown without a traceback.

    Attributes:
        message: What is wrong.
        where: The file and line, dotted config path, or task/template/row.
        hint: A command to run or an edit to make.
        exit_code: The process exit code the command line ends with.
    """

    exit_code = 2

    def __init__(self, message: str, *, where: str = "", hint: str = "") -> None:
        self.message, self.where, self.hint = message, where, hint
        super().__init__(self.render())

    def render(self) -> str:
        """The whole error as text, one line per part."""
        parts = [f"{self.where}: {self.message}" if self.where else self.message]
        if self.hint:
            parts.append(f"hint: {self.hint}")
        return "\n".join(parts)


class ConfigError(FlantuneError):
    """The run file is wrong; all its problems come at once."""


class TaskError(FlantuneError):
    """A task definition is wrong."""


class SourceError(FlantuneError):
    """Data is missing or cannot be read."""


class MissingDataError(SourceError):
    """The data is not there (and not: is there but broken), so that a run may go on without the task."""


class BadRowsError(FlantuneError):
    """More rows of a split are bad than the run allows."""

    exit_code = 1


class TemplateError(FlantuneError):
    """A template cannot be rendered."""


class NotAskedError(TemplateError):
    """A template does not ask this example, by its own rule: another one is taken."""


class LeakError(FlantuneError):
    """A task that is to be measured as unseen was trained on, or its kin was."""


class PackingError(FlantuneError):
    """A prompt cannot be laid out within the token budget."""


class ModelError(FlantuneError):
    """A model or tokenizer cannot be loaded, or does not behave as packing needs."""


class TrainingError(FlantuneError):
    """Tuning cannot go on: a non-finite loss, a full disk, a checkpoint of another run."""

    exit_code = 1


class EvaluationError(FlantuneError):
    """An evaluation cannot be run or scored again."""


class WorkerKilledError(FlantuneError):
    """The process that does some work is killed whenever it does it, say since the memory is full."""

    exit_code = 1


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """A suggestion for a misspelled name, or the empty string.

    >>> did_you_mean("lerning_rate", ["learning_rate", "steps"])
    'did you mean "learning_rate"?'
    """
    close = get_close_matches(name, list(known), n=1)
    return f'did you mean "{close[0]}"?' if close else ""
