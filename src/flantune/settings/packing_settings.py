"""Settings of how text becomes arrays."""

from __future__ import annotations

from pydantic import model_validator

from flantune.settings.sections import Section
from flantune.settings.setting_types import Positive, Switch


class PackingSettings(Section):
    """How text becomes arrays."""

    max_input_tokens: Positive = 1_024
    """Inputs longer than this lose exemplars first, then are shortened; targets never are."""
    max_target_tokens: Positive = 256
    """A prompt with a longer target is left out and counted."""
    row_tokens: Positive = 1_280
    """Length of a packed row. Decoder-only: inputs and targets together; encoder-decoder: the encoder's row."""
    batch_tokens: Positive = 8_192
    """Tokens of one optimizer step."""
    enabled: Switch = True
    """False puts one prompt in each row: slower, with the same gradients."""

    @model_validator(mode="after")
    def _agrees_with_itself(self) -> PackingSettings:
        if self.batch_tokens < self.row_tokens:
            raise ValueError(
                f"batch_tokens = {self.batch_tokens} is less than row_tokens = {self.row_tokens}: a step holds whole"
                " rows; raise batch_tokens or lower row_tokens"
            )
        return self
