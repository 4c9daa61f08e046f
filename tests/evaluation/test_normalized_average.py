"""The normalized average brings back the averages that Flan 2022 printed."""

from __future__ import annotations

import pytest

from flantune.errors import EvaluationError
from flantune.suites.flan2022 import BBH_CHANCE, SCORES

from .flan2022_average import CHANCE, bbh_macro, normalized, normalized_average

# Normalized average as printed; then MMLU direct, MMLU CoT, BBH direct, BBH CoT, TyDiQA, MGSM.
# Paper: Flan 2022, table 5 (twenty models).
TABLE_5 = {
    "T5-Small": (-9.2, 26.7, 5.6, 27.0, 7.2, 0.0, 0.4),
    "T5-Base": (-5.1, 25.7, 14.5, 27.8, 14.6, 0.0, 0.5),
    "T5-Large": (-5.0, 25.1, 15.0, 27.7, 16.1, 0.0, 0.3),
    "T5-XL": (-4.1, 25.7, 14.5, 27.4, 19.2, 0.0, 0.8),
    "T5-XXL": (-2.9, 25.9, 18.7, 29.5, 19.3, 0.0, 1.0),
    "PaLM 8B": (6.4, 24.3, 24.1, 30.8, 30.1, 25.0, 3.4),
    "PaLM 62B": (28.4, 55.1, 49.0, 37.4, 43.0, 40.5, 18.2),
    "PaLM 540B": (49.1, 71.3, 62.9, 49.1, 63.7, 52.9, 45.9),
    "cont-PaLM 62B": (38.1, 61.2, 57.6, 41.7, 53.1, 45.7, 32.0),
    "U-PaLM 540B": (50.2, 71.5, 64.0, 49.2, 62.4, 54.6, 49.9),
    "Flan-T5-Small": (-3.1, 28.7, 12.1, 29.1, 19.2, 1.1, 0.2),
    "Flan-T5-Base": (6.5, 35.9, 33.7, 31.3, 27.9, 4.1, 0.4),
    "Flan-T5-Large": (13.8, 45.1, 40.5, 37.5, 31.5, 12.3, 0.7),
    "Flan-T5-XL": (19.1, 52.4, 45.5, 41.0, 35.2, 16.6, 1.9),
    "Flan-T5-XXL": (23.7, 55.1, 48.6, 45.3, 41.4, 19.0, 4.9),
    "Flan-PaLM 8B": (21.9, 49.3, 41.3, 36.4, 31.1, 47.5, 8.2),
    "Flan-PaLM 62B": (38.8, 59.6, 56.9, 47.5, 44.9, 58.7, 28.5),
    "Flan-PaLM 540B": (58.4, 73.5, 70.9, 57.9, 66.3, 67.8, 57.0),
    "Flan-cont-PaLM 62B": (46.7, 66.1, 62.0, 51.0, 53.3, 62.7, 40.3),
    "Flan-U-PaLM 540B": (59.1, 74.1, 69.8, 59.3, 64.9, 68.3, 60.4),
}
# Paper: Flan 2022, table 3 (one more sub-mixture at a time).
TABLE_3 = {
    "8B CoT": (8.3, 26.3, 32.1, 19.8, 26.6, 39.3, 10.4),
    "8B +Muffin": (14.8, 37.6, 38.4, 31.0, 30.9, 32.4, 8.4),
    "8B +T0-SF": (20.5, 47.7, 39.7, 33.1, 30.9, 49.0, 8.5),
    "62B CoT": (29.0, 48.5, 48.7, 34.5, 39.5, 48.8, 32.6),
    "62B +Muffin": (33.4, 55.3, 51.4, 42.8, 40.2, 53.0, 23.9),
    "62B +T0-SF": (37.9, 60.0, 56.0, 44.7, 43.8, 58.2, 30.0),
    "540B CoT": (52.6, 68.8, 64.8, 50.5, 61.1, 61.2, 59.4),
    "540B +Muffin": (57.0, 71.8, 66.7, 56.7, 64.0, 65.3, 63.0),
    "540B +T0-SF": (57.5, 72.9, 68.2, 57.3, 64.0, 65.8, 61.6),
    "540B all": (58.5, 73.2, 68.1, 58.8, 65.6, 67.4, 61.3),
}


