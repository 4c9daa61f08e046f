"""Instruction tuning as the FLAN papers describe it: tune on many tasks, measure on held-out kinds of task.

These are the public names; ``docs/python-api.md`` shows each in use. Everything else is private by convention.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from flantune.commands.ask import ask
    from flantune.commands.evaluate import evaluate
    from flantune.commands.evaluation_request import EvaluationRequest
    from flantune.commands.plan import pack
    from flantune.commands.run import run
    from flantune.commands.study import expand_study, run_study
    from flantune.errors import FlantuneError
    from flantune.mixture.holdout import hold_out
    from flantune.mixture.mixture import Mixture
    from flantune.models.load import load_model, save_model
    from flantune.prompts.render import render
    from flantune.report.page import write_report
    from flantune.runs.files import read_results
    from flantune.settings.config import RunConfig
    from flantune.settings.run_file import load_run_file
    from flantune.studies.split_files import plan_splits, write_split
    from flantune.tasks.catalog import find_tasks
    from flantune.tasks.prepare import prepare_task
    from flantune.training.loop import tune
    from flantune.types import Example, Prompt, Task, Template

__version__ = "0.1.0"

_HOMES = {
    "EvaluationRequest": "commands.evaluation_request",
    "Example": "types",
    "FlantuneError": "errors",
    "Mixture": "mixture.mixture",
    "Prompt": "types",
    "RunConfig": "settings.config",
    "Task": "types",
    "Template": "types",
    "ask": "commands.ask",
    "evaluate": "commands.evaluate",
    "expand_study": "commands.study",
    "find_tasks": "tasks.catalog",
    "hold_out": "mixture.holdout",
    "load_model": "models.load",
    "load_run_file": "settings.run_file",
    "pack": "commands.plan",
    "plan_splits": "studies.split_files",
    "prepare_task": "tasks.prepare",
    "read_results": "runs.files",
    "render": "prompts.render",
    "run": "commands.run",
    "run_study": "commands.study",
    "save_model": "models.load",
    "tune": "training.loop",
    "write_report": "report.page",
    "write_split": "studies.split_files",
}

__all__ = [
    "EvaluationRequest",
    "Example",
    "FlantuneError",
    "Mixture",
    "Prompt",
    "RunConfig",
    "Task",
    "Template",
    "__version__",
    "ask",
    "evaluate",
    "expand_study",
    "find_tasks",
    "hold_out",
    "load_model",
    "load_run_file",
    "pack",
    "plan_splits",
    "prepare_task",
    "read_results",
    "render",
    "run",
    "run_study",
    "save_model",
    "tune",
    "write_report",
    "write_split",
]


if not TYPE_CHECKING:  # so that type checkers tell a name that is not there

    def __getattr__(name: str) -> object:
        # Loaded on first use, so that `import flantune` and the command line's --help load nothing heavy.
        if name not in _HOMES:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return __all__
