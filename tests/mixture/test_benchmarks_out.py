"""No task that is made from a benchmark is trained on where the benchmark is to be measured."""

from __future__ import annotations

import csv
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from flantune.commands.plan import numbered_split, split_fold
from flantune.errors import ConfigError
from flantune.mixture.benchmarks import made_from, without_benchmarks
from flantune.mixture.holdout import FoldTasks, folds_of, hold_out
from flantune.mixture.leaks import kin_groups
from flantune.mixture.taxonomy import load_taxonomy
from flantune.runs.folder import RunFolder
from flantune.settings.config import RunConfig
from flantune.suites.catalog import SUITES
from flantune.tasks.listed_tasks import COUNTED, as_task, flan2022_tasks
from flantune.types import Task

DATA = Path(__file__).parents[2] / "../shared/data/flan2022"
RULES = load_taxonomy(None)


@pytest.fixture(scope="module")
def listed_tasks() -> list[Task]:
    return [as_task(task) for task in flan2022_tasks()]


def everything(*tasks: object) -> FoldTasks:
    return FoldTasks(held_out=(), train=tasks, unseen=(), excluded=())


def test_tasks_are_known_by_name_by_family_and_by_kin(make_task: Callable) -> None:
    tasks = [
        make_task("task685_mmmlu_answer_generation_clinical_knowledge", family="questions"),
        make_task("exam", family="Measuring Massive Multitask Language Understanding"),
        make_task("sums", family="mgsm"),
        make_task("rte"),
    ]
    split = without_benchmarks(everything(*tasks), ("mmlu", "gsm8k"), taxonomy=RULES)
    assert [task.name for task in split.train] == ["rte"]
    reasons = {one.task: one.reason for one in split.excluded}
    assert "by its name" in reasons[tasks[0].name]
    assert "its source family" in reasons["exam"]
    assert "kin to the benchmark gsm8k" in reasons["sums"]


def test_a_run_file_names_the_benchmarks_and_mistakes_are_told(make_task: Callable) -> None:
    tasks = [make_task("rte"), make_task("mmlu")]
    config = RunConfig.model_validate({"holdout": {"benchmarks": ["mmlu"]}})
    assert [task.name for task in numbered_split(config, tasks, 0).train] == ["rte"]
    with pytest.raises(ConfigError, match=r'no benchmark "mlu"; did you mean "mmlu"'):
        without_benchmarks(everything(*tasks), ("mlu",), taxonomy=RULES)
    with pytest.raises(ConfigError, match="no task is left"):
        without_benchmarks(everything(tasks[1]), ("mmlu",), taxonomy=RULES)


def test_where_benchmarks_alone_measure_the_model_one_fold_trains_on_all_else(make_task: Callable) -> None:
    tasks = [make_task("rte"), make_task("mmlu"), make_task("winograd", splits=("test",))]
    config = RunConfig.model_validate({"holdout": {"benchmarks": ["mmlu"]}})
    (fold,) = folds_of(config.holdout)
    assert fold.held_out == ()
    split = split_fold(config, tasks, fold)
    assert ([task.name for task in split.train], split.unseen, split.held_out) == (["rte"], (), ())
    assert {one.task: one.reason.split(" (")[0] for one in split.excluded} == {
        "winograd": "it has no train split to be trained on",
        "mmlu": "it is made from the benchmark mmlu",
    }
    assert folds_of(RunConfig().holdout) == ()
    assert RunFolder(Path("run")).fold(fold.held_out).root == Path("run/folds/nothing-held-out")


def test_every_suite_that_is_measured_is_a_benchmark_of_the_taxonomy() -> None:
    known = {benchmark.name: benchmark.families for benchmark in RULES.benchmarks}
    for suite in SUITES:
        if suite.families:
            assert {name.replace("_", " ") for name in suite.families} <= known[suite.name], suite.name


@pytest.mark.skipif(not DATA.is_dir(), reason="the authors' lists are not here")
def test_all_57_tasks_that_are_mmlus_go_by_name_and_by_source_alone(make_task: Callable) -> None:
    with (DATA / "natural_instructions/index.tsv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file, delimiter="\t"))
    mmlu = next(benchmark for benchmark in RULES.benchmarks if benchmark.name == "mmlu")
    named = [make_task(row["task"], family=row["source"]) for row in rows]
    found = {task.name for task in named if made_from(task, [mmlu], taxonomy=RULES)}
    assert len(found) == 57
    assert {task.name for task in named if made_from(replace(task, name="x"), [mmlu], taxonomy=RULES)} == found
    assert {task.name for task in named if made_from(replace(task, source_family=""), [mmlu], taxonomy=RULES)} == found


# The list of Flan 2022 ------------------------------------------------------------------------------------------------


def test_the_list_has_the_papers_tasks(listed_tasks: list[Task]) -> None:
    listed = flan2022_tasks()
    counts = {name: sum(task.submixture == name for task in listed) for name in COUNTED}
    assert sum(COUNTED.values()) == 1_836
    assert counts == {"muffin": 80, "t0_sf": 193, "niv2": 1_556, "cot": 9}
    assert len({task.name for task in listed}) == len(listed)
    mmlu = [one for one in RULES.benchmarks if one.name == "mmlu"]
    assert not any(made_from(task, mmlu, taxonomy=RULES) for task in listed_tasks)


@pytest.mark.skipif(not DATA.is_dir(), reason="the authors' lists are not here")
def test_the_list_is_the_authors() -> None:
    with (DATA / "flan2022/collection_info.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    categories = {row["Specific Task Category"].split("_")[0]: row["Generic Task Category"] for row in rows}
    for task in flan2022_tasks():
        if task.submixture == "niv2":
            assert categories[task.name.split("_")[0]] == task.category or task.name.startswith("task")
    with (DATA / "flan2022/p3_tasks.tsv").open(encoding="utf-8") as file:
        p3 = {row["p3_task"] for row in csv.DictReader(file, delimiter="\t") if row["in_t0_sf"] == "1"}
    assert p3 == {task.name for task in flan2022_tasks() if task.submixture == "t0_sf"}


def test_the_leak_graph_covers_the_whole_list(listed_tasks: list[Task]) -> None:
    tasks = listed_tasks
    groups = {group.name: set(group.tasks) for group in kin_groups(tasks, RULES)}
    assert len(groups["rocstories"]) > 30
    assert {"squad_v1", "squad_v2", "qnli", "task075_squad1.1_answer_generation"} <= groups[
        "stanford question answering"
    ]
    sides = hold_out(tasks, ["natural language inference"], taxonomy=RULES)
    trained = {task.source_family for task in sides.train}
    assert not trained & {"snli", "multinli", "anli", "e_snli", "rte", "pascal rte"}
    names = {task.name for task in (*sides.train, *sides.unseen)} | {one.task for one in sides.excluded}
    assert names == {task.name for task in tasks}


def test_a_listed_task_has_no_rows_and_says_how_they_are_had() -> None:
    from flantune.errors import MissingDataError

    listed = next(task for task in flan2022_tasks() if task.submixture == "t0_sf")
    with pytest.raises(MissingDataError, match="promptsource"):
        next(iter(as_task(listed).source.rows("train")))
