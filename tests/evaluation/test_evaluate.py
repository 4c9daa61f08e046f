from __future__ import annotations

import json
from dataclasses import asdict, replace

import numpy as np
import pytest
import torch

from flantune.errors import EvaluationError
from flantune.evaluation.asking import answers
from flantune.evaluation.asking import ask as evaluate_module
from flantune.evaluation.asking import option_scores as engine
from flantune.evaluation.asking.answers import Written
from flantune.evaluation.asking.ask import AskingProgress
from flantune.evaluation.asking.option_scores import PromptScorer
from flantune.evaluation.asking.task_questions import TaskQuestions, drawn_rows, questions, sample_rows
from flantune.evaluation.metrics.rank_classification import choose
from flantune.evaluation.run_samples import FoldInput
from flantune.evaluation.samples import read_samples
from flantune.models.load import LanguageModel
from flantune.models.scoring.check import scoring_layout
from flantune.models.scoring.option_scorer import OptionScorer
from flantune.models.writing.decoding import cut_at_stop
from flantune.settings.config import EvaluationSettings, PackingSettings, PromptSettings
from flantune.types import Example, Template

from .made import color_examples, generation_examples, info, make_model, make_talkative, make_task, run, summarize


@pytest.fixture(scope="module", params=["llama", "t5"])
def lm(request) -> LanguageModel:
    return make_model(request.param)


@pytest.fixture(scope="module")
def llama() -> LanguageModel:
    return make_model("llama")


@pytest.fixture
def colors():
    return make_task(
        {"train": color_examples(30, start=100), "test": color_examples(9), "dev": color_examples(4, start=50)}
    )


def plain_score(lm: LanguageModel, inputs: list[int], target: list[int]) -> float:
    """Sum of log-probabilities by the model's ordinary forward pass on one prompt and one option."""
    with torch.no_grad():
        if lm.family == "decoder-only":
            logits = lm.model(input_ids=torch.tensor([inputs + target])).logits[0, len(inputs) - 1 : -1]
        else:
            labels = torch.tensor([target])
            logits = lm.model(input_ids=torch.tensor([inputs]), labels=labels).logits[0]
    logprobs = torch.log_softmax(logits.double(), dim=-1)
    return float(sum(logprobs[at, token] for at, token in enumerate(target)))


def by_hand(lm: LanguageModel, sample, *, with_end: bool) -> list[float]:
    tokenizer = lm.tokenizer
    eos = tokenizer.eos_token_id

    def ids(text):
        return tokenizer(text, add_special_tokens=False)["input_ids"]

    inputs = ids(sample.inputs + "\n") if lm.family == "decoder-only" else [*ids(sample.inputs), eos]
    return [plain_score(lm, inputs, [*ids(option), *([eos] if with_end else [])]) for option in sample.options]


@pytest.mark.parametrize("shots", [0, 2])
@pytest.mark.parametrize("with_end", [True, False])
def test_scores_are_those_of_plain_forward_passes(lm, colors, tmp_path, shots, with_end):
    """Options as branches of a context that is computed once give what one row an option gives."""
    (done,) = run(lm, colors, tmp_path, shots=(shots,), score_end_of_sequence=with_end, batch_tokens=600)
    samples = list(read_samples(done.path))
    assert {len(s.options) for s in samples} == {2, 3, 4}
    for sample in samples[::5]:
        assert sample.scores == pytest.approx(by_hand(lm, sample, with_end=with_end), abs=1e-4)
        assert len(sample.exemplar_rows) == shots
        sizes = [len(lm.tokenizer(option, add_special_tokens=False)["input_ids"]) for option in sample.options]
        assert list(sample.lengths) == [size + with_end for size in sizes]


def test_batch_size_changes_no_answer(lm, colors, tmp_path):
    (one,) = run(lm, colors, tmp_path / "one", batch_tokens=1)
    (many,) = run(lm, colors, tmp_path / "many", batch_tokens=100_000)
    for a, b in zip(read_samples(one.path), read_samples(many.path), strict=True):
        assert a.scores == pytest.approx(b.scores, abs=1e-4)
        assert choose(a.scores) == choose(b.scores)


