"""The scores of options without the question: the part of a score that is due to the option itself.

A normalization of this kind subtracts a baseline from each option's log-likelihood. Frequent options ("yes") no longer
win because they are frequent. The price is more computation: one short context per option (mutual information, domain),
or additional prompts for each input without content (contextual).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from flantune.errors import EvaluationError
from flantune.types import Prompt

if TYPE_CHECKING:
    from flantune.evaluation.asking.option_scores import OptionScores, PromptScorer
    from flantune.settings.protocols import ScoringProtocol

Blank = Callable[[Prompt, str], Prompt]
"""A prompt with its question replaced by a text without content."""


def option_baselines(
    scorer: PromptScorer, prompts: Sequence[Prompt], protocol: ScoringProtocol, *, blank: Blank | None = None
) -> list[tuple[float, ...] | None]:
    """What to subtract from each option of each prompt, in nats.

    Mutual information: the option's log-likelihood after an empty query. Domain: after only the protocol's premise.
    Contextual: the log of the option's mean probability among the prompt's options over the inputs without content,
    with exemplars and instruction unchanged. What prompts have in common is computed once.

    Args:
        scorer: Scores prompts; under ``torchrun``, every process gets all results.
        prompts: The prompts, with options.
        protocol: Sets the kind of baseline, and its texts.
        blank: Removes the content of a question; needed for "contextual".

    Returns:
        One entry per prompt: nothing without such a normalization; None if an option does not fit.

    Raises:
        EvaluationError: There is no way to ask without content.

    Paper: Holtzman et al. 2021, section 3 (PMI and its domain form); Zhao et al. 2021, section 5 (contextual; the
    arg-max of their rescaled probabilities).
    """
    if protocol.normalization == "mutual_information":
        return _of_options(scorer, prompts, "")
    if protocol.normalization == "domain":
        return _of_options(scorer, prompts, protocol.domain_premise)
    if protocol.normalization != "contextual":
        return [()] * len(prompts)
    if blank is None:
        hint = 'set normalization to "mutual_information" or "domain", which need the options alone'
        where = prompts[0].task if prompts else "normalization"
        raise EvaluationError("contextual calibration is not for prompts read from elsewhere", where=where, hint=hint)
    asked = [[blank(prompt, text) for text in protocol.content_free] for prompt in prompts]
    found = _scored(scorer, [one for each in asked for one in each])
    return [_contextual([found[_key(one)] for one in each]) for each in asked]


def log_mean_probabilities(scores: Sequence[Sequence[float]]) -> tuple[float, ...]:
    """Log of each option's mean probability among the options; ``scores`` has one row per context.

    >>> [round(math.exp(value), 3) for value in log_mean_probabilities([(0.0, 0.0), (0.0, -math.inf)])]
    [0.75, 0.25]
    """
    rows = [_probabilities(row) for row in scores]
    means = [sum(column) / len(rows) for column in zip(*rows, strict=True)]
    return tuple(math.log(max(mean, 1e-300)) for mean in means)


def _probabilities(scores: Sequence[float]) -> list[float]:
    best = max(scores)
    powers = [math.exp(score - best) for score in scores]
    return [power / sum(powers) for power in powers]


def _contextual(scores: Sequence[OptionScores | None]) -> tuple[float, ...] | None:
    known = [one.sums for one in scores if one is not None]
    return log_mean_probabilities(known) if len(known) == len(scores) else None


def _of_options(scorer: PromptScorer, prompts: Sequence[Prompt], context: str) -> list[tuple[float, ...] | None]:
    """Each option after one context that is the same for all."""

    def alone(prompt: Prompt) -> Iterator[Prompt]:
        for option in prompt.options:
            yield Prompt(
                task=prompt.task,
                split=prompt.split,
                row=prompt.row,
                template="",
                inputs=context,
                targets=option,
                options=(option,),
                answer=0,
            )

    found = _scored(scorer, [one for prompt in prompts for one in alone(prompt)])
    each = [[found[_key(one)] for one in alone(prompt)] for prompt in prompts]
    return [None if None in scores else tuple(one.sums[0] for one in scores if one is not None) for scores in each]


_Key = tuple[object, ...]


def _key(prompt: Prompt) -> _Key:
    """Prompts with the same key have the same context."""
    shown = tuple((one.inputs, one.targets) for one in prompt.exemplars)
    return prompt.preamble, shown, prompt.inputs, prompt.options, prompt.order


def _scored(scorer: PromptScorer, prompts: Sequence[Prompt]) -> Mapping[_Key, OptionScores | None]:
    """The scores of prompts, each asked once."""
    once = {_key(prompt): prompt for prompt in reversed(prompts)}
    unique = [once[key] for key in dict.fromkeys(map(_key, prompts))]
    return dict(zip(map(_key, unique), scorer.score(unique), strict=True))
