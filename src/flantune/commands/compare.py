"""``flantune compare``: is one run's model better than another's, on the rows that both answered?"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from flantune.errors import ConfigError, EvaluationError, did_you_mean
from flantune.evaluation.estimates import Difference
from flantune.evaluation.results import Results
from flantune.report.numbers import MINUS, end, signed
from flantune.runs.compared import Comparison, Side, compare_runs
from flantune.runs.files import read_results
from flantune.runs.folder import RunFolder, short_names
from flantune.settings.json_file import plain

Judge = Literal["difference", "lower-end", "upper-end"]
"""What is compared with a limit: the difference itself, or an end of its interval."""

_DIGITS = 6
"""Decimals of points that count."""


@dataclass(frozen=True, slots=True)
class Named:
    """A model as a user names it: a folder, and after a colon the model in it."""

    folder: Path
    model: str = ""

    @property
    def is_evaluation(self) -> bool:
        """Whether the folder is an evaluation's, which has no settings of a run."""
        folder = RunFolder(self.folder)
        return folder.results.is_file() and not folder.kept_settings.is_file()


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """One difference that is compared with a limit.

    Attributes:
        name: What was measured: all clusters, or a benchmark.
        difference: The second model minus the first.
        is_passed: Whether it is not below the limit; True without one.
    """

    name: str
    difference: Difference
    is_passed: bool


def named(text: str) -> Named:
    """A folder, or a folder and a model in it: "runs/new", or "runs/new:base".

    Raises:
        ConfigError: There is no such folder.
    """
    if Path(text).is_dir():
        return Named(Path(text))
    folder, colon, model = text.rpartition(":")
    if colon and (Path(folder).is_dir() or not Path(text).parent.is_dir()):
        return Named(Path(folder), model)
    raise ConfigError(
        "no such folder", where=text, hint="give a folder that `flantune run` or `flantune evaluate` wrote"
    )


def compare(first: Named, second: Named) -> Comparison:
    """Compares the second model with the first.

    Two runs are compared task by task from their stored samples. For two models of one evaluation, their part of its
    results is used.

    Raises:
        ConfigError: The two folders do not go together, or there is no such model.
        FlantuneError: Something is not measured, damaged, or not the same in both.
    """
    if first.is_evaluation and second.is_evaluation:
        return Comparison(results=_of_evaluation(first, second), left_out={})
    if first.is_evaluation or second.is_evaluation:
        hint = "evaluate both models together: `flantune evaluate MODEL MODEL …`, then compare them in its folder"
        raise ConfigError("one is a run and the other an evaluation", where=_both(first, second), hint=hint)
    return compare_runs(dict(zip(_names([first, second]), map(_side, (first, second)), strict=True)))


def judge(results: Results, *, limit: float | None, by: Judge = "difference") -> tuple[Judged, ...]:
    """The differences of a comparison: over all clusters, and for each benchmark.

    Args:
        results: Two models' scores.
        limit: The least difference that passes, in points; None: everything passes.
        by: What must not be below the limit. The lower end requires evidence that nothing was lost; the upper end only
            fails what is clearly below.

    Raises:
        EvaluationError: There is a limit, but nothing to compare with it.
    """
    judged = tuple(_judged(results, limit=limit, by=by))
    if limit is not None and not judged:
        hint = "compare models on tasks that neither was trained on, or on benchmarks"
        raise EvaluationError("there is no difference to judge", where=_where(results), hint=hint)
    return judged


def _judged(results: Results, *, limit: float | None, by: Judge) -> Iterator[Judged]:
    model = results.names[1]
    found = {"all clusters": results.verdict.difference} if results.verdict and results.verdict.difference else {}
    for name, difference in (*found.items(), *((one.name, one.differences[model]) for one in results.benchmarks)):
        is_passed = limit is None or _points(difference, by) >= limit
        yield Judged(name=name, difference=difference, is_passed=is_passed)


def _points(difference: Difference, by: Judge) -> float:
    """What is judged, in points, without the noise of binary fractions: -0.07 is -7 points, not a little less."""
    value = {"difference": difference.value, "lower-end": difference.low, "upper-end": difference.high}[by]
    return round(value * 100, _DIGITS)


