"""Today's date in chat templates, which must be the same tomorrow."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from datetime import UTC, datetime

DAY = datetime(2024, 7, 26, tzinfo=UTC)
"""The date that templates show as today."""

_CLOCK = "strftime_now"
_TABLE = "fixed_date"
# Templates get data but no functions, so the clock is a macro that looks up the date. It is a separate line, since
# leading spaces of a template's lines may be trimmed.
_MACRO = (
    f"{{% macro {_CLOCK}(format) %}}{{% set written = namespace(text=format) %}}"
    f"{{% for name, text in {_TABLE}.items() %}}{{% set written.text = written.text | replace(name, text) %}}"
    "{% endfor %}{{ written.text }}{% endmacro %}\n"
)
_DIRECTIVES = "aAbBcdDeFGhHIjlmMpSTuUVwWxXyYzZ"


def asks_for_today(template: str) -> bool:
    """Whether a chat template may call the clock."""
    return _CLOCK in template


def with_fixed_clock(template: str) -> str:
    """A template with a fixed clock: one more line at its start if it may call the clock; see ``date_values``."""
    return _MACRO + template if asks_for_today(template) else template


@functools.cache
def date_values(day: datetime) -> Mapping[str, object]:
    """Values for the fixed date: the date for templates that take one, its parts for those with a clock."""
    # "%-d" is "%d" without a leading zero.
    parts = {f"%{flag}{one}": day.strftime(f"%{flag}{one}") for one in _DIRECTIVES for flag in ("", "-")}
    return {"date_string": day.strftime("%d %b %Y"), _TABLE: parts}
