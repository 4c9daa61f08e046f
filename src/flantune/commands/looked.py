"""What determines a run's cost: its tasks, the first batches of its mixture, the questions it would ask."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import TYPE_CHECKING

from flantune.commands.plan import asked_prompts, make_codec, measured_tasks
from flantune.commands.suites_in_run import suite_exams
from flantune.evaluation.asking.task_questions import TaskQuestions, count_questions, drawn_rows, questions
from flantune.models.load import load_config
from flantune.models.scratch import scratch_config
from flantune.studies.estimate import AskedTask, FoldWork

if TYPE_CHECKING:
    from transformers import PretrainedConfig

    from flantune.evaluation.exams import Exam
    from flantune.mixture.holdout import FoldTasks
    from flantune.mixture.mixture import Mixture
    from flantune.packing.codec_for import UnloadedReader
    from flantune.packing.encode import Codec
    from flantune.packing.stream import PromptStream
    from flantune.settings.config import RunConfig
    from flantune.tasks.example_store import PreparedTask

LOOKED_AT = 8
"""Rows of each split whose prompts are used to count the tokens of a task's questions."""
PROMPTS = 64
"""The same for a part of a benchmark."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Looked:
    """What determines a run's cost.

    Attributes:
        config: The run.
        prepared: Its tasks.
        folds: The division of the tasks by each fold.
        mixture: The training prompts of one fold.
        stream: The same as ids.
        reader: The reader of the prompts.
    """

    config: RunConfig
    prepared: Sequence[PreparedTask]
    folds: Sequence[FoldTasks]
    mixture: Mixture
    stream: PromptStream
    reader: UnloadedReader

    @property
    def model_config(self) -> PretrainedConfig:
        """The transformers config of the run's model."""
        scratch = self.config.model.scratch
        return load_config(self.config.model) if scratch is None else scratch_config(scratch, self.reader.tokenizer)

    def fold_works(self) -> list[FoldWork]:
        """The questions about the run's tasks to each fold's model."""
        codec = make_codec(self.config, self.reader)
        every = measured_tasks(self.config, self.prepared, self.folds)
        asked = {one.task.name: asked_task(one, self.config, codec) for one in every}
        return [self._fold_work(fold, asked) for fold in self.folds]

    def _fold_work(self, fold: FoldTasks, asked: Mapping[str, AskedTask]) -> FoldWork:
        tasks = tuple(asked[one.task.name] for one in measured_tasks(self.config, self.prepared, [fold]))
        clusters = fold.clusters
        if fold.measures_trained:
            clusters = tuple(dict.fromkeys(name for task in tasks for name in task.clusters))
        return FoldWork(held_out=fold.held_out, clusters=clusters, tasks=tasks)

    def benchmarks(self) -> tuple[AskedTask, ...]:
        """The questions of ``evaluation.suites`` to every model.

        Raises:
            FlantuneError: A benchmark's data is missing.
        """
        return tuple(_asked_exam(exam, self) for exam in suite_exams(self.config).exams)


def _asked_exam(exam: Exam, looked: Looked) -> AskedTask:
    """How a part of a benchmark is asked; it is in no cluster."""
    codec = replace(
        make_codec(looked.config, looked.reader),
        layout=exam.layout,
        max_input_tokens=exam.max_input_tokens,
        max_target_tokens=exam.max_target_tokens,
    )
    is_ranked = exam.answering == "options"
    some = list(islice(exam.prompts, PROMPTS))
    encoded = [one for one in codec.encode_prompts(some, continuations="options" if is_ranked else "target") if one]
    share = len(exam.questions) / max(1, len(some))
    continued = sum(len(target) for one in encoded for target in one.targets)
    return AskedTask(
        name=exam.key,
        clusters=(),
        rows=len(exam.questions),
        questions=len(exam.questions),
        read=round(share * (sum(len(one.inputs) for one in encoded) + (continued if is_ranked else 0))),
        written=0 if is_ranked else round(share * continued),
        longest=0 if is_ranked else len(exam.questions) * exam.writing.max_new_tokens,
    )


def asked_task(prepared: PreparedTask, config: RunConfig, codec: Codec) -> AskedTask:
    """How a task is asked, and the lengths of its questions, from the prompts of some of its rows."""
    how = TaskQuestions(evaluation=config.evaluation, prompts=asked_prompts(config), seed=config.seed)
    few = {
        "max_examples": min(LOOKED_AT, config.evaluation.max_examples or LOOKED_AT),
        "dev_examples": min(LOOKED_AT, config.evaluation.dev_examples),
    }
    some = replace(how, evaluation=config.evaluation.model_copy(update=few))
    prompts = [question.prompt for question in questions(prepared, some)]
    is_ranked = prepared.task.kind == "classification"
    encoded = codec.encode_prompts(prompts, continuations="options" if is_ranked else "target")
    kept = [one for one in encoded if one is not None]
    count = count_questions(prepared, how)
    share = count / max(1, len(prompts))
    continued = sum(len(target) for one in kept for target in one.targets)
    contexts = sum(len(one.inputs) for one in kept)
    return AskedTask(
        name=prepared.task.name,
        clusters=prepared.task.clusters,
        rows=len(drawn_rows(prepared, how).get("test", ())),
        questions=count,
        read=round(share * (contexts + (continued if is_ranked else 0))),
        written=0 if is_ranked else round(share * continued),
        longest=0 if is_ranked else count * config.evaluation.max_new_tokens,
    )
