"""Whether prompts that share a row are isolated from each other in a given model, found by trying."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import torch

from flantune.models.attention.lines import keeps_segments_apart, reads_lines
from flantune.models.checks.causality import reads_ahead
from flantune.models.forward import target_logprobs
from flantune.models.language_model import first_line
from flantune.models.modes import quiet
from flantune.models.rope import forget_lengths, rope_border
from flantune.models.trial_lengths import outgrown, window_width
from flantune.models.trials import FAILURES, made_up_ids, plain_logits
from flantune.packing.arrays import pack_decoder_only, pack_encoder_decoder
from flantune.packing.packs import EncodedPrompt, Pack
from flantune.types import Int32

if TYPE_CHECKING:
    from torch import Tensor

    from flantune.models.language_model import LanguageModel

TOLERANCE = 1e-3
"""Tolerance for log-probabilities: more than another order of float32 arithmetic explains. Leaks show as 1e-2 to 1
(measured on random models, where they are smallest)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class IsolationReport:
    """Whether packing is safe.

    Attributes:
        is_isolated: Packed prompts get the same scores as each alone.
        max_difference: Largest difference of a log-probability between packed and alone; infinite on failure.
        reason: Why not, in words; empty if isolated.
    """

    is_isolated: bool
    max_difference: float
    reason: str = ""


def check_isolation(lm: LanguageModel) -> IsolationReport:
    """Packs synthetic prompts, with several continuations and with one, and compares with the model's plain forward.

    Catches models that ignore masks, position ids or both, that depend on the length of a neighbor, or that read ahead.
    Callers then put one prompt in each row (``PackingSettings(enabled=False)``), which every model handles; scoring has
    its own test. A model that fails is not given flat lines any more.
    """
    report = _compare(lm)
    if not report.is_isolated and reads_lines(lm):
        # Rows with masks may work where lines do not.
        keeps_segments_apart.settle(lm, False)
        report = _compare(lm)
    return report


def _compare(lm: LanguageModel) -> IsolationReport:
    if reads_ahead(lm):
        reason = "its output at a token depends on later tokens"
        return IsolationReport(is_isolated=False, max_difference=float("inf"), reason=reason)
    exact = replace(lm, compute_dtype=torch.float32)
    prompts = _several(made_up_prompts(lm), lm)
    try:
        with quiet(lm.model):
            alone = [
                [logprobs_alone(exact, prompt, target, reads_last=True) for target in prompt.targets]
                for prompt in prompts
            ]
            packed = torch.cat(
                [
                    _packed_logprobs(exact, prompts),
                    _packed_logprobs(exact, [replace(prompt, targets=prompt.targets[:1]) for prompt in prompts]),
                ]
            )
            expected = torch.cat([*itertools.chain(*alone), *(targets[0] for targets in alone)])
    except FAILURES as error:
        reason = f"it does not take packed rows: {first_line(error)}"
        return IsolationReport(is_isolated=False, max_difference=float("inf"), reason=reason)
    difference = float((packed - expected).abs().max())
    if difference <= TOLERANCE:
        return IsolationReport(is_isolated=True, max_difference=difference)
    reason = f"a packed prompt's log-probabilities differ by {difference:.2g} from those of the prompt alone"
    return IsolationReport(is_isolated=False, max_difference=difference, reason=reason)


def made_up_prompts(lm: LanguageModel) -> list[EncodedPrompt]:
    """Three synthetic prompts with one continuation each; one or two exceed what a model treats differently."""
    ids = partial(made_up_ids, lm, drawn=np.random.default_rng(0))
    beyond = outgrown(lm) + 5
    sizes = ((max(19, beyond), 4), (max(13, window_width(lm) + 5), 3), (8, 6))
    return [EncodedPrompt(inputs=ids(read), targets=(ids(written),)) for read, written in sizes]


def _several(prompts: list[EncodedPrompt], lm: LanguageModel) -> list[EncodedPrompt]:
    """The prompts, the second with three continuations."""
    first, second, third = prompts
    tokens = np.concatenate([third.inputs, third.inputs])
    # Continuations on different sides of a border share no context.
    sizes = (3, 3) if rope_border(lm) else (5, 2)
    more = tuple(tokens[at : at + size] for at, size in enumerate(sizes))
    return [first, replace(second, targets=(*second.targets, *more)), third]


def _packed_logprobs(lm: LanguageModel, prompts: list[EncodedPrompt]) -> Tensor:
    """Log-probabilities by item and position, with two prompts in one row and the third in another."""
    pack: Pack
    if lm.family == "decoder-only":
        pack = pack_decoder_only(prompts, [[0, 1], [2]])
    else:
        pack = pack_encoder_decoder(prompts, [[0, 1], [2]])
    order = np.lexsort((np.arange(len(pack.targets.item)), pack.targets.item))
    return target_logprobs(lm, pack).logprobs[torch.from_numpy(order).to(lm.device)]


def logprobs_alone(lm: LanguageModel, prompt: EncodedPrompt, target: Int32, *, reads_last: bool = False) -> Tensor:
    """Log-probabilities of one continuation from the model's own forward, without a mask.

    Args:
        lm: The model.
        prompt: Its inputs.
        target: The continuation.
        reads_last: A decoder-only model also reads the last token, as in training.
    """
    forget_lengths(lm)
    fed = target if reads_last and lm.family == "decoder-only" else target[:-1]
    logits = plain_logits(lm, prompt.inputs, fed)[: len(target)]
    tokens = torch.from_numpy(target).long().to(lm.device)
    return torch.log_softmax(logits.float(), dim=-1).gather(1, tokens[:, None])[:, 0]
