"""The number of tokens in a forward pass of training: the setting, or what fits the device."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from flantune.errors import FlantuneError
from flantune.models.fit import Fit, fit_micro_batch
from flantune.models.forms.training_form import TrainingForm
from flantune.settings.json_file import read_value, write_value

if TYPE_CHECKING:
    from flantune.models.language_model import LanguageModel
    from flantune.settings.config import RunConfig
    from flantune.system.processes import Processes


def micro_batch_tokens(
    config: RunConfig, lm: LanguageModel, *, kept: Path, processes: Processes, note: Callable[[str], None]
) -> int:
    """The setting, or what fits the device: determined once and stored, so that a resumed run makes the same passes.

    Args:
        config: The run.
        lm: The model that is trained.
        kept: File for the result.
        processes: The processes that share the work; the first one determines it.
        note: Called if the file is damaged.
    """
    training, packing = config.training, config.packing
    if training.micro_batch_tokens != "auto":
        return training.micro_batch_tokens

    def find() -> None:
        if kept.exists():
            try:
                read_value(kept, Fit)
                return
            except FlantuneError as error:
                note(f"determined again, since it was damaged: {error.render().partition(chr(10))[0]}")
        form = TrainingForm(lm, keeps_inputs_only=training.activation_checkpointing)
        sizes = {"row_tokens": packing.row_tokens, "batch_tokens": packing.batch_tokens}
        asks_inputs = training.inputs_weight > 0
        found = fit_micro_batch(lm, **sizes, optimizer=training.optimizer, form=form, asks_inputs=asks_inputs)
        write_value(kept, found)

    processes.first(find)
    return read_value(kept, Fit).micro_batch_tokens
