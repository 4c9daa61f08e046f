"""Of a large test set, the rows that are asked are the only ones looked up among what a model was taught."""

from __future__ import annotations

from flantune.contamination.compared_rows import make_corpus
from flantune.contamination.training_record import TrainingRecord, check_seen, make_index
from flantune.evaluation.asking.task_questions import drawn_rows
from flantune.mixture.taxonomy import load_taxonomy
from flantune.settings.config import EvaluationSettings, PackingSettings, PromptSettings

from .made import TaskQuestions, color_examples, make_task, task_exam


class Read(tuple):
    """Examples that note which of them were read."""

    def __new__(cls, *args):
        made = super().__new__(cls, *args)
        made.asked = set()
        return made

    def __getitem__(self, number):
        self.asked.add(number)
        return super().__getitem__(number)


def test_rows_that_are_not_asked_are_not_read():
    rows = Read(color_examples(500))
    how = TaskQuestions(evaluation=EvaluationSettings(max_examples=20), prompts=PromptSettings(), seed=3)
    task = make_task({"test": rows})
    exam = task_exam(task, how, PackingSettings())
    chosen = {*drawn_rows(task, how)["test"]}
    rows.asked.clear()
    taught = make_index(make_corpus([make_task({"train": color_examples(500)})], "train"))
    seen = check_seen(TrainingRecord(tasks=(), held_out=(), base=""), taught, exam.made, load_taxonomy(None))
    assert seen.rows == rows.asked == chosen and len(chosen) == 20
    assert "20 of 20 questions" in seen.reasons[-1]
