"""The training loop on real tiny models of both families."""

from __future__ import annotations

import ast
import inspect
import os
import signal
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from tests.training.small import (
    ARCHITECTURES,
    SIZES,
    StoppedError,
    lines,
    make_batches,
    make_lm,
    settings,
    stop_at,
    timeless_lines,
    tune_small,
    weights_digest,
)

import flantune.training
from flantune.errors import TrainingError
from flantune.models.forward import target_logprobs
from flantune.training.loop import tune


class Recording:
    """Batches that note which draws were trained on."""

    def __init__(self, batches) -> None:
        self.batches, self.used = batches, []

    def iterate(self, cursor):
        for batch in self.batches.iterate(cursor):
            self.used.append((batch.cursor, batch.next_cursor))
            yield batch


@pytest.mark.parametrize("architecture", ARCHITECTURES)
@pytest.mark.parametrize("optimizer", ["adafactor", "adamw"])
def test_resumed_equals_straight(tmp_path, architecture, optimizer):
    chosen = settings(steps=7, optimizer=optimizer, checkpoint_every=3, log_every=2, schedule="cosine", warmup_steps=2)
    straight = make_lm(architecture)
    expected = tune_small(tmp_path / "straight", straight, chosen)
    for step in (2, 5):
        with pytest.raises(StoppedError):
            tune_small(tmp_path / "resumed", make_lm(architecture), chosen, progress=stop_at(step))
    resumed = make_lm(architecture, seed=99)
    # No checkpoint yet at step 2: the third start begins with the model it is given, the first one's.
    found = tune_small(tmp_path / "resumed", resumed, chosen)
    assert weights_digest(resumed) == weights_digest(straight)
    assert timeless_lines(tmp_path / "resumed") == timeless_lines(tmp_path / "straight")
    assert [entry["step"] for entry in lines(tmp_path / "resumed")] == [2, 4, 6, 7]
    timeless = {"seconds": 0, "data_wait_seconds": 0, "tokens_per_s": 0, "peak_memory_bytes": 0}
    assert replace(found, **timeless) == replace(expected, **timeless)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_trap_11_a_resume_skips_and_repeats_no_data(tmp_path, architecture):
    chosen = settings(steps=8, checkpoint_every=2)
    straight = Recording(make_batches(make_lm(architecture)))
    tune_small(tmp_path / "straight", make_lm(architecture), chosen, batches=straight)
    used = []
    for step in (3, 6, None):
        stream = Recording(make_batches(make_lm(architecture)))
        with suppress(StoppedError):
            tune_small(tmp_path / "resumed", make_lm(architecture), chosen, batches=stream, progress=stop_at(step))
        used.append(stream.used)
    # Of the first start steps 1 and 2 count (its step 3 was lost), of the second 3 to 6, of the last 7 and 8.
    kept = [*used[0][:2], *used[1], *used[2]]
    assert [pair[0] for pair in kept] == [0, *[pair[1] for pair in kept][:-1]]
    cursors = [entry["cursor"] for entry in lines(tmp_path / "straight")]
    assert [entry["cursor"] for entry in lines(tmp_path / "resumed")] == cursors
    assert [pair[1] for pair in straight.used] == cursors
    assert kept == straight.used


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_packed_equals_unpacked_one_trajectory(tmp_path, architecture):
    chosen = settings(steps=3, dropout=None, max_grad_norm=0, learning_rate=1e-2)
    found = {}
    for is_packed in (True, False):
        lm = make_lm(architecture)
        batches = make_batches(lm, sizes=SIZES.model_copy(update={"enabled": is_packed}))
        tune_small(tmp_path / str(is_packed), lm, chosen, batches=batches)
        found[is_packed] = lm
    for mine, theirs in zip(lines(tmp_path / "True"), lines(tmp_path / "False"), strict=True):
        assert mine["fill"] > theirs["fill"]
        assert mine["cursor"] == theirs["cursor"]
        assert mine["loss"] == pytest.approx(theirs["loss"], rel=2e-5)
        assert mine["grad_norm"] == pytest.approx(theirs["grad_norm"], rel=1e-4)
    start = make_lm(architecture)
    for (name, mine), theirs, first in zip(
        found[True].model.named_parameters(), found[False].model.parameters(), start.model.parameters(), strict=True
    ):
        assert (mine - theirs).norm() <= 0.01 * (theirs - first).norm(), name


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_micro_batches_do_not_change_the_trajectory(tmp_path, architecture):
    chosen = settings(steps=3, dropout=None)
    for size in (0, 150):
        lm = make_lm(architecture)
        tune_small(tmp_path / str(size), lm, chosen, batches=make_batches(lm, micro_batch_tokens=size))
    for mine, theirs in zip(lines(tmp_path / "0"), lines(tmp_path / "150"), strict=True):
        assert mine["loss"] == pytest.approx(theirs["loss"], rel=2e-5)
        assert mine["grad_norm"] == pytest.approx(theirs["grad_norm"], rel=1e-4)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_a_tiny_model_learns_eight_prompts_by_heart(tmp_path, architecture):
    """From 6 nats a token, which is guessing, to less than 0.1."""
    lm = make_lm(architecture)
    sizes = SIZES.model_copy(update={"batch_tokens": 256})
    chosen = settings(steps=100, learning_rate=0.1, schedule="linear", dropout=None, log_every=20, checkpoint_every=500)
    summary = tune_small(tmp_path, lm, chosen, batches=make_batches(lm, sizes=sizes, count=8))
    assert summary.first_loss > 5.0
    assert summary.final_loss < 0.1
    with torch.no_grad():
        scores = target_logprobs(lm, make_batches(lm, sizes=sizes, count=8).batch(0).packs[0], with_greedy=True)
    assert float(scores.is_greedy.float().mean()) > 0.95


