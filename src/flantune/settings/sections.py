"""Tables of a TOML file as frozen values; all problems of a file are reported at once, in uniform wording."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar, get_args, get_origin

from pydantic import BaseModel, ConfigDict, ValidationError

from flantune.errors import FlantuneError, did_you_mean
from flantune.settings.plain_words import Problem, problems_of, shown
from flantune.settings.toml_file import read_toml

Model = TypeVar("Model", bound=BaseModel)


class Section(BaseModel):
    """A frozen table of a file: unknown keys are errors."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


@dataclass(frozen=True, slots=True)
class Problems:
    """Collects the problems of a file, by key path."""

    lines: list[str] = field(default_factory=list)

    def add(self, path: str, message: str) -> None:
        """Adds one problem."""
        self.lines.append(f"{path}: {message}" if path else message)

    def error(self, kind: type[FlantuneError], *, where: str, hint: str = "") -> FlantuneError:
        """All problems in one error.

        >>> problems = Problems(["steps: is missing", "seed: unknown key"])
        >>> print(problems.error(FlantuneError, where="run.toml"))
        run.toml: 2 problems
          steps: is missing
          seed: unknown key
        """
        count = [f"{len(self.lines)} problems"] if len(self.lines) > 1 else []
        return kind("\n  ".join([*count, *self.lines]), where=where, hint=hint)


def read_file(
    path: Path, model: type[Model], *, error: type[FlantuneError], what: str, hint: str, missing: str = ""
) -> Model:
    """A TOML file as a model's values.

    Args:
        path: The file.
        model: The model.
        error: What is raised.
        what: What the file is, for the message if it is missing.
        hint: What a valid file looks like.
        missing: What to do if there is no such file.

    Raises:
        FlantuneError: The class asked for: there is no such file, or something in it is wrong.
    """
    _, tree = read_toml(path, error=error, what=what, hint=missing or hint)
    problems = Problems()
    found = check_section(model, tree, "", problems=problems)
    if found is None:
        raise problems.error(error, where=str(path), hint=hint)
    return found


def check_section(
    model: type[Model], value: Any, path: str, *, problems: Problems, neighbors: Iterable[str] = ()
) -> Model | None:
    """A section's values if they are valid; otherwise None, and the problems are collected.

    Args:
        model: The section's model.
        value: The value in the file.
        path: Key path of the section.
        problems: Collects the problems.
        neighbors: Additional names that an unknown key may have meant.
    """
    if not isinstance(value, Mapping):
        problems.add(path, f"should be a table, got {shown(value)}")
        return None
    try:
        return model.model_validate(value)
    except ValidationError as error:
        for problem in problems_of(error):
            place = ".".join(part for part in (path, problem.path) if part)
            known = [*keys_at(model, problem.place[:-1]), *(neighbors if len(problem.place) == 1 else ())]
            problems.add(place, said(problem, known=known))
        return None


def require_section(model: type[Model], tree: Mapping[str, Any], key: str, *, problems: Problems) -> Model | None:
    """Like ``check_section``, for a required table."""
    if key not in tree:
        problems.add(key, "is missing")
        return None
    return check_section(model, tree[key], key, problems=problems)


def said(problem: Problem, *, known: Sequence[str], near: str = "") -> str:
    """What is wrong with one value, and what to write instead.

    Args:
        problem: What is wrong.
        known: Keys that its table may have.
        near: What an unknown key may have meant, if more is known than these.
    """
    got, path = problem.got, problem.path
    if problem.kind == "extra_forbidden":
        near = near or did_you_mean(str(problem.place[-1]), known) or f"known: {', '.join(known)}"
        return f"unknown key; {near}"
    if problem.text == "should be a table" and isinstance(got, list) and all(isinstance(one, dict) for one in got):
        return f"is in double brackets; a table has single ones: [{path}]"
    if problem.text == "should be a list" and isinstance(got, Mapping):
        return f"is one table; write [[{path}]], in double brackets, above each"
    # A table or list that contradicts itself has its own message, and some messages include the value.
    tells_all = problem.kind == "value_error" and (
        not isinstance(got, str | int | float | bool) or shown(got) in problem.text
    )
    return problem.text + ("" if tells_all or problem.kind == "missing" else f", got {shown(got)}")


def keys_at(model: type[BaseModel], place: Sequence[str | int]) -> list[str]:
    """The keys of a nested table, by its path; none if there is no such table."""
    is_named = False  # the next part of the path is a free name, as in [mixture.parts.NAME]
    for part in place:
        if is_named or not isinstance(part, str):
            is_named = False
            continue
        known = model.model_fields.get(part)
        inner = next(sections_in(known.annotation), None) if known is not None else None
        if known is None or inner is None:
            return []
        model, is_named = inner, get_origin(known.annotation) is dict
    return [] if is_named else list(model.model_fields)


def sections_in(annotation: Any) -> Iterator[type[BaseModel]]:
    """The tables that a value of this kind may be or contain."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for inner in get_args(annotation):
        yield from sections_in(inner)