def test_a_model_that_lets_neighbors_see_each_other_is_scored_one_option_a_row(llama, colors, tmp_path, monkeypatch):
    (packed,) = run(llama, colors, tmp_path / "packed")
    suspect = make_model("llama")
    monkeypatch.setattr("flantune.models.scoring.check.TOLERANCE", -1.0)
    (apart,) = run(suspect, colors, tmp_path / "apart", batch_tokens=120)
    assert scoring_layout(suspect).layout == "rows"
    for a, b in zip(read_samples(packed.path), read_samples(apart.path), strict=True):
        assert a.scores == pytest.approx(b.scores, abs=1e-4)


def test_every_forward_template_and_no_inverted_one_is_asked(llama, colors, tmp_path):
    (done,) = run(llama, colors, tmp_path, shots=(0, 1), dev_examples=3)
    samples = list(read_samples(done.path))
    cells = [(s.shots, s.split, s.template, s.row) for s in samples]
    assert len(set(cells)) == len(cells) == 2 * 2 * (9 + 3)
    assert {s.template for s in samples} == {"ask", "tell"}
    assert done.origin.samples == len(samples)
    (first,) = run(llama, colors, tmp_path / "first", max_templates=1)
    assert {s.template for s in read_samples(first.path)} == {"ask"}


def test_a_style_without_instructions_is_asked_once(llama, colors, tmp_path):
    (done,) = run(llama, colors, tmp_path, prompts=PromptSettings(style="inputs_only"), dev_examples=0)
    samples = list(read_samples(done.path))
    assert len(samples) == 9
    assert not any("Which color" in s.inputs for s in samples)


def test_rows_are_a_seeded_sample_without_replacement(colors):
    def rows(seed, **settings):
        protocol = TaskQuestions(evaluation=EvaluationSettings(**settings), prompts=PromptSettings(), seed=seed)
        return drawn_rows(colors, protocol)

    assert rows(0, max_examples=0)["test"] == tuple(range(9))
    some = rows(0, max_examples=5, dev_examples=0)
    assert len(set(some["test"])) == 5
    assert "dev" not in some
    assert some == rows(0, max_examples=5, dev_examples=0)
    assert len({rows(seed, max_examples=5)["test"] for seed in range(8)}) > 4
    assert set(some["test"]) <= set(rows(0, max_examples=7)["test"])


def test_every_row_is_as_likely_as_any_other():
    counts = np.bincount([row for key in range(4000) for row in sample_rows(10, limit=3, key=key)])
    assert counts == pytest.approx([1200] * 10, abs=5 * np.sqrt(4000 * 0.3 * 0.7))


def test_base_and_tuned_are_asked_the_same(llama, colors, tmp_path):
    tuned = make_model("llama", seed=1)
    settings = {"shots": (0, 2), "max_examples": 5}
    (one,), (two,) = (
        run(llama, colors, tmp_path / "base", **settings),
        run(tuned, colors, tmp_path / "tuned", **settings),
    )

    def asked(path):
        return [asdict(replace(s, scores=(), prediction="")) for s in read_samples(path)]

    assert asked(one.path) == asked(two.path)
    assert [s.scores for s in read_samples(one.path)] != [s.scores for s in read_samples(two.path)]


def test_evaluation_changes_nothing_in_the_model(lm, colors, tmp_path):
    before = {name: p.detach().clone() for name, p in lm.model.named_parameters()}
    lm.model.train()
    run(lm, colors, tmp_path)
    assert lm.model.training
    lm.model.eval()
    assert all(torch.equal(before[name], p) and p.grad is None for name, p in lm.model.named_parameters())


def test_dropout_is_off_while_scoring(colors, tmp_path):
    lm = make_model("t5")
    for module in lm.model.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.5
    lm.model.train()
    (one,), (two,) = run(lm, colors, tmp_path / "one"), run(lm, colors, tmp_path / "two")
    assert one.path.read_bytes() == two.path.read_bytes()


