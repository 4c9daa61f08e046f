"""Several processes that tune one model, over gloo: as one process would, and never hanging."""

from __future__ import annotations

import json
import os
import signal
import time
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from tests.conftest import HUNG_AFTER_S
from tests.training.small import ARCHITECTURES, lines, make_batches, make_lm, settings, timeless_lines, tune_small
from tests.training.team import outcomes, start, together

from flantune.errors import TrainingError
from flantune.system.processes import ALONE, joined

STEPS = 4


def weights_of(lm) -> dict[str, np.ndarray]:
    return {name: weight.detach().numpy().copy() for name, weight in lm.model.named_parameters()}


def tune_as_one_of(folder: Path, architecture: str, changes: dict, micro_batch_tokens: int = 0) -> dict:
    """The same call in every process; a wide model, so that Adafactor factors its matrices."""
    count = int(os.environ.get("WORLD_SIZE", 1))
    torch.set_num_threads(1)
    lm = make_lm(architecture, width=128)
    batches = make_batches(lm, micro_batch_tokens=micro_batch_tokens)
    batches.processes = count
    summary = tune_small(folder, lm, settings(**{"steps": STEPS, "dropout": 0.0, **changes}), batches=batches)
    return {"weights": weights_of(lm), "cursor": summary.cursor, "last_loss": summary.last_loss}


def check_alike(mine: dict, theirs: dict, start_weights: dict, *, tolerance: float) -> None:
    """The difference is a small share of how far training moved each weight."""
    for name, weight in mine.items():
        moved = np.linalg.norm(theirs[name] - start_weights[name])
        assert np.linalg.norm(weight - theirs[name]) <= tolerance * moved + 1e-7, name


@pytest.mark.parametrize("architecture", ARCHITECTURES)
@pytest.mark.parametrize(
    ("optimizer", "parallel"),
    [(optimizer, parallel) for optimizer in ("adamw", "adafactor") for parallel in ("data", "sharded")]
    + [("adamw8bit", "sharded")],
)
def test_two_processes_train_as_one(tmp_path, architecture, parallel, optimizer):
    # Rates at which four steps move the weights, but not so far that rounding grows into a difference.
    rate = {"adamw": 1e-3, "adamw8bit": 1e-3, "adafactor": 1e-2}[optimizer]
    changes = {"parallel": parallel, "optimizer": optimizer, "learning_rate": rate, "weight_decay": 0.1}
    changes |= {"adam": {"eps": 1e-4}}
    alone = tune_as_one_of(tmp_path / "one", architecture, changes)
    # Whatever the micro-batches: here so small that there are more of them, in an odd number.
    first, second = together(2, tune_as_one_of, tmp_path / "two", architecture, changes, 200)
    assert first["cursor"] == second["cursor"] == alone["cursor"]
    assert all(np.array_equal(first["weights"][name], second["weights"][name]) for name in first["weights"])
    for mine, theirs in zip(lines(tmp_path / "two"), lines(tmp_path / "one"), strict=True):
        assert mine["cursor"] == theirs["cursor"]
        assert mine["loss"] == pytest.approx(theirs["loss"], rel=2e-5)
        assert mine["grad_norm"] == pytest.approx(theirs["grad_norm"], rel=2e-4)
        assert mine["tasks"].keys() == theirs["tasks"].keys()
        assert mine["target_tokens"] == theirs["target_tokens"]
        assert theirs["balance"] == 1.0
        assert 0.7 < mine["balance"] <= 1.0
    # A gradient's last bit may lead to another code of a moment.
    tolerance = {"adamw": 0.02, "adamw8bit": 0.03, "adafactor": 0.01}[optimizer]
    check_alike(first["weights"], alone["weights"], weights_of(make_lm(architecture, width=128)), tolerance=tolerance)


@pytest.mark.parametrize("parallel", ["data", "sharded"])
def test_three_processes_with_fewer_micro_batches_than_that(tmp_path, parallel):
    """Two rows in all: the third process has nothing of its own to do, and does not hold the others up."""
    found = together(3, tune_two_rows, tmp_path / "three", parallel)
    alone = tune_two_rows(tmp_path / "one", parallel)
    assert [one["cursor"] for one in found] == [alone["cursor"]] * 3
    for mine, theirs in zip(lines(tmp_path / "three"), lines(tmp_path / "one"), strict=True):
        assert mine["loss"] == pytest.approx(theirs["loss"], rel=2e-5)
        assert 0.3 < mine["balance"] < 0.7


