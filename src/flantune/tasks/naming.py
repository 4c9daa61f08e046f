"""Tasks and templates chosen by name."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

from flantune.errors import ConfigError, did_you_mean

if TYPE_CHECKING:
    from flantune.types import Task, Template


def is_named(name: str, patterns: Sequence[str]) -> bool:
    """Whether a name matches one of some patterns, in which a star matches any letters.

    >>> is_named("wmt16_deen", ("wmt14_enfr", "wmt16_*"))
    True
    """
    return any(fnmatchcase(name, pattern) for pattern in patterns)


def templates_named(templates: tuple[Template, ...], patterns: Sequence[str]) -> tuple[Template, ...]:
    """The templates with one of these names; all, if none matches or no name is given."""
    return tuple(one for one in templates if is_named(one.name, patterns)) or templates


def check_template_names(tasks: Iterable[Task], patterns: Sequence[str], *, where: str) -> None:
    """Makes sure that each of these names matches a template of some task, since a typo would select nothing.

    Raises:
        ConfigError: Some match none; all of these are listed.
    """
    if not patterns:
        return
    names = sorted({template.name for task in tasks for template in task.templates})
    lost = [pattern for pattern in patterns if not any(is_named(name, (pattern,)) for name in names)]
    if lost:
        near = (did_you_mean(pattern, names) for pattern in lost)
        lines = [f'no template "{name}"; {hint}'.rstrip("; ") for name, hint in zip(lost, near, strict=True)]
        raise ConfigError("\n".join(lines), where=where, hint="`flantune tasks show NAME` prints a task's templates")
