"""The objectives, by their names in run files."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from flantune.errors import ConfigError
from flantune.pretraining.denoisers import EXTREME, REGULAR, SEQUENTIAL, Denoisers, ul2, ul2r
from flantune.pretraining.marks import Marks, marks_of, word_ids_of
from flantune.pretraining.objectives import Causal
from flantune.pretraining.prefix import Prefix
from flantune.pretraining.spans import SpanCorruption

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

    from flantune.pretraining.objectives import Objective
    from flantune.settings.pretraining import PretrainingSettings
    from flantune.types import Family

Modes = Mapping[str, tuple[int, ...]]

OBJECTIVES: dict[str, Callable[[PretrainingSettings, Marks, Modes], Objective]] = {
    "causal": lambda settings, marks, modes: Causal(  # noqa: ARG005
        lengths=(settings.input_tokens,), documents_apart=settings.documents_apart
    ),
    "prefix": lambda settings, marks, modes: Prefix(tokens=settings.input_tokens, marks=marks),  # noqa: ARG005
    "span_corruption": lambda settings, marks, modes: SpanCorruption(  # noqa: ARG005
        input_tokens=settings.input_tokens, density=settings.noise_density, mean=settings.mean_span, marks=marks
    ),
    "ul2": lambda settings, marks, modes: ul2(settings.input_tokens, marks, modes),
    "ul2r": lambda settings, marks, modes: ul2r(settings.input_tokens, marks, modes),
}
"""Name → function that makes the objective from the settings, the tokenizer's marks and the ids of the mode words."""
HIDES_SPANS = frozenset({"span_corruption", "ul2", "ul2r"})
"""The objectives that need sentinels."""


def mode_words(settings: PretrainingSettings, tokenizer: PreTrainedTokenizerBase) -> Modes:
    """Mode word → its ids, for each kind of denoiser; empty if the objective does not use mode words."""
    if not _tells_modes(settings):
        return {}
    return {word: word_ids_of(tokenizer, word) for word in (REGULAR, EXTREME, SEQUENTIAL)}


def choose_objective(
    settings: PretrainingSettings, tokenizer: PreTrainedTokenizerBase, family: Family, *, row_tokens: int
) -> Objective:
    """The objective of a run file, for a tokenizer that already has its sentinels.

    Args:
        settings: The objective and its sizes.
        tokenizer: The model's.
        family: The model's.
        row_tokens: Length of a packed row.

    Raises:
        ConfigError: The objective is not for this family, hides more spans than there are sentinels, or makes draws
            that do not fit in a row.
    """
    return _made(settings, marks_of(tokenizer, family), mode_words(settings, tokenizer), row_tokens=row_tokens)


def check_objective(settings: PretrainingSettings, family: Family, *, row_tokens: int) -> None:
    """Checks the objective before there is a tokenizer: these faults exist with any tokenizer trained from scratch.

    Raises:
        ConfigError: See ``choose_objective``.
    """
    marks = Marks(family=family, begin=(), end=0, sentinels=tuple(range(settings.sentinels)))
    # At worst, each byte of a word is a token.
    modes = {word: (0,) * len(word) for word in (REGULAR, EXTREME, SEQUENTIAL)} if _tells_modes(settings) else {}
    _made(settings, marks, modes, row_tokens=row_tokens)


def _tells_modes(settings: PretrainingSettings) -> bool:
    return settings.mode_tokens and settings.objective in ("ul2", "ul2r")


def _made(settings: PretrainingSettings, marks: Marks, modes: Modes, *, row_tokens: int) -> Objective:
    made = OBJECTIVES[settings.objective](settings, marks, modes)
    if made.family != marks.family:
        raise ConfigError(
            f'"{settings.objective}" is for {made.family} models, and this one is {marks.family}',
            where="pretraining.objective",
            hint='choose "prefix", which is for both families',
        )
    check_sentinels(made, settings)
    row = made.row if isinstance(made, SpanCorruption | Prefix | Denoisers) else settings.input_tokens
    if row > row_tokens:
        hint = f"raise packing.row_tokens to {row}, or lower pretraining.input_tokens"
        message = f"a draw of {row} tokens does not fit a row of {row_tokens}"
        raise ConfigError(message, where="packing.row_tokens", hint=hint)
    return made


def check_sentinels(objective: Objective, settings: PretrainingSettings) -> None:
    """Makes sure that there are enough sentinels for the hidden spans.

    Raises:
        ConfigError: There are not.
    """
    parts = [one for _, one in objective.parts] if isinstance(objective, Denoisers) else [objective]
    for one in parts:
        if not isinstance(one, SpanCorruption) or one.sizes.spans <= len(one.marks.sentinels):
            continue
        spans, there = one.sizes.spans, len(one.marks.sentinels)
        raise ConfigError(
            f"{spans} spans are hidden (density {one.density:g}, mean length {one.mean:g}, {one.input_tokens} input"
            f" tokens), and the vocabulary has {there} sentinels",
            where=f'pretraining.objective = "{settings.objective}"',
            hint=f"set pretraining.sentinels = {spans}, or lower pretraining.input_tokens",
        )