def tune_two_rows(folder: Path, parallel: str) -> dict:
    from tests.training.small import SIZES

    lm = make_lm("llama")
    batches = make_batches(lm, sizes=SIZES.model_copy(update={"batch_tokens": 256}))
    batches.processes = int(os.environ.get("WORLD_SIZE", 1))
    chosen = settings(steps=2, dropout=0.0, parallel=parallel, learning_rate=1e-3)
    return {"cursor": tune_small(folder, lm, chosen, batches=batches).cursor}


@pytest.mark.parametrize(("first", "then"), [(2, 1), (1, 2), (2, 3)])
@pytest.mark.parametrize("optimizer", ["adamw", "adafactor"])
def test_a_sharded_checkpoint_goes_on_under_another_number_of_processes(tmp_path, optimizer, first, then):
    """And with another micro-batch size. Straight through in one process is the reference."""
    changes = {"parallel": "sharded", "optimizer": optimizer, "learning_rate": 1e-3, "checkpoint_every": 2}
    changes |= {"adam": {"eps": 1e-4}}
    straight = tune_as_one_of(tmp_path / "straight", "llama", changes)
    run(first, stop_after_two, tmp_path / "both", changes)
    assert [entry.name for entry in (tmp_path / "both/checkpoints").iterdir()] == ["step-00000002"]
    found = run(then, tune_as_one_of, tmp_path / "both", "llama", changes, 150)[0]
    assert found["cursor"] == straight["cursor"]
    assert [line["cursor"] for line in lines(tmp_path / "both")] == [
        line["cursor"] for line in lines(tmp_path / "straight")
    ]
    assert found["last_loss"] == pytest.approx(straight["last_loss"], rel=1e-4)
    check_alike(found["weights"], straight["weights"], weights_of(make_lm("llama", width=128)), tolerance=0.02)


def run(count: int, work, *args) -> list:
    return [work(*args)] if count == 1 else together(count, work, *args)


def stop_after_two(folder: Path, changes: dict) -> None:
    """Every process presses Ctrl-C after the second step."""
    lm = make_lm("llama", width=128)
    batches = make_batches(lm)
    batches.processes = int(os.environ.get("WORLD_SIZE", 1))

    def press(told):
        if told.step == 2:
            os.kill(os.getpid(), signal.SIGINT)

    try:
        chosen = settings(**{"steps": STEPS, "dropout": 0.0, **changes})
        tune_small(folder, lm, chosen, batches=batches, progress=press)
    except KeyboardInterrupt:
        return
    raise AssertionError("it was not stopped")


def test_trap_13_a_sharded_checkpoint_has_no_pickles(tmp_path):
    changes = {"parallel": "sharded", "optimizer": "adamw"}
    together(2, tune_as_one_of, tmp_path, "t5", changes)
    folder = tmp_path / f"checkpoints/step-{STEPS:08d}"
    files = sorted(entry.name for entry in folder.iterdir())
    assert [name.rpartition(".")[2] for name in files] == ["json", "safetensors", "safetensors", "json"]
    assert json.loads((folder / "manifest.json").read_text())["files"].keys() == {*files} - {"manifest.json"}
    stored = [load_file(folder / name) for name in files[1:3]]
    # Each process wrote its part: together they have every value once.
    sizes = [sum(tensor.numel() for tensor in part.values()) for part in stored]
    assert min(sizes) > 0.4 * max(sizes)
    weights = sum(weight.numel() for weight in make_lm("t5", width=128).model.parameters())
    assert 3 * weights <= sum(sizes) < 3 * weights + 1000


@pytest.mark.parametrize(
    ("parallel", "optimizer"), [("data", "adafactor"), ("sharded", "adafactor"), ("sharded", "adamw8bit")]
)
def test_resumed_equals_straight_with_two_processes_to_the_bit(tmp_path, parallel, optimizer):
    changes = {"parallel": parallel, "checkpoint_every": 1, "dropout": 0.1, "learning_rate": 1e-3}
    changes |= {"optimizer": optimizer}
    straight = together(2, tune_as_one_of, tmp_path / "straight", "llama", changes)
    together(2, stop_after_two, tmp_path / "resumed", changes)
    resumed = together(2, tune_as_one_of, tmp_path / "resumed", "llama", changes)
    for mine, theirs in zip(resumed, straight, strict=True):
        assert all(np.array_equal(mine["weights"][name], theirs["weights"][name]) for name in mine["weights"])
    assert timeless_lines(tmp_path / "resumed") == timeless_lines(tmp_path / "straight")