def test_a_finished_run_returns_at_once_with_the_tuned_weights(tmp_path):
    lm = make_lm("llama")
    first = tune_small(tmp_path, lm, settings())
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}

    class Untouchable:
        def iterate(self, cursor):
            raise AssertionError("a finished run draws nothing")

    again = make_lm("llama", seed=9)
    assert tune_small(tmp_path, again, settings(), batches=Untouchable()) == first
    assert weights_digest(again) == weights_digest(lm)
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")} == before


def test_no_steps_leave_the_model_as_it_is(tmp_path):
    lm = make_lm("llama")
    before = weights_digest(lm)
    summary = tune_small(tmp_path, lm, settings(steps=0))
    assert (summary.steps, summary.cursor, summary.first_loss) == (0, 0, None)
    assert weights_digest(lm) == before
    assert tune_small(tmp_path, lm, settings(steps=0)) == summary


def test_ctrl_c_loses_no_step(tmp_path):
    chosen = settings(steps=6, checkpoint_every=100, log_every=4)
    with pytest.raises(KeyboardInterrupt):
        tune_small(tmp_path / "stopped", make_lm("t5"), chosen, progress=stop_at(3, KeyboardInterrupt))
    assert [path.name for path in (tmp_path / "stopped/checkpoints").iterdir()] == ["step-00000003"]
    told = []
    resumed, straight = make_lm("t5"), make_lm("t5")
    tune_small(tmp_path / "stopped", resumed, chosen, progress=lambda progress: told.append(progress.step))
    tune_small(tmp_path / "straight", straight, chosen)
    assert told == [4, 5, 6]
    assert weights_digest(resumed) == weights_digest(straight)
    assert timeless_lines(tmp_path / "stopped") == timeless_lines(tmp_path / "straight")


