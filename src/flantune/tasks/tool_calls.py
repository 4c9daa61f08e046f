"""Tools in conversations: calls, results and offers, in the formats of chat programs."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from flantune.tasks.rows import short

if TYPE_CHECKING:
    from flantune.types import Row

CALL_KEYS = ("tool_calls", "function_call")
TOOL_SPEAKERS = ("tool", "tool_response", "function", "function_call", "function_response", "observation", "ipython")
"""Speakers of turns by tools: OpenAI's names, those of ShareGPT files, and Llama's."""
OFFER_COLUMNS = ("tools", "functions")


def tool_turn(item: Any, keys: Sequence[str], *, named: Collection[str]) -> str:
    """How a turn involves tools, in words; empty: not at all.

    >>> tool_turn({"role": "assistant", "tool_calls": [{"function": {"name": "weather"}}]}, ["role"], named=())
    'a call of a tool ("weather")'
    >>> [tool_turn({"role": "tool", "content": "7"}, ["role"], named=named) for named in ((), ("tool",))]
    ['what a tool answered', '']

    Args:
        item: The turn.
        keys: The possible keys of its speaker.
        named: Speakers that the task file names: a tool among them is treated as it says.
    """
    if not isinstance(item, Mapping):
        return ""
    for key in CALL_KEYS:
        if calls := item.get(key):
            return f"a call of a tool{_names(calls)}"
    speaker = next((item[key] for key in keys if key in item), "")
    if speaker in TOOL_SPEAKERS and speaker not in named:
        return "a call of a tool" if speaker == "function_call" else "what a tool answered"
    return ""


def offered_tools(row: Row) -> str:
    """The tools that a row offers, in words with their column; empty: none.

    >>> offered_tools({"tools": [{"type": "function", "function": {"name": "weather"}}]})
    'tools ("weather") in column "tools"'
    >>> offered_tools({"tools": "hammer"}), offered_tools({"tools": []})
    ('', '')
    """
    for column in OFFER_COLUMNS:
        value = row.get(column)
        if isinstance(value, str) and value.lstrip().startswith("["):
            try:
                value = json.loads(value)
            except (ValueError, RecursionError):
                continue
        is_list = isinstance(value, Sequence) and not isinstance(value, str)
        if (
            is_list
            and value
            and all(isinstance(one, Mapping) and ("function" in one or "name" in one) for one in value)
        ):
            return f'tools{_names(value)} in column "{column}"'
    return ""


def _names(calls: Any) -> str:
    """The names of called or offered functions, in brackets; empty if they have none."""
    items = [calls] if isinstance(calls, Mapping) else calls if isinstance(calls, Sequence) else []
    inner = [one.get("function", one) for one in items if isinstance(one, Mapping)]
    names = [short(one["name"], width=40) for one in inner if isinstance(one, Mapping) and one.get("name")]
    return f" ({', '.join(names[:3])}{', …' if len(names) > 3 else ''})" if names else ""