def without_patience() -> None:
    """Only a connection that breaks ends this process: silence never does, nor does a sum that takes too long."""
    from flantune.system import processes as distributed

    distributed.SILENCE_S = 1e9


def tune_long(folder: Path, parallel: str) -> None:
    without_patience()
    lm = make_lm("llama")
    batches = make_batches(lm)
    batches.processes = 2
    chosen = settings(steps=100_000, parallel=parallel, checkpoint_every=5, log_every=1)
    tune_small(folder, lm, chosen, batches=batches)


def stop_at_once(progress, told: list[int]) -> None:
    told.append(progress.step)
    raise KeyboardInterrupt


@pytest.mark.parametrize("parallel", ["data", "sharded"])
@pytest.mark.parametrize("victim", [0, 1])
def test_a_killed_process_ends_the_others(tmp_path, parallel, victim):
    members = start(2, tune_long, tmp_path, parallel)
    deadline = time.monotonic() + HUNG_AFTER_S
    while not list(tmp_path.glob("checkpoints/step-*")):
        assert time.monotonic() < deadline, "no checkpoint was written"
        time.sleep(0.05)
    members[victim].process.kill()
    other = members[1 - victim]
    outcome = other.outcome()
    assert other.process.exitcode == 1
    # Either the sum it waited in failed, or the watch ended it.
    assert outcome == 1 or ("TrainingError" in outcome[1] and "gone" in outcome[1]), outcome
    assert members[victim].outcome() == -signal.SIGKILL
    # What is there can be gone on from, by one process too.
    step = int(max(tmp_path.glob("checkpoints/step-*")).name[5:])
    assert step % 5 == 0
    told = []
    with suppress(KeyboardInterrupt):
        chosen = settings(steps=100_000, parallel=parallel, checkpoint_every=5, log_every=1)
        tune_small(tmp_path, make_lm("llama"), chosen, progress=lambda progress: stop_at_once(progress, told))
    assert told == [step + 1]
    assert [line["step"] for line in lines(tmp_path)] == list(range(1, step + 2))


def fail_first() -> str:
    with joined() as processes:
        processes.first(fail)
    return "not reached"


def fail() -> None:
    raise TrainingError("no such data", where="here")


def test_an_error_while_others_wait_ends_all(tmp_path):
    first, second = outcomes(2, fail_first)
    assert "here: no such data" in first[1]
    assert "the first process stopped: no such data" in second[1]


def wait_for_first(seconds: float) -> tuple[float, list[float]]:
    with joined() as processes:
        began = time.monotonic()
        processes.first(lambda: time.sleep(seconds))
        waited = time.monotonic() - began
        processes.check_agreement("same", what="a value")
        return waited, processes.total(np.array([1.0, processes.rank])).tolist()


def test_the_others_wait_for_the_first_and_sums_are_the_same_everywhere():
    for waited, total in together(3, wait_for_first, 0.5):
        assert waited >= 0.45
        assert total == [3.0, 3.0]


def say() -> list[list[str]]:
    with joined() as processes:
        return [processes.gather(text * processes.rank) for text in ("né ", "")]


def test_all_hear_what_each_has_to_say():
    assert together(3, say) == [[["", "né ", "né né "], ["", "", ""]]] * 3


def die_before_saying() -> list[str]:
    without_patience()
    with joined() as processes:
        if processes.rank == 1:
            time.sleep(0.5)
            os.kill(os.getpid(), signal.SIGKILL)
        return processes.gather("here")


def test_who_waits_to_hear_from_one_that_is_killed_ends_at_once():
    first, second = outcomes(2, die_before_saying)
    assert second == -signal.SIGKILL
    assert first == 1 or first[0] == "error"


def disagree() -> None:
    with joined() as processes:
        processes.check_agreement(str(processes.rank), what="the fingerprint")
        processes.total(np.zeros(1))


def test_processes_that_differ_say_so():
    found = outcomes(2, disagree)
    assert "the fingerprint differs from the first process's: 1, 0 there" in found[1][1]
    assert found[0] == 1 or "gone" in found[0][1]


