"""No question of a benchmark is asked behind itself with its answer, whatever the published prompts show."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from flantune.suites.suite import Part
    from flantune.types import Prompt


def without_own_questions(part: Part) -> Part:
    """The part with every exemplar left out that is the very question it would be shown before; a note says so."""
    prompts = tuple(_without(prompt) for prompt in part.prompts)
    changed = sum(len(one.exemplars) != len(other.exemplars) for one, other in zip(prompts, part.prompts, strict=True))
    if not changed:
        return part
    questions = f"{changed} question{'s' if changed > 1 else ''} stand{'' if changed > 1 else 's'}"
    note = f"{questions} among the exemplars; asked without showing the answer, with one exemplar fewer"
    return replace(part, prompts=prompts, notes=(*part.notes, note))


def _without(prompt: Prompt) -> Prompt:
    asked = _plain(prompt.inputs)
    kept = tuple(one for one in prompt.exemplars if _plain(one.inputs) != asked)
    return prompt if len(kept) == len(prompt.exemplars) else replace(prompt, exemplars=kept)


def _plain(text: str) -> str:
    return " ".join(text.casefold().split())
