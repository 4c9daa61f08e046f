"""Self-consistency and normalizations of benchmarks, from the request to the page."""

from __future__ import annotations

import pytest

from flantune.commands import evaluation_exams
from flantune.commands.evaluate import EvaluationRequest, evaluate
from flantune.errors import ConfigError
from flantune.evaluation.metrics.extraction import extract
from flantune.evaluation.metrics.rank_classification import option_scores
from flantune.evaluation.metrics.voting import vote
from flantune.evaluation.samples import read_samples
from flantune.suites.catalog import choose_exams

from .world import make_model, short_answers, write_world


@pytest.fixture(scope="module", autouse=True)
def few_subjects():
    with short_answers(12, lambda exam: not exam.score.startswith("mmlu") or exam.name in {"astronomy", "virology"}):
        yield


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    return write_world(tmp_path_factory.mktemp("world"))


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models")
    return {"llama": make_model(folder / "llama"), "t5": make_model(folder / "t5", "t5")}


def evaluated(world, model, out, *suites, **values):
    request = EvaluationRequest(models=(str(model),), out=out, root=world, suites=suites, limit=3, **values)
    return evaluate(request)


SAMPLES = "models/llama/samples/gsm8k_cot%2Fmain.parquet"


def test_answers_are_drawn_voted_on_and_the_confidence_is_kept(world, models, tmp_path):
    results = evaluated(world, models["llama"], tmp_path, "gsm8k", "tydiqa", answers_each=5, temperature=1.0)
    rules = choose_exams(["gsm8k"], evaluation_exams.SuiteData(root=world)).exams[0].grader.rules
    samples = list(read_samples(tmp_path / SAMPLES))
    assert any(len(set(sample.predictions)) > 1 for sample in samples)
    for sample in samples:
        winner = vote([extract(text, rules) for text in sample.predictions])
        assert len(sample.predictions) == 5 and sample.confidence == winner.confidence
        assert sample.prediction in sample.predictions and extract(sample.prediction, rules).answer == winner.answer
    named = {one.name: one for one in results.benchmarks}
    gsm8k, tydiqa = named["gsm8k_cot"], named["tydiqa_direct"]
    assert (gsm8k.answers_each, gsm8k.temperature) == (5, 1.0)
    (voted,), (greedy,) = gsm8k.scores.values(), tydiqa.scores.values()
    assert voted.vote_confidence == pytest.approx(sum(sample.confidence for sample in samples) / 3)
    assert (tydiqa.answers_each, tydiqa.temperature, greedy.vote_confidence) == (1, 0.0, None)
    page = (tmp_path / "report.html").read_text()
    assert "5 at temperature 1" in page and "Agreement" in page


def test_a_seed_names_the_draws_and_more_of_them_keep_the_first(world, models, tmp_path):
    def drawn(folder, samples, seed=0):
        # The same eight exemplars, whatever the seed: without any, that is.
        evaluated(
            world,
            models["llama"],
            tmp_path / folder,
            "gsm8k",
            answers_each=samples,
            temperature=1.0,
            seed=seed,
            shots=0,
        )
        return [sample.predictions for sample in read_samples(tmp_path / folder / SAMPLES)]

    three = drawn("a", 3)
    assert drawn("b", 3) == three != drawn("c", 3, seed=1)
    assert [texts[:3] for texts in drawn("a", 4)] == three


def test_sampling_without_temperature_or_without_a_chain_of_thought_is_refused(world, models, tmp_path):
    with pytest.raises(ConfigError, match="without temperature"):
        evaluated(world, models["llama"], tmp_path, "gsm8k", answers_each=3, temperature=0.0)
    with pytest.raises(ConfigError, match="nothing here is answered by sampling"):
        evaluated(world, models["llama"], tmp_path, "mmlu_direct", answers_each=3)


@pytest.mark.parametrize("family", ["llama", "t5"])
@pytest.mark.parametrize("name", ["mutual_information", "domain", "contextual"])
def test_mmlu_ranks_options_by_what_they_score_without_the_question(world, models, tmp_path, family, name):
    results = evaluated(world, models[family], tmp_path, "mmlu_direct", normalization=name)
    (found,) = results.benchmarks
    (scores,) = found.scores.values()
    assert set(scores.other_metrics) == {f"accuracy_{way}" for way in ("sum", "token", "character", "byte")}
    assert results.protocols[found.protocol]["normalization"] == name
    part = next(one for one in found.parts if one.name == "virology")
    samples = list(read_samples(tmp_path / f"models/{family}/samples/mmlu_direct%2Fvirology.parquet"))
    right = [max(range(4), key=option_scores(sample, name).__getitem__) == sample.answer for sample in samples]
    (one,) = part.scores.values()
    assert one.mean.value == pytest.approx(sum(right) / len(right))
    # One subject's questions have their options and exemplars in common, so also what is subtracted.
    assert len({sample.baselines for sample in samples}) == 1 and len(samples[0].baselines) == 4


def test_harness_files_rank_as_they_say(tmp_path, models):
    with pytest.raises(ConfigError, match="themselves"):
        evaluate(
            EvaluationRequest(
                models=(str(models["llama"]),), out=tmp_path, harness=(tmp_path / "x.yaml",), normalization="domain"
            )
        )