def tune_other_data(folder: Path) -> None:
    lm = make_lm("llama")
    tune_small(folder, lm, settings(), batches=make_batches(lm, count=5 + int(os.environ["RANK"])))


def test_processes_with_other_data_say_so(tmp_path):
    found = outcomes(2, tune_other_data, tmp_path)
    assert all("the processes made different batches" in outcome[1] for outcome in found)


def stop_for_ever(folder: Path) -> None:
    from flantune.system import processes as distributed

    # Long enough that a process which only waits for its turn of the processor is not taken for dead.
    distributed.HEARTBEAT_S, distributed.SILENCE_S = 0.2, 15.0
    lm = make_lm("llama")
    batches = make_batches(lm)
    batches.processes = 2
    if os.environ["RANK"] == "1":
        batches.batch(0)
        real, calls = batches.batch, []

        def freeze(cursor):
            calls.append(cursor)
            if len(calls) == 5:
                os.kill(os.getpid(), signal.SIGSTOP)
            return real(cursor)

        batches.batch = freeze
    tune_small(folder, lm, settings(steps=1000), batches=batches)


def test_a_frozen_process_is_taken_for_dead(tmp_path):
    """Its connections stay open, so that only the watch can tell."""
    first, second = start(2, stop_for_ever, tmp_path)
    assert first.outcome() == 1
    assert second.process.is_alive()
    second.process.kill()


def test_alone_nothing_is_set_up():
    with joined() as processes:
        assert processes is ALONE
        assert not torch.distributed.is_initialized()
        done = []
        processes.first(lambda: done.append(1))
        assert done == [1]
        assert processes.total(np.array([2.0])).tolist() == [2.0]


def test_the_adamw_of_bitsandbytes_in_parts_is_refused(tmp_path):
    pytest.importorskip("bitsandbytes")
    found = outcomes(2, tune_as_one_of, tmp_path, "llama", {"parallel": "sharded", "optimizer": "adamw8bit-bnb"})
    assert "does not work on parts of tensors" in found[0][1]


def tune_adapters(folder: Path, parallel: str) -> dict:
    from flantune.models.adapters import attach_adapter
    from flantune.settings.config import ModelSettings

    torch.set_num_threads(1)
    lm = attach_adapter(make_lm("llama", width=64), ModelSettings(path="x", adapter="lora"), seed=1)
    begin = weights_of(lm)
    batches = make_batches(lm)
    batches.processes = int(os.environ.get("WORLD_SIZE", 1))
    chosen = settings(
        steps=2, dropout=0.0, parallel=parallel, optimizer="adamw", adam={"eps": 1e-4}, learning_rate=1e-3
    )
    tune_small(folder, lm, chosen, batches=batches)
    return {"weights": weights_of(lm), "begin": begin}


@pytest.mark.parametrize("parallel", ["data", "sharded"])
def test_adapters_beside_frozen_weights(tmp_path, parallel):
    pytest.importorskip("peft")
    alone = tune_adapters(tmp_path / "one", parallel)
    first, _ = together(2, tune_adapters, tmp_path / "two", parallel)
    moved = [name for name, weight in alone["weights"].items() if not np.array_equal(weight, alone["begin"][name])]
    assert moved
    assert all("lora" in name for name in moved)
    check_alike(first["weights"], alone["weights"], alone["begin"], tolerance=0.02)


def tune_in_bfloat16(folder: Path, parallel: str) -> None:
    torch.set_num_threads(1)
    lm = make_lm("llama", width=64, dtype=torch.bfloat16)
    batches = make_batches(lm)
    batches.processes = int(os.environ.get("WORLD_SIZE", 1))
    tune_small(folder, lm, settings(steps=2, dropout=0.0, parallel=parallel, learning_rate=1e-3), batches=batches)


@pytest.mark.parametrize("parallel", ["data", "sharded"])
def test_bfloat16_arithmetic_agrees_to_its_own_precision(tmp_path, parallel):
    tune_in_bfloat16(tmp_path / "one", parallel)
    together(2, tune_in_bfloat16, tmp_path / "two", parallel)
    for mine, theirs in zip(lines(tmp_path / "two"), lines(tmp_path / "one"), strict=True):
        assert mine["loss"] == pytest.approx(theirs["loss"], rel=5e-3)
        assert mine["grad_norm"] == pytest.approx(theirs["grad_norm"], rel=5e-2)
