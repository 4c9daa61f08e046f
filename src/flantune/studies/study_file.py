"""A user's own study: a TOML file with its arms, or with a named study and its options."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, get_origin

from pydantic import Field, model_validator

from flantune.errors import ConfigError
from flantune.settings.config import RunConfig
from flantune.settings.sections import Problems, Section, check_section, sections_in
from flantune.settings.setting_types import Names, Natural, Number, Text
from flantune.settings.toml_file import read_toml
from flantune.studies.study import Arm, Figure, Measure, MeasureOf, Reads, Study, TemplatesRead, XScale, checked

_HINT = "docs/studies.md shows a whole file"


class MeasureTable(Section):
    """``[study.measure]``: which average of a run is compared."""

    of: MeasureOf = "unseen"
    """"unseen": all clusters that a run held out; "clusters", "tasks" or "benchmarks": those of `names`."""
    names: Names = ()
    """The clusters, tasks or benchmarks; their mean is compared."""
    shots: Natural | None = None
    """Exemplars before each query; by default the first number that the runs were measured with."""


class StudyTable(Section):
    """``[study]``: the question, and what is compared with what."""

    name: Text = ""
    """The study's name; by default the file's name."""
    question: Annotated[Text, Field(min_length=1)]
    """Its question, as a complete sentence."""
    axis: Annotated[Text, Field(min_length=1)]
    """What differs between the arms: "templates a task"."""
    baseline: Text = ""
    """The arm that every other is paired with, or a label: each arm is then paired with the arm with this label in its
    own series. By default each arm is paired with the base model of its own run."""
    measure: MeasureTable = MeasureTable()
    """The average that is compared; by default unseen tasks, as a mean over clusters."""
    figure: Figure = "bars"
    """The kind of figure; a line needs a number, `x`, for every arm."""
    x_scale: XScale = "linear"
    """The scale of a numeric axis; "log" if doubling matters."""
    equal: Text = ""
    """What is held equal between the arms, in words, or why nothing is."""


class ArmTable(Section):
    """``[[arms]]``: a run file with some settings changed."""

    name: Annotated[Text, Field(min_length=1)]
    """The arm's name."""
    settings: dict[str, Any] = Field(default_factory=dict)
    """Changed settings of the run file: `training.steps = 100`; paths are relative to the run file's folder."""
    x: Number | None = None
    """Its place on a numeric axis."""
    series: Text = ""
    """The line or group it belongs to, if two factors are crossed."""
    reads: Reads = "tuned"
    """The model of the run that the arm represents."""
    labeled_rows: Natural | None = None
    """Labeled rows of the measured task that it learned from."""
    label: Text = ""
    """What differs within its series; by default the name."""
    templates: TemplatesRead = "mean"
    """A task's score: the mean over templates, or that of the template best on dev rows ("best-dev")."""
    measure: MeasureTable | None = None
    """The average that it is measured by; by default the study's."""
    starts_from: Text = ""
    """The arm whose tuned model, of the same seed, this one starts from."""


class StudyFile(Section):
    """The whole file."""

    study: StudyTable
    arms: Annotated[tuple[ArmTable, ...], Field(min_length=1)]

    @model_validator(mode="before")
    @classmethod
    def _names_arms_in_one_way(cls, given: object) -> object:
        """Accepts ``[arms.NAME]`` as well as ``[[arms]]``."""
        if isinstance(given, Mapping) and isinstance(given.get("arms"), Mapping):
            arms = [{"name": key, **one} if isinstance(one, Mapping) else one for key, one in given["arms"].items()]
            return {**given, "arms": arms}
        return given


def read_study(path: Path) -> Study:
    """Reads a user's own study; the arms' settings are checked when they are turned into run files.

    Raises:
        ConfigError: The file is missing, is not TOML, or something in it is wrong; all is listed.
    """
    hint = "give the name of a study (`flantune study --list`) or a TOML file; " + _HINT
    _, tree = read_toml(path, error=ConfigError, what="study file", hint=hint)
    if "study" not in tree and {"data", "model", "training"} & tree.keys():
        hint = "give the study first, then the run file: `flantune study NAME|FILE RUN_FILE`"
        raise ConfigError("this is a run file, not a study", where=str(path), hint=hint)
    problems = Problems()
    file = check_section(StudyFile, tree, "", problems=problems)
    if file is None:
        raise problems.error(ConfigError, where=str(path), hint=_HINT)
    return checked(_study(file, path), where=str(path))


def _study(file: StudyFile, path: Path) -> Study:
    head = file.study
    return Study(
        name=head.name or path.stem,
        question=head.question,
        axis=head.axis,
        arms=tuple(map(_arm, file.arms)),
        baseline=head.baseline,
        measure=_measure(head.measure),
        figure=head.figure,
        x_scale=head.x_scale,
        equal=head.equal,
    )


def _arm(table: ArmTable) -> Arm:
    values = {name: getattr(table, name) for name in ArmTable.model_fields if name not in ("settings", "measure")}
    measure = None if table.measure is None else _measure(table.measure)
    return Arm(**values, measure=measure, settings=_with_one_model(dict(dotted(table.settings))))


def _with_one_model(settings: dict[str, Any]) -> dict[str, Any]:
    """In an arm that names a model, it replaces the run file's, which may be built from scratch, or the reverse.

    TOML has no notation for "not set", so an arm could not express this.

    >>> _with_one_model({"model.path": "gpt2"})
    {'model.scratch': None, 'model.revision': None, 'model.path': 'gpt2'}
    """
    is_made = any(key == "model.scratch" or key.startswith("model.scratch.") for key in settings)
    if "model.path" in settings and not is_made:
        return {"model.scratch": None, "model.revision": None, **settings}
    if is_made and "model.path" not in settings:
        return {"model.path": "", "model.revision": None, **settings}
    return settings


def _measure(table: MeasureTable) -> Measure:
    return Measure(of=table.of, names=table.names, shots=table.shots)


def dotted(tree: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Tables of a file as (dotted setting, value); settings whose value is a table keep it.

    >>> dict(dotted({"training": {"steps": 3}, "seed": 1}))
    {'training.steps': 3, 'seed': 1}
    """
    for key, value in tree.items():
        if isinstance(value, Mapping) and _is_section(f"{prefix}{key}"):
            yield from dotted(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def _is_section(key: str) -> bool:
    """Whether a dotted key names a section of the run file, with known keys."""
    model: Any = RunConfig
    for part in key.split("."):
        known = model.model_fields.get(part)
        if known is None or get_origin(known.annotation) is dict:
            return False
        inner = next(sections_in(known.annotation), None)
        if inner is None:
            return False
        model = inner
    return True
