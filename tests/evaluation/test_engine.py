from __future__ import annotations

import contextlib
import multiprocessing
import os
import queue
import signal
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from flantune.errors import EvaluationError
from flantune.evaluation.asking import option_scores as engine
from flantune.evaluation.asking import run_batches as halving
from flantune.evaluation.asking.option_scores import PromptScorer, score_prompts
from flantune.evaluation.asking.score_store import ScoreStore
from flantune.evaluation.asking.task_questions import TaskQuestions, questions
from flantune.evaluation.samples import read_samples
from flantune.models.attention.native import find_program
from flantune.models.scoring.check import scoring_layout
from flantune.models.scoring.option_scorer import OptionScorer
from flantune.models.writing.check import writing_method
from flantune.packing.encode import Codec
from flantune.prompts.layout import Layout
from flantune.settings.config import EvaluationSettings, PromptSettings
from flantune.settings.protocols import PRESETS
from flantune.system.processes import joined
from flantune.types import Prompt, Template
from tests.conftest import HUNG_AFTER_S

from .made import COLORS, color_examples, generation_examples, make_model, make_talkative, make_task, run

FEW_SHOT = {"shots": (3,), "max_examples": 0, "dev_examples": 0}


@pytest.fixture(scope="module", params=["llama", "t5"])
def lm(request):
    return make_model(request.param)


@pytest.fixture(scope="module")
def llama():
    return make_model("llama")


def codec_of(lm, **knobs) -> Codec:
    return Codec(
        tokenizer=lm.tokenizer,
        family=lm.family,
        layout=Layout(),
        max_input_tokens=900,
        max_target_tokens=60,
        **knobs,
    )


def colors(rows=12, templates=None):
    return make_task({"train": color_examples(30, start=100), "test": color_examples(rows)}, templates=templates)


def asked(prepared, **settings) -> list[Prompt]:
    protocol = TaskQuestions(
        evaluation=EvaluationSettings(**{**FEW_SHOT, **settings}), prompts=PromptSettings(), seed=0
    )
    return [question.prompt for question in questions(prepared, protocol)]


class Passes:
    """Counts batches and positions that a scorer computes."""

    def __init__(self, monkeypatch) -> None:
        self.requests = 0
        original = OptionScorer.score

        def count(scorer, units, batch):
            self.requests += len(batch.units)
            return original(scorer, units, batch)

        monkeypatch.setattr(OptionScorer, "score", count)


def plain(lm, inputs, target) -> tuple[float, bool]:
    """Score and greediness of one option by the model's ordinary forward."""
    with torch.no_grad():
        if lm.family == "decoder-only":
            logits = lm.model(input_ids=torch.tensor([[*inputs, *target]])).logits[0, len(inputs) - 1 : -1]
        else:
            logits = lm.model(input_ids=torch.tensor([inputs]), labels=torch.tensor([target])).logits[0]
    chosen = torch.log_softmax(logits.double(), dim=-1)[range(len(target)), target]
    return float(chosen.sum()), logits.argmax(-1).tolist() == list(target)


@pytest.mark.parametrize("knobs", [{}, {"score_eos": False}, {"score_eos": False, "tokenization": "joint"}])
@pytest.mark.parametrize("shots", [0, 3])
def test_scores_are_those_of_each_option_alone(lm, shots, knobs):
    prompts, codec = asked(colors(8), shots=(shots,)), codec_of(lm, **knobs)
    encoded = codec.encode_prompts(prompts, continuations="options")
    for prompt, tokens, found in zip(prompts, encoded, score_prompts(lm, prompts, codec=codec), strict=True):
        own = [plain(lm, tokens.inputs.tolist(), target.tolist()) for target in tokens.targets]
        assert found.sums == pytest.approx([score for score, _ in own], abs=1e-4)
        assert found.greedy == tuple(greedy for _, greedy in own)
        assert found.tokens == tuple(map(len, tokens.targets))
        assert found.characters == found.bytes == tuple(map(len, prompt.options))