def average(row: tuple[float, ...]) -> float:
    return 100 * normalized_average(dict(zip(SCORES, (number / 100 for number in row[1:]), strict=True)))


@pytest.mark.parametrize(("table", "name"), [(TABLE_3, "540B all"), (TABLE_5, "PaLM 8B")])
def test_the_golden_rows_come_back(table: dict[str, tuple[float, ...]], name: str) -> None:
    assert average(table[name]) == pytest.approx(table[name][0], abs=0.3)


@pytest.mark.parametrize("table", [TABLE_5, TABLE_3], ids=["table 5", "table 3"])
def test_the_printed_tables_come_back_from_their_columns(table: dict[str, tuple[float, ...]]) -> None:
    errors = {name: average(row) - row[0] for name, row in table.items()}
    worst = max(errors, key=lambda name: abs(errors[name]))
    assert abs(errors[worst]) < 1.2, (worst, errors[worst])
    assert sum(map(abs, errors.values())) / len(errors) < 0.4


@pytest.mark.parametrize("name", [name for name, row in TABLE_5.items() if min(row[3:5]) > 30])
def test_rows_above_chance_come_back_within_half_a_point(name: str) -> None:
    assert average(TABLE_5[name]) == pytest.approx(TABLE_5[name][0], abs=0.5)


def test_the_footnote_of_the_paper() -> None:
    assert normalized(0.55, 0.5) == pytest.approx(0.1)


def test_below_chance_is_negative_and_not_clipped() -> None:
    zeros = dict.fromkeys(SCORES, 0.0)
    assert normalized_average(zeros) < -0.2
    assert normalized_average(dict.fromkeys(SCORES, 1.0)) == pytest.approx(1.0)


def test_bbh_is_normalized_task_by_task_before_the_mean() -> None:
    # A task without chance at 0.5 and a two-way task at chance: 0.5 and 0.0, not (0.5 - 0.25) / 0.75.
    rest = dict.fromkeys(SCORES, 0.0) | {"mmlu_direct": 0.25, "mmlu_cot": 0.25}
    each = {"word_sorting": 0.5, "snarks": 0.5}
    got = normalized_average(rest, tasks={"bbh_direct": each, "bbh_cot": {"navigate": 0.5}})
    assert got == pytest.approx(0.25 / 6)


def test_three_sizes_are_one_task() -> None:
    by_file = dict(BBH_CHANCE)
    assert len(by_file) == 27
    # Mean chance over the 23 tasks, from the chances that the benchmark's paper lists (its own average: 25.7).
    assert 100 * bbh_macro(by_file) == pytest.approx(25.5, abs=0.05)
    sizes = [by_file[f"tracking_shuffled_objects_{size}_objects"] for size in ("three", "five", "seven")]
    assert 100 * sum(sizes) / 3 == pytest.approx(22.5, abs=0.1)


def test_a_model_at_chance_everywhere_is_at_zero() -> None:
    rest = {"tydiqa_direct": 0.0, "mgsm_cot": 0.0, "mmlu_direct": 0.25, "mmlu_cot": 0.25}
    assert normalized_average(rest, tasks={"bbh_direct": BBH_CHANCE, "bbh_cot": BBH_CHANCE}) == pytest.approx(0.0)
    means = rest | {"bbh_direct": CHANCE["bbh"], "bbh_cot": CHANCE["bbh"]}
    assert normalized_average(means) == pytest.approx(0.0)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"mmlu_direct": 73.2}, "not between 0 and 1"),
        ({"bbh_cott": 0.2}, 'no score "bbh_cott"'),
    ],
)
def test_mistakes_are_named(change: dict[str, float], message: str) -> None:
    with pytest.raises(EvaluationError, match=message):
        normalized_average(dict.fromkeys(SCORES, 0.5) | change)


def test_an_average_of_fewer_scores_is_refused() -> None:
    with pytest.raises(EvaluationError, match="not measured: mgsm_cot"):
        normalized_average(dict.fromkeys(SCORES[:-1], 0.5))


def test_an_unknown_bbh_task_is_refused() -> None:
    with pytest.raises(EvaluationError, match='BBH has no task "snark"'):
        normalized_average(dict.fromkeys(SCORES, 0.5), tasks={"bbh_cot": {"snark": 0.5}})
