"""Studies of ways to use a model on one task: their arms, their rows, and that nothing leaks."""

from __future__ import annotations

from pathlib import Path

import pytest
from safetensors.numpy import load_file
from tests.end_to_end.small_world import write_small_world
from tests.studies.pretrained_world import write_pretrained_world

from flantune.commands.run import run
from flantune.commands.study import expand_study, run_study
from flantune.contamination.record_files import read_record
from flantune.errors import ConfigError
from flantune.mixture.holdout import folds_of, hold_out_fold
from flantune.mixture.taxonomy import load_taxonomy
from flantune.models.stored.places import read_adapter_config
from flantune.runs.folder import RunFolder
from flantune.runs.identity import training_identity
from flantune.settings.run_file import load_run_file
from flantune.studies import one_task
from flantune.studies.catalog import make_study, named_study
from flantune.studies.one_task import counted_rows
from flantune.studies.study import Measure, arm_file
from flantune.tasks.load import load_tasks

NAMES = ("paradigms", "warm-start", "prompt-tuning")
RULES = load_taxonomy(None)


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    return write_pretrained_world(tmp_path_factory.mktemp("world"))


def made(run_file, name, *overrides, **options):
    file = load_run_file(run_file, overrides=overrides)
    study = make_study(named_study(name), file, load_tasks(file.config.data, root=file.root), options=options)
    return file, study


def by_name(study):
    return {arm.name: arm for arm in study.arms}


def test_paradigms_has_every_way_to_use_the_model(world):
    _, study = made(world, "paradigms")
    assert [(arm.series, arm.name, arm.reads, arm.labeled_rows) for arm in study.arms] == [
        ("prompting", "prompting, zero-shot", "base", 0),
        ("prompting", "prompting, best template", "base", 200),
        ("prompting", "prompting, few-shot (4)", "base", 4),
        ("prompting", "prompt tuning, 32 rows", "tuned", 32),
        ("prompting", "prompt tuning, all rows", "tuned", None),
        ("instruction tuning", "instruction tuning", "tuned", 0),
        ("instruction tuning", "instruction tuning, few-shot (4)", "tuned", 4),
        ("pretrain–finetune", "finetuning, 32 rows", "tuned", 32),
        ("pretrain–finetune", "finetuning, all rows", "tuned", None),
    ]
    assert study.baseline == "instruction tuning"
    assert study.measure == Measure(of="tasks", names=("mood", "tone"))
    assert [arm.name for arm in study.arms if arm.templates == "best-dev"] == ["prompting, best template"]


def test_prompting_and_instruction_tuning_share_one_tuned_model(world):
    file, study = made(world, "paradigms")
    identities = {arm.name: training_identity(arm_file(file, arm, seed=5).config) for arm in study.arms}
    shared = [name for name in identities if identities[name] == identities["instruction tuning"]]
    assert [by_name(study)[name].series for name in shared] == ["prompting"] * 3 + ["instruction tuning"] * 2
    assert len(set(identities.values())) == 5


def test_few_rows_are_the_same_rows_for_exemplars_and_for_tuning(world):
    file, study = made(world, "paradigms", shots=2, rows=[2])
    few, tuned = (
        arm_file(file, by_name(study)[name]).config for name in ("prompting, few-shot (2)", "finetuning, 2 rows")
    )
    assert (few.evaluation.exemplar_pool, few.evaluation.shots) == (2, (2,))
    assert (tuned.mixture.max_examples, tuned.mixture.cap) == (2, "rows")


@pytest.mark.parametrize("name", NAMES)
def test_the_tuned_model_never_sees_the_tasks_and_the_others_see_one_alone(world, name):
    file, study = made(world, name)
    for arm in study.arms:
        config = arm_file(file, arm).config
        tasks = load_tasks(config.data, root=file.root)
        sides = [hold_out_fold(tasks, fold, taxonomy=RULES) for fold in folds_of(config.holdout)]
        trained = [tuple(task.name for task in one.train) for one in sides]
        if config.holdout.alone:
            assert trained == [("mood",), ("tone",)]
            assert config.packing == file.config.packing
        else:
            assert trained == [("animal", "echo")]


