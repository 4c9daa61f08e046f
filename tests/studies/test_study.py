"""Studies: named ones and those of a user's own file, and the run files of their arms."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.end_to_end.small_world import write_small_world

from flantune.errors import ConfigError
from flantune.mixture.holdout import folds_of
from flantune.runs.identity import training_identity
from flantune.settings.run_file import load_run_file
from flantune.studies.catalog import STUDIES, make_study, named_study
from flantune.studies.folder import StudyFolder
from flantune.studies.planned_runs import plan_runs
from flantune.studies.study import Arm, Measure, Study, arm_file, checked
from flantune.studies.study_file import read_study
from flantune.tasks.load import load_tasks

OWN = """
[study]
question = "Do more steps help?"
axis = "steps"
baseline = "short"
figure = "line"
equal = "nothing: that is the question"
measure = {{ of = "clusters", names = ["sentiment"] }}

[[arms]]
name = "short"
x = 2
settings.training.steps = 2

[[arms]]
name = "long"
x = 4
[arms.settings]
training.steps = 4
"data.tasks" = ["mood.toml"]
{more}"""


@pytest.fixture
def file(tmp_path: Path):
    return load_run_file(write_small_world(tmp_path))


def written(folder: Path, text: str) -> Path:
    path = folder / "own.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_a_study_of_a_users_own_gives_run_files(tmp_path: Path, file) -> None:
    study = read_study(written(tmp_path, OWN.format(more="")))
    assert study.name == "own" and study.measure == Measure(of="clusters", names=("sentiment",))
    assert [(arm.name, arm.x) for arm in study.arms] == [("short", 2), ("long", 4)]
    short, long = (arm_file(file, arm, seed=7) for arm in study.arms)
    assert (short.config.training.steps, short.config.seed) == (2, 7)
    assert long.config.data.tasks == (str(tmp_path / "mood.toml"),)
    assert short.config.data.tasks == file.config.data.tasks
    assert short.origins["training.steps"] == "arm short"
    assert short.origins["model.scratch.layers"] == file.origins["model.scratch.layers"]
    others = set(short.origins) - {"training.steps", "seed"}
    assert {short.origins[key] for key in others} == {file.origins[key] for key in others}


def test_an_arm_without_changes_is_the_run_file(file) -> None:
    assert arm_file(file, Arm(name="as it is")) == file


def test_a_table_of_arms_by_name_will_do_as_well(tmp_path: Path) -> None:
    text = '[study]\nquestion = "?"\naxis = "a"\n[arms.one]\n[arms.two]\nsettings.seed = 4\n'
    study = read_study(written(tmp_path, text))
    assert [(arm.name, dict(arm.settings)) for arm in study.arms] == [("one", {}), ("two", {"seed": 4})]


def test_an_arm_that_names_a_model_takes_it_in_place_of_one_made_from_scratch(tmp_path: Path, file) -> None:
    text = '[study]\nquestion = "?"\naxis = "a"\n[arms.own]\n[arms.other]\nsettings.model.path = "gpt2"\n'
    own, other = (arm_file(file, arm).config.model for arm in read_study(written(tmp_path, text)).arms)
    assert (own.path, other.path, other.scratch) == ("", "gpt2", None) and own.scratch is not None


def test_a_hint_that_is_the_same_for_many_arms_is_said_once(tmp_path: Path, file) -> None:
    arms = tuple(Arm(name=name, settings={"training.stops": 3}) for name in ("one", "two"))
    study = Study(name="s", question="?", axis="a", arms=arms)
    with pytest.raises(ConfigError) as found:
        plan_runs(study, file, folder=StudyFolder(tmp_path / "out"), seeds=(1,))
    text = str(found.value)
    assert text.count("config show") == 1 and "arm one" in text and "arm two" in text


def test_a_protocol_in_an_arm_brings_its_own_settings(file) -> None:
    found = arm_file(file, Arm(name="a", settings={"evaluation.protocol": "flan2022"})).config.evaluation
    assert found.scoring.max_input_tokens == 2_048 and found.max_examples == file.config.evaluation.max_examples


@pytest.mark.parametrize(
    ("more", "parts"),
    [
        ('[[arms]]\nname = "long"\n', ('arms[2].name: "long" and "long"', "figure: a line needs", "long")),
        ('[[arms]]\nname = "x"\nx = 1\nstarts_from = "lang"\n', ("arms[2].starts_from", 'did you mean "long"?')),
        ('[[arms]]\nname = "x"\nx = 1\nstarts_from = "x"\n', ("starts from itself",)),
        ('[[arms]]\nnam = "x"\n', ("arms[2].name: is missing", 'unknown key; did you mean "name"?')),
        ("[data]\n", ("data: unknown key",)),
    ],
)
def test_all_faults_of_a_file_are_said_at_once(tmp_path: Path, more: str, parts: tuple[str, ...]) -> None:
    with pytest.raises(ConfigError) as found:
        read_study(written(tmp_path, OWN.format(more=more)))
    assert all(part in found.value.render() for part in parts), found.value.render()


def test_a_run_file_is_not_a_study(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="run file, not a study"):
        read_study(write_small_world(tmp_path))


def test_a_wrong_setting_of_an_arm_names_the_arm(file) -> None:
    wrong = Arm(name="a", settings={"training.step": 3, "prompts.style": "loud", "evaluation": 3})
    with pytest.raises(ConfigError) as found:
        arm_file(file, wrong)
    text = found.value.render()
    assert text.startswith("arm a: 3 problems") and 'did you mean "steps"?' in text and '"loud"' in text


def test_a_measure_of_one_cluster_needs_its_name() -> None:
    with pytest.raises(ConfigError, match=r"measure\.names: which clusters"):
        checked(
            Study(name="s", question="?", axis="a", arms=(Arm(name="a"),), measure=Measure(of="clusters")), where="s"
        )


@pytest.mark.parametrize("name", STUDIES)
def test_every_named_study_says_what_it_is(name: str) -> None:
    named = named_study(name)
    assert named.name == name and named.help.endswith(".") and named.options.__doc__
    assert all(field.description for field in named.options.model_fields.values())


def test_a_name_that_is_near_is_told() -> None:
    with pytest.raises(ConfigError, match='no study "instruction"') as found:
        named_study("instruction")
    assert "instructions" in found.value.hint


def test_options_are_checked(file) -> None:
    tasks = load_tasks(file.config.data, root=file.root)
    with pytest.raises(ConfigError) as found:
        make_study(named_study("instructions"), file, tasks, options={"trein": ["x"], "measure": ["loud"]})
    text = found.value.render()
    assert "2 problems" in text and 'did you mean "train"?' in text and "its options are: train, measure" in text


def test_leave_one_cluster_out_holds_every_cluster_out_once(file) -> None:
    tasks = load_tasks(file.config.data, root=file.root)
    study = make_study(named_study("leave-one-cluster-out"), file, tasks)
    held = [folds_of(arm_file(file, arm).config.holdout) for arm in study.arms]
    assert [[fold.clusters for fold in folds] for folds in held] == [[(arm.name,)] for arm in study.arms]
    assert {arm.name for arm in study.arms} == {cluster for task in tasks for cluster in task.clusters}
    few = make_study(named_study("leave-one-cluster-out"), file, tasks, options={"clusters": ["topic"]})
    assert [arm.name for arm in few.arms] == ["topic"]


def test_instructions_crosses_both_sides_and_trains_three_models(file) -> None:
    study = make_study(named_study("instructions"), file, ())
    configs = [arm_file(file, arm).config for arm in study.arms]
    assert len({(one.prompts.style, one.evaluation.style) for one in configs}) == len(study.arms) == 9
    assert len({training_identity(one) for one in configs}) == 3
    assert study.arm(study.baseline).settings["prompts.style"] == "instruction"
    assert all(one.prompts.show_options for one in configs)
