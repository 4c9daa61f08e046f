"""Flan 2022's headline number: the average of six benchmark scores, each normalized from chance to perfect.

A score of 0.55 on a task where guessing scores 0.50 counts as 0.10; a score below chance is negative, and nothing is
clipped.

Paper: Flan 2022, section 2.3 (normalized average, as in BIG-bench).
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

SCORES = ("mmlu_direct", "mmlu_cot", "bbh_direct", "bbh_cot", "tydiqa_direct", "mgsm_cot")
"""The six averaged scores: benchmark, and whether the model answers directly or reasons first."""

BBH_CHANCE: Mapping[str, float] = MappingProxyType(
    {
        "boolean_expressions": 0.5,
        "causal_judgement": 0.5,
        "date_understanding": 0.172,
        "disambiguation_qa": 0.332,
        "dyck_languages": 0.012,
        "formal_fallacies": 0.25,
        "geometric_shapes": 0.116,
        "hyperbaton": 0.5,
        "logical_deduction_three_objects": 1 / 3,
        "logical_deduction_five_objects": 1 / 5,
        "logical_deduction_seven_objects": 1 / 7,
        "movie_recommendation": 0.25,
        "multistep_arithmetic_two": 0.0,
        "navigate": 0.5,
        "object_counting": 0.0,
        "penguins_in_a_table": 0.0,
        "reasoning_about_colored_objects": 0.119,
        "ruin_names": 0.25,
        "salient_translation_error_detection": 0.167,
        "snarks": 0.5,
        "sports_understanding": 0.5,
        "temporal_sequences": 0.25,
        "tracking_shuffled_objects_three_objects": 1 / 3,
        "tracking_shuffled_objects_five_objects": 1 / 5,
        "tracking_shuffled_objects_seven_objects": 1 / 7,
        "web_of_lies": 0.5,
        "word_sorting": 0.0,
    }
)
"""The score of guessing in each of BBH's 27 files, which are 23 tasks: two of them come in three sizes."""

_SIZES = ("_three_objects", "_five_objects", "_seven_objects")


def bbh_task(name: str) -> str:
    """The task of one of BBH's files.

    >>> bbh_task("logical_deduction_five_objects"), bbh_task("snarks")
    ('logical_deduction', 'snarks')
    """
    return next((name.removesuffix(size) for size in _SIZES if name.endswith(size)), name)