@pytest.fixture
def listening():
    """Ctrl-C raises KeyboardInterrupt, also where the tests run in the background and the shell switched that off."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("listening")
def test_ctrl_c_in_the_middle_of_a_step_waits_for_its_end(tmp_path, monkeypatch):
    """A real signal while the weights are half changed: the step ends, then the checkpoint is written."""
    lm, chosen = make_lm("llama"), settings(steps=6, checkpoint_every=100)
    calls = []

    def signaling(step):
        def call(*args):
            calls.append(1)
            if len(calls) == 3:
                os.kill(os.getpid(), signal.SIGINT)
            return step(*args)

        return call

    from flantune.training.adafactor import Adafactor

    monkeypatch.setattr(Adafactor, "change", signaling(Adafactor.change))
    handler = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        tune_small(tmp_path, lm, chosen)
    assert signal.getsignal(signal.SIGINT) is handler
    assert [path.name for path in (tmp_path / "checkpoints").iterdir()] == ["step-00000001"]
    assert len(calls) == len(list(lm.model.parameters()))
    reference = make_lm("llama")
    tune_small(tmp_path / "one", reference, settings(steps=1))
    assert weights_digest(lm) == weights_digest(reference)


@pytest.mark.usefixtures("listening")
def test_sigterm_of_a_cluster_is_a_checkpoint_too(tmp_path):
    chosen = settings(steps=6, checkpoint_every=100)

    def take_away(told):
        if told.step == 2:
            os.kill(os.getpid(), signal.SIGTERM)

    with pytest.raises(KeyboardInterrupt):
        tune_small(tmp_path, make_lm("llama"), chosen, progress=take_away)
    assert [path.name for path in (tmp_path / "checkpoints").iterdir()] == ["step-00000002"]
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_looks_at_the_model_leave_no_trace(tmp_path, architecture):
    """Not in the weights, not in random numbers, whatever the caller does with these; and a resumed run looks again."""
    chosen = settings(steps=6, dropout=0.2, log_every=4, measure_every=2)
    blind, looking = make_lm(architecture), make_lm(architecture)
    tune_small(tmp_path / "blind", blind, chosen.model_copy(update={"measure_every": 0}))
    steps = []

    def look(step):
        assert not looking.model.training
        assert not torch.is_grad_enabled()
        steps.append(step)
        torch.rand(7)
        with torch.no_grad():
            scores = target_logprobs(looking, make_batches(looking).batch(900).packs[0])
        return {"logprob": float(scores.logprobs.mean())}

    tune_small(tmp_path / "looking", looking, chosen, measure=look)
    assert steps == [2, 4, 6]
    assert weights_digest(looking) == weights_digest(blind)
    entries = lines(tmp_path / "looking")
    assert [entry["step"] for entry in entries if entry["measured"]] == [2, 4, 6]
    assert entries[-1]["measured"]["logprob"] > entries[0]["measured"]["logprob"]
    assert not any(entry["measured"] for entry in lines(tmp_path / "blind"))


def test_losses_by_cluster_add_up_those_of_their_tasks(tmp_path):
    clusters = {"same": ["choosing"], "repeat": ["writing"], "spell": ["writing", "letters"]}
    tune_small(tmp_path, make_lm("llama"), settings(steps=1), clusters=clusters)
    (entry,) = lines(tmp_path)
    tasks, found = entry["tasks"], entry["clusters"]
    assert list(found) == ["choosing", "letters", "writing"]
    assert found["letters"] == tasks["spell"]
    pair = [tasks["repeat"], tasks["spell"]]
    assert found["writing"]["target_tokens"] == sum(task["target_tokens"] for task in pair)
    nats = sum(task["loss"] * task["target_tokens"] for task in pair)
    assert found["writing"]["loss"] * found["writing"]["target_tokens"] == pytest.approx(nats)


def test_a_loss_that_is_no_number_stops_before_the_weights_are_lost(tmp_path):
    lm = make_lm("llama")
    tune_small_settings = settings(steps=4, checkpoint_every=1, dropout=None)

    def poison(told):
        if told.step == 2:
            with torch.no_grad():
                lm.model.model.norm.weight.fill_(float("nan"))

    with pytest.raises(
        TrainingError, match=r"training step 3: the loss is not a finite number; in the batch: repeat rows"
    ):
        tune_small(tmp_path, lm, tune_small_settings, progress=poison)
    stored = load_file(tmp_path / "checkpoints/step-00000002/model.safetensors")
    assert all(bool(tensor.isfinite().all()) for tensor in stored.values())


def test_metrics_have_every_field_and_progress_counts_down(tmp_path):
    told = []
    summary = tune_small(
        tmp_path, make_lm("llama"), settings(steps=5, log_every=2, warmup_steps=4), progress=told.append
    )
    entries = lines(tmp_path)
    assert [entry["step"] for entry in entries] == [2, 4, 5]
    assert all(entry["tasks"].keys() == {"same", "repeat", "spell"} for entry in entries)
    assert all(0 <= entry["data_wait_share"] <= 1 and 0.9 < entry["fill"] <= 1 for entry in entries)
    assert sum(entry["target_tokens"] for entry in entries) == summary.counts.target_tokens
    assert sum(entry["input_tokens"] for entry in entries) == summary.counts.input_tokens
    assert entries[-1]["cursor"] == summary.cursor
    assert [entry["learning_rate"] for entry in entries] == [0.5e-2, 1e-2, 1e-2]
    assert [progress.step for progress in told] == [1, 2, 3, 4, 5]
    assert told[-1].seconds_left == 0 < told[0].seconds_left
    assert "step 5/5, loss " in str(told[-1])


def test_gradients_are_clipped_to_the_largest_norm(tmp_path):
    """SGD-like check: with AdamW's moments at step 1 the rate hides the scale, so look at the stored moments."""
    moments = {}
    for limit in (0.0, 0.01):
        folder = tmp_path / str(limit)
        tune_small(folder, make_lm("llama"), settings(steps=1, optimizer="adamw", max_grad_norm=limit, dropout=None))
        stored = load_file(folder / "checkpoints/step-00000001/optimizer.safetensors")
        squares = [tensor.square().sum() for name, tensor in stored.items() if name.endswith("/exp_avg")]
        moments[limit] = float(torch.stack(squares).sum().sqrt()) / (1 - 0.9)
    norm = lines(tmp_path / "0.0")[0]["grad_norm"]
    assert norm > 0.1
    assert lines(tmp_path / "0.01")[0]["grad_norm"] == pytest.approx(norm)
    assert moments[0.0] == pytest.approx(norm, rel=1e-4)
    assert moments[0.01] == pytest.approx(0.01, rel=1e-3)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_trap_12_bfloat16_arithmetic_keeps_float32_weights_and_state(tmp_path, architecture):
    lm = make_lm(architecture, dtype=torch.bfloat16)
    # Activations far beyond float16's 65,504.
    with torch.no_grad():
        lm.model.get_input_embeddings().weight.mul_(1e4)
    summary = tune_small(tmp_path, lm, settings(steps=3, learning_rate=1e-3))
    assert summary.final_loss == summary.final_loss < float("inf")
    assert all(weight.dtype == torch.float32 for weight in lm.model.parameters())
    for file in ("model", "optimizer"):
        stored = load_file(tmp_path / f"checkpoints/step-00000003/{file}.safetensors")
        assert {tensor.dtype for tensor in stored.values()} == {torch.float32}


