"""Today's date in chat templates, which must be the same tomorrow."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from datetime import UTC, datetime

DAY = datetime(2024, 7, 26, tzinfo=UTC)
"""What templates write for today."""

_CLOCK = "strftime_now"
_TABLE = "fixed_date"
# Templates are given data and no functions, so the clock is a macro that looks the date up. It is a line of its own, as
# the lines of a template may begin with spaces that are cut there.
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
    """A template whose clock stands still, with one line before its own where it may call it; see ``date_values``."""
    return _MACRO + template if asks_for_today(template) else template


@functools.cache
def date_values(day: datetime) -> Mapping[str, object]:
    """What a template needs to show it: the date for templates that take one, its parts for those with a clock."""
    # "%-d" is "%d" without a zero before it.
    parts = {f"%{flag}{one}": day.strftime(f"%{flag}{one}") for one in _DIRECTIVES for flag in ("", "-")}
    return {"date_string": day.strftime("%d %b %Y"), _TABLE: parts}
