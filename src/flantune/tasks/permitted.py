"""Which tasks ``[data]`` permits by licence and language, whatever source they come from."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flantune.errors import ConfigError
from flantune.tasks.languages import language_name
from flantune.tasks.licences import licence_use

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from flantune.settings.config import DataSettings
    from flantune.types import Task

NOT_COMMERCIAL = "its licence does not allow commercial use"
NO_LICENCE = "nothing says that its licence allows commercial use"
NO_LANGUAGE = "nothing says which language it is in"
OTHER_LANGUAGE = "it is in another language"


def without_permission(tasks: Sequence[Task], settings: DataSettings) -> Mapping[str, str]:
    """The tasks that ``data.licences`` and ``data.languages`` exclude, with the reason; the licence is checked first.

    An unknown licence or language is not permitted; otherwise the filter would be useless.
    """
    wanted = {language_name(name) for name in settings.languages}
    reasons = (
        (task.name, _reason(task, is_commercial=settings.licences == "commercial", wanted=wanted)) for task in tasks
    )
    return {name: reason for name, reason in reasons if reason}


def _reason(task: Task, *, is_commercial: bool, wanted: set[str]) -> str:
    if is_commercial and (use := licence_use(task.licence)) != "commercial":
        return NOT_COMMERCIAL if use == "non-commercial" else NO_LICENCE
    if wanted and not task.languages:
        return NO_LANGUAGE
    return OTHER_LANGUAGE if wanted and not {*map(language_name, task.languages)} <= wanted else ""


def permitted(tasks: Sequence[Task], settings: DataSettings) -> tuple[Task, ...]:
    """The other tasks.

    Raises:
        ConfigError: There are none.
    """
    out = without_permission(tasks, settings)
    kept = tuple(task for task in tasks if task.name not in out)
    if tasks and not kept:
        counts = {reason: list(out.values()).count(reason) for reason in dict.fromkeys(out.values())}
        said = "; ".join(f"{count:,} × {reason}" for reason, count in counts.items())
        hint = 'task files state `licence = "…"` and `languages = ["…"]`; `flantune tasks list` shows both'
        raise ConfigError(f"licences and languages leave no task: {said}", where="data", hint=hint)
    return kept
