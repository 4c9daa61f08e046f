"""Whether a model can be tuned at all, one prompt per row, found by trying; a model with wrong numbers is refused."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import replace
from typing import TYPE_CHECKING

import torch

from flantune.errors import ModelError
from flantune.models.checks.isolation import TOLERANCE, logprobs_alone, made_up_prompts
from flantune.models.forward import target_logprobs
from flantune.models.language_model import first_line
from flantune.models.memory import is_out_of_memory
from flantune.models.modes import own_chance, own_gradients, quiet
from flantune.models.trials import FAILURES
from flantune.packing.batches import lay_out

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from torch import Tensor

    from flantune.models.forms.training_form import TrainingForm
    from flantune.models.language_model import LanguageModel
    from flantune.packing.packs import Pack

SEEDS = 4
_HINT = "choose another model; docs/models.md lists the architectures that were tried"


def check_tuning(lm: LanguageModel, *, form: TrainingForm | None = None, is_still: bool = False) -> None:
    """Runs synthetic prompts, one per row, through a forward and backward pass as in a tuning step.

    Weights, their gradients and the random state do not change.

    Args:
        lm: The model, in the mode in which it will be tuned.
        form: The form in which it is trained; None: as it is.
        is_still: Nothing may be random in this mode.

    Raises:
        ModelError: It cannot be run in this way, a prompt's log-probabilities are not those of the prompt alone, or
            they are random where they must not be.
    """
    prompts = made_up_prompts(lm)
    pack = lay_out(prompts, [[at] for at in range(len(prompts))], family=lm.family)
    try:
        with own_chance(lm.device):
            with quiet(lm.model):
                exact = replace(lm, compute_dtype=torch.float32)
                alone = [logprobs_alone(exact, each, each.targets[0], reads_last=True) for each in prompts]
                difference = _share(torch.cat(alone), _by_prompt(exact, pack))
            _run_back_in(lm, pack, form)
    except FAILURES as error:
        if is_out_of_memory(error):
            raise
        message = f"{type(lm.model).__name__} cannot be tuned here: {first_line(error)}"
        raise ModelError(message, where="model", hint=_HINT) from error
    if difference > TOLERANCE:
        raise ModelError(
            f"{type(lm.model).__name__} cannot be tuned here: a prompt's log-probabilities change by {difference:.1%} "
            "with other prompts in the batch, though each has its own row",
            where="model",
            hint=_HINT,
        )
    if is_still:
        _check_still(lm, pack)


def _share(expected: Tensor, found: Tensor) -> float:
    """The largest difference as a share of the largest number, or of 1; NaN is left to the loss check."""
    scale = max(1.0, float(expected.abs().max()))
    return float((expected - found).abs().max()) / scale


def _by_prompt(lm: LanguageModel, pack: Pack) -> Tensor:
    """Log-probabilities prompt by prompt."""
    found = target_logprobs(lm, pack).logprobs
    return found[torch.from_numpy(pack.targets.item).to(lm.device).argsort(stable=True)]


def _run_back_in(lm: LanguageModel, pack: Pack, form: TrainingForm | None) -> None:
    """Forward and backward in a form; without rounded weights from then on if the model cannot be run with them."""
    try:
        _run_back(lm, pack, form.in_place() if form is not None else nullcontext())
    except FAILURES as error:
        if form is None or not form.is_rounding or is_out_of_memory(error):
            raise
        form.leave_weights()
        _run_back(lm, pack, form.in_place())


def _run_back(lm: LanguageModel, pack: Pack, form: AbstractContextManager[None]) -> None:
    with own_gradients(lm.model), form:
        logprobs = target_logprobs(lm, pack).logprobs
        if logprobs.requires_grad:
            logprobs.sum().backward()  # type: ignore[no-untyped-call]


def _check_still(lm: LanguageModel, pack: Pack) -> None:
    """Raises ModelError if the model, in its current mode, draws random numbers that change its output."""
    found = []
    with own_chance(lm.device), torch.no_grad():
        for seed in range(SEEDS):
            torch.manual_seed(seed)
            found.append(target_logprobs(lm, pack).logprobs)
    if any(_share(found[0], each) > TOLERANCE for each in found[1:]):
        raise ModelError(
            f"{type(lm.model).__name__} draws its own random numbers though training.dropout = 0",
            where="training.dropout",
            hint="leave training.dropout out to train with the model's own randomness",
        )
