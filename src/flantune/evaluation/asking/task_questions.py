"""Which prompts a task is measured with: a pure function of task, settings and seed, independent of the model.

So the base model and the tuned model get the same prompts, and repeating a command asks the same ones.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from flantune.errors import EvaluationError, NotAskedError
from flantune.evaluation.exams import Question
from flantune.mixture.portions import capped_examples
from flantune.prompts.compiled import gives_prompts
from flantune.prompts.exemplars import draw_exemplars
from flantune.prompts.graded import answer_marks, reasons_first
from flantune.prompts.render import render
from flantune.prompts.shots import with_exemplars
from flantune.prompts.styles import Style, usable_templates
from flantune.system.keyed_random import mix64, stream_key
from flantune.tasks.naming import templates_named

if TYPE_CHECKING:
    from flantune.prompts.exemplars import Examples
    from flantune.settings.config import EvaluationSettings, PromptSettings
    from flantune.tasks.example_store import PreparedTask
    from flantune.types import Example, SplitRole, Template


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskQuestions:
    """Everything that determines the prompts of tasks.

    Attributes:
        evaluation: Rows, shots and templates.
        prompts: Style and separators.
        seed: The run's seed.
    """

    evaluation: EvaluationSettings
    prompts: PromptSettings
    seed: int

    @property
    def style(self) -> Style:
        """How much of the instruction is shown, and how options are shown; nothing is random except their order."""
        return Style.from_settings(self.prompts).measured

    def options_key(self, task: str) -> int:
        """Seeds the order of shuffled options: one order per row, for all templates, shots and models.

        So templates differ only in their words. The order of an exemplar's options follows from its own row.
        """
        return stream_key(self.seed, task, "evaluation options")


def questions(prepared: PreparedTask, how: TaskQuestions) -> Iterator[Question]:
    """Every prompt of a task, in the order of its samples: by shots, split, template and row.

    Few-shot prompts of one template show the same exemplars in the same order for all rows, so that rows differ only in
    the question (and the prefix is computed once). If one of them is a duplicate of the query, that query gets the next
    candidate instead. Exemplars come from the training split; a task without one is measured zero-shot.

    Raises:
        flantune.errors.TemplateError: An example cannot be rendered.
    """
    templates, splits = asked_templates(prepared, how), drawn_rows(prepared, how)
    for shots in shots_of(prepared, how.evaluation.shots):
        for split, rows in splits.items():
            for template in templates:
                for row in rows:
                    example = prepared.stores[split][row]
                    yield _question(prepared, example, how, split=split, template=template, shots=shots)


def count_questions(prepared: PreparedTask, how: TaskQuestions) -> int:
    """The number of prompts of ``questions``."""
    rows = sum(map(len, drawn_rows(prepared, how).values()))
    return rows * len(asked_templates(prepared, how)) * len(shots_of(prepared, how.evaluation.shots))


def shots_of(prepared: PreparedTask, shots: Sequence[int]) -> tuple[int, ...]:
    """The numbers of exemplars that this task can be measured with, each once."""
    has_train = "train" in prepared.stores and len(prepared.stores["train"]) > 0
    return tuple(dict.fromkeys(number for number in shots if number == 0 or has_train))


def drawn_rows(prepared: PreparedTask, how: TaskQuestions) -> dict[SplitRole, tuple[int, ...]]:
    """Indices of the test and dev examples that are asked, in ascending order.

    A seeded draw without replacement. A larger draw contains every smaller one, so raising the limit keeps the rows
    measured before. A row that one of the templates does not accept is left out, so that all templates have the same
    rows.
    """
    splits: tuple[SplitRole, ...] = ("test", "dev")
    drawn = {split: _asked_by_all(prepared, how, split, _sampled(prepared, how, split)) for split in splits}
    return {split: rows for split, rows in drawn.items() if rows}


def _sampled(prepared: PreparedTask, how: TaskQuestions, split: SplitRole) -> tuple[int, ...]:
    """The draw, including rows that templates do not accept."""
    limit = how.evaluation.max_examples or None if split == "test" else how.evaluation.dev_examples
    key = stream_key(how.seed, prepared.task.name, "evaluation", split)
    return sample_rows(len(prepared.stores.get(split, ())), limit=limit, key=key)


def not_asked_notes(prepared: PreparedTask, how: TaskQuestions) -> tuple[str, ...]:
    """A note on drawn test rows left out because a template does not accept them; empty if there are none."""
    sampled = len(_sampled(prepared, how, "test"))
    lost = sampled - len(drawn_rows(prepared, how).get("test", ()))
    if not lost:
        return ()
    return (f"{lost:,} of {sampled:,} test rows are left out: not every template asks them, and all ask the same rows",)


def _asked_by_all(
    prepared: PreparedTask, how: TaskQuestions, split: SplitRole, rows: tuple[int, ...]
) -> tuple[int, ...]:
    choosy = [one for one in asked_templates(prepared, how) if gives_prompts(one)]
    key = how.options_key(prepared.task.name)

    def is_asked(example: Example) -> bool:
        try:
            for template in choosy:
                render(prepared.task, example, template, split=split, style=how.style, options_key=key)
        except NotAskedError:
            return False
        return True

    return tuple(row for row in rows if is_asked(prepared.stores[split][row])) if choosy else rows


def asked_examples(prepared: PreparedTask, how: TaskQuestions, *, most: int | None = None) -> list[Example]:
    """The first test examples that are asked, at most ``most``; None: all."""
    rows = drawn_rows(prepared, how).get("test", ())
    return [prepared.stores["test"][row] for row in rows[:most]]


def sample_rows(size: int, *, limit: int | None, key: int) -> tuple[int, ...]:
    """``limit`` of the numbers below ``size``, without replacement, ascending; all of them when ``limit`` is None.

    >>> sample_rows(5, limit=None, key=1), len(set(sample_rows(1000, limit=10, key=1)))
    ((0, 1, 2, 3, 4), 10)
    >>> set(sample_rows(1000, limit=10, key=1)) <= set(sample_rows(1000, limit=20, key=1))
    True
    """
    if limit is None or limit >= size:
        return tuple(range(size))
    moved: dict[int, int] = {}
    drawn = []
    for place in range(limit):
        # The start of a Fisher-Yates shuffle, in memory proportional to the rows drawn, not to the split.
        other = place + mix64(key, place) % (size - place)
        drawn.append(moved.get(other, other))
        moved[other] = moved.get(place, place)
    return tuple(sorted(drawn))


def _question(
    prepared: PreparedTask, example: Example, how: TaskQuestions, *, split: SplitRole, template: Template, shots: int
) -> Question:
    task = prepared.task
    options_key = how.options_key(task.name)
    prompt = render(task, example, template, split=split, style=how.style, options_key=options_key)
    if prompt.frame is not None:  # it has its own examples
        return Question(prompt=prompt, shots=0)
    exemplars = draw_exemplars(
        task,
        exemplar_pool(prepared, how),
        query=example,
        split=split,
        template=template,
        shots=shots,
        # Without the row: all queries of a template shuffle the candidates in the same way and take the first allowed
        # ones.
        key=stream_key(how.seed, task.name, "evaluation exemplars", template.name, shots),
        style=how.style,
        options_key=options_key,
    )
    return Question(prompt=with_exemplars(prompt, exemplars, style=how.style, key=0), shots=shots)


def exemplar_pool(prepared: PreparedTask, how: TaskQuestions) -> Examples:
    """The training examples that exemplars may come from: all, or the sample that tuning on as many rows would use."""
    store = prepared.stores.get("train", ())
    return capped_examples(store, task=prepared.task.name, seed=how.seed, most=how.evaluation.exemplar_pool)


def check_asked(prepared: PreparedTask, how: TaskQuestions) -> None:
    """Checks before anything is asked that a task has something to ask.

    Raises:
        EvaluationError: It has no forward template, or no test rows.
    """
    where = prepared.task.name
    if not asked_templates(prepared, how):
        hint = "add a template that asks for the task's own answer (is_inverted = false)"
        raise EvaluationError("the task has no forward template to be measured with", where=where, hint=hint)
    if "test" not in drawn_rows(prepared, how):
        hint = 'give the task a "test" split, or leave it out with data.exclude'
        raise EvaluationError("the task has no test rows to be measured on", where=where, hint=hint)


def asked_templates(prepared: PreparedTask, how: TaskQuestions) -> tuple[Template, ...]:
    """The forward templates that are asked."""
    found = templates_named(usable_templates(prepared.task, style=how.style), how.evaluation.template_names)
    if how.evaluation.templates != "all":
        wanted = how.evaluation.templates == "reasoned"
        found = tuple(one for one in found if reasons_first(answer_marks(one)) == wanted) or found
    return found[: how.evaluation.max_templates] if how.evaluation.max_templates else found
