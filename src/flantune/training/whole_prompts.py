"""Loss on the inputs beside the targets: where it can be had, and how much of it there is in a step."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from flantune.errors import ConfigError
from flantune.packing.inputs_asked import with_inputs_asked
from flantune.packing.packs import DecoderPack

if TYPE_CHECKING:
    from jaxtyping import Float
    from numpy.typing import NDArray

    from flantune.packing.packs import Batch, Pack
    from flantune.settings.config import TrainingSettings
    from flantune.types import Family


def check_inputs_weight(
    settings: TrainingSettings, *, family: Family, reads_both_ways: bool = False, has_virtual_tokens: bool = False
) -> None:
    """Makes sure that a model can learn its inputs, where that is asked for.

    Args:
        settings: The run file's.
        family: Kind of model.
        reads_both_ways: Tokens of the inputs see those behind them.
        has_virtual_tokens: Inputs begin with ids that stand for no text.

    Raises:
        ConfigError: It cannot; with the reason.
    """
    if not settings.inputs_weight:
        return
    why = ""
    if family == "encoder-decoder":
        why = "an encoder-decoder writes its targets alone: it has nothing that predicts the inputs"
    elif reads_both_ways:
        why = "a prefix LM sees all of its inputs at once: to predict one of them from the others teaches nothing"
    elif has_virtual_tokens:
        why = "prompt tuning puts virtual tokens among the inputs, which stand for no text that could be predicted"
    if why:
        raise ConfigError(why, where="training.inputs_weight", hint="set training.inputs_weight = 0")


def asked_whole(batch: Batch) -> Batch:
    """The batch with the tokens of all inputs asked for behind the targets."""
    packs: list[Pack] = [with_inputs_asked(pack) if isinstance(pack, DecoderPack) else pack for pack in batch.packs]
    return replace(batch, packs=tuple(packs))


def more_tokens(whole: Batch, batch: Batch) -> Float[NDArray[np.float64], " items"]:
    """Tokens of the inputs that are asked for, of each item of a step, [items]."""
    found = np.zeros(len(batch.tasks), dtype=np.float64)
    for asked, pack in zip(whole.packs, batch.packs, strict=True):
        found += np.bincount(asked.targets.item[len(pack.targets.item) :], minlength=len(found))
    return found