def test_trap_12_a_float16_model_is_refused(tmp_path):
    lm = make_lm("t5")
    lm.model.half()
    with pytest.raises(TrainingError, match="not float32"):
        tune_small(tmp_path, lm, settings())
    assert not list(tmp_path.iterdir())


def test_trap_08_tune_cannot_see_held_out_tasks(tmp_path):
    """No module of the stage imports evaluation, tasks or the mixture, and no argument could carry held-out data."""
    reach: set[str] = set()
    for path in Path(flantune.training.__file__).parent.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom) and node.module:
                reach.add(node.module)
            elif isinstance(node, ast.Import):
                reach.update(alias.name for alias in node.names)
    stages = {".".join(name.split(".")[:2]) for name in reach if name.startswith("flantune.")}
    allowed = {
        "flantune.errors",
        "flantune.types",
        "flantune.models",
        "flantune.packing",
        "flantune.settings",
        "flantune.system",
    }
    assert stages <= {*allowed, "flantune.training"}
    assert set(inspect.signature(tune).parameters) == {
        "lm", "batches", "settings", "folder", "seed", "fingerprint", "progress", "clusters", "measure", "note",
    }  # fmt: skip


def test_trap_08_the_last_step_is_the_result_even_when_an_earlier_one_was_better(tmp_path):
    lm = make_lm("llama")
    chosen = settings(steps=12, learning_rate=3.0, keep_checkpoints=12, checkpoint_every=1, max_grad_norm=0)
    summary = tune_small(tmp_path, lm, chosen)
    losses = [entry["loss"] for entry in lines(tmp_path)]
    assert losses[-1] > min(losses)
    assert summary.last_loss == losses[-1]
    stored = load_file(tmp_path / "checkpoints/step-00000012/model.safetensors")
    assert torch.equal(stored["model.norm.weight"], lm.model.model.norm.weight)


def test_a_stream_that_ends_says_so(tmp_path):
    class Short:
        def iterate(self, cursor):
            yield make_batches(make_lm("llama")).batch(0)

    with pytest.raises(TrainingError, match="training step 2: the stream of batches ended"):
        tune_small(tmp_path, make_lm("llama"), settings(), batches=Short())


@pytest.mark.parametrize(
    "error", [torch.OutOfMemoryError("tried to allocate 20 GiB"), RuntimeError("can't allocate memory"), MemoryError()]
)
def test_full_memory_has_a_hint(tmp_path, error):
    class Full:
        def iterate(self, cursor):
            raise error
            yield

    with pytest.raises(TrainingError, match="micro_batch_tokens"):
        tune_small(tmp_path, make_lm("llama"), settings(), batches=Full())


def test_the_stage_is_cheap_to_import():
    import subprocess
    import sys

    code = "import sys, flantune.training; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
    assert flantune.tune is tune