@pytest.mark.parametrize("name", NAMES)
def test_dev_rows_are_used_by_nobody_but_who_counts_them(world, name):
    file, study = made(world, name, 'training.keep="best-dev"', "training.measure_every=2")
    for arm in study.arms:
        config = arm_file(file, arm).config
        assert config.evaluation.dev_examples == (200 if arm.templates == "best-dev" else 0)
        assert config.training.keep == ("last" if config.holdout.alone else "best-dev")


def test_warm_start_goes_from_both_models_through_the_same_steps(world):
    file, study = made(world, "warm-start", steps=[8, 2], rows=16)
    first = "tuned on instructions, no step"
    assert [(arm.series, arm.x, arm.starts_from) for arm in study.arms] == [
        ("base model", 0, ""),
        ("tuned model", 0, ""),
        ("base model", 2, ""),
        ("base model", 8, ""),
        ("tuned model", 2, first),
        ("tuned model", 8, first),
    ]
    configs = [arm_file(file, arm).config for arm in study.arms[2:]]
    assert [one.training.steps for one in configs] == [2, 8, 2, 8]
    assert {one.mixture.max_examples for one in configs} == {16}
    assert study.baseline == "from the base model, 8 steps"
    assert study.figure == "line"
    assert [arm.x for arm in made(world, "warm-start", "training.steps=16")[1].arms[2:6]] == [2, 4, 8, 16]


def test_prompt_tuning_crosses_model_and_rows(world):
    file, study = made(world, "prompt-tuning", "model.prompt.tokens=7")
    assert [(arm.series, arm.label, arm.starts_from) for arm in study.arms] == [
        ("no row", "base model", ""),
        ("no row", "tuned model", ""),
        ("32 rows", "base model", ""),
        ("32 rows", "tuned model", "tuned model, no row"),
        ("all rows", "base model", ""),
        ("all rows", "tuned model", "tuned model, no row"),
    ]
    assert [study.partner(arm).name for arm in study.arms[1::2]] == [arm.name for arm in study.arms[::2]]
    for arm in study.arms[2:]:
        config = arm_file(file, arm).config
        assert (config.model.adapter, config.model.prompt.tokens) == ("prompt", 7)


@pytest.mark.parametrize("name", NAMES)
def test_low_rank_adapters_are_merged_so_that_others_start_from_the_model(world, name):
    file, study = made(world, name, 'model.adapter="lora"')
    starting = {arm.starts_from for arm in study.arms if arm.starts_from} or {study.baseline}
    assert all(arm_file(file, by_name(study)[one]).config.model.merge_adapter for one in starting)


def test_tasks_can_be_named_and_the_fold_chosen(world):
    assert made(world, "paradigms", tasks=["tone"])[1].measure.names == ("tone",)
    file, study = made(world, "paradigms", fold=1)
    assert study.measure.names == ("animal",)
    assert arm_file(file, by_name(study)["instruction tuning"]).config.holdout.folds == (("topic",),)
    single = made(world, "paradigms", "holdout.folds=[]", 'holdout.task_folds=[["mood"]]')[1]
    assert single.measure.names == ("mood",)


@pytest.mark.parametrize(
    ("overrides", "options", "message"),
    [
        (["holdout.folds=[]"], {}, "nothing is held out"),
        ([], {"fold": 2}, "there is no fold 2"),
        ([], {"tasks": ["animal"]}, '"animal" is trained on when sentiment is held out'),
        ([], {"tasks": ["moot", "tone"]}, 'no unseen task "moot"; did you mean "mood"'),
        (['model.adapter="prompt"'], {}, "cannot be tuned by its prompt alone"),
        ([], {"rows": [3, 3]}, "each once"),
        ([], {"stpes": 3}, 'did you mean "steps"'),
    ],
)
@pytest.mark.parametrize("name", NAMES)
def test_what_cannot_be_compared_is_said(world, name, overrides, options, message):
    if name == "warm-start" and "rows" in options:
        return
    with pytest.raises(ConfigError, match=message) as caught:
        made(world, name, *overrides, **options)
    assert caught.value.hint


@pytest.mark.parametrize("name", NAMES)
def test_a_model_made_from_nothing_is_refused(tmp_path, name):
    with pytest.raises(ConfigError, match="nothing to be prompted for"):
        made(write_small_world(tmp_path, rows=2), name)


