"""How the parts of a prompt are joined."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from flantune.settings.config import PromptSettings
    from flantune.types import Prompt

EOS_WORD = "<eos>"
"""Represents the end-of-sequence token in a separator."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """The separators of a prompt: the same between an exemplar and its answer as between the query and its answer.

    Attributes:
        target_separator: Between inputs and targets. ``<eos>`` represents the end-of-sequence token.
        exemplar_separator: Between one exemplar and the next, and before the query.
    """

    target_separator: str = "\n"
    exemplar_separator: str = "\n\n"

    @classmethod
    def from_settings(cls, settings: PromptSettings) -> Layout:
        """The separators of a run file."""
        return cls(target_separator=settings.target_separator, exemplar_separator=settings.exemplar_separator)


def inputs_text(prompt: Prompt, layout: Layout, *, eos_token: str = EOS_WORD) -> str:
    r"""Exemplars and query as one text, without the final target separator.

    Paper: FLAN 2021, section 4.4: instruct(x1) ⊕ y1 ⊕ … ⊕ instruct(xk) ⊕ yk ⊕ instruct(x).

    Args:
        prompt: The prompt.
        layout: The separators.
        eos_token: Replaces ``<eos>`` in separators, such as ``tokenizer.eos_token``.

    >>> from flantune.types import Exemplar, Prompt
    >>> shown = (Exemplar(row=3, inputs="2+2?", targets="4"),)
    >>> inputs_text(Prompt(task="sums", split="test", row=0, template="t", inputs="1+1?", targets="2",
    ...                    exemplars=shown), Layout())
    '2+2?\n4\n\n1+1?'
    """
    if prompt.frame is not None:
        return prompt.preamble + "".join(one.inputs + one.targets for one in prompt.exemplars) + prompt.inputs
    if not prompt.exemplars:
        return prompt.preamble + prompt.inputs
    to_target = layout.target_separator.replace(EOS_WORD, eos_token)
    to_next = layout.exemplar_separator.replace(EOS_WORD, eos_token)
    solved = [f"{exemplar.inputs}{to_target}{exemplar.targets}" for exemplar in prompt.exemplars]
    return prompt.preamble + to_next.join([*solved, prompt.inputs])
