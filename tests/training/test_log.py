from __future__ import annotations

import json
from pathlib import Path

import pytest

from flantune.errors import TrainingError
from flantune.packing.packs import Counts
from flantune.settings.json_file import plain, value_of
from flantune.training.log import MetricsLog, read_metrics
from flantune.training.metrics_line import MetricsLine
from flantune.training.state import Step, TuningState, Window
from flantune.training.values import TaskLoss


def step(number: int, *, tasks=None) -> Step:
    return Step(
        cursor=number * 10,
        loss=2.0,
        tasks=tasks or {"rte": TaskLoss(nll=4.0, target_tokens=2)},
        learning_rate=0.1,
        grad_norm=float(number),
        counts=Counts(prompts=1, input_tokens=6, target_tokens=2, positions=10),
        seconds=2.0,
        data_wait_seconds=0.5,
    )


def line(number: int) -> MetricsLine:
    return Window().after(step(number)).line(step=number, cursor=number * 10, seconds=2.0 * number)


def steps(path) -> list[int]:
    return [json.loads(text)["step"] for text in path.read_text().splitlines()]


def test_a_resumed_log_has_neither_gap_nor_repeat(tmp_path):
    log = MetricsLog(tmp_path, after=0)
    for number in range(1, 6):
        log.write(line(number))
    log.close()
    again = MetricsLog(tmp_path, after=3)
    assert steps(tmp_path / "metrics.jsonl") == [1, 2, 3]
    again.write(line(4))
    again.close()
    assert steps(tmp_path / "metrics.jsonl") == [1, 2, 3, 4]


def test_a_line_torn_by_a_kill_goes(tmp_path):
    path = tmp_path / "metrics.jsonl"
    path.write_text(json.dumps(plain(line(1))) + "\n" + json.dumps(plain(line(2)))[:25])
    MetricsLog(tmp_path, after=2).close()
    assert steps(path) == [1]


def test_a_task_may_be_named_by_any_signs(tmp_path):
    """Some of them are ends of lines to Unicode."""
    first = Window().after(step(1, tasks={"a\u2028b\x85": TaskLoss(nll=4.0, target_tokens=2)}))
    log = MetricsLog(tmp_path, after=0)
    log.write(first.line(step=1, cursor=10, seconds=2.0))
    log.write(line(2))
    log.close()
    assert [entry.step for entry in read_metrics(tmp_path / "metrics.jsonl", up_to=2)[0]] == [1, 2]


def test_a_run_that_starts_afresh_forgets_the_lines_no_checkpoint_vouches_for(tmp_path):
    (tmp_path / "metrics.jsonl").write_text(json.dumps(plain(line(1))) + "\n")
    MetricsLog(tmp_path, after=0).close()
    assert (tmp_path / "metrics.jsonl").read_text() == ""


def test_a_window_is_weighed_by_tokens_not_by_steps():
    window = Window()
    window = window.after(step(1, tasks={"rte": TaskLoss(nll=4.0, target_tokens=2)}))
    window = window.after(
        step(2, tasks={"rte": TaskLoss(nll=1.0, target_tokens=8), "boolq": TaskLoss(nll=5.0, target_tokens=10)})
    )
    found = plain(window.line(step=2, cursor=20, seconds=4.0))
    assert found["loss"] == pytest.approx(10 / 20)
    assert found["tasks"] == {
        "boolq": {"loss": 0.5, "target_tokens": 10},
        "rte": {"loss": 0.5, "target_tokens": 10},
    }
    assert found["grad_norm"] == 1.5
    assert (found["prompts"], found["input_tokens"], found["target_tokens"], found["fill"]) == (2, 12, 4, 0.8)
    assert found["tokens_per_s"] == 16 / 4.0
    assert found["data_wait_share"] == 0.25


def test_a_full_disk_says_so(tmp_path):
    log = MetricsLog(tmp_path, after=0)
    log._file.close()
    log._file = Path("/dev/full").open("a")  # noqa: SIM115
    with pytest.raises(TrainingError, match=r"metrics\.jsonl: cannot be written: No space left"):
        log.write(line(1))
    log.close()


def test_state_survives_json_to_the_bit():
    state = TuningState().after(step(1, tasks={"rte": TaskLoss(nll=1 / 3, target_tokens=7)}))
    assert value_of(json.loads(json.dumps(plain(state))), TuningState, where="state.json") == state
    assert state.window.steps == 1


def test_summary_as_json_has_the_fill():
    summary = TuningState().after(step(1)).after(step(2)).summary()
    values = json.loads(json.dumps(summary.to_json()))
    assert values["steps"] == 2
    assert values["counts"]["fill"] == 0.8
    assert values["tokens_per_s"] == 4.0
    assert values["first_loss"] == values["last_loss"] == 2.0
