"""The answers of one model to some prompts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from flantune.commands.plan import make_codec
from flantune.errors import EvaluationError
from flantune.evaluation.asking.answers import write_answers
from flantune.evaluation.asking.option_scores import OptionScores, score_prompts, scoring_codec, within_positions
from flantune.evaluation.metrics.rank_classification import BASELINES, choose
from flantune.models.writing.decoding import Decoding
from flantune.settings.config import RunConfig
from flantune.types import Prompt

if TYPE_CHECKING:
    from flantune.models.language_model import LanguageModel
    from flantune.settings.protocols import ScoreNormalization


def ask(lm: LanguageModel, prompts: Sequence[Prompt | str], *, config: RunConfig | None = None) -> tuple[str, ...]:
    """A model's answers: the most likely option of each prompt, or generated text if a prompt has no options.

    Nothing is stored and nothing is random: the same model gives the same answers.

    Args:
        lm: The model; it is not changed.
        prompts: As ``render`` makes them, or plain texts.
        config: Its sections ``prompts``, ``packing`` and ``evaluation`` say how to ask; None: the defaults.

    Returns:
        One answer per prompt, in order; empty if a prompt does not fit.

    Raises:
        EvaluationError: The normalization needs scores of other questions as well.
    """
    config = config or RunConfig()
    settings = config.evaluation
    codec = scoring_codec(make_codec(config, lm), settings.scoring)
    asked = [_as_prompt(one, at) for at, one in enumerate(prompts)]
    ranked = [at for at, prompt in enumerate(asked) if prompt.options]
    written = [at for at, prompt in enumerate(asked) if not prompt.options]
    scores = score_prompts(lm, [asked[at] for at in ranked], codec=codec, batch_tokens=settings.batch_tokens)
    texts = write_answers(
        lm,
        [asked[at] for at in written],
        codec=within_positions(codec, lm, room=settings.max_new_tokens),
        decoding=Decoding(max_new_tokens=settings.max_new_tokens),
        batch_tokens=settings.batch_tokens,
    )
    answers = {at: "".join(one.text for one in made) for at, made in zip(written, texts, strict=True)}
    for at, found in zip(ranked, scores, strict=True):
        answers[at] = _likeliest(asked[at], found, settings.normalization) if found is not None else ""
    return tuple(answers[at] for at in range(len(asked)))


def _as_prompt(asked: Prompt | str, number: int) -> Prompt:
    if isinstance(asked, Prompt):
        return asked
    return Prompt(task="asked", split="test", row=number, template="", inputs=asked, targets="")


def _likeliest(prompt: Prompt, scores: OptionScores, normalization: ScoreNormalization) -> str:
    if normalization in BASELINES:
        hint = "rank by sum, token, character or byte; `flantune evaluate` asks what the others need"
        raise EvaluationError(f'"{normalization}" needs other questions too', where=prompt.task, hint=hint)
    sizes = {"token": scores.tokens, "character": scores.characters, "byte": scores.bytes}.get(normalization)
    if sizes is None:
        return prompt.options[choose(scores.sums).index]
    return prompt.options[choose([one / max(size, 1) for one, size in zip(scores.sums, sizes, strict=True)]).index]
