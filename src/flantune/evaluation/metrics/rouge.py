"""ROUGE by the library rouge-score, with the settings of T5 and FLAN, and of Natural-Instructions."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from importlib.metadata import version
from typing import TYPE_CHECKING, Any, Literal, get_args

from flantune.errors import EvaluationError
from flantune.evaluation.metrics.word_tokens import characters, words

if TYPE_CHECKING:
    from rouge_score.rouge_scorer import RougeScorer

_TYPES = ("rouge1", "rouge2", "rougeL", "rougeLsum")
_CROSS_LINGUAL_TOKENIZER = "gpt2"

RougeTokenization = Literal["default", "words", "characters"]
"""What ROUGE counts: "default" is rouge-score's own, which keeps only a–z and 0–9; "words" and "characters" are those
of ``flantune.evaluation.metrics.word_tokens``, in any script."""
ROUGE_TOKENIZATIONS: tuple[RougeTokenization, ...] = get_args(RougeTokenization)


def rouge(prediction: str, references: Sequence[str], tokenization: RougeTokenization = "default") -> dict[str, float]:
    """ROUGE-1, ROUGE-2, ROUGE-L and ROUGE-Lsum F-measures, each the maximum over references, without stemming.

    For ROUGE-Lsum, which works by lines, a line ends after each separate period, as T5 prepares summaries.

    Paper: FLAN 2021, section 3 (summarization and struct-to-text).

    >>> rouge("the cat sat", ["the cat sat down"])["rouge2"]
    0.8
    >>> [round(rouge("แมวนอน", ["แมวนอนหลับ"], way)["rougeL"], 2) for way in ("default", "words")]
    [0.0, 0.8]
    """
    return dict(zip(_TYPES, _rouge(prediction, tuple(references), tokenization), strict=True))


def rouge_words(text: str, tokenization: RougeTokenization = "default") -> list[str]:
    """The words that ROUGE counts.

    >>> rouge_words("Été à Москва, 2024"), rouge_words("Été à Москва, 2024", "words")
    (['t', '2024'], ['été', 'à', 'москва', '2024'])
    """
    if tokenization != "default":
        return _TOKENIZERS[tokenization](text)
    from rouge_score.tokenize import tokenize

    return list(tokenize(text, None))


def rouge_signature(tokenization: RougeTokenization, *, is_stemmed: bool = False) -> str:
    """The signature of a ROUGE score.

    >>> rouge_signature("words").rpartition("|version:")[0]
    'tok:words|stem:no'
    """
    return f"tok:{tokenization}|stem:{'porter' if is_stemmed else 'no'}|version:{version('rouge-score')}"


def instruction_rouge(prediction: str, references: Sequence[str]) -> float:
    """Natural-Instructions' ROUGE-L: F-measure after Porter's stemmer, maximum over references.

    Paper: Natural-Instructions v2, section 4.

    >>> instruction_rouge("cats running", ["cat run"])
    1.0
    """
    return _rouge_l(_instruction_scorer(), prediction, references)


def cross_lingual_rouge(prediction: str, references: Sequence[str]) -> float:
    """ROUGE-L over the pieces of GPT-2's tokenizer, for answers in any script, without stemming.

    Paper: Natural-Instructions v2, section 4 (cross-lingual track).

    Raises:
        EvaluationError: GPT-2's tokenizer is not on this machine.
    """
    return _rouge_l(_cross_lingual_scorer(), prediction, references)


_TOKENIZERS = {"words": words, "characters": characters}


class _WordTokenizer:
    """A tokenizer for rouge-score that calls our function."""

    def __init__(self, tokenization: RougeTokenization) -> None:
        self.tokenize = _TOKENIZERS[tokenization]


class PieceTokenizer:
    """A tokenizer for rouge-score: the pieces of a ``transformers`` tokenizer, without GPT-2's word mark."""

    def __init__(self, tokenizer: Any) -> None:
        self._tokenizer = tokenizer

    def tokenize(self, text: str) -> list[str]:
        """The pieces of a text; a piece of only word marks becomes empty but still counts."""
        return [piece.lstrip("Ġ") for piece in self._tokenizer.tokenize(text)]


@lru_cache(maxsize=4096)
def _rouge(prediction: str, references: tuple[str, ...], tokenization: RougeTokenization) -> tuple[float, ...]:
    # Cached because all types come from one computation but are requested one by one.
    if not references:
        return (0.0,) * len(_TYPES)
    wanted = [_as_lines(reference) for reference in references]
    scores = _scorer(tokenization).score_multi(wanted, _as_lines(prediction))
    return tuple(float(scores[name].fmeasure) for name in _TYPES)


def _as_lines(text: str) -> str:
    return text.replace(" . ", " .\n")


def _rouge_l(scorer: RougeScorer, prediction: str, references: Sequence[str]) -> float:
    scores = (scorer.score(reference, prediction)["rougeL"].fmeasure for reference in references)
    return max(map(float, scores), default=0.0)


@lru_cache(maxsize=len(ROUGE_TOKENIZATIONS))
def _scorer(tokenization: RougeTokenization) -> RougeScorer:
    from rouge_score.rouge_scorer import RougeScorer

    tokenizer = None if tokenization == "default" else _WordTokenizer(tokenization)
    return RougeScorer(list(_TYPES), use_stemmer=False, tokenizer=tokenizer)


@lru_cache(maxsize=1)
def _instruction_scorer() -> RougeScorer:
    from rouge_score.rouge_scorer import RougeScorer

    return RougeScorer(["rougeL"], use_stemmer=True)


def check_cross_lingual() -> None:
    """Checks before anything is scored that GPT-2's tokenizer is on this machine.

    Raises:
        EvaluationError: The tokenizer is missing.
    """
    _cross_lingual_scorer()


def _cross_lingual_scorer() -> RougeScorer:
    scorer = _scorer_of_pieces()
    if scorer is None:
        hint = f"fetch it once with `hf download {_CROSS_LINGUAL_TOKENIZER} --include '*.json' merges.txt`"
        raise EvaluationError(
            "the metric instruction_rougeL_xlingual needs GPT-2's tokenizer", where="metrics", hint=hint
        )
    return scorer


@lru_cache(maxsize=1)
def _scorer_of_pieces() -> RougeScorer | None:
    """None if its tokenizer is not available; looked for once, since without a network that takes a minute."""
    from rouge_score.rouge_scorer import RougeScorer
    from transformers import AutoTokenizer

    try:
        tokenizer = AutoTokenizer.from_pretrained(_CROSS_LINGUAL_TOKENIZER)
    except (OSError, ValueError):
        return None
    return RougeScorer(["rougeL"], tokenizer=PieceTokenizer(tokenizer))