def test_without_peft_prompt_tuning_is_refused_and_can_be_left_out(world, monkeypatch):
    monkeypatch.setattr(one_task, "find_spec", lambda _: None)
    for name in ("paradigms", "prompt-tuning"):
        with pytest.raises(ConfigError, match="needs peft"):
            made(world, name)
    assert len(made(world, "paradigms", prompt_tuning=False)[1].arms) == 7


@pytest.mark.parametrize(
    ("role", "said"), [("train", "left out, having no rows to be tuned on: tone"), ("dev", "without dev rows")]
)
def test_tasks_without_rows_to_tune_on_or_to_pick_a_template_by_are_named(world, tmp_path, role, said):
    text = (world.parent / "tone_task.toml").read_text().replace(f'{role} = "{role}"\n', "")
    file = load_run_file(world)
    (tmp_path / "tone_task.toml").write_text(text)
    own = load_run_file(world, overrides=[f'data.tasks=["{tmp_path}/tone_task.toml"]'])
    tasks = [one for one in load_tasks(file.config.data, root=file.root) if one.name != "tone"]
    study = make_study(named_study("paradigms"), file, [*tasks, *load_tasks(own.config.data, root=own.root)])
    assert study.notes[0].startswith(said) and study.notes[0].endswith(": tone")
    assert role == "dev" or study.measure.names == ("mood",)


def test_rows_tuned_on_are_counted_where_a_task_has_fewer_too(world, tmp_path):
    file, study = made(world, "paradigms", "evaluation.max_examples=2", "training.steps=1", rows=[8, 0], tasks=["mood"])
    for name, rows in (("finetuning, 8 rows", 8), ("finetuning, all rows", 40)):
        run(arm_file(file, by_name(study)[name]), out=tmp_path / name)
        assert counted_rows(by_name(study)[name], RunFolder(tmp_path / name), ["mood"]) == rows
    best = by_name(study)["prompting, best template"]
    assert counted_rows(best, RunFolder(tmp_path / name), ["mood"]) == 40, "dev rows that there are, not those allowed"


@pytest.fixture(scope="module")
def ran(tmp_path_factory):
    """``prompt-tuning`` of one task, run to the end."""
    folder = tmp_path_factory.mktemp("ran")
    small = ["evaluation.max_examples=4", "evaluation.max_templates=1", "training.steps=2", "model.prompt.tokens=3"]
    file = load_run_file(write_pretrained_world(folder), overrides=small)
    options = {"rows": [8], "tasks": ["mood"]}
    return run_study(expand_study("prompt-tuning", file, out=folder / "study", options=options))


def test_an_arm_starts_from_the_tuned_model_of_another(ran):
    assert not [one.error for one in ran.receipts if one.error]
    runs = {one.arm.name: one for one in ran.expanded.runs}
    models = {name: next(one.folder.folds()).model for name, one in runs.items()}
    start = models["tuned model, no row"]
    for label, base in (("base model", ran.expanded.file.root / "base"), ("tuned model", start)):
        prompt = models[f"prompt of the {label}, 8 rows"]
        assert Path(read_adapter_config(prompt)["base_model_name_or_path"]) == base
        assert load_file(prompt / "adapter_model.safetensors")["prompt_embeddings"].shape == (3, 32)
    record = read_record(models["prompt of the tuned model, 8 rows"])
    assert [task.name for task in record.tasks] == ["mood", "animal", "echo"], "what its start was taught counts, too"


def test_the_outcome_has_pairs_on_the_same_rows_and_counts_them(ran):
    outcome = ran.outcome
    assert [(arm.name, arm.labeled_rows) for arm in outcome.arms] == [
        ("base model, no row", 0),
        ("tuned model, no row", 0),
        ("prompt of the base model, 8 rows", 8),
        ("prompt of the tuned model, 8 rows", 8),
    ]
    assert [arm.difference is not None for arm in outcome.arms] == [False, True, False, True]
    assert [arm.compared for arm in outcome.arms[1::2]] == [1, 1]
    assert {task.name for arm in outcome.arms for task in arm.tasks} == {"mood"}
