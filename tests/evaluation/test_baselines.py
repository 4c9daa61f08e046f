"""Normalizations by what options score without the question, against the arithmetic of their papers done by hand."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import pytest

from flantune.errors import EvaluationError
from flantune.evaluation.asking.option_scores import score_prompts
from flantune.evaluation.asking.score_store import ScoreStore
from flantune.evaluation.asking.session import Session
from flantune.evaluation.asking.task_questions import TaskQuestions, questions
from flantune.evaluation.asking.works import work_of
from flantune.evaluation.metrics.by_name import find_metric
from flantune.evaluation.metrics.graders import MetricGrader, columns_of
from flantune.evaluation.metrics.rank_classification import BASELINES, option_scores
from flantune.evaluation.samples import read_samples
from flantune.evaluation.statistics.grades import grade
from flantune.prompts.render import render
from flantune.settings.config import EvaluationSettings
from flantune.settings.protocols import PRESETS
from flantune.types import Prompt

from .made import PromptSettings, color_examples, exams_of, make_model, make_task, run


@pytest.fixture(scope="module", params=["llama", "t5"])
def lm(request):
    return make_model(request.param)


@pytest.fixture(scope="module")
def task():
    return make_task({"train": color_examples(6, start=40), "test": color_examples(5)})


def measured(lm, task, folder, **settings):
    (done,) = run(lm, task, folder, shots=(0, 2), **settings)
    return list(read_samples(done.path))


def scored(lm, prompts, settings):
    (exam,) = exams_of(make_task({"test": color_examples(1)}), **settings.model_dump())
    codec = work_of(Session(lm=lm, folder=Path("nowhere")), exam).codec
    return [found.sums for found in score_prompts(lm, prompts, codec=codec)]


def plain(prompt, inputs):
    return Prompt(task="x", split="test", row=0, template="x", inputs=inputs, targets="", options=prompt.options)


@pytest.mark.parametrize(("name", "context"), [("mutual_information", ""), ("domain", "The color is")])
def test_pointwise_mutual_information_is_what_direct_computation_gives(lm, task, tmp_path, name, context):
    settings = EvaluationSettings(normalization=name, domain_premise="The color is")
    samples = measured(lm, task, tmp_path, normalization=name, domain_premise="The color is")
    assert len(samples) == 20
    for sample in samples[::7]:
        (direct,) = scored(lm, [plain(sample, context)], settings)
        assert sample.baselines == pytest.approx(direct, abs=2e-5)
        by_hand = [score - own for score, own in zip(sample.scores, direct, strict=True)]
        assert option_scores(sample, name) == pytest.approx(by_hand, abs=2e-5)


def test_contextual_calibration_is_what_direct_computation_gives(lm, task, tmp_path):
    texts = ("N/A", "")
    settings = EvaluationSettings(normalization="contextual", content_free=texts, shots=(0, 2))
    samples = measured(lm, task, tmp_path, normalization="contextual", content_free=texts)
    protocol = TaskQuestions(evaluation=settings, prompts=PromptSettings(), seed=0)
    asked = [question.prompt for question in questions(task, protocol)]
    for sample, prompt in list(zip(samples, asked, strict=True))[::7]:
        example = next(one for one in task.stores["test"] if one.row == prompt.row)
        template = next(one for one in task.task.templates if one.name == prompt.template)
        blanks = [
            replace(
                prompt, inputs=render(task.task, replace(example, fields={"text": text}), template, split="test").inputs
            )
            for text in texts
        ]
        assert "N/A" in blanks[0].inputs and prompt.options[0] in blanks[0].inputs
        mean = [0.0] * len(prompt.options)
        for row in scored(lm, blanks, settings):
            powers = [math.exp(score) for score in row]
            mean = [had + power / sum(powers) / len(texts) for had, power in zip(mean, powers, strict=True)]
        assert sample.baselines == pytest.approx([math.log(value) for value in mean], abs=2e-4)
        # Zhao et al.: the arg-max of p / p_cf.
        powers = [math.exp(score) for score in sample.scores]
        rescaled = [power / sum(powers) / own for power, own in zip(powers, mean, strict=True)]
        best = max(range(len(rescaled)), key=rescaled.__getitem__)
        own = option_scores(sample, "contextual")
        assert best == max(range(len(own)), key=own.__getitem__)


def test_what_options_score_alone_is_computed_once_an_option(task, tmp_path):
    """Ten prompts of two templates show four colors: four requests more, however many prompts there are."""
    lm = make_model()
    measured(lm, task, tmp_path / "sum")
    plain_entries = len(ScoreStore(tmp_path / "sum/store"))
    measured(lm, task, tmp_path / "pmi", normalization="mutual_information")
    assert len(ScoreStore(tmp_path / "pmi/store")) == plain_entries + 4


def test_it_is_reported_beside_the_sum_and_its_lengths(task, tmp_path):
    samples = measured(make_model(), task, tmp_path, normalization="domain")
    columns = columns_of("classification", ["accuracy"], normalization="domain")
    assert [column.normalization for column in columns.variants] == ["sum", "token", "character", "byte", "domain"]
    grade(samples, MetricGrader(columns=columns))
    (note,) = find_metric("accuracy", "classification").note(samples[0], "domain")
    assert note in (0.0, 1.0)


def test_trap_samples_without_baselines_are_not_scored_by_them(task, tmp_path):
    samples = measured(make_model(), task, tmp_path)
    assert all(sample.baselines == () for sample in samples)
    for name in BASELINES:
        with pytest.raises(EvaluationError, match="no baselines"):
            option_scores(samples[0], name)


def test_samples_of_one_baseline_are_not_taken_for_another(task, tmp_path):
    lm = make_model()
    first = measured(lm, task, tmp_path, normalization="domain", domain_premise="It is")
    assert measured(lm, task, tmp_path, normalization="domain", domain_premise="Answer:") != first
    assert measured(lm, task, tmp_path, normalization="mutual_information")[0].baselines != first[0].baselines


def test_the_texts_are_in_the_fingerprint_where_they_are_used():
    base = PRESETS["flan2021"]
    assert replace(base, domain_premise="?").fingerprint == base.fingerprint
    domain = EvaluationSettings(normalization="domain").scoring
    assert replace(domain, domain_premise="?").fingerprint != domain.fingerprint
    contextual = replace(base, normalization="contextual")
    assert replace(contextual, content_free=("?",)).fingerprint != contextual.fingerprint
