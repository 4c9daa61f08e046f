"""Dev scores during tuning: dev questions of the tasks it is tuned on, and of no others."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import TYPE_CHECKING

from flantune.errors import NotAskedError
from flantune.evaluation.asking.option_scores import PromptScorer
from flantune.evaluation.asking.task_questions import sample_rows
from flantune.prompts.render import render
from flantune.prompts.styles import Style, usable_templates
from flantune.system.keyed_random import stream_key

if TYPE_CHECKING:
    from flantune.evaluation.asking.requests import PromptGroup
    from flantune.models.language_model import LanguageModel
    from flantune.packing.encode import Codec
    from flantune.settings.config import PromptSettings
    from flantune.tasks.example_store import PreparedTask
    from flantune.types import Prompt


@dataclass(frozen=True, slots=True, kw_only=True)
class DevQuestion:
    """A prompt with the texts to score: the options, or only the reference.

    Attributes:
        prompt: The prompt, whose ``options`` are scored.
        gold: Index of the right one.
        is_choice: Whether there are options to choose from.
    """

    prompt: Prompt
    gold: int
    is_choice: bool


def dev_questions(
    prepared: Sequence[PreparedTask], *, prompts: PromptSettings, seed: int, examples: int
) -> tuple[DevQuestion, ...]:
    """Some dev rows of each task, in its first template that asks for the answer; the same for the same seed.

    Args:
        prepared: The tasks trained on. Those without dev rows are skipped.
        prompts: Style and separators.
        seed: The run's seed.
        examples: The largest number per task.
    """
    return tuple(question for task in prepared for question in _of_task(task, prompts, seed, examples))


def make_measure(
    lm: LanguageModel, questions: Sequence[DevQuestion], *, codec: Codec, batch_tokens: int
) -> Callable[[int], dict[str, float]]:
    """The function that ``tune`` calls: accuracy and loss on these questions, overall and by task.

    ``accuracy`` is the mean over tasks with options, ``loss`` the mean over all tasks of the nats per token of the
    right answer. Under ``torchrun`` all processes must call it: they share the work.

    Questions are tokenized and laid out at the first call, when the model is on its device; later calls only run.
    """

    @cache
    def compiled() -> tuple[PromptScorer, tuple[list[PromptGroup], ...]]:
        scorer = PromptScorer(lm, codec, store=None, batch_tokens=batch_tokens)
        return scorer, tuple(scorer.compiled([question.prompt for question in questions]))

    def measure(step: int) -> dict[str, float]:  # noqa: ARG001 - the same questions at every step
        scorer, requests = compiled()
        scores = scorer.score_requests(requests, prompts=len(questions))
        losses: dict[str, list[float]] = {}
        hits: dict[str, list[float]] = {}
        for question, found in zip(questions, scores, strict=True):
            if found is None:
                continue
            task = question.prompt.task
            losses.setdefault(task, []).append(-found.sums[question.gold] / found.tokens[question.gold])
            if question.is_choice:
                hits.setdefault(task, []).append(float(found.sums.index(max(found.sums)) == question.gold))
        return {**_summary("accuracy", hits), **_summary("loss", losses)}

    return measure


def _summary(name: str, by_task: dict[str, list[float]]) -> dict[str, float]:
    """The mean over tasks, then each task's own.

    >>> _summary("loss", {"rte": [1.0, 3.0], "snli": [1.0]})
    {'loss': 1.5, 'loss/rte': 2.0, 'loss/snli': 1.0}
    """
    means = {task: sum(values) / len(values) for task, values in sorted(by_task.items())}
    if not means:
        return {}
    return {name: sum(means.values()) / len(means), **{f"{name}/{task}": mean for task, mean in means.items()}}


def _of_task(prepared: PreparedTask, prompts: PromptSettings, seed: int, examples: int) -> list[DevQuestion]:
    task, store, style = prepared.task, prepared.stores.get("dev", ()), Style.from_settings(prompts).measured
    templates = usable_templates(task, style=style, max_templates=1)
    rows = sample_rows(len(store), limit=examples, key=stream_key(seed, task.name, "measure dev"))
    key = stream_key(seed, task.name, "measure options")
    found = []
    for row in rows if templates else ():
        try:
            prompt = render(task, store[row], templates[0], split="dev", style=style, options_key=key)
        except NotAskedError:
            continue
        is_choice = bool(prompt.options) and prompt.answer is not None
        asked = prompt if is_choice else replace(prompt, options=(prompt.targets,), answer=0)
        found.append(DevQuestion(prompt=asked, gold=asked.answer or 0, is_choice=is_choice))
    return found
