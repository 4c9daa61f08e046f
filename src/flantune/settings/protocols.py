"""The scoring protocols of the papers and their successors, as frozen values: scores compare only within one.

Two evaluations of one model on one dataset can differ by several points if only one of them counts the end-of-sequence
token, or divides by the option's length, or if they cut different ends of a long prompt. So every such choice is a
field here, a preset sets all of them, and its fingerprint is part of every result.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Literal

ScoreNormalization = Literal["sum", "token", "character", "byte", "mutual_information", "domain", "contextual"]
"""What an option's summed log-likelihood is divided by (token, character, byte), or what is subtracted from it: its
log-likelihood without any context (mutual_information), after a few words of the domain (domain), or after inputs
without content (contextual)."""

Tokenization = Literal["separate", "joint"]
Truncation = Literal["middle", "left", "drop"]
Ties = Literal["first", "expected"]
Summary = Literal["mean", "median"]
ProtocolName = Literal["flan2021", "flan2022", "t0", "natural_instructions", "lm_eval"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoringProtocol:
    """Every choice that can make two systems' scores for the same model and dataset differ.

    Attributes:
        name: The preset, or the one it was before the user's settings overrode parts of it.
        normalization: What the options are ranked by. Sums per token, character and byte are reported too.
        score_eos: Count the end-of-sequence token in an option's log-likelihood. Without it an option that starts
            another one ("no", "no way") always scores at least as high.
        tokenization: Inputs and option are tokenized separately, or together and split where they first differ from
            the inputs' own tokens. Encoder-decoder models always read them separately.
        inputs_eos: An encoder-decoder model's inputs end with the end-of-sequence token; None: where its tokenizer,
            left alone, puts one.
        drops_exemplars: A prompt that is too long loses exemplars, the last first, before anything else.
        truncation: What happens to a prompt still too long: its middle goes, its left end goes, or the example does.
        ties: Among options that score the same the first is taken, or the right one counts for its share.
        target_delimiter: Between a query and its answer; None: as the prompts' settings say.
        exemplar_separator: Between exemplars; None: as the prompts' settings say.
        summary: How a task's headline is made from its templates' scores. Both ways are reported.
        max_input_tokens: Longest inputs; None: as the packing settings say.
        max_target_tokens: Longest answer; None: as the packing settings say.
        domain_premise: Text that replaces the whole prompt for the normalization "domain".
        content_free: Texts without content that replace the question's for the normalization "contextual".
    """

    name: str
    normalization: ScoreNormalization = "sum"
    score_eos: bool = True
    tokenization: Tokenization = "separate"
    inputs_eos: bool | None = True
    drops_exemplars: bool = True
    truncation: Truncation = "middle"
    ties: Ties = "first"
    target_delimiter: str | None = None
    exemplar_separator: str | None = None
    summary: Summary = "mean"
    max_input_tokens: int | None = None
    max_target_tokens: int | None = None
    domain_premise: str = "Answer:"
    content_free: tuple[str, ...] = ("N/A", "", "[MASK]")

    @property
    def fingerprint(self) -> str:
        """Sixteen hexadecimal digits that change with any choice, but not with the name.

        >>> PRESETS["flan2021"].fingerprint == PRESETS["lm_eval"].fingerprint
        False
        """
        unused = {"name", *(key for key, of in _TEXTS_OF.items() if of != self.normalization)}
        choices = {key: value for key, value in asdict(self).items() if key not in unused}
        return hashlib.sha256(json.dumps(choices, sort_keys=True).encode()).hexdigest()[:16]

    def to_json(self) -> dict[str, object]:
        """All choices and the fingerprint, as plain JSON values."""
        return {**asdict(self), "content_free": list(self.content_free), "fingerprint": self.fingerprint}


_TEXTS_OF = {"domain_premise": "domain", "content_free": "contextual"}
"""Choices that matter for one normalization only."""

PRESETS: Mapping[ProtocolName, ScoringProtocol] = {
    # Paper: FLAN 2021, section 2.3. The public code adds the end-of-sequence token to inputs and targets.
    "flan2021": ScoringProtocol(name="flan2021"),
    # Paper: Flan 2022, section 2.3. Options by letters, plain means, prompts within 2,048 tokens by dropping exemplars.
    "flan2022": ScoringProtocol(name="flan2022", max_input_tokens=2048, max_target_tokens=512),
    # Paper: T0, sections 5 and 6.2: the median over prompts, sums without normalization. The public code gives inputs
    # no end-of-sequence token and leaves out examples beyond 1,024 tokens.
    "t0": ScoringProtocol(
        name="t0", inputs_eos=False, truncation="drop", summary="median", max_input_tokens=1024, max_target_tokens=256
    ),
    # Paper: Natural-Instructions v2, section 4; Tk-Instruct's lengths. Answers are written, never ranked.
    "natural_instructions": ScoringProtocol(
        name="natural_instructions", truncation="drop", max_input_tokens=1024, max_target_tokens=128
    ),
    # EleutherAI's lm-evaluation-harness 0.4: "acc" is of sums; "acc_norm" and "acc_bytes" are reported besides.
    "lm_eval": ScoringProtocol(
        name="lm_eval",
        score_eos=False,
        inputs_eos=None,
        tokenization="joint",
        drops_exemplars=False,
        truncation="left",
        target_delimiter=" ",
        exemplar_separator="\n\n",
    ),
}
"""The presets by name."""


def preset_settings(settings: Mapping[str, object]) -> dict[str, object]:
    """An evaluation's settings, with the required ones that were not given taken from the preset.

    >>> preset_settings({"protocol": "lm_eval"})
    {'score_end_of_sequence': False, 'normalization': 'sum', 'protocol': 'lm_eval'}
    """
    preset = next((value for name, value in PRESETS.items() if name == settings.get("protocol", "flan2021")), None)
    if preset is None:
        return dict(settings)
    return {"score_end_of_sequence": preset.score_eos, "normalization": preset.normalization, **settings}
