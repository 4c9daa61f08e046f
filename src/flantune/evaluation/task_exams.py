"""Tasks as exams: asked in all their forward templates, with each number of exemplars, on test and dev rows."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import chain
from typing import TYPE_CHECKING

from flantune.contamination.training_record import Measured, hub_of
from flantune.errors import ModelError
from flantune.evaluation.asking.option_scores import with_delimiters
from flantune.evaluation.asking.task_questions import (
    TaskQuestions,
    asked_examples,
    asked_templates,
    check_asked,
    count_questions,
    drawn_rows,
    not_asked_notes,
    questions,
)
from flantune.evaluation.exams import Exam, Question, Writing
from flantune.evaluation.metrics.graders import MetricGrader, columns_of, parser_of
from flantune.evaluation.metrics.readable import MOST_LOOKED_AT, check_readable
from flantune.prompts.compiled import gives_prompts
from flantune.prompts.graded import answer_marks, reasons_first
from flantune.prompts.layout import EOS_WORD, Layout
from flantune.prompts.promptsource import without_content
from flantune.prompts.render import render, render_words

if TYPE_CHECKING:
    from flantune.settings.config import EvaluationSettings, PackingSettings
    from flantune.tasks.example_store import PreparedTask
    from flantune.types import Example, Kind, Prompt, SplitRole


def task_exam(prepared: PreparedTask, how: TaskQuestions, packing: PackingSettings) -> Exam:
    """A task as an exam: ranked if it has options, otherwise generated.

    The prompts depend only on task, settings and seed, so two models are asked the same.

    Args:
        prepared: The task.
        how: Rows, shots, templates, style and protocol.
        packing: Token budgets of inputs and targets.

    Raises:
        EvaluationError: The task cannot be measured, or a metric cannot read its references.

    Paper: FLAN 2021, sections 2.3 and 3.
    """
    task, settings = prepared.task, how.evaluation
    check_readable(task, asked_examples(prepared, how, most=MOST_LOOKED_AT))
    check_asked(prepared, how)
    if how.prompts.chat and settings.tokenization == "joint":
        hint = 'set prompts.chat = false, or evaluation.tokenization = "separate"'
        raise ModelError("a chat template needs separate tokenization", where="prompts.chat", hint=hint)
    exam = recorded_exam(task.name, clusters=task.clusters, kind=task.kind, metrics=task.metrics, settings=settings)
    layout = with_delimiters(Layout.from_settings(how.prompts), exam.protocol)
    return replace(
        exam,
        questions=_Questions(prepared, how),
        layout=layout,
        max_input_tokens=packing.max_input_tokens,
        max_target_tokens=packing.max_target_tokens,
        writing=Writing(
            max_new_tokens=_longest(prepared, how),
            ends_at_separator=True,
            spared=spared_separators(prepared, how, separator=layout.exemplar_separator.replace(EOS_WORD, "")),
            is_trimmed=True,
        ),
        made=Measured(
            name=f'the task "{task.name}"',
            tasks=(task.name,),
            clusters=task.clusters,
            families=(task.source_family,) if task.source_family else (),
            hub=hub_of(task),
            files=tuple(sorted(task.source.files_here())),
            rows=lambda: ((one.row, tuple(one.fields.values())) for one in asked_examples(prepared, how)),
        ),
        blank=_Blank(prepared, how),
        notes=not_asked_notes(prepared, how),
    )


def recorded_exam(
    name: str, *, clusters: tuple[str, ...], kind: Kind, metrics: Sequence[str], settings: EvaluationSettings
) -> Exam:
    """A task with existing answers, for grading only.

    Raises:
        EvaluationError: A metric does not exist.
    """
    protocol = settings.scoring
    columns = columns_of(kind, metrics, normalization=protocol.normalization, ties=protocol.ties)
    return Exam(
        name=name,
        groups=clusters,
        questions=(),
        answering="options" if kind == "classification" else "text",
        grader=MetricGrader(columns=columns, parse=parser_of(settings.answer_parsing)),
        protocol=protocol,
    )


@dataclass(frozen=True, slots=True)
class _Questions:
    """A task's questions, rendered on demand."""

    prepared: PreparedTask
    how: TaskQuestions

    def __len__(self) -> int:
        return count_questions(self.prepared, self.how)

    def __iter__(self) -> Iterator[Question]:
        return questions(self.prepared, self.how)


def spared_separators(prepared: PreparedTask, how: TaskQuestions, *, separator: str) -> int:
    """How many separators an answer may contain before the next one ends it: as many as the right answer with the most.

    After exemplars, a model that was never taught to stop continues with another example, so generation ends at their
    separator. An answer of two paragraphs would lose the second one. The number is the same for all prompts of the task
    and all models, so it reveals nothing about a single answer.

    Args:
        prepared: The task; only relevant for generation tasks with exemplars.
        how: How it is asked.
        separator: What separates exemplars.
    """
    if prepared.task.kind != "generation" or not separator or not any(how.evaluation.shots):
        return 0
    asked = [prepared.stores[split][row] for split, rows in drawn_rows(prepared, how).items() for row in rows]
    reasoned = [template for template in asked_templates(prepared, how) if answer_marks(template)]
    whole = (render_words(prepared.task, example, one).targets for one in reasoned for example in asked)
    return most_in_answers([separator], chain((answer for example in asked for answer in example.references), whole))


def _longest(prepared: PreparedTask, how: TaskQuestions) -> int:
    """The longest answer; longer if a template asks for reasoning before it."""
    settings = how.evaluation
    reasons = any(reasons_first(answer_marks(template)) for template in asked_templates(prepared, how))
    return max(settings.max_new_tokens, settings.max_reasoning_tokens) if reasons else settings.max_new_tokens


def most_in_answers(stops: Sequence[str], answers: Iterable[str]) -> int:
    r"""The largest number of stop texts in one answer.

    >>> most_in_answers(["\n\n"], ["Tea.", "Tea is warm.\n\nIt is made of leaves.\n\n"])
    1
    """
    return max((sum(map(answer.strip().count, stops)) for answer in answers), default=0)


@dataclass(frozen=True)
class _Blank:
    """How a task's prompts are asked without content: every field is replaced, options and exemplars stay."""

    prepared: PreparedTask
    how: TaskQuestions

    def __call__(self, prompt: Prompt, text: str) -> Prompt:
        task, example = self.prepared.task, self._examples[prompt.split, prompt.row]
        template = next(template for template in task.templates if template.name == prompt.template)
        blank = dict.fromkeys(example.fields, text)
        if gives_prompts(template):
            blank = without_content(example.fields, text)
        rendered = render(
            task,
            replace(example, fields=blank),
            template,
            split=prompt.split,
            style=self.how.style,
            options_key=self.how.options_key(task.name),
        )
        # The scored options stay, whatever a template makes of a question without content.
        return replace(prompt, inputs=rendered.inputs)

    @cached_property
    def _examples(self) -> dict[tuple[SplitRole, int], Example]:
        """The examples that are asked, by split and row; only needed for questions without content."""
        return {
            (split, self.prepared.stores[split][at].row): self.prepared.stores[split][at]
            for split, rows in drawn_rows(self.prepared, self.how).items()
            for at in rows
        }