def test_what_few_shot_prompts_share_is_read_once(llama, monkeypatch):
    """Positions fed: the prefix, then each query with its options, not prefix times queries."""
    fed = []
    llama.model.get_input_embeddings().register_forward_hook(lambda _, inputs, __: fed.append(inputs[0].numel()))
    prompts = asked(colors(20), max_templates=1, shots=(8,))
    codec = codec_of(llama)
    lengths = [len(tokens.inputs) for tokens in codec.encode_prompts(prompts, continuations="options")]
    scorer = PromptScorer(llama, codec, store=None, batch_tokens=8192)
    fed.clear()
    scorer.score(prompts)
    assert scorer.layout == "line"
    assert sum(fed) < 0.4 * sum(lengths)


def test_identical_prompts_are_computed_once(llama, monkeypatch):
    scoring_layout(llama)
    passes = Passes(monkeypatch)
    prompts = asked(colors(5), max_templates=1)
    repeated = [replace(prompt, row=100 + prompt.row) for prompt in prompts]
    found = score_prompts(llama, [*prompts, *repeated], codec=codec_of(llama))
    assert passes.requests == len(prompts)
    assert found[:5] == found[5:]


def test_an_added_template_costs_only_itself(llama, tmp_path, monkeypatch):
    """Trap 2 turned round: what is stored is named by tokens, so only what is new is computed."""
    scoring_layout(llama)
    passes = Passes(monkeypatch)
    one = Template(name="ask", inputs="{text}\nWhich color?\n\n{options}")
    two = Template(name="another", inputs="{text} What is its color?\n{options}")
    run(llama, colors(templates=(one,)), tmp_path / "few", store=tmp_path / "store")
    first = passes.requests
    run(llama, colors(templates=(two, one)), tmp_path / "more", store=tmp_path / "store")
    assert first == 12
    assert passes.requests == 2 * first
    run(llama, colors(templates=(two, one)), tmp_path / "fresh")
    files = [next((tmp_path / name / "samples").iterdir()).read_bytes() for name in ("more", "fresh")]
    assert files[0] == files[1]
    before = passes.requests
    run(llama, colors(templates=(two,)), tmp_path / "last", store=tmp_path / "store")
    assert passes.requests == before


@pytest.mark.parametrize("change", ["weights", "end", "batch"])
def test_the_store_is_keyed_by_model_and_tokens_alone(llama, tmp_path, monkeypatch, change):
    model = make_model("llama", seed=5) if change == "weights" else llama
    # Tried once a model, which is not to be counted.
    assert scoring_layout(model) == scoring_layout(llama)
    passes = Passes(monkeypatch)
    run(llama, colors(), tmp_path / "one", store=tmp_path / "store")
    before = passes.requests
    settings = {"score_end_of_sequence": change != "end", "batch_tokens": 300 if change == "batch" else 8192}
    run(model, colors(), tmp_path / "two", store=tmp_path / "store", **settings)
    assert passes.requests - before == (0 if change == "batch" else before)


def test_resumed_after_any_batch_gives_the_same_bytes(lm, tmp_path, monkeypatch):
    """Stopped after one, two, three … batches and begun again: as if never stopped."""
    prepared = colors(10)
    (straight,) = run(lm, prepared, tmp_path / "straight", batch_tokens=250, **FEW_SHOT)
    original = OptionScorer.score
    for stop in (0, 1, 3):
        left = [stop]

        def count(scorer, units, batch, left=left):
            left[0] -= 1
            if left[0] < 0:
                raise KeyboardInterrupt
            return original(scorer, units, batch)

        monkeypatch.setattr(OptionScorer, "score", count)
        with pytest.raises(KeyboardInterrupt):
            run(lm, prepared, tmp_path / f"stop{stop}", batch_tokens=250, **FEW_SHOT)
        monkeypatch.setattr(OptionScorer, "score", original)
        assert len(ScoreStore(tmp_path / f"stop{stop}" / "store")) >= min(stop, 1)
        (resumed,) = run(lm, prepared, tmp_path / f"stop{stop}", batch_tokens=250, **FEW_SHOT)
        assert resumed.path.read_bytes() == straight.path.read_bytes()


