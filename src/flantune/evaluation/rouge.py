"""ROUGE of the library rouge-score, as T5 and FLAN set it up, and as Natural-Instructions does."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from flantune.errors import EvaluationError

if TYPE_CHECKING:
    from rouge_score.rouge_scorer import RougeScorer

_TYPES = ("rouge1", "rouge2", "rougeL", "rougeLsum")
_CROSS_LINGUAL_TOKENIZER = "gpt2"


def rouge(prediction: str, references: Sequence[str]) -> dict[str, float]:
    """ROUGE-1, ROUGE-2, ROUGE-L and ROUGE-Lsum F-measures, each the maximum over references.

    rouge-score's own tokenizer and no stemming; it keeps only a–z and 0–9, so other scripts score 0. For ROUGE-Lsum,
    which goes by lines, a line ends after each full stop that stands alone, as T5 prepares summaries.

    Paper: FLAN 2021, section 3 (summarization and struct-to-text).

    >>> rouge("the cat sat", ["the cat sat down"])["rouge2"]
    0.8
    """
    return dict(zip(_TYPES, _rouge(prediction, tuple(references)), strict=True))


def instruction_rouge(prediction: str, references: Sequence[str]) -> float:
    """Natural-Instructions' ROUGE-L: F-measure after Porter's stemmer, maximum over references.

    Paper: Natural-Instructions v2, section 4.

    >>> instruction_rouge("cats running", ["cat run"])
    1.0
    """
    return _rouge_l(_instruction_scorer(), prediction, references)


def cross_lingual_rouge(prediction: str, references: Sequence[str]) -> float:
    """ROUGE-L over the pieces of GPT-2's tokenizer, for answers in any script; no stemming.

    Paper: Natural-Instructions v2, section 4 (cross-lingual track).

    Raises:
        EvaluationError: GPT-2's tokenizer is not on this machine.
    """
    return _rouge_l(_cross_lingual_scorer(), prediction, references)


class PieceTokenizer:
    """What rouge-score asks for words: the pieces of a tokenizer of ``transformers``, without GPT-2's word mark."""

    def __init__(self, tokenizer: Any) -> None:
        self._tokenizer = tokenizer

    def tokenize(self, text: str) -> list[str]:
        """The pieces of a text; a piece that is nothing but word marks becomes empty and still counts."""
        return [piece.lstrip("Ġ") for piece in self._tokenizer.tokenize(text)]


@lru_cache(maxsize=4096)
def _rouge(prediction: str, references: tuple[str, ...]) -> tuple[float, ...]:
    # Cached because the types come from one computation and are asked for one by one.
    if not references:
        return (0.0,) * len(_TYPES)
    scores = _scorer().score_multi([_as_lines(reference) for reference in references], _as_lines(prediction))
    return tuple(float(scores[name].fmeasure) for name in _TYPES)


def _as_lines(text: str) -> str:
    return text.replace(" . ", " .\n")


def _rouge_l(scorer: RougeScorer, prediction: str, references: Sequence[str]) -> float:
    scores = (scorer.score(reference, prediction)["rougeL"].fmeasure for reference in references)
    return max(map(float, scores), default=0.0)


@lru_cache(maxsize=1)
def _scorer() -> RougeScorer:
    from rouge_score.rouge_scorer import RougeScorer

    return RougeScorer(list(_TYPES), use_stemmer=False)


@lru_cache(maxsize=1)
def _instruction_scorer() -> RougeScorer:
    from rouge_score.rouge_scorer import RougeScorer

    return RougeScorer(["rougeL"], use_stemmer=True)


@lru_cache(maxsize=1)
def _cross_lingual_scorer() -> RougeScorer:
    from rouge_score.rouge_scorer import RougeScorer
    from transformers import AutoTokenizer

    try:
        tokenizer = AutoTokenizer.from_pretrained(_CROSS_LINGUAL_TOKENIZER)
    except (OSError, ValueError) as error:
        hint = f"fetch it once with `hf download {_CROSS_LINGUAL_TOKENIZER} --include '*.json' merges.txt`"
        raise EvaluationError(
            "the metric instruction_rougeL_xlingual needs GPT-2's tokenizer", where="metrics", hint=hint
        ) from error
    return RougeScorer(["rougeL"], tokenizer=PieceTokenizer(tokenizer))
