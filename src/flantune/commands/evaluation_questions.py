"""The questions of an evaluation: benchmarks, task files of the harness and tasks, read before any model is."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from flantune.commands.evaluation_request import EvaluationRequest, check_drawn
from flantune.errors import ConfigError
from flantune.settings.config import RunConfig
from flantune.suites.catalog import choose_parts, missing_lines
from flantune.suites.stops import with_cut_golds
from flantune.suites.suite import MissingPart, Part, SuiteData

if TYPE_CHECKING:
    from flantune.harness.read import HarnessPart
    from flantune.tasks.store import PreparedTask


@dataclass(frozen=True, slots=True, kw_only=True)
class Questions:
    """What is to be measured.

    Attributes:
        parts: Benchmarks, and the harness's tasks.
        missing: Parts without data.
        harness: What more is known of the harness's tasks.
        prepared: Tasks in flantune's own form.
    """

    parts: tuple[Part, ...]
    missing: tuple[MissingPart, ...]
    harness: tuple[HarnessPart, ...]
    prepared: tuple[PreparedTask, ...]


def read_questions(request: EvaluationRequest) -> Questions:
    """Reads all that is asked for.

    Raises:
        ConfigError: There is nothing to measure, or it does not go together with other settings.
        flantune.errors.FlantuneError: Data is missing, or a file cannot be read.
    """
    data = SuiteData(root=request.root, limit=request.limit, shots=request.shots, seed=request.seed)
    parts: tuple[Part, ...] = ()
    missing: tuple[MissingPart, ...] = ()
    harness: tuple[HarnessPart, ...] = ()
    if request.suites:
        chosen = choose_parts(request.suites, data, skip_missing=request.skip_missing)
        parts, missing = chosen.parts, chosen.missing
    if request.harness:
        from flantune.harness.read import harness_parts
        from flantune.harness.task_code import Limits

        harness = harness_parts(request.harness, data, limits=Limits() if request.trust_task_code else None)
        begun = [one.task.path for one in harness if one.task.text("gen_prefix")]
        if begun and request.prompts.chat:
            hint = "leave --chat out, or write the beginning of the answer into doc_to_text"
            raise ConfigError("gen_prefix is not read with --chat", where=str(begun[0]), hint=hint)
    prepared, left_out = _tasks(request)
    missing = (*missing, *left_out)
    _check_names(parts, harness)
    parts = tuple(with_cut_golds(part) for part in (*parts, *(one.part for one in harness)))
    check_drawn(request, parts)
    if not parts and not prepared:
        hint = "name a --suite, --tasks, a --collection or a --harness file"
        lacking = f":\n{missing_lines(missing)}" if missing else ""
        raise ConfigError(f"there is nothing to measure{lacking}", hint=hint)
    return Questions(parts=parts, missing=missing, harness=harness, prepared=prepared)


def _tasks(request: EvaluationRequest) -> tuple[tuple[PreparedTask, ...], tuple[MissingPart, ...]]:
    """The tasks with test rows, and those that cannot be measured."""
    if request.data is None:
        return (), ()
    from flantune.commands.plan import prepare_tasks

    config = RunConfig(data=request.data)
    prepared, skipped = prepare_tasks(config, root=Path.cwd(), cache=request.data.cache or request.out / "data")
    needs = {name: f"its data: {why}" for name, why in skipped.items()}
    needs |= {one.task.name: "test rows" for one in prepared if not len(one.stores.get("test", ()))}
    kept = tuple(one for one in prepared if one.task.name not in needs)
    return kept, tuple(MissingPart(score=name, name="", needs=need) for name, need in needs.items())


def _check_names(parts: Sequence[Part], harness: Sequence[HarnessPart]) -> None:
    """Parts of one score are averaged, so a benchmark and a harness task must not share one.

    Raises:
        ConfigError: They do.
    """
    taken = {part.score for part in parts}
    for one in harness:
        if one.part.score in taken:
            hint = "evaluate the two apart, or give the task another name"
            message = f'"{one.part.score}" is the name of a benchmark of --suite as well'
            raise ConfigError(message, where=str(one.task.path), hint=hint)


def notes_of(parts: Sequence[Part]) -> Iterator[str]:
    """What is not as its authors have it, each said once."""
    named: dict[str, list[str]] = {}
    for part in parts:
        for note in part.notes:
            named.setdefault(note, []).append(part.key)
    for note, keys in named.items():
        yield f"{keys[0]}{f' and {len(keys) - 1} more' if len(keys) > 1 else ''}: {note}"
