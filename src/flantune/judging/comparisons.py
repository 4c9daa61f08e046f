"""Which answers are compared, in which order and on which side: a pure function of answers and seed."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING

from flantune.errors import EvaluationError
from flantune.system.keyed_random import mix64, stream_key

if TYPE_CHECKING:
    from flantune.judging.answers import Answer


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """Two answers to one prompt.

    Attributes:
        key: A key from its content: the prompt, both models and both answers. A changed answer is a new comparison.
        left: The answer shown on the left.
        right: The answer shown on the right.
    """

    key: str
    left: Answer
    right: Answer

    @property
    def is_same(self) -> bool:
        """Both answers are the same text: a tie that need not be shown."""
        return self.left.answer.strip() == self.right.answer.strip()


def comparisons(answers: Sequence[Answer], *, seed: int) -> tuple[Comparison, ...]:
    """Every pair of models on every prompt that both answered, in random order, with random sides.

    The order and the sides depend on the seed and on each comparison's content, so another prompt does not change those
    of the others.

    Raises:
        EvaluationError: No prompt is answered by two models.
    """
    by_prompt: dict[tuple[str, str], list[Answer]] = {}
    for answer in answers:
        # The text too, since the file of prompts may have changed between two models.
        by_prompt.setdefault((answer.id, answer.prompt), []).append(answer)
    found = []
    for given in by_prompt.values():
        for one, other in combinations(sorted(given, key=lambda answer: answer.model), 2):
            key = comparison_key(one, other)
            is_turned = mix64(stream_key(seed, "sides"), int(key, 16)) & 1
            left, right = (other, one) if is_turned else (one, other)
            found.append(Comparison(key=key, left=left, right=right))
    if not found:
        hint = "answer the prompts with a second model: flantune answer PROMPTS MODEL --out FILE"
        raise EvaluationError("no prompt is answered by two models", where="answers", hint=hint)
    order = stream_key(seed, "order")
    return tuple(sorted(found, key=lambda one: (mix64(order, int(one.key, 16)), one.key)))


def comparison_key(one: Answer, other: Answer) -> str:
    """A key for two answers to a prompt, the same in either order."""
    pair = sorted((answer.model, answer.answer) for answer in (one, other))
    text = json.dumps([one.prompt, pair], ensure_ascii=True)
    return hashlib.blake2b(text.encode("ascii"), digest_size=8).hexdigest()
