"""The skills of a base model before tuning: the share of plain-text probes that it continues correctly, by skill.

Instruction tuning cannot elicit a skill that the base lacks. So pretraining continues until these scores are clearly
above chance. If a skill is not learned, the clusters that need it are named before any tuning.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import sqrt
from typing import TYPE_CHECKING

import numpy as np

from flantune.demo.probes import PROBES, Item, chance, items
from flantune.packing.packs import EncodedPrompt

if TYPE_CHECKING:
    from flantune.models.language_model import LanguageModel

_AT_ONCE = 24
_Z = 1.96

NEEDED: dict[str, tuple[str, ...]] = {
    "natural language inference": ("verification", "not known", "matter, verified"),
    "coreference": ("who is meant", "what is meant"),
    "commonsense": ("effect", "cause", "purpose", "matter"),
    "closed-book qa": ("facts",),
    "sentiment": ("sentiment", "feeling"),
    "reading comprehension": ("recall", "verification", "next deed", "choice from a list"),
}
"""Held-out cluster of the demo's run files → the skills that the base needs before tuning can improve it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Skill:
    """A model's result on the probes of one skill.

    Attributes:
        right: Share of items whose right ending is the most likely one for the model.
        chance: The expected share by guessing.
        items: Number of items.
    """

    name: str
    right: float
    chance: float
    items: int

    @property
    def least(self) -> float:
        """The lower end of the Wilson 95% interval of ``right``.

        >>> round(Skill(name="recall", right=0.5, chance=1 / 3, items=200).least, 3)
        0.431
        """
        spread = _Z * sqrt(self.right * (1 - self.right) / self.items + _Z**2 / (4 * self.items**2))
        return (self.right + _Z**2 / (2 * self.items) - spread) / (1 + _Z**2 / self.items)

    @property
    def is_there(self) -> bool:
        """Whether the model is clearly better than guessing."""
        return self.least > self.chance


def measure(lm: LanguageModel, *, count: int = 200, skills: Sequence[str] = ()) -> list[Skill]:
    """The model's results on the first ``count`` items of all skills, or of the named ones."""
    return [
        Skill(name=name, right=score(lm, items(name, count=count)), chance=chance(name), items=count)
        for name in skills or tuple(PROBES)
    ]


def lacking(skills: Sequence[Skill]) -> dict[str, tuple[str, ...]]:
    """Held-out cluster → the skills it needs that are not clearly above chance; only clusters that lack some."""
    absent = {skill.name for skill in skills if not skill.is_there}
    found = {cluster: tuple(name for name in needed if name in absent) for cluster, needed in NEEDED.items()}
    return {cluster: names for cluster, names in found.items() if names}


def score(lm: LanguageModel, asked: Sequence[Item]) -> float:
    """Share of items whose right ending has the highest summed log-likelihood."""
    right = 0
    for start in range(0, len(asked), _AT_ONCE):
        values = _logprobs(lm, asked[start : start + _AT_ONCE])
        for item in asked[start : start + _AT_ONCE]:
            first, *others = (next(values) for _ in item.endings)
            right += first > max(others)
    return right / len(asked)


def _logprobs(lm: LanguageModel, asked: Sequence[Item]) -> Iterator[float]:
    """Log-probability of each ending of each item, in order."""
    import torch

    from flantune.models.forward import target_logprobs
    from flantune.packing.batches import lay_out
    from flantune.packing.encoded import id_array
    from flantune.packing.tokenize import text_tokenizer

    ids, end = text_tokenizer(lm.tokenizer).data, [lm.tokenizer.eos_token_id] * (lm.family == "encoder-decoder")
    units = [
        EncodedPrompt(inputs=id_array(ids([item.beginning])[0] + end), targets=tuple(map(id_array, ids(item.endings))))
        for item in asked
    ]
    pack = lay_out(units, [[at] for at in range(len(units))], family=lm.family)
    with torch.inference_mode():
        found = target_logprobs(lm, pack).logprobs.double().cpu().numpy()
    return iter(np.bincount(pack.targets.item, weights=found).tolist())
