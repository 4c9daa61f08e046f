"""Checks for what would stop a run later, before anything is tuned."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from flantune.commands.answer_check import check_answers
from flantune.commands.plan import asked_prompts, check_loss, make_codec
from flantune.errors import ConfigError
from flantune.evaluation.asking.task_questions import TaskQuestions
from flantune.evaluation.dev_scores import dev_questions
from flantune.evaluation.task_exams import task_exam
from flantune.mixture.portions import training_styles
from flantune.models.arithmetic import dtype_name, slow_arithmetic
from flantune.models.checks.causality import check_prefix
from flantune.prompts.styles import Style
from flantune.training.freezing import meant_by

if TYPE_CHECKING:
    from flantune.evaluation.dev_scores import DevQuestion
    from flantune.evaluation.exams import Exam
    from flantune.models.language_model import LanguageModel
    from flantune.settings.config import RunConfig
    from flantune.tasks.example_store import PreparedTask


def check_before(
    config: RunConfig,
    prepared: Sequence[PreparedTask],
    base: LanguageModel,
    *,
    measured: Sequence[PreparedTask],
    note: Callable[[str], None],
) -> None:
    """Makes sure that the model can be tuned as configured, and that every task can be asked.

    Args:
        config: The run.
        prepared: Its tasks.
        base: The model before tuning.
        measured: The tasks that models are measured on.
        note: Called with what this tokenizer cannot represent, its chat template's notes, and the arithmetic.

    Raises:
        flantune.errors.FlantuneError: Anything that would stop the run later.
    """
    if config.model.dtype == "auto":
        note(f"the arithmetic is {dtype_name(base.compute_dtype)}")
    if slow := slow_arithmetic(base.compute_dtype, base.device):
        note(slow)
    _check_attention(config, base, note)
    check_loss(config, base.family)
    if config.model.adapter == "none":
        meant_by(base.model, config.training.freeze)
    codec = make_codec(config, base)
    for known in codec.chat.notes if codec.chat else ():
        note(known)
    taught, inverted = training_styles(config.mixture, config.prompts), config.prompts.include_inverted
    for style in dict.fromkeys((*taught, Style.from_settings(asked_prompts(config)))):
        check_answers(prepared, codec, style=style, note=note, teaches_inverted=inverted)
    task_exams(config, measured)


def _check_attention(config: RunConfig, base: LanguageModel, note: Callable[[str], None]) -> None:
    """Makes sure that the model can be tuned, and then measured, with the configured attention."""
    tuned = base if config.model.attention == "auto" else replace(base, attention=config.model.attention)
    check_prefix(tuned)
    if tuned.reads_both_ways and config.evaluation.backend == "vllm":
        hint = 'set evaluation.backend = "transformers"'
        raise ConfigError(
            "vLLM reads inputs causally, and a prefix LM both ways", where="evaluation.backend", hint=hint
        )
    if tuned.attention != base.attention:
        note(f'the base model is measured with the attention it learned, "{base.attention}"')


def check_dev_rows(config: RunConfig, taught: Sequence[PreparedTask]) -> tuple[DevQuestion, ...]:
    """The dev questions that are asked during a fold's tuning.

    Raises:
        ConfigError: They should choose the weights to keep, or when to stop, but there are none.
    """
    settings = config.training
    asked = dev_questions(taught, prompts=config.prompts, seed=config.seed, examples=settings.measure_examples)
    decides = "keep" if settings.keep == "best-dev" else "patience" if settings.patience else ""
    if decides and not asked:
        hint = f'give some task that is trained on a "dev" split, or leave training.{decides} out'
        raise ConfigError("no task trained on has dev rows", where=f"training.{decides}", hint=hint)
    return asked


def task_exams(config: RunConfig, prepared: Sequence[PreparedTask]) -> list[Exam]:
    """The tasks as exams of a run.

    Raises:
        EvaluationError: One cannot be measured.
    """
    how = TaskQuestions(evaluation=config.evaluation, prompts=asked_prompts(config), seed=config.seed)
    return [task_exam(one, how, config.packing) for one in prepared]