@pytest.mark.parametrize("error", [torch.OutOfMemoryError, RuntimeError])
def test_batches_are_halved_where_memory_runs_out(lm, monkeypatch, error):
    prompts, codec = asked(colors(16), max_templates=1), codec_of(lm)
    expected = score_prompts(lm, prompts, codec=codec)
    original, sizes = OptionScorer.score, []

    def score(scorer, units, batch):
        sizes.append(len(batch.units))
        if len(batch.units) > 3:
            raise error("DefaultCPUAllocator: can't allocate memory: you tried to allocate 1 bytes")
        return original(scorer, units, batch)

    monkeypatch.setattr(OptionScorer, "score", score)
    found = score_prompts(lm, prompts, codec=codec)
    for a, b in zip(expected, found, strict=True):
        assert a.sums == pytest.approx(b.sums, abs=1e-4)
    # Once the limit is known it is not run against again and again.
    assert sum(size > 3 for size in sizes) <= 4


@pytest.mark.parametrize(
    ("error", "raised", "said"),
    [
        (torch.OutOfMemoryError("no memory"), EvaluationError, "colors: one prompt alone"),
        (RuntimeError("shapes differ"), RuntimeError, "shapes differ"),
    ],
)
def test_a_single_prompt_beyond_memory_is_named_and_other_errors_are_not_taken_for_it(
    llama, monkeypatch, error, raised, said
):
    def score(*_):
        raise error

    monkeypatch.setattr(OptionScorer, "score", score)
    with pytest.raises(raised, match=said):
        score_prompts(llama, asked(colors(3)), codec=codec_of(llama))


def test_scores_that_are_no_numbers_name_the_prompt(tmp_path):
    broken = make_model("llama", seed=2)
    broken.model.get_output_embeddings().weight.data[5:] = float("nan")
    with pytest.raises(EvaluationError, match="colors/ask/row"):
        score_prompts(broken, asked(colors(3)), codec=codec_of(broken), store=ScoreStore(tmp_path))


def test_groups_end_at_the_same_prompts_however_many_are_given_at_once(monkeypatch):
    monkeypatch.setattr(engine, "GROUP_PROMPTS", 5)
    prompts = asked(colors(12))
    ends = [
        [[group[0].template, len(group)] for wave in engine._waves(prompts, size) for group in wave]
        for size in (1, 5, 10, 1000)
    ]
    assert ends[0] == [["ask", 5], ["ask", 5], ["ask", 2], ["tell", 5], ["tell", 5], ["tell", 2]]
    assert all(found == ends[0] for found in ends)


def test_trap_05_a_long_prompt_is_not_cut_at_the_positions_a_t5_config_names():
    """T5's positions are relative: with two instructions before a long text, two scores."""
    lm = make_model("t5")
    lm.model.config.n_positions = 512
    text = "The coat is red or blue. " * 60
    prompts = [
        Prompt(task="t", split="test", row=0, template="a", inputs=start + text, targets="red", options=COLORS)
        for start in ("Name the color. ", "Name the opposite. ")
    ]
    codec = replace(codec_of(lm), max_input_tokens=2000)
    encoded = codec.encode_prompts(prompts, continuations="options")
    assert all(len(tokens.inputs) > 600 for tokens in encoded)
    one, two = score_prompts(lm, prompts, codec=codec)
    assert max(abs(a - b) for a, b in zip(one.sums, two.sums, strict=True)) > 1e-3
    assert one.counts.inputs_shortened == 0


def test_prompts_beyond_a_decoder_s_positions_are_shortened_and_counted():
    lm = make_model("gpt2")
    limit = lm.model.config.n_positions
    long = Prompt(
        task="t", split="test", row=0, template="a", inputs="a b c " * limit, targets="red", options=("red", "blue")
    )
    (found,) = score_prompts(lm, [long], codec=replace(codec_of(lm), max_input_tokens=10 * limit))
    assert found.counts.inputs_shortened == 1
    assert found.counts.input_tokens + max(found.tokens) == limit + 1


def test_a_protocol_replaces_the_codec_s_choices(llama):
    prompts = asked(colors(4))
    with_end = score_prompts(llama, prompts, codec=codec_of(llama), scoring=PRESETS["flan2021"])
    without = score_prompts(llama, prompts, codec=codec_of(llama), scoring=PRESETS["lm_eval"])
    assert all(a.tokens[0] > b.tokens[0] for a, b in zip(with_end, without, strict=True))


def test_progress_reaches_the_number_of_prompts(llama):
    seen = []
    prompts = asked(colors(10))
    score_prompts(
        llama, prompts, codec=codec_of(llama), batch_tokens=300, progress=lambda done, total: seen.append((done, total))
    )
    assert seen[-1] == (len(prompts), len(prompts))
    assert seen == sorted(seen)
    assert len(seen) > 3


