"""The splits that the FLAN paper and its public code state, on the shipped collection. Paper: FLAN 2021."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import pytest

from flantune.mixture.taxonomy import load_taxonomy
from flantune.studies.paper import PAPER_ORDER, PAPER_TEST, SUPER_GLUE, TASK_COUNTS
from flantune.studies.splits import (
    cluster_counts,
    leave_one_cluster_out,
    paper_rules,
    task_counts,
    tasks_per_cluster,
    template_counts,
    within_cluster,
    without_tasks,
)
from flantune.tasks.regroup import load_grouping, regroup
from flantune.tasks.taskfile import load_task_file
from flantune.types import Task

COLLECTION = Path(__file__).parents[2] / "src/flantune/shipped/flan2021"
FINER = load_grouping("flan2021_clusters17")
SHIPPED = load_taxonomy(None)
RULES = paper_rules(SHIPPED)

# The public code's order and sizes.
SIZES = {
    "summarization": 11,
    "structure to text": 4,
    "reading comprehension": 6,
    "open domain qa": 4,
    "paraphrase": 4,
    "sentiment": 4,
    "text formatting": 3,
    "common sense": 4,
    "translation": 8,
    "coreference": 3,
    "entailment": 10,
    "math": 1,
    "conversational qa": 2,
    "word disambiguation": 1,
    "linguistic acceptability": 1,
    "question classification": 1,
    "reading comprehension and commonsense": 2,
}


@cache
def tasks() -> tuple[Task, ...]:
    names = [name for members in FINER.clusters.values() for name in members]
    return regroup([load_task_file(COLLECTION / f"{name}.toml") for name in names], FINER)


def test_the_public_code_has_69_tasks_in_17_clusters() -> None:
    assert {cluster: len(names) for cluster, names in FINER.clusters.items()} == SIZES
    assert list(FINER.clusters) == list(SIZES)
    assert len(tasks()) == 69 and len(SIZES) == 17


def test_69_tasks_are_62_datasets_when_parts_count_once_and_two_formatting_tasks_not_at_all() -> None:
    left = {task.name for task in tasks()} - {"true_case", "word_segment"}
    parts = {"squad_v2": "squad_v1", "anli_r2": "anli_r1", "anli_r3": "anli_r1"}
    parts |= {"arc_easy": "arc_challenge", "mnli_mismatched": "mnli"}
    assert len({parts.get(name, name) for name in left}) == 62


def test_parts_of_one_dataset_share_a_family() -> None:
    family = {task.name: task.source_family for task in tasks()}
    for one, other in (("squad_v1", "squad_v2"), ("anli_r1", "anli_r3"), ("arc_easy", "arc_challenge")):
        assert family[one] == family[other]
    assert family["mnli"] == family["mnli_mismatched"]


def test_section_4_1_seven_clusters_in_the_papers_order() -> None:
    """1 to 7 clusters hold 11, 20, 26, 30, 34, 37, 39 datasets; the code has one translation task less."""
    assert PAPER_ORDER == (
        "summarization",
        "translation",
        "reading comprehension",
        "sentiment",
        "structure to text",
        "coreference",
        "conversational qa",
    )
    study = cluster_counts(tasks(), RULES)
    sizes = [len(split.train) for split in study.splits]
    assert sizes == [11, 19, 25, 29, 33, 36, 38]
    assert [sizes[0], *(size + 1 for size in sizes[1:])] == [11, 20, 26, 30, 34, 37, 39]


def test_section_4_1_held_out_are_nli_commonsense_and_closed_book_qa() -> None:
    assert [SHIPPED.cluster(cluster) for cluster in PAPER_TEST] == [
        "natural language inference",
        "commonsense",
        "closed book qa",
    ]
    for split in cluster_counts(tasks(), RULES).splits:
        assert split.held_out == PAPER_TEST
        assert len(split.test) == 10 + 4 + 4


def test_deviation_kin_of_training_tasks_are_not_measured_as_unseen() -> None:
    """With our kin families the training side is the paper's; five test tasks that are kin to it are not measured."""
    study = cluster_counts(tasks(), SHIPPED)
    assert [len(split.train) for split in study.splits] == [11, 19, 25, 29, 33, 36, 38]
    everything = {task.name for task in tasks() if task.clusters[0] in PAPER_TEST}
    left = everything - set(study.splits[0].test)
    assert left == {"qnli", "wnli", "arc_easy", "arc_challenge", "hellaswag"}


def test_the_diversity_study_limited_to_15_tasks_drawn_in_turn() -> None:
    study = cluster_counts(tasks(), RULES, max_tasks=15)
    assert [len(split.train) for split in study.splits] == [11, 15, 15, 15, 15, 15, 15]
    cluster = {task.name: task.clusters[0] for task in tasks()}
    seven = [cluster[name] for name in study.splits[6].train]
    assert sorted(seven.count(name) for name in PAPER_ORDER) == [2, 2, 2, 2, 2, 2, 3]


def test_appendix_b_1_tasks_per_cluster() -> None:
    study = tasks_per_cluster(tasks(), RULES)
    assert [len(split.train) for split in study.splits] == [7, 14, 20, 25]


def test_seventeen_splits_leave_one_cluster_out() -> None:
    study = leave_one_cluster_out(tasks(), RULES)
    assert [split.held_out for split in study.splits] == [(cluster,) for cluster in SIZES]
    for split in study.splits:
        assert len(split.test) == SIZES[split.held_out[0]]
        assert split.breaks == ()


def test_ten_splits_within_clusters() -> None:
    study = within_cluster(tasks(), RULES)
    assert len(study.splits) == 10
    parts = [
        ("squad_v1", "squad_v2"),
        ("anli_r1", "anli_r2"),
        ("arc_easy", "arc_challenge"),
        ("mnli", "mnli_mismatched"),
    ]
    for split in study.splits:
        for one, other in parts:
            assert (one in split.test) == (other in split.test)


@pytest.mark.parametrize("rules", [RULES, SHIPPED], ids=["paper", "shipped"])
def test_super_glue_held_out_by_number_of_templates(rules: object) -> None:
    base = without_tasks(tasks(), rules, SUPER_GLUE, name="SuperGLUE")  # type: ignore[arg-type]
    assert set(base.test) == set(SUPER_GLUE)
    study = template_counts(base, tasks())
    assert [split.max_templates for split in study.splits] == [1, 2, 4, 7, 10]


def test_super_glue_held_out_by_number_of_training_tasks() -> None:
    """69 tasks without SuperGLUE's eight are 61, enough for the code's 5, 10, …, 55."""
    base = without_tasks(tasks(), RULES, SUPER_GLUE, name="SuperGLUE")
    assert len(base.train) == 61
    study = task_counts(base, tasks(), RULES)
    assert [len(split.train) for split in study.splits] == list(TASK_COUNTS) == list(range(5, 60, 5))