def test_exemplars_are_those_of_the_template_whatever_the_row(llama, colors, tmp_path):
    (done,) = run(llama, colors, tmp_path, shots=(1, 3))
    shown = {}
    for sample in read_samples(done.path):
        shown.setdefault((sample.template, sample.shots), set()).add(sample.exemplar_rows)
        assert len(set(sample.exemplar_rows)) == sample.shots
        assert all(100 <= row < 130 for row in sample.exemplar_rows)
    assert all(len(rows) == 1 for rows in shown.values())
    assert len(set.union(*shown.values())) == 4


def test_trap_04_query_among_its_own_exemplars(llama, tmp_path):
    """Test rows that are copies of training rows, in other letters: none may be shown its own answer."""
    train = color_examples(6, start=100)
    copies = tuple(
        replace(example, row=at, fields={"text": f" {example.fields['text'].upper()} "})
        for at, example in enumerate(train)
    )
    prepared = make_task({"train": train, "test": copies})
    (done,) = run(llama, prepared, tmp_path, shots=(3,))
    original = {at: example.row for at, example in enumerate(train)}
    replaced = set()
    for sample in read_samples(done.path):
        assert original[sample.row] not in sample.exemplar_rows
        assert len(sample.exemplar_rows) == 3
        assert sample.inputs.lower().count(copies[sample.row].fields["text"].strip().lower()) == 1
        replaced.add((sample.template, sample.exemplar_rows))
    # Whoever meets its own copy gets the next candidate; all others share one choice.
    assert 2 < len(replaced) <= 2 * 4


def test_a_task_without_training_rows_is_measured_zero_shot_alone(llama, tmp_path):
    prepared = make_task({"test": color_examples(4)})
    (done,) = run(llama, prepared, tmp_path, shots=(0, 2))
    assert {s.shots for s in read_samples(done.path)} == {0}


def test_exemplars_that_do_not_fit_are_not_claimed(llama, colors, tmp_path):
    (done,) = run(llama, colors, tmp_path, shots=(8,), packing=PackingSettings(max_input_tokens=180))
    samples = list(read_samples(done.path))
    assert 0 < max(len(s.exemplar_rows) for s in samples) < 8
    assert done.origin.counts.exemplars_dropped == sum(8 - len(s.exemplar_rows) for s in samples)
    assert all(s.inputs.count("coat") == 1 + len(s.exemplar_rows) for s in samples)


def test_prompts_with_an_option_too_long_are_left_out_and_counted(llama, colors, tmp_path):
    (all_of_them,) = run(llama, colors, tmp_path / "all")
    longest = {(s.split, s.template, s.row): max(s.lengths) for s in read_samples(all_of_them.path)}
    limit = max(longest.values()) - 1
    (done,) = run(llama, colors, tmp_path / "short", packing=PackingSettings(max_target_tokens=limit))
    kept = [(s.split, s.template, s.row) for s in read_samples(done.path)]
    assert kept == [cell for cell, length in longest.items() if length <= limit]
    assert done.origin.counts.prompts_dropped == len(longest) - len(kept) > 0


@pytest.mark.parametrize("change", [{"packing": PackingSettings(max_target_tokens=1)}, {"shots": (2,)}])
def test_a_task_of_which_nothing_can_be_scored_is_an_error_at_once(llama, tmp_path, change):
    prepared = make_task({"test": color_examples(4)})
    with pytest.raises(EvaluationError, match="colors: not one prompt"):
        run(llama, prepared, tmp_path, **change)


def test_repeating_the_call_scores_nothing_again(llama, colors, tmp_path, monkeypatch):
    (first,) = run(llama, colors, tmp_path)
    stamp = first.path.stat().st_mtime_ns
    monkeypatch.setattr(OptionScorer, "score", lambda *a, **k: pytest.fail("scored again"))
    (second,) = run(llama, colors, tmp_path)
    assert (first.is_reused, second.is_reused) == (False, True)
    assert second.path.stat().st_mtime_ns == stamp
    assert second.origin == first.origin


