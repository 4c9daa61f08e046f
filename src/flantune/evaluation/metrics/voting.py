"""Self-consistency: the most common answer, and its share."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from flantune.evaluation.metrics.extraction import Extracted, Rules, extract


@dataclass(frozen=True, slots=True, kw_only=True)
class Vote:
    """The outcome of a vote.

    Attributes:
        answer: The most common answer; None if no sample has one.
        confidence: Its share of all samples, including those without an answer, in [0, 1].
    """

    answer: str | None
    confidence: float


def vote(found: Sequence[Extracted]) -> Vote:
    """The most common answer. Among answers with equally many votes, the first wins.

    Paper: Wang et al. 2022, "Self-Consistency Improves Chain of Thought Reasoning", section 2 (unweighted majority);
    Flan 2022, section 2.3.

    >>> from flantune.evaluation.metrics.extraction import Extracted
    >>> said = [Extracted(answer=answer, rule="last_number") for answer in ("7", "5", "5", "7")]
    >>> vote([*said, Extracted(answer=None, rule="")])
    Vote(answer='7', confidence=0.4)
    """
    # With equal votes, the first one.
    votes = Counter(one.answer for one in found if one.answer is not None).most_common(1)
    return Vote(answer=votes[0][0], confidence=votes[0][1] / len(found)) if votes else Vote(answer=None, confidence=0.0)


@dataclass(frozen=True, slots=True)
class Voted:
    """The first text with the most common answer, and that answer's share; None without a vote."""

    text: str
    confidence: float | None = None


def voted(texts: Sequence[str], rules: Rules) -> Voted:
    """The vote of several texts, each read by rules; a single text is not voted on."""
    if len(texts) < 2:
        return Voted("".join(texts))
    found = [extract(text, rules) for text in texts]
    winner = vote(found)
    place = next((at for at, one in enumerate(found) if one.answer == winner.answer), 0)
    return Voted(texts[place], winner.confidence)
