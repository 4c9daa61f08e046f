"""Loss on inputs as well as targets: which models support it, and how many such tokens a step has."""

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
    """Makes sure that a model supports loss on inputs, if the run file sets it.

    Args:
        settings: The run file's training settings.
        family: Kind of model.
        reads_both_ways: Whether input tokens see later ones.
        has_virtual_tokens: Whether inputs begin with ids that represent no text.

    Raises:
        ConfigError: It does not; with the reason.
    """
    if not settings.inputs_weight:
        return
    why = ""
    if family == "encoder-decoder":
        why = "an encoder-decoder predicts only its targets, never its inputs"
    elif reads_both_ways:
        why = "input tokens of a prefix LM attend to all inputs, so predicting them would teach nothing"
    elif has_virtual_tokens:
        why = "prompt tuning adds virtual tokens to the inputs, which represent no text to predict"
    if why:
        raise ConfigError(why, where="training.inputs_weight", hint="set training.inputs_weight = 0")


def asked_whole(batch: Batch) -> Batch:
    """The batch with all input tokens as additional targets after the original ones."""
    packs: list[Pack] = [with_inputs_asked(pack) if isinstance(pack, DecoderPack) else pack for pack in batch.packs]
    return replace(batch, packs=tuple(packs))


def more_tokens(whole: Batch, batch: Batch) -> Float[NDArray[np.float64], " items"]:
    """Input tokens that are targets, for each item of a step, [items]."""
    found = np.zeros(len(batch.tasks), dtype=np.float64)
    for asked, pack in zip(whole.packs, batch.packs, strict=True):
        found += np.bincount(asked.targets.item[len(pack.targets.item) :], minlength=len(found))
    return found