def test_prompts_without_options_are_named(llama):
    prompt = Prompt(task="t", split="test", row=0, template="a", inputs="x", targets="y")
    with pytest.raises(EvaluationError, match="t/a"):
        score_prompts(llama, [prompt], codec=codec_of(llama))


def test_halves_hold_all_requests(llama):
    from flantune.models.scoring.plan import ScoringBatch

    batch = ScoringBatch(layout="tree", units=(4, 2, 9), positions=30)
    assert [(half.units, half.positions) for half in halving.halves(batch)] == [((4, 2), 20), ((9,), 10)]


def work(folder: Path, environment: dict[str, str], told, stop_at: str) -> None:
    """What each process of an evaluation does: two tasks, both families of models; it stops at a place if asked to."""
    os.environ.update(environment)

    def tell(one) -> None:
        told.put(str(one))
        if stop_at and str(one).startswith(stop_at):
            signal.pause()

    torch.set_num_threads(1)
    tasks = [colors(11), make_task({"test": generation_examples(9)}, name="animals", kind="generation")]
    with joined():
        for architecture in ("llama", "t5"):
            lm = make_model(architecture)
            run(lm, tasks, folder / architecture, progress=tell, shots=(0, 2), batch_tokens=220)


def start(folder: Path, *, processes: int = 1, stop_at: str = ""):
    """Forks, since a fresh start of torch takes longer than all the rest."""
    context = multiprocessing.get_context("fork")
    told = context.Queue()
    port = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(20_000 + os.getpid() % 20_000)}
    started = []
    for rank in range(processes):
        own = {"RANK": str(rank), "WORLD_SIZE": str(processes), **port}
        started.append(context.Process(target=work, args=(folder, own, told, stop_at)))
        started[-1].start()
    return started, told


def finished(folder: Path, *, processes: int = 1) -> dict[str, bytes]:
    started, told = start(folder, processes=processes)
    while any(process.is_alive() for process in started):
        with contextlib.suppress(queue.Empty):
            told.get(timeout=0.05)
    assert [process.exitcode for process in started] == [0] * processes
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.glob("*/samples/*"))}


@pytest.fixture(scope="module")
def straight(tmp_path_factory) -> dict[str, bytes]:
    """What one process writes that nothing stops."""
    return finished(tmp_path_factory.mktemp("one"))


def test_two_processes_write_what_one_does(tmp_path, straight):
    assert finished(tmp_path, processes=2) == straight
    assert len(straight) == 4
    for architecture in ("llama", "t5"):
        # Both had work, and wrote to files of their own.
        assert len(list((tmp_path / architecture / "store").iterdir())) == 2


def test_killed_and_repeated_with_two_processes_gives_the_same_bytes(tmp_path, straight):
    # It waits where it is to be killed, however late that is.
    (process,), told = start(tmp_path, stop_at="colors: 2")
    while not told.get(timeout=HUNG_AFTER_S).startswith("colors: 2"):
        pass
    os.kill(process.pid, signal.SIGKILL)
    process.join()
    assert not list(tmp_path.glob("llama/samples/[!.]*"))
    assert len(ScoreStore(tmp_path / "llama" / "store")) > 0
    assert finished(tmp_path, processes=2) == straight


def test_samples_say_which_options_were_first_choices(llama, tmp_path):
    (done,) = run(llama, colors(6), tmp_path)
    for sample in read_samples(done.path):
        assert len(sample.greedy) == len(sample.options)
        assert np.all([isinstance(value, bool) for value in sample.greedy])


@pytest.mark.parametrize(("architecture", "method"), [("llama", "shared"), ("t5", "joining")])
def test_in_bfloat16_answers_are_written_as_fast_as_in_float32(architecture, method, tmp_path):
    """How a model may write is found by comparing numbers, which its rounded form for reading would not pass."""
    lm = replace(make_talkative(architecture), compute_dtype=torch.bfloat16)
    if method == "shared" and torch.bfloat16 not in find_program().dtypes:
        pytest.skip("shared keys are read by the program in C++, which has no bfloat16 on this processor")
    run(lm, make_task({"test": generation_examples(3)}, kind="generation"), tmp_path, max_new_tokens=2)
    assert writing_method(lm) == method
