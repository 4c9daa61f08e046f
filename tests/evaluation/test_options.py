"""Options in another layout or order, in measuring."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from flantune.evaluation.asking.task_questions import TaskQuestions, questions
from flantune.evaluation.metrics.by_name import find_metric
from flantune.evaluation.metrics.rank_classification import choose
from flantune.evaluation.run_samples import FoldInput
from flantune.evaluation.samples import read_samples, write_samples
from flantune.settings.config import EvaluationSettings, PromptSettings

from .made import COLORS, choice_sample, color_examples, info, make_model, make_task, run, summarize

SHUFFLED = PromptSettings(shuffle_options=True)
BOTH = PromptSettings(options_layout="lettered", shuffle_options=True)


@pytest.fixture
def colors():
    return make_task({"train": color_examples(30, start=100), "test": color_examples(9, options=4)})


@pytest.fixture(scope="module")
def llama():
    return make_model("llama")


def asked(colors, prompts, *, seed=0, shots=(0, 2)):
    protocol = TaskQuestions(evaluation=EvaluationSettings(shots=shots), prompts=prompts, seed=seed)
    return list(questions(colors, protocol))


def test_a_row_has_one_order_whatever_template_and_shots(colors):
    orders = {}
    for question in asked(colors, BOTH):
        assert orders.setdefault(question.prompt.row, question.prompt.order) == question.prompt.order
    assert len(orders) == 9
    assert len(set(orders.values())) > 4


def test_the_same_seed_asks_the_same_and_another_seed_another_order(colors):
    assert asked(colors, BOTH) == asked(colors, BOTH)
    assert [q.prompt.order for q in asked(colors, BOTH)] != [q.prompt.order for q in asked(colors, BOTH, seed=1)]


def test_shuffling_changes_neither_rows_nor_exemplars_nor_the_gold_text(colors):
    for plain, other in zip(asked(colors, PromptSettings()), asked(colors, SHUFFLED), strict=True):
        assert (plain.prompt.row, plain.prompt.template) == (other.prompt.row, other.prompt.template)
        assert [e.row for e in plain.prompt.exemplars] == [e.row for e in other.prompt.exemplars]
        assert plain.prompt.targets == other.prompt.targets == other.prompt.options[other.prompt.answer]


def test_exemplars_have_the_layout_of_the_query(colors):
    for question in asked(colors, BOTH, shots=(3,)):
        assert len(question.prompt.exemplars) == 3
        for exemplar in question.prompt.exemplars:
            shown = dict(line.split(" ", 1) for line in exemplar.inputs.rsplit("OPTIONS:\n", 1)[1].split("\n"))
            assert f" {shown[exemplar.targets]} coat" in exemplar.inputs


def test_letters_are_what_rank_classification_scores(llama, colors, tmp_path):
    (done,) = run(llama, colors, tmp_path, prompts=BOTH, shots=(0, 2))
    samples = list(read_samples(done.path))
    assert len(samples) == 9 * 2 * 2
    for sample in samples:
        assert sorted(sample.order) == [0, 1, 2, 3]
        assert sample.options == ("(A)", "(B)", "(C)", "(D)")
        gold = COLORS[sample.order[sample.answer]]
        assert f"{sample.options[sample.answer]} {gold}" in sample.inputs.rsplit("OPTIONS:\n", 1)[1].split("\n")
        assert f" {gold} coat" in sample.inputs
        assert len(sample.scores) == 4


def test_shuffled_texts_score_as_they_stand(llama, colors, tmp_path):
    """Without the options in the prompt the order is nothing to the model: each text keeps its score."""
    (plain,) = run(llama, colors, tmp_path / "a", prompts=PromptSettings(show_options=False))
    (other,) = run(llama, colors, tmp_path / "b", prompts=PromptSettings(show_options=False, shuffle_options=True))
    for one, two in zip(read_samples(plain.path), read_samples(other.path), strict=True):
        assert one.inputs == two.inputs
        assert dict(zip(two.options, two.scores, strict=True)) == pytest.approx(
            dict(zip(one.options, one.scores, strict=True)), abs=1e-4
        )
        assert one.options[one.answer] == two.options[two.answer]


def test_another_order_is_measured_anew_and_the_same_is_not(llama, colors, tmp_path):
    assert not run(llama, colors, tmp_path)[0].is_reused
    assert not run(llama, colors, tmp_path, prompts=SHUFFLED)[0].is_reused
    assert run(llama, colors, tmp_path, prompts=SHUFFLED)[0].is_reused


def test_shuffled_samples_are_summed_up(llama, colors, tmp_path):
    for name in ("base", "folds/f/tuned"):
        run(llama, colors, tmp_path / name, prompts=BOTH)
    fold = FoldInput(name="f", clusters=("c",), unseen=("colors",))
    tasks = [info("colors", metrics=("f1", "accuracy"))]
    results = summarize(tmp_path, folds=[fold], tasks=tasks, seed=0)
    (task,) = results["tasks"]
    assert task["chance"] == pytest.approx(0.25)
    assert task["differences"]["tuned"]["value"] == 0
    right = [
        choose(sample.scores).index == sample.answer
        for sample in read_samples(tmp_path / "base/samples/colors.parquet")
    ]
    assert task["scores"]["base"]["metrics"]["accuracy"] == pytest.approx(np.mean(right))


def test_f1_follows_the_class_and_not_its_place():
    f1 = find_metric("f1", "classification")
    plain = [choice_sample(row, right=row % 3 > 0) for row in range(7)]
    turned = [
        replace(
            sample,
            options=sample.options[::-1],
            scores=sample.scores[::-1],
            references=sample.references,
            answer=1 - sample.answer,
            order=(1, 0),
        )
        if sample.row % 2
        else replace(sample, order=(0, 1))
        for sample in plain
    ]
    notes = [np.array([f1.note(sample, "sum") for sample in samples]) for samples in (plain, turned)]
    assert (notes[0] == notes[1]).all()
    assert f1.score(notes[0], np.ones((1, 7)))[0] < 1


def test_a_sample_in_the_examples_own_order_comes_back_without_one(tmp_path):
    sample = choice_sample(0, right=True)
    write_samples(tmp_path / "t.parquet", [sample])
    assert [found.order for found in read_samples(tmp_path / "t.parquet")] == [()]


def test_the_order_comes_back_from_disk(tmp_path):
    samples = [replace(choice_sample(0, right=True), order=(1, 0)), choice_sample(1, right=False)]
    write_samples(tmp_path / "t.parquet", samples)
    assert list(read_samples(tmp_path / "t.parquet")) == samples
