"""Runs batches one after another, in halves if memory runs out."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import torch

from flantune.errors import EvaluationError
from flantune.evaluation.asking.requests import KnownScores
from flantune.models.memory import is_out_of_memory
from flantune.models.scoring.option_scorer import OptionScorer
from flantune.packing.packs import EncodedPrompt

if TYPE_CHECKING:
    from flantune.evaluation.asking.requests import PromptGroup, Request
    from flantune.models.language_model import LanguageModel
    from flantune.models.scoring.plan import ScoringBatch
    from flantune.models.scoring.targets import ItemScores


def run_batches(
    lm: LanguageModel, groups: Sequence[PromptGroup], work: Sequence[tuple[int, ScoringBatch]]
) -> Iterator[tuple[int, list[Request], list[KnownScores]]]:
    """The scores of each batch: its group, its requests and their scores.

    A batch that does not fit into memory is halved, and so is every later one of its size.

    Raises:
        EvaluationError: A single request does not fit.
    """
    scorer = OptionScorer(lm)
    queue = deque(work)
    most = max((batch.positions for _, batch in work), default=0)
    while queue:
        number, batch = queue.popleft()
        if batch.positions > most and len(batch.units) > 1:
            queue.extendleft((number, half) for half in reversed(halves(batch)))
            continue
        requests = [groups[number].requests[at] for at in batch.units]
        scores = _scores(scorer, groups[number], batch)
        if scores is None:
            most = batch.positions // 2
            queue.appendleft((number, batch))
            _free(lm)
            continue
        yield number, requests, _by_request([request.unit for request in requests], scores)


def _scores(scorer: OptionScorer, group: PromptGroup, batch: ScoringBatch) -> ItemScores | None:
    """Scores of a batch; None if they do not fit into memory but those of a smaller batch may."""
    try:
        return scorer.score([request.unit for request in group.requests], batch)
    except RuntimeError as error:
        if not is_out_of_memory(error):
            raise
        if len(batch.units) == 1:
            where = group.prompts[group.requests[batch.units[0]].prompts[0]].task
            hint = "lower packing.max_input_tokens, or use a smaller model or a larger machine"
            raise EvaluationError("one prompt alone does not fit into memory", where=where, hint=hint) from error
    return None


def halves(batch: ScoringBatch) -> tuple[ScoringBatch, ScoringBatch]:
    """A batch of several requests as two batches."""
    middle = (len(batch.units) + 1) // 2
    first, second = batch.units[:middle], batch.units[middle:]
    share = batch.positions // len(batch.units)
    return (
        replace(batch, units=first, positions=share * len(first)),
        replace(batch, units=second, positions=share * len(second)),
    )


def _by_request(units: Sequence[EncodedPrompt], scores: ItemScores) -> list[KnownScores]:
    # A millionth of a nat is below float32's precision here.
    sums, greedy = [round(value, 6) for value in scores.sums.tolist()], scores.greedy.tolist()
    found, start = [], 0
    for unit in units:
        end = start + len(unit.targets)
        found.append(KnownScores(tuple(sums[start:end]), tuple(greedy[start:end])))
        start = end
    return found


def _free(lm: LanguageModel) -> None:
    if lm.device.type == "cuda":
        torch.cuda.empty_cache()
