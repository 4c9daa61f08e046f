"""A study: variants of one run file, its arms, and the question that their comparison answers."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from flantune.errors import ConfigError, did_you_mean
from flantune.settings.run_file import RunFile, with_settings
from flantune.settings.sections import Problems, Section
from flantune.system.files import slug

if TYPE_CHECKING:
    from flantune.types import Task

Reads = Literal["tuned", "base"]
MeasureOf = Literal["unseen", "clusters", "tasks", "benchmarks"]
TemplatesRead = Literal["mean", "best-dev"]
Figure = Literal["line", "bars", "forest", "grid"]
XScale = Literal["linear", "log"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Measure:
    """Which average of a run is compared.

    Attributes:
        of: "unseen": all clusters that a run held out, each with its unseen tasks. "clusters": only those named.
            "tasks": the mean over named tasks, unseen or not. "benchmarks": the mean over named benchmarks.
        names: The clusters, tasks or benchmarks.
        shots: Exemplars before each query; None: the first number that the arm was measured with.
    """

    of: MeasureOf = "unseen"
    names: tuple[str, ...] = ()
    shots: int | None = None

    def __str__(self) -> str:
        what = ", ".join(self.names)
        if self.of == "unseen":
            what = "unseen tasks, mean over clusters"
        elif len(self.names) > 1:
            what = f"mean over {what}"
        return what if self.shots is None else f"{what}, {self.shots} exemplars"


@dataclass(frozen=True, slots=True, kw_only=True)
class Arm:
    """One variant of the run file; run with several seeds, each is an ordinary run.

    Attributes:
        name: Unique within the study.
        settings: Dotted setting → its value, replacing the run file's.
        x: Its place on a numeric axis; None if the axis has names.
        series: The line or group it belongs to, if a study crosses two factors.
        reads: The model of the run that it represents.
        labeled_rows: Labeled rows of the measured task that it learned from; None if the study does not count them.
        label: What differs within its series: the column of a grid, the bar of a group; empty: the name.
        templates: A task's score is the mean over templates, or that of the template that is best on dev rows.
        measure: The average that it is measured by; None: the study's.
        starts_from: The arm whose tuned model, of the same seed, this one starts from; empty: the run file's model.
    """

    name: str
    settings: Mapping[str, object] = field(default_factory=dict)
    x: float | None = None
    series: str = ""
    reads: Reads = "tuned"
    labeled_rows: int | None = None
    label: str = ""
    templates: TemplatesRead = "mean"
    measure: Measure | None = None
    starts_from: str = ""

    @property
    def slug(self) -> str:
        """The name of its folder."""
        return slug(self.name)


@dataclass(frozen=True, slots=True, kw_only=True)
class Study:
    """Arms that belong together.

    Attributes:
        name: Its name.
        question: Its question, as a complete sentence.
        axis: What differs between the arms.
        arms: The arms, in the figure's order.
        baseline: The arm that every other is paired with; or a label: each arm is then paired with the arm with this
            label in its own series; empty: each arm is paired with the base model of its own run.
        measure: Which average is compared.
        figure: How it is drawn.
        x_scale: The scale of a numeric axis; "log" if doubling matters.
        equal: What is held equal between the arms (tokens, steps), or why not.
        notes: Sentences on what the tasks do not allow, or how the paper's study differs.
    """

    name: str
    question: str
    axis: str
    arms: tuple[Arm, ...]
    baseline: str = ""
    measure: Measure = Measure()
    figure: Figure = "bars"
    x_scale: XScale = "linear"
    equal: str = ""
    notes: tuple[str, ...] = ()

    def arm(self, name: str) -> Arm:
        """The arm with this name."""
        return next(arm for arm in self.arms if arm.name == name)

    def partner(self, arm: Arm) -> Arm | None:
        """The arm that it is paired with (a baseline: itself); None: the base model of its own run."""
        if not self.baseline:
            return None
        named = [one for one in self.arms if one.name == self.baseline]
        own = [one for one in self.arms if one.series == arm.series and one.label == self.baseline]
        return next(iter(named or own), None)


Maker = Callable[[RunFile, Sequence["Task"], Any], Study]
"""Expands a run file and its tasks into a study, with the study's own options."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NamedStudy:
    """A study that can be made from any run file.

    Attributes:
        name: Its name in ``flantune study``.
        help: One line: its question, and the papers' section.
        options: Its options; their docstrings are their help.
        make: Makes the study from a value of ``options``.
    """

    name: str
    help: str
    options: type[Section]
    make: Maker


def checked(study: Study, *, where: str) -> Study:
    """The study, if its arms are consistent.

    Raises:
        ConfigError: They are not; all problems are listed.
    """
    problems = Problems()
    for path, message in _faults(study):
        problems.add(path, message)
    if problems.lines:
        raise problems.error(ConfigError, where=where, hint="docs/studies.md shows a whole file")
    return study


def _faults(study: Study) -> Iterator[tuple[str, str]]:
    names = [arm.name for arm in study.arms]
    if not study.arms:
        yield "arms", "a study needs at least one"
    folders: dict[str, str] = {}
    for number, arm in enumerate(study.arms):
        place = f"arms[{number}]"
        if (other := folders.setdefault(arm.slug, arm.name)) != arm.name or names.index(arm.name) < number:
            yield f"{place}.name", f'"{arm.name}" and "{other}" are one name, as folders go; give each its own'
        if arm.starts_from and arm.starts_from not in names:
            yield f"{place}.starts_from", _no_arm(arm.starts_from, names)
        elif _is_circle(study, arm):
            yield f"{place}.starts_from", f'"{arm.name}" starts from itself'
    if study.baseline and (alone := [arm.name for arm in study.arms if study.partner(arm) is None]):
        known = [*names, *dict.fromkeys(arm.label for arm in study.arms if arm.label)]
        lacking = "" if len(alone) == len(study.arms) else f" in the series of {', '.join(alone)}"
        yield "baseline", _no_arm(study.baseline, known) + lacking
    if study.figure == "line" and (placeless := [arm.name for arm in study.arms if arm.x is None]):
        yield "figure", f"a line needs a place on the axis, x, of every arm; without one: {', '.join(placeless)}"
    if study.x_scale == "log" and (below := [arm.name for arm in study.arms if arm.x is not None and arm.x <= 0]):
        yield "x_scale", f'a logarithmic axis has no place for zero or less: {", ".join(below)}; set "linear"'
    if study.measure.of != "unseen" and not study.measure.names:
        yield "measure.names", f"which {study.measure.of}?"


def _no_arm(name: str, names: Sequence[str]) -> str:
    return f'no arm "{name}"; ' + (did_you_mean(name, names) or f"available: {', '.join(names)}")


def _is_circle(study: Study, arm: Arm) -> bool:
    seen, at = {arm.name}, arm
    while at.starts_from and any(other.name == at.starts_from for other in study.arms):
        at = study.arm(at.starts_from)
        if at.name in seen:
            return at.name == arm.name
        seen.add(at.name)
    return False


def arm_file(file: RunFile, arm: Arm, *, seed: int | None = None) -> RunFile:
    """The run file of an arm, with which ``flantune run`` would make the same run.

    Args:
        file: The study's run file.
        arm: The arm.
        seed: The run's seed; None: the run file's own, or the arm's.

    Raises:
        ConfigError: The arm's settings are unknown or wrong, or do not go together; all are listed.
    """
    changes = dict(arm.settings) if seed is None else {**arm.settings, "seed": seed}
    return with_settings(file, changes, origin=f"arm {arm.name}")
