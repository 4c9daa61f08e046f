"""The cost model's arithmetic: what adds up, what grows with what, and where it comes from."""

from __future__ import annotations

from dataclasses import replace

import pytest

from flantune.evaluation.statistics.means import Mean, detectable_difference
from flantune.models.devices import parse_devices
from flantune.models.size import ModelSize
from flantune.settings.config import RunConfig
from flantune.studies.estimate import (
    ROW_SPREAD,
    AskedTask,
    FoldWork,
    Load,
    detectable_before,
    measuring_load,
    memory_of,
    speed_of,
    total,
    training_load,
)

SEVEN = ModelSize(weights=7_000_000_000, trained=7_000_000_000, layers=32, family="decoder-only")


def task(name: str, cluster: str = "nli", rows: int = 200, **own: int) -> AskedTask:
    return AskedTask(name=name, clusters=(cluster,), rows=rows, questions=10 * rows, read=500 * rows, **own)


def fold(*tasks: AskedTask) -> FoldWork:
    clusters = tuple(dict.fromkeys(name for one in tasks for name in one.clusters))
    return FoldWork(held_out=clusters, clusters=clusters, tasks=tasks)


def test_loads_add_up() -> None:
    assert total([]) == Load()
    assert total([Load(tokens=1, flops=2.0, seconds=3.0), Load(tokens=4, seconds=0.5)]) == Load(
        tokens=5, flops=2.0, seconds=3.5
    )


def test_flan_137b_takes_the_papers_hours() -> None:
    size = ModelSize(weights=137_000_000_000, trained=137_000_000_000, layers=64, family="decoder-only")
    speed = speed_of(parse_devices("tpu-v3-core:128"), size, recomputes=False, rows=1.0)
    load = training_load(size, 30_000 * 8_192, speed)
    assert load.flops == pytest.approx(2.0e20, rel=0.02)
    assert load.seconds / 3_600 == pytest.approx(60, rel=0.02)


def test_time_is_tokens_over_speed_and_none_without_a_device() -> None:
    asked = [task("rte"), task("sum", written=2_000, longest=12_800)]
    speed = speed_of(parse_devices("h100:8"), SEVEN, recomputes=False, rows=16)
    tuned = measuring_load(SEVEN, asked, speed, is_tuned=True)
    base = measuring_load(SEVEN, asked, speed, is_tuned=False)
    assert tuned.tokens == 200_000 + 2_000 and base.tokens == 200_000 + 12_800
    assert base.seconds == pytest.approx(200_000 / speed.reading + 12_800 / speed.writing)
    assert measuring_load(SEVEN, asked, None, is_tuned=True).seconds == 0.0
    assert training_load(SEVEN, 1_000, None).seconds == 0.0


def test_computing_activations_again_takes_a_third_more_and_frozen_weights_less() -> None:
    eight = parse_devices("h100:8")
    plain = speed_of(eight, SEVEN, recomputes=False, rows=1)
    assert plain.training / speed_of(eight, SEVEN, recomputes=True, rows=1).training == pytest.approx(4 / 3)
    adapted = speed_of(eight, replace(SEVEN, trained=7_000_000), recomputes=False, rows=1)
    assert adapted.training / plain.training == pytest.approx(1.5, rel=0.01)


def test_writing_looks_at_every_weight_until_arithmetic_is_the_limit() -> None:
    one = parse_devices("h100")
    alone, many = (speed_of(one, SEVEN, recomputes=False, rows=rows) for rows in (1, 100_000))
    assert alone.writing == pytest.approx(3.35e12 / 14e9)
    assert many.writing == many.reading


def test_memory_is_that_of_weights_gradients_and_optimizer() -> None:
    config = RunConfig.model_validate({"training": {"optimizer": "adamw"}})
    found = memory_of(config, SEVEN, devices=8)
    assert found is not None and found.total == pytest.approx(7e9 * (4 + 4 + 8))
    sharded = RunConfig.model_validate({"training": {"optimizer": "adamw", "parallel": "sharded"}})
    parts = memory_of(sharded, SEVEN, devices=8, activation_bytes=1_000)
    assert parts is not None and parts.total == pytest.approx(7e9 * 16 / 8 + 1_280 * 1_000)
    adapted = memory_of(config, replace(SEVEN, trained=10_000_000), devices=1)
    assert adapted is not None and adapted.total == pytest.approx(7e9 * 4 + 1e7 * 12)
    quantized = RunConfig.model_validate({"model": {"path": "x", "adapter": "lora", "quantize": "4bit"}})
    assert memory_of(quantized, SEVEN, devices=1) is None


def test_what_could_be_detected_is_what_the_mean_over_clusters_would_say() -> None:
    found = detectable_before([fold(task("rte", rows=100))], confidence=0.95)
    alone = detectable_difference(Mean(value=0.0, se=ROW_SPREAD / 10, df=99), confidence=0.95)
    assert found is not None and found.difference == pytest.approx(alone)
    # Two clusters of like size: each weighs half, and their errors are independent.
    both = detectable_before([fold(task("rte", rows=100)), fold(task("mood", "sentiment", rows=100))], confidence=0.95)
    assert both is not None and both.difference == pytest.approx(alone / 2**0.5, rel=0.01)
    assert (both.tasks, both.rows) == (2, 200)


def test_four_times_the_rows_show_half_the_difference_and_a_second_seed_on_the_same_rows_little() -> None:
    few, many = (detectable_before([fold(task("rte", rows=rows))], confidence=0.95) for rows in (400, 1_600))
    assert few is not None and many is not None and few.difference / many.difference == pytest.approx(2, rel=0.01)
    lucky = detectable_before([fold(task("rte", rows=400))], confidence=0.95, seeds=3, seed_spread=0.05)
    assert lucky is not None and lucky.difference > few.difference


def test_without_anything_unseen_nothing_is_detected() -> None:
    assert detectable_before([], confidence=0.95) is None
    assert detectable_before([FoldWork(held_out=(), clusters=(), tasks=())], confidence=0.95) is None
