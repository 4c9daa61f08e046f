"""``scale``: does tuning help models of every size? Papers: FLAN 2021, section 4.2, figure 7; Flan 2022, figure 4."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from flantune.errors import ConfigError
from flantune.settings.run_file import with_settings
from flantune.settings.sections import Section
from flantune.settings.setting_types import Names
from flantune.studies.study import Arm, NamedStudy, Study

if TYPE_CHECKING:
    from flantune.settings.run_file import RunFile
    from flantune.types import Task


class Options(Section):
    """Options of the study."""

    models: Names = ()
    """Folders or hub ids of models that differ in size, the run file's own among them; needs two at least."""


def make(file: RunFile, tasks: Sequence[Task], options: Options) -> Study:  # noqa: ARG001 - the same of any tasks
    """Two arms per model: tuned, and not tuned.

    Raises:
        ConfigError: Fewer than two models are named, or two of them have one size.
        ModelError: A model does not exist.
    """
    if len(options.models) < 2:
        hint = '--option \'models=["google/t5-small-lm-adapt", "google/t5-base-lm-adapt"]\''
        raise ConfigError("needs two models at least, of different sizes", where="models", hint=hint)
    sized = sorted((_weights(file, path), path) for path in options.models)
    names = {path: _name(path, options.models) for path in options.models}
    tuned = [
        Arm(name=f"{names[path]}, tuned", settings=_settings(path), x=size, series="tuned", label=names[path])
        for size, path in sized
    ]
    base = [replace(arm, name=f"{arm.label}, as it was", series="not tuned", reads="base") for arm in tuned]
    return Study(
        name="scale",
        question="Does tuning help models of every size with tasks that they never saw?",
        axis="weights of the model",
        arms=(*tuned, *base),
        figure="line",
        x_scale="log",
        equal="steps, tokens per step and tasks; a larger model costs more of everything else",
        notes=("Flan 2022 tunes each size with a learning rate and a number of steps of its own (its table 22).",),
    )


def _settings(path: str) -> dict[str, object]:
    return {"model.path": path, "model.revision": None}


def _weights(file: RunFile, path: str) -> int:
    """The weights of a model, counted from its configuration."""
    from flantune.models.load import detect_family, load_config
    from flantune.models.size import count_weights

    model = with_settings(file, _settings(path), origin=f"model {path}").config.model
    config = load_config(model)
    return count_weights(config, file.config.family or detect_family(config), trust_remote_code=model.trust_remote_code)


def _name(path: str, paths: Sequence[str]) -> str:
    """A model's own name; the whole path if two have the same."""
    own = Path(path).name
    return own if sum(Path(other).name == own for other in paths) == 1 else path


STUDY = NamedStudy(
    name="scale",
    help="Several models of different sizes, each tuned and as it was (FLAN 2021, 4.2; Flan 2022, figure 4).",
    options=Options,
    make=make,
)
