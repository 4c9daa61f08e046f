"""The weights that were best on dev rows of the training tasks, stored beside the checkpoints.

Paper: Sanh et al. 2021, section 5: validation rows of training tasks choose the checkpoint, never held-out tasks.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import safetensors
from safetensors.torch import save_file

from flantune.errors import TrainingError
from flantune.training.checkpoints import contiguous, model_tensors, read_tensors, restore_model

if TYPE_CHECKING:
    from torch import nn


@dataclass(slots=True, kw_only=True)
class BestWeights:
    """One file, which is complete or absent.

    Attributes:
        path: Its path.
        chosen: At the end, the step whose weights are the result; None: the last one's.
    """

    path: Path
    chosen: int | None = None

    def save(self, model: nn.Module, *, step: int) -> None:
        """Writes the weights, replacing those of an earlier step.

        Raises:
            TrainingError: The disk is full or cannot be written.
        """
        temporary = self.path.with_name(f".tmp-{self.path.name}")
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            save_file(contiguous(model_tensors(model)), temporary, metadata={"step": str(step)})
            temporary.replace(self.path)
        except (OSError, safetensors.SafetensorError) as error:
            temporary.unlink(missing_ok=True)
            hint = "free some space, and run the same command again"
            raise TrainingError(
                f"the best weights cannot be written: {error}", where=str(self.path), hint=hint
            ) from None

    def restore(self, model: nn.Module, *, step: int) -> None:
        """Loads the weights of a step into the model.

        Raises:
            TrainingError: They are missing, damaged, or of another step.
        """
        hint = "delete the folder of checkpoints to tune again"
        try:
            with safetensors.safe_open(self.path, framework="pt") as file:
                found = (file.metadata() or {}).get("step")
            if found != str(step):
                raise ValueError(f"they are of step {found}")
            restore_model(model, read_tensors(self.path))
        except (OSError, ValueError, safetensors.SafetensorError) as error:
            message = f"the weights of step {step}, which were best on dev rows, cannot be read: {error}"
            raise TrainingError(message, where=str(self.path), hint=hint) from None
