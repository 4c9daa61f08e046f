"""The studies by name: the arms they expand into, who is trained on and measured, and what is held equal."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path

import pytest
from tests.studies.arms import budget, file_of, names, portions, shares, sides, study_of

from flantune.demo.write import base_folder, write_demo
from flantune.errors import ConfigError
from flantune.runs.identity import training_identity
from flantune.settings.run_file import RunFile, load_run_file, with_settings
from flantune.studies.paper import PAPER_ORDER, SUPER_GLUE
from flantune.studies.study import arm_file

MODELS = [base_folder("decoder-only").as_posix(), base_folder("encoder-decoder").as_posix()]
FLAN = {
    "data": {"collection": "flan2021", "clusters": "flan2021_clusters17"},
    "holdout": {"folds": [["entailment"]]},
    "model": {"path": MODELS[0]},
}
TREE = {
    "flan": {"share": 3, "collections": ["flan2021"]},
    "cot": {"share": 1, "collections": ["cot"]},
    "more": {"share": 1, "collections": ["more"]},
}


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> RunFile:
    folder = write_demo(tmp_path_factory.mktemp("demo"), train_rows=2, dev_rows=2, test_rows=2)
    return load_run_file(folder / "decoder_only.toml")


@pytest.fixture(scope="module")
def flan(tmp_path_factory: pytest.TempPathFactory) -> RunFile:
    return file_of(tmp_path_factory.mktemp("flan"), FLAN)


@pytest.fixture(scope="module")
def three(tmp_path_factory: pytest.TempPathFactory) -> RunFile:
    """Three collections in a tree of parts; a chain-of-thought task is held out."""
    data = {"collection": ["flan2021", "cot", "more"]}
    values = {**FLAN, "data": data, "holdout": {"task_folds": [["cot_gsm8k"]]}, "mixture": {"parts": TREE}}
    return file_of(tmp_path_factory.mktemp("three"), values)


def instructed(folder: Path) -> RunFile:
    """Natural-Instructions of two categories, of one file each."""
    for name, category in (("task001_a", "Question Answering"), ("task002_b", "Sentiment Analysis")):
        task = {
            "Contributors": ["us"], "Source": [name], "URL": [""], "Categories": [category], "Reasoning": [""],
            "Definition": ["Say it."], "Input_language": ["English"], "Output_language": ["English"],
            "Instruction_language": ["English"], "Domains": [""], "Instance License": ["CC0"],
            "Positive Examples": [{"input": f"p{n}", "output": "a", "explanation": "so"} for n in range(2)],
            "Negative Examples": [{"input": f"n{n}", "output": "b", "explanation": "so"} for n in range(2)],
            "Instances": [{"id": f"{name}-{n}", "input": f"i{n}", "output": ["a"]} for n in range(4)],
        }  # fmt: skip
        (folder / "tasks").mkdir(parents=True, exist_ok=True)
        (folder / f"tasks/{name}.json").write_text(json.dumps(task), encoding="utf-8")
    values = {
        "data": {"natural_instructions": {"folder": str(folder), "track": "none", "test_instances": 2}},
        "holdout": {"folds": [["Sentiment Analysis"]]},
        "model": {"path": MODELS[0]},
    }
    return file_of(folder, values)


ON_DEMO = (
    "leave-one-cluster-out", "clusters", "tasks-per-cluster", "templates", "tasks", "scale", "instructions", "shots",
    "shot-share", "inversion", "balancing", "sub-mixtures", "instances-per-task",
)  # fmt: skip


@pytest.mark.parametrize("name", ON_DEMO)
def test_every_arm_is_a_run_that_leaks_nothing_and_has_the_budget_of_the_others(name: str, demo: RunFile) -> None:
    study = study_of(name, demo, **({"models": MODELS} if name == "scale" else {}))
    assert len(study.arms) > 1 and study.question.endswith("?") and study.equal
    assert {budget(demo, arm) for arm in study.arms} == {(demo.config.training.steps, demo.config.packing.batch_tokens)}
    measured = {str([sorted(names(fold.unseen)) for fold in sides(demo, arm)]) for arm in study.arms}
    assert len(measured) == (len(study.arms) if name == "leave-one-cluster-out" else 1)


def test_clusters_are_added_in_the_papers_order_and_the_same_tasks_measured(flan: RunFile) -> None:
    study = study_of("clusters", flan)
    assert [arm.x for arm in study.arms] == [1, 2, 3, 4, 5, 6, 7]
    assert [arm.label.removeprefix("+ ") for arm in study.arms] == list(PAPER_ORDER)
    (first,), (last,) = (sides(flan, study.arms[at]) for at in (0, -1))
    assert len(first.train) == 11 and names(first.train) < names(last.train)
    assert first.held_out == ("entailment", "common sense", "open domain qa")
    few = study_of("clusters", flan, most_tasks=15, order=["summarization", "translation"])
    assert [len(sides(flan, arm)[0].train) for arm in few.arms] == [11, 15]


def test_clusters_of_ones_own_are_added_in_the_tasks_order(demo: RunFile) -> None:
    study = study_of("clusters", with_settings(demo, {"data.exclude": ["demo_t*", "demo_w*"]}, origin="test"),
                     test=["sentiment"])  # fmt: skip
    assert "sentiment" not in [arm.label for arm in study.arms] and study.baseline == "1 cluster"
    with pytest.raises(ConfigError, match='no task belongs to the cluster "sentimant"'):
        study_of("clusters", demo, test=["sentimant"])


def test_without_the_papers_clusters_the_tasks_own_are_taken(three: RunFile) -> None:
    only = {"data.include": ["sst2", "cola", "mrpc", "rte"], "mixture.parts": {}, "holdout.task_folds": []}
    file = with_settings(three, only | {"holdout.folds": [["sentiment"]]}, origin="test")
    study = study_of("clusters", file, test=["sentiment"])
    assert study.arms[0].label == "miscellaneous" and len(study.arms) == 3
    assert any("order of the tasks" in note for note in study.notes)


def test_tasks_of_each_cluster_nest(flan: RunFile) -> None:
    study = study_of("tasks-per-cluster", flan)
    trained = [names(sides(flan, arm)[0].train) for arm in study.arms]
    assert [len(one) for one in trained] == [7, 14, 20, 25] and all(few < more for few, more in pairwise(trained))


def test_templates_change_training_alone(flan: RunFile, demo: RunFile) -> None:
    study = study_of("templates", flan, super_glue=True)
    assert [arm.x for arm in study.arms] == [1, 2, 4, 7, 10]
    (fold,) = sides(flan, study.arms[0])
    assert names(fold.unseen) == {*SUPER_GLUE} and not names(fold.train) & {*SUPER_GLUE}
    assert [max(len(one.templates) for one in portions(flan, arm)) for arm in study.arms] == [1, 2, 4, 7, 10]
    assert {arm_file(flan, arm).config.evaluation.max_templates for arm in study.arms} == {0}
    fewer = study_of("templates", demo)
    assert [arm.x for arm in fewer.arms] == [1, 2, 4, 5] and "5 stands for 7, 10" in fewer.notes[0]


def test_tasks_are_drawn_so_that_larger_arms_hold_the_smaller(flan: RunFile) -> None:
    study = study_of("tasks", flan, counts=[5, 20, 10])
    folds = [sides(flan, arm)[0] for arm in study.arms]
    assert [len(fold.train) for fold in folds] == [5, 10, 20] and study.x_scale == "log"
    assert names(folds[0].train) < names(folds[1].train) < names(folds[2].train)
    other = study_of("tasks", flan, counts=[5, 6], seed=1)
    assert names(sides(flan, other.arms[0])[0].train) != names(folds[0].train)
    halves = [arm.x for arm in study_of("tasks", flan).arms]
    assert halves == [halves[-1] // 2**step for step in reversed(range(len(halves)))]


def test_tasks_by_whole_collections_in_flan_2022s_order(three: RunFile) -> None:
    study = study_of("tasks", three)
    assert [arm.name for arm in study.arms] == ["CoT", "CoT + Muffin", "CoT + Muffin + all others"]
    folds = [sides(three, arm)[0] for arm in study.arms]
    assert {task.collection for task in folds[0].train} == {"cot"}
    assert all(names(fold.unseen) == {"cot_gsm8k"} for fold in folds)
    assert [arm.x for arm in study.arms] == [len(fold.train) for fold in folds]


def test_several_folds_are_held_out_at_once_where_their_training_sides_must_shrink(demo: RunFile) -> None:
    study = study_of("tasks", demo)
    (fold,) = sides(demo, study.arms[0])
    assert len(fold.held_out) == 6 and any("held out at once" in note for note in study.notes)
    with pytest.raises(ConfigError, match="nothing is held out"):
        study_of("tasks", with_settings(demo, {"holdout.folds": []}, origin="test"))


def test_scale_has_each_model_tuned_and_as_it_was(demo: RunFile) -> None:
    study = study_of("scale", demo, models=MODELS[::-1])
    assert [(arm.series, arm.reads, arm.label) for arm in study.arms] == [
        ("tuned", "tuned", "decoder_only"),
        ("tuned", "tuned", "encoder_decoder"),
        ("not tuned", "base", "decoder_only"),
        ("not tuned", "base", "encoder_decoder"),
    ]
    assert study.baseline == "" and study.x_scale == "log"
    assert [arm.x for arm in study.arms[:2]] == [1_388_928, 1_959_936]
    assert len({training_identity(arm_file(demo, arm).config) for arm in study.arms}) == 2
    with pytest.raises(ConfigError, match="two models at least"):
        study_of("scale", demo)


@pytest.mark.parametrize("name", ["shots", "shot-share"])
def test_arms_that_train_alike_share_a_model(name: str, demo: RunFile) -> None:
    study = study_of(name, demo)
    trained = {training_identity(arm_file(demo, arm).config) for arm in study.arms}
    assert len(trained) == {"shots": 2, "shot-share": 8}[name]
    pairs = {(arm.series, study.partner(arm).label) for arm in study.arms}
    assert {label for _, label in pairs} == {study.baseline}


def test_exemplars_are_measured_where_they_can_be_shown(tmp_path: Path, three: RunFile) -> None:
    assert study_of("shots", three).measure.of == "unseen"
    with pytest.raises(ConfigError, match="exemplars of its own rows"):
        study_of("shots", instructed(tmp_path))


def few_shot(found) -> float:
    """Share of prompts that have exemplars, be they the layout's or a template's own."""

    def own(portion) -> float:
        encoded = [any(word in one.encoding for word in ("pos", "neg")) for one in portion.templates]
        return sum(shown or any_shots for shown in encoded for any_shots in map(bool, portion.shots)) / (
            len(encoded) * len(portion.shots)
        )

    return sum(portion.share * own(portion) for portion in found)


@pytest.mark.parametrize("proportions", ["", "flan2022_released", "flan2022_paper_b"])
def test_the_share_of_prompts_with_exemplars_is_what_the_arm_says(proportions: str, three: RunFile) -> None:
    changes = {"mixture.parts": {}, "mixture.proportions": proportions, "data.collection": ["flan2021", "cot"]}
    file = with_settings(three, changes, origin="test")
    study = study_of("shot-share", file, shares=[0, 0.05, 0.5, 1], measure=[0])
    for arm in study.arms:
        assert few_shot(portions(file, arm)) == pytest.approx(arm.x / 100, abs=1e-6)


def test_inverted_templates_are_in_one_arm_alone(demo: RunFile, three: RunFile) -> None:
    turned = {**TREE, "cot": {"share": 1, "collections": ["cot"], "parts": {
        "asked": {"share": 1, "templates": "forward"}, "turned": {"share": 0.3, "templates": "inverted"}}}}  # fmt: skip
    for file in (demo, three, with_settings(three, {"mixture.parts": turned}, origin="test")):
        study = study_of("inversion", file)
        has = [any(t.is_inverted for one in portions(file, arm) for t in one.templates) for arm in study.arms]
        assert has == [False, True]
    forward = {"mixture.parts": {"all": {"templates": "forward"}}}
    with pytest.raises(ConfigError, match="no part of the mixture takes inverted templates"):
        study_of("inversion", with_settings(three, forward, origin="test"))


def test_balancing_varies_shares_alone(demo: RunFile, three: RunFile) -> None:
    study = study_of("balancing", demo)
    found = {arm.name: shares(portions(demo, arm, sizes={"demo_gist": 8_000})) for arm in study.arms}
    assert len(set(map(frozenset, found.values()))) == 1
    assert max(found["every task alike"].values()) == pytest.approx(1 / len(found["every task alike"]))
    rows = found["in proportion to rows"]
    assert rows["demo_gist"] / rows["demo_title"] == pytest.approx(8)
    tree = study_of("balancing", three)
    parts = {arm.name: by_collection(portions(three, arm)) for arm in tree.arms}
    assert parts["as the run file says"] == pytest.approx({"flan2021": 0.6, "cot": 0.2, "more": 0.2})
    assert parts["every part alike"] == pytest.approx(dict.fromkeys(("flan2021", "cot", "more"), 1 / 3))
    trained = sides(three, tree.arms[0])[0].train
    counts = {
        one: sum(task.collection == one for task in trained) / len(trained) for one in ("flan2021", "cot", "more")
    }
    assert parts["every task alike"] == pytest.approx(counts)


def by_collection(found) -> dict[str, float]:
    totals: dict[str, float] = {}
    for portion in found:
        totals[portion.task.collection] = totals.get(portion.task.collection, 0.0) + portion.share
    return totals


def test_each_part_is_left_out_in_turn_and_the_others_are_alike(three: RunFile) -> None:
    study = study_of("sub-mixtures", three)
    found = {arm.name: by_collection(portions(three, arm)) for arm in study.arms}
    assert found["all parts alike"] == pytest.approx(dict.fromkeys(("flan2021", "cot", "more"), 1 / 3))
    assert found["without flan"] == pytest.approx({"cot": 0.5, "more": 0.5})
    assert found["all parts, as the run file says"] == pytest.approx({"flan2021": 0.6, "cot": 0.2, "more": 0.2})
    flat = with_settings(three, {"mixture.parts": {}}, origin="test")
    named = study_of("sub-mixtures", flat)
    assert [arm.name for arm in named.arms[1:]] == ["without flan2021", "without cot", "without more"]
    assert by_collection(portions(flat, named.arms[2])) == pytest.approx({"flan2021": 0.5, "more": 0.5})
    with pytest.raises(ConfigError, match="draws from some parts alone"):
        study_of("sub-mixtures", with_settings(three, {"mixture.only": ["cot"]}, origin="test"))


def test_clusters_stand_for_parts_where_there_is_one_collection_and_none_that_is_measured_is_left_out(
    demo: RunFile,
) -> None:
    study = study_of("sub-mixtures", demo)
    held = {name for fold in demo.config.holdout.folds for name in fold}
    assert not {arm.name.removeprefix("without ") for arm in study.arms} & {name.replace(" ", "-") for name in held}
    for arm in study.arms[:2]:
        for number in range(3):  # every fold can be laid out
            assert sides(demo, arm)[number].train
        assert portions(demo, arm)


def test_chains_of_thought_are_tuned_on_apart_and_together(three: RunFile) -> None:
    study = study_of("cot", three)
    assert [arm.label for arm in study.arms[:4]] == [
        "not tuned", "tuned on other tasks", "tuned on chains of thought", "tuned on both",
    ]  # fmt: skip
    assert len({training_identity(arm_file(three, arm).config) for arm in study.arms}) == 3
    found = [by_collection(portions(three, arm)) for arm in study.arms[1:4]]
    assert found[0] == pytest.approx({"flan2021": 0.75, "more": 0.25})
    assert found[1] == pytest.approx({"cot": 1.0})
    assert found[2] == pytest.approx({"flan2021": 0.6, "cot": 0.2, "more": 0.2})
    assert {arm_file(three, arm).config.evaluation.templates for arm in study.arms[:4]} == {"direct"}
    assert {arm_file(three, arm).config.evaluation.templates for arm in study.arms[4:]} == {"reasoned"}
    assert study.measure.of == "unseen"


def test_chains_of_thought_need_a_task_asked_both_ways(demo: RunFile, three: RunFile) -> None:
    with pytest.raises(ConfigError, match="no chain-of-thought task is trained on"):
        study_of("cot", demo)
    other = {"holdout.task_folds": [], "holdout.folds": [["sentiment"]]}
    with pytest.raises(ConfigError, match="no unseen task can be asked both"):
        study_of("cot", with_settings(three, other, origin="test"))
    two = with_settings(three, {"holdout.task_folds": [["cot_gsm8k", "rte"]]}, origin="test")
    assert study_of("cot", two).measure.names == ("cot_gsm8k",)
    alone = with_settings(three, {"data.include": ["cot_*"], "mixture.parts": {}}, origin="test")
    with pytest.raises(ConfigError, match="nothing but chain-of-thought tasks"):
        study_of("cot", alone)


def test_chains_of_thought_are_measured_by_benchmarks_in_both_ways_too(three: RunFile) -> None:
    study = study_of("cot", three, benchmarks=["bbh", "mmlu"])
    first, last = study.arms[0], study.arms[-1]
    assert first.measure.of == "benchmarks" and first.measure.names == ("bbh_direct", "mmlu_direct")
    assert last.measure.names == tuple(arm_file(three, last).config.evaluation.suites) == ("bbh_cot", "mmlu_cot")
    with pytest.raises(ConfigError, match="not asked in both ways: winogender, mgsm"):
        study_of("cot", three, benchmarks=["winogender", "mgsm"])


def test_elements_of_an_instruction_are_crossed(tmp_path: Path, demo: RunFile) -> None:
    file = instructed(tmp_path)
    chosen = ["definition", "definition_pos2"]
    study = study_of("instruction-elements", file, train=chosen, measure=chosen)
    assert len(study.arms) == 6 and len({training_identity(arm_file(file, arm).config) for arm in study.arms}) == 3
    asked = [tuple(t.name for t in portions(file, arm)[0].templates) for arm in study.arms[:3]]
    assert asked == [("definition",), ("definition_pos2",), ("definition", "definition_pos2")]
    assert study.partner(study.arms[4]).name == study.arms[3].name
    with pytest.raises(ConfigError, match="tasks with a definition"):
        study_of("instruction-elements", demo)


def test_rows_of_a_task_nest_and_every_task_keeps_its_share(three: RunFile) -> None:
    study = study_of("instances-per-task", three, counts=[16, 4, 64])
    found = [portions(three, arm, rows=40) for arm in study.arms]
    assert [{one.capped for one in each} for each in found] == [{4}, {16}, {40}]
    assert shares(found[0]) == pytest.approx(shares(found[2]))
    one = [next(one for one in each if one.task.name == "sst2").used for each in found]
    rows = [{used[at].row for at in range(len(used))} for used in one]
    assert rows[0] < rows[1] < rows[2]
