"""What is compared with what, in which order and on which side: a pure function of answers and seed."""

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
        key: Its name by content: the prompt, both models and both answers. A changed answer is a new comparison.
        left: The answer shown on the left.
        right: The answer shown on the right.
    """

    key: str
    left: Answer
    right: Answer

    @property
    def is_same(self) -> bool:
        """Both answers are the same text: a tie, with nothing to look at."""
        return self.left.answer.strip() == self.right.answer.strip()


def comparisons(answers: Sequence[Answer], *, seed: int) -> tuple[Comparison, ...]:
    """Every pair of models on every prompt that both answered, in random order, sides drawn by coin.

    The order and the sides depend on the seed and on each comparison's own content, so one more prompt does not change
    the others around.

    Raises:
        EvaluationError: No prompt is answered by two models.
    """
    by_prompt: dict[tuple[str, str], list[Answer]] = {}
    for answer in answers:
        # The text too: a file of prompts may have changed between two models.
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
    """A name for two answers to a prompt, whichever is named first."""
    pair = sorted((answer.model, answer.answer) for answer in (one, other))
    text = json.dumps([one.prompt, pair], ensure_ascii=True)
    return hashlib.blake2b(text.encode("ascii"), digest_size=8).hexdigest()
