"""A model's answers to prompts: the log-likelihood of each option, or a text. The only module here that needs torch."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray

from flantune.errors import EvaluationError
from flantune.models.forward import target_logprobs
from flantune.models.generate import generate
from flantune.packing.batches import pack_for_scoring

if TYPE_CHECKING:
    from flantune.models.load import LanguageModel
    from flantune.types import EncodedPrompt, Pack


@dataclass(frozen=True, slots=True, kw_only=True)
class OptionScores:
    """What a model thinks of each option of one prompt.

    Attributes:
        index: Which of the prompts.
        scores: Summed log-likelihood of each option, natural log.
        lengths: Tokens summed for each option.
    """

    index: int
    scores: tuple[float, ...]
    lengths: tuple[int, ...]


@contextmanager
def scoring_mode(lm: LanguageModel) -> Iterator[None]:
    """No dropout and no gradients while scoring; the model's own mode comes back afterwards."""
    was_training = lm.model.training
    lm.model.train(False)
    try:
        with torch.no_grad():
            yield
    finally:
        lm.model.train(was_training)


def score_options(
    lm: LanguageModel, encoded: Sequence[EncodedPrompt], *, batch_tokens: int, is_isolated: bool
) -> Iterator[OptionScores]:
    """Scores every continuation of every prompt, in the order in which their batches come.

    A prompt's inputs go through the model once; its options branch off them. One pass gives all that the four
    normalizations need.

    Args:
        lm: The model.
        encoded: Prompts with one continuation an option.
        batch_tokens: Array positions of one forward pass.
        is_isolated: False for a model that lets prompts in a row see each other: one row an option, then.

    Paper: FLAN 2021, section 2.3; T0, section 5.
    """
    pending: dict[int, dict[int, float]] = {}
    batches = pack_for_scoring(encoded, family=lm.family, batch_tokens=batch_tokens, is_isolated=is_isolated)
    for batch in batches:
        sums = item_sums(lm, batch.pack, items=len(batch.items))
        for (index, option), score in zip(batch.items, sums.tolist(), strict=True):
            scores = pending.setdefault(index, {})
            # A millionth of a nat is below what float32 can tell apart.
            scores[option] = round(score, 6)
            if len(scores) == len(encoded[index].targets):
                del pending[index]
                yield OptionScores(
                    index=index,
                    scores=tuple(scores[at] for at in range(len(scores))),
                    lengths=tuple(map(len, encoded[index].targets)),
                )


def item_sums(lm: LanguageModel, pack: Pack, *, items: int) -> NDArray[np.float64]:
    """Summed log-likelihood of each continuation of a pack, added up in float64; shape [items]."""
    logprobs = target_logprobs(lm, pack).logprobs
    weights = logprobs.double().cpu().numpy()
    return np.bincount(pack.targets.item, weights=weights, minlength=items).astype(np.float64)


def write_texts(
    lm: LanguageModel, encoded: Sequence[EncodedPrompt], *, max_new_tokens: int, batch_tokens: int
) -> list[list[int]]:
    """What the model writes after each prompt, greedily, as token ids up to the end-of-sequence token."""
    inputs = [prompt.inputs for prompt in encoded]
    return generate(lm, inputs, max_new_tokens=max_new_tokens, batch_tokens=batch_tokens)


def without_end(encoded: EncodedPrompt, *, where: str) -> EncodedPrompt:
    """The prompt with the end-of-sequence token of each option not asked for, and so not counted.

    Raises:
        EvaluationError: An option has no other token.
    """
    targets = tuple(target[:-1] for target in encoded.targets)
    if not all(map(len, targets)):
        hint = "set evaluation.score_end_of_sequence = true"
        raise EvaluationError("an empty option has no log-likelihood without its end", where=where, hint=hint)
    return replace(encoded, targets=targets)


def model_fingerprint(lm: LanguageModel) -> str:
    """A name for the model's weights, arithmetic and tokenizer, by content."""
    digest = hashlib.sha256(f"{lm.family} {lm.compute_dtype}".encode())
    with torch.no_grad():
        for name, parameter in lm.model.named_parameters():
            digest.update(f"{name} {tuple(parameter.shape)} {parameter.dtype}".encode())
            digest.update(parameter.detach().contiguous().view(torch.uint8).cpu().numpy().data)
    digest.update(_tokenizer_text(lm).encode("utf-8"))
    return digest.hexdigest()


def _tokenizer_text(lm: LanguageModel) -> str:
    backend = getattr(lm.tokenizer, "backend_tokenizer", None)
    return backend.to_str() if backend is not None else str(sorted(lm.tokenizer.get_vocab().items()))