def verdict_line(judged: Judged, *, limit: float, by: Judge) -> str:
    """Whether a difference passes, in words."""
    value = judged.difference
    shown = {"difference": signed(value.value), "lower-end": end(value.low), "upper-end": end(value.high)}[by]
    exact = _points(value, by)
    if (round(exact, 1) >= limit) != judged.is_passed:  # one decimal would put it on the other side
        shown = f"{exact:+.{_DIGITS}f}".rstrip("0").replace("-", MINUS)
    what = {"difference": "the difference", "lower-end": "its lower end", "upper-end": "its upper end"}[by]
    word = "passed" if judged.is_passed else "failed"
    return f"{word}: {judged.name}: {what} is {shown} points, {'not ' * judged.is_passed}below {limit:+g}"


def comparison_json(found: Comparison, judged: Sequence[Judged], *, limit: float | None, by: Judge) -> dict[str, Any]:
    """Everything as plain JSON values."""
    first, second = found.results.names
    return {
        "first": first,
        "second": second,
        "fail_below": limit,
        "by": by,
        "passed": all(one.is_passed for one in judged),
        "judged": [
            {"name": one.name, "passed": one.is_passed, "difference": one.difference.model_dump()} for one in judged
        ],
        "left_out": dict(found.left_out),
        "results": plain(found.results),
    }


def _where(results: Results) -> str:
    return " and ".join(results.names)


def _both(first: Named, second: Named) -> str:
    return f"{first.folder} and {second.folder}"


def _names(each: Sequence[Named]) -> list[str]:
    """Names of models in tables: their folder's name, or the full path if two folders have the same name."""
    folders = short_names([one.folder for one in each])
    names = [f"{name}:{one.model}" if one.model else name for name, one in zip(folders, each, strict=True)]
    if len(set(names)) < len(names):
        hint = "name two folders, or two models of one: RUN:base RUN:tuned"
        raise ConfigError("a model is compared with itself", where=names[0], hint=hint)
    return names


def _side(one: Named) -> Side:
    if one.model in ("", "tuned"):
        return Side(one.folder)
    if one.model == "base":
        return Side(one.folder, "base")
    raise ConfigError(
        f'no model "{one.model}" in a run', where=str(one.folder), hint="name its base or its tuned model"
    )


def _of_evaluation(first: Named, second: Named) -> Results:
    if first.folder.resolve() != second.folder.resolve():
        hint = (
            "evaluate both models in one command with --out of the older folder: what was answered is not asked again"
        )
        raise ConfigError("models of two evaluations are not paired", where=_both(first, second), hint=hint)
    results = read_results(first.folder)
    for one in (first, second):
        if one.model not in results.names:
            near = did_you_mean(one.model, results.names) if one.model else ""
            hint = near or f"name two models of it, such as {first.folder}:{results.names[0]}"
            raise ConfigError(f'no model "{one.model}" there', where=str(one.folder), hint=hint)
    if first.model != results.names[0] or second.model == first.model:
        hint = f"all were compared with {results.names[0]}; evaluate them again with {first.model} as the first model"
        raise ConfigError(f"{second.model} was not compared with {first.model}", where=str(first.folder), hint=hint)
    return _two_models(results, second.model)


def _two_models(results: Results, second: str) -> Results:
    """The first model and one later one, from results of many."""
    kept = {results.names[0], second}
    others = set(results.names) - kept
    values = _without(results.model_dump(by_alias=True), others)
    values["models"] = [one for one in values["models"] if one["name"] in kept]
    return Results.model_validate(values)


def _without(value: Any, models: set[str]) -> Any:
    """A value without its entries about some models, wherever entries are stored by their names."""
    if isinstance(value, dict):
        return {
            key: {name: _without(inner, models) for name, inner in found.items() if name not in models}
            if key in ("scores", "differences", "verdicts", "reasons")
            else _without(found, models)
            for key, found in value.items()
        }
    return [_without(one, models) for one in value] if isinstance(value, list | tuple) else value
