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
        exit_code: The exit code of the command.
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
    """The data is absent (not present but broken), so that a run may continue without the task."""


class BadRowsError(FlantuneError):
    """More rows of a split are bad than the run allows."""

    exit_code = 1


class TemplateError(FlantuneError):
    """A template cannot be rendered."""


class NotAskedError(TemplateError):
    """By its own rule a template does not ask this example, so another example is taken."""


class LeakError(FlantuneError):
    """A task to be measured as unseen, or its kin, was trained on."""


class PackingError(FlantuneError):
    """A prompt cannot be laid out within the token budget."""


class ModelError(FlantuneError):
    """A model or tokenizer cannot be loaded, or does not behave as packing needs."""


class TrainingError(FlantuneError):
    """Tuning cannot continue: a non-finite loss, a full disk, a checkpoint of another run."""

    exit_code = 1


class EvaluationError(FlantuneError):
    """An evaluation cannot be run or scored again."""


class WorkerKilledError(FlantuneError):
    """A worker process is killed each time it does some piece of work, for lack of memory, say."""

    exit_code = 1


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """A suggestion for a misspelled name, or the empty string.

    >>> did_you_mean("lerning_rate", ["learning_rate", "steps"])
    'did you mean "learning_rate"?'
    """
    close = get_close_matches(name, list(known), n=1)
    return f'did you mean "{close[0]}"?' if close else ""