def test_a_killed_evaluation_goes_on_and_gives_the_same_bytes(llama, colors, tmp_path, monkeypatch):
    # Blocks of a few prompts: what fits into one block is written together.
    monkeypatch.setattr(engine, "GROUP_PROMPTS", 13)
    monkeypatch.setattr(evaluate_module, "GROUP_PROMPTS", 13)
    tasks = [colors, make_task({"test": color_examples(8, start=20)}, name="second")]
    straight = run(llama, tasks, tmp_path / "straight", batch_tokens=300)

    def killed(progress: AskingProgress):
        if progress.exam == "second" and progress.done > 26 + 8:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(llama, tasks, tmp_path / "killed", batch_tokens=300, progress=killed)
    resumed = run(llama, tasks, tmp_path / "killed", batch_tokens=300)
    assert [e.is_reused for e in resumed] == [True, False]
    assert [e.path.read_bytes() for e in straight] == [e.path.read_bytes() for e in resumed]


def other_template(prepared):
    templates = (Template(name="ask", inputs="{text}\nWhat colour?\n\n{options}"), *prepared.task.templates[1:])
    return replace(prepared, task=replace(prepared.task, templates=templates))


@pytest.mark.parametrize("change", ["template", "model", "rows", "end", "seed"])
def test_trap_02_samples_of_other_prompts_or_models_are_not_reused(llama, colors, tmp_path, change):
    run(llama, colors, tmp_path, max_examples=5)
    model = make_model("llama", seed=4) if change == "model" else llama
    prepared = other_template(colors) if change == "template" else colors
    settings = {"max_examples": 6 if change == "rows" else 5, "score_end_of_sequence": change != "end"}
    (again,) = run(model, prepared, tmp_path, seed=int(change == "seed"), **settings)
    assert not again.is_reused


def test_settings_that_only_the_summary_reads_reuse_the_samples(llama, colors, tmp_path):
    run(llama, colors, tmp_path)
    (again,) = run(llama, colors, tmp_path, normalization="token", confidence=0.9, max_new_tokens=3)
    assert again.is_reused


def test_progress_counts_to_the_total(lm, colors, tmp_path):
    seen: list[AskingProgress] = []
    run(lm, colors, tmp_path, shots=(0, 1), batch_tokens=500, progress=seen.append)
    assert seen[-1].done == seen[-1].total == 2 * 2 * (9 + 4)
    assert [p.done for p in seen] == sorted(p.done for p in seen)
    assert seen[-1].seconds >= seen[0].seconds >= 0
    assert str(AskingProgress(exam="rte", done=30, total=40, seconds=2.0)) == "rte: 30 of 40 prompts, 15 prompts/s"


def test_many_blocks_give_the_samples_of_one(llama, colors, tmp_path, monkeypatch):
    (whole,) = run(llama, colors, tmp_path / "whole")
    monkeypatch.setattr(engine, "GROUP_PROMPTS", 7)
    monkeypatch.setattr(evaluate_module, "GROUP_PROMPTS", 7)
    (blocks,) = run(llama, colors, tmp_path / "blocks")
    for a, b in zip(read_samples(whole.path), read_samples(blocks.path), strict=True):
        assert replace(a, scores=()) == replace(b, scores=())
        assert a.scores == pytest.approx(b.scores, abs=1e-4)


def test_an_empty_option_cannot_be_scored_without_its_end(llama, tmp_path):
    empty = Example(row=0, fields={"text": "x"}, options=("", "y"), answer=0, references=("",))
    prepared = make_task({"test": (empty,)})
    (done,) = run(llama, prepared, tmp_path)
    assert next(read_samples(done.path)).lengths[0] == 1
    with pytest.raises(EvaluationError, match="colors/options"):
        run(llama, prepared, tmp_path, score_end_of_sequence=False)


@pytest.mark.parametrize("problem", ["no test rows", "no forward template", "metric"])
def test_a_task_that_cannot_be_measured_is_named_before_any_scoring(llama, tmp_path, problem, monkeypatch):
    monkeypatch.setattr(PromptScorer, "score", lambda *a, **k: pytest.fail("scored"))
    templates = (Template(name="i", inputs="{answer}", is_inverted=True),) if problem == "no forward template" else None
    prepared = make_task(
        {"train": color_examples(3), "test": () if problem == "no test rows" else color_examples(3)},
        templates=templates,
        metrics=("blue",) if problem == "metric" else None,
    )
    with pytest.raises(EvaluationError, match=f"colors.*{problem}"):
        run(llama, prepared, tmp_path)


