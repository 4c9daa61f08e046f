"""Sizes of batches for a user's own data: little data makes small ones, so that tuning has enough steps."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from flantune.commands.init_groups import OwnTask

WANTED_STEPS = 50
_BYTES_A_TOKEN = 4
_BYTES_A_TOKEN_OF_THE_TINY_MODEL = 2
_AROUND = 64
"""Tokens around a row's own texts, such as a template's words and a chat's marks; a guess above most."""
_CHUNK = 32


def with_batches(run_file: str, tasks: Sequence[OwnTask], *, is_tiny: bool) -> tuple[str, tuple[str, ...]]:
    """The run file with sizes that give some 50 steps, where its own would give fewer; and a note on it.

    A row of a batch is never shorter than the longest text in bytes, so nothing is shortened.
    """
    epochs, row, batch = (int(_value(run_file, key)) for key in ("epochs", "row_tokens", "batch_tokens"))
    each = _BYTES_A_TOKEN_OF_THE_TINY_MODEL if is_tiny else _BYTES_A_TOKEN
    tokens = epochs * sum(task.train_rows * (task.found.sizes.mean + _asked_around(task)) / each for task in tasks)
    if tokens >= WANTED_STEPS * batch:
        return run_file, ()
    longest = [task.found.sizes.longest + _asked_around(task) if task.found.sizes.longest else row for task in tasks]
    row = min(row, _up(max(longest) + _AROUND))
    batch = max(1, min(batch, int(tokens / WANTED_STEPS)) // row) * row
    steps = max(1, round(tokens / batch))
    text = _set(run_file, "row_tokens", row, "prompts are packed side by side into rows of this length")
    text = _set(text, "batch_tokens", batch, f"tokens per step: small, for the data is; about {steps} steps come of it")
    few = f"; {WANTED_STEPS} are few already: add rows, or raise epochs" if steps < WANTED_STEPS else ""
    return text, (f"batches of {batch:,} tokens, so that tuning has about {steps} steps{few}",)


def _asked_around(task: OwnTask) -> int:
    """Bytes of a prompt that are not the row's: the options, and the question in the task file."""
    return sum(len(label.encode()) + 4 for label in task.found.labels) + 40 if task.found.labels else 0


def _up(tokens: float) -> int:
    return -int(-tokens // _CHUNK) * _CHUNK


def _line(key: str) -> re.Pattern[str]:
    return re.compile(rf"^{key} = (\d+) +#.*$", flags=re.MULTILINE)


def _value(text: str, key: str) -> str:
    found = _line(key).search(text)
    assert found is not None, key
    return found[1]


def _set(text: str, key: str, value: int, comment: str) -> str:
    return _line(key).sub(f"{f'{key} = {value}':<37} # {comment}", text)
