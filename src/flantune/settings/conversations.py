"""Settings of how conversations are written as text."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, Field

from flantune.settings.setting_types import Names


def _all_whole(forms: tuple[str, ...]) -> tuple[str, ...]:
    for form in forms:
        before, _, after = form.partition("{text}")
        if before.count("{speaker}") != 1 or form.count("{text}") != 1 or "{speaker}" in after:
            raise ValueError(f"should contain {{speaker}} once, and {{text}} once after it; got {form!r}")
        if not after.endswith("\n"):
            raise ValueError(f"should end with a line break, so that the next turn begins a line; got {form!r}")
    return forms


TurnForms = Annotated[Names, Field(min_length=1), AfterValidator(_all_whole)]

TURN_FORMS = (
    "{speaker}: {text}\n",
    "{speaker}: {text}\n\n",
    "[{speaker}] {text}\n",
    "{speaker} - {text}\n",
    "- {speaker}: {text}\n",
    "<{speaker}> {text}\n",
    "{speaker}:\n{text}\n\n",
    "({speaker}) {text}\n",
    "{speaker} says: {text}\n",
    "{speaker} > {text}\n",
)
"""Ways to write a turn. The first is the plainest, and is what is measured with."""