@pytest.mark.parametrize("architecture", ["llama", "t5"])
def test_generation_end_to_end(architecture, tmp_path):
    base, tuned = (make_talkative(architecture, seed=seed) for seed in (0, 3))
    prepared = make_task(
        {"train": generation_examples(10, start=50), "test": generation_examples(6)}, name="animals", kind="generation"
    )
    run(base, prepared, tmp_path / "base", shots=(0, 1))
    (done,) = run(tuned, prepared, tmp_path / "folds" / "f" / "tuned", shots=(0, 1))
    samples = list(read_samples(done.path))
    assert len(samples) == 2 * 2 * 6
    assert any(s.prediction for s in samples)
    assert all(s.references and not s.scores for s in samples)
    settings = EvaluationSettings(shots=(0, 1))
    tasks = [info("animals", kind="generation", metrics=prepared.task.metrics)]
    fold = FoldInput(name="f", clusters=("c",), unseen=("animals",))
    results = [summarize(tmp_path, folds=[fold], tasks=tasks, settings=settings, seed=0) for _ in range(2)]
    assert [t["shots"] for t in results[0]["tasks"]] == [0, 1]
    assert set(results[0]["tasks"][0]["scores"]["base"]["metrics"]) == {"exact_match", "rougeL", "bleu"}
    assert json.dumps(results[0]) == json.dumps(results[1])


@pytest.mark.parametrize("architecture", ["llama", "t5"])
def test_greedy_answers_are_those_of_each_prompt_alone(architecture, tmp_path):
    lm = make_talkative(architecture)
    prepared = make_task({"test": generation_examples(4)}, name="animals", kind="generation")
    (done,) = run(lm, prepared, tmp_path)
    samples = list(read_samples(done.path))
    assert len({s.prediction for s in samples}) > 2
    for sample in samples[::3]:
        ids = lm.tokenizer(sample.inputs + ("\n" if lm.family == "decoder-only" else ""))["input_ids"]
        ids = ids if lm.family == "decoder-only" else [*ids, lm.tokenizer.eos_token_id]
        written: list[int] = []
        for _ in range(8):
            with torch.no_grad():
                if lm.family == "decoder-only":
                    logits = lm.model(input_ids=torch.tensor([ids + written])).logits
                else:
                    start = torch.tensor([[lm.model.config.decoder_start_token_id, *written]])
                    logits = lm.model(input_ids=torch.tensor([ids]), decoder_input_ids=start).logits
            token = int(logits[0, -1].argmax())
            if token == lm.tokenizer.eos_token_id:
                break
            written.append(token)
        assert sample.prediction == lm.tokenizer.decode(written, skip_special_tokens=True).strip()


def test_what_follows_a_few_shot_answer_is_cut_off_for_every_model(llama, tmp_path, monkeypatch):
    def say(lm, prompts, *, decoding, **_):
        text = cut_at_stop("a cat\n\nAnimal 9 is", decoding.stop)
        return [(Written(text=text, tokens=(), finish="length"),) for _ in prompts]

    monkeypatch.setattr(answers, "write_answers", say)
    prepared = make_task({"train": generation_examples(9, start=50), "test": generation_examples(3)}, kind="generation")
    (done,) = run(llama, prepared, tmp_path, shots=(0, 1))
    assert {(s.shots, s.prediction) for s in read_samples(done.path)} == {(0, "a cat\n\nAnimal 9 is"), (1, "a cat")}


def test_questions_are_a_pure_function_of_the_seed(colors):
    protocol = TaskQuestions(evaluation=EvaluationSettings(shots=(0, 2)), prompts=PromptSettings(), seed=5)
    assert list(questions(colors, protocol)) == list(questions(colors, protocol))
