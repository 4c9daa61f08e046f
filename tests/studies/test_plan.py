"""What is written down before a study's first run, and what of it is found to have changed."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from tests.end_to_end.small_world import write_small_world

from flantune.errors import ConfigError
from flantune.settings.run_file import load_run_file
from flantune.studies.folder import StudyFolder
from flantune.studies.plan import Plan, make_plan, write_down
from flantune.studies.planned_runs import is_done, plan_runs, waves
from flantune.studies.study import Arm, Measure, Study
from flantune.system.files import file_sha256

ARMS = (
    Arm(name="a", settings={"training.steps": 2}),
    Arm(name="b", settings={"training.steps": 3}),
    Arm(name="c", settings={"training.steps": 2, "evaluation.max_examples": 4}),
    Arm(name="d", starts_from="c", settings={"holdout.folds": [["topic"]]}),
    Arm(name="e", reads="base", settings={"evaluation.max_examples": 4}),
)
STUDY = Study(name="s", question="?", axis="x", arms=ARMS, baseline="a")


@pytest.fixture
def file(tmp_path: Path):
    return load_run_file(write_small_world(tmp_path), overrides=['holdout.folds=[["sentiment"]]'])


def planned(file, study: Study = STUDY, seeds=(3, 4), data=None, folder=Path("out")) -> Plan:
    runs = plan_runs(study, file, folder=StudyFolder(folder), seeds=seeds)
    return make_plan(study, file, runs, seeds=seeds, data=data or {arm.name: "rows" for arm in study.arms})


@pytest.fixture
def begun(file, tmp_path: Path) -> StudyFolder:
    """A study of which something was run."""
    folder = StudyFolder(tmp_path / "study")
    write_down(folder, planned(file))
    folder.run(ARMS[0], 3).root.mkdir(parents=True)
    return folder


def test_runs_know_what_they_need(file, tmp_path: Path) -> None:
    runs = plan_runs(STUDY, file, folder=StudyFolder(tmp_path), seeds=(3, 4))
    assert [(run.arm.name, run.seed) for run in runs[:3]] == [("a", 3), ("a", 4), ("b", 3)]
    assert [run.after for run in runs] == [(), (), (), (), (0,), (1,), (4,), (5,), (), ()]
    assert runs[0].file.config.evaluation.store == tmp_path / "store"
    assert runs[6].file.config.model.path == str(tmp_path / "arms/c/seed-3/folds/sentiment/model")
    assert runs[6].file.config.model.scratch is None
    assert runs[8].file.config.training.steps == 0  # nobody looks at what would be tuned
    assert list(waves(runs, range(10))) == [(0, 2, 8, 1, 3, 9), (4, 5), (6, 7)]  # one seed of all arms first
    assert list(waves(runs, [5, 7])) == [(5,), (7,)]
    assert not is_done(runs[0])


def test_what_an_arm_may_not_set_is_said(file) -> None:
    wrong = replace(STUDY, arms=(Arm(name="a", settings={"seed": 3, "data.cache": "x"}), Arm(name="b")))
    with pytest.raises(ConfigError) as found:
        plan_runs(wrong, file, folder=StudyFolder(Path("out")), seeds=(3,))
    assert "sets seed" in str(found.value) and "sets data.cache" in str(found.value)


def test_an_arm_with_several_models_is_no_start(file) -> None:
    several = Arm(name="c", settings={"holdout.folds": [["sentiment"], ["topic"]]})
    with pytest.raises(ConfigError, match='"c" has 2 folds'):
        plan_runs(replace(STUDY, arms=(ARMS[0], several, ARMS[3])), file, folder=StudyFolder(Path("o")), seeds=(3,))


def test_faults_of_all_arms_come_at_once(file) -> None:
    wrong = tuple(Arm(name=name, settings={"training.step": 3}) for name in ("a", "b"))
    with pytest.raises(ConfigError) as found:
        plan_runs(replace(STUDY, arms=wrong), file, folder=StudyFolder(Path("out")), seeds=(3, 4))
    assert str(found.value).count('did you mean "steps"?') == 2


def test_as_it_was_written_down(file, begun: StudyFolder) -> None:
    assert write_down(begun, planned(file)).changed == ()


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"study": replace(STUDY, arms=ARMS[:-1])}, "arms that were left out: e"),
        ({"study": replace(STUDY, arms=(*ARMS, Arm(name="f")))}, "arms that were added: f"),
        ({"seeds": (3,)}, "seeds: 3, 4 were planned, 3 were run"),
        ({"study": replace(STUDY, baseline="b")}, 'comparison: baseline was "a", is "b"'),
        ({"study": replace(STUDY, measure=Measure(shots=1))}, "comparison: shots was null, is 1"),
        (
            {"study": replace(STUDY, arms=(replace(ARMS[0], settings={"training.steps": 4}), *ARMS[1:]))},
            'arm "a": training.steps was 2, is 4',
        ),
        ({"data": {**{arm.name: "rows" for arm in ARMS}, "b": "others"}}, 'arm "b": its tasks or rows differ'),
    ],
)
def test_what_was_changed_after_is_named(file, begun: StudyFolder, change: dict, told: str) -> None:
    written = write_down(begun, planned(file, **change))
    assert written.changed == (told,)
    assert written.sha256 == begun.plan_sha256.read_text().split()[0]


def test_an_arm_that_says_what_the_run_file_says_is_the_same(file, begun: StudyFolder) -> None:
    said = replace(ARMS[0], settings={**ARMS[0].settings, "training.learning_rate": 0.001})
    assert write_down(begun, planned(file, replace(STUDY, arms=(said, *ARMS[1:])))).changed == ()


def test_a_setting_that_a_later_version_brought_is_no_change(file, begun: StudyFolder) -> None:
    plan = json.loads(begun.plan.read_text(encoding="utf-8"))
    del plan["run_file"]["training"]["z_loss"]
    begun.plan.write_text(json.dumps(plan), encoding="utf-8")
    begun.plan_sha256.write_text(f"{file_sha256(begun.plan)}  plan.json\n", encoding="utf-8")
    assert write_down(begun, planned(file)).changed == ()


def test_a_changed_run_file_is_named(file, begun: StudyFolder, tmp_path: Path) -> None:
    other = load_run_file(
        tmp_path / "run.toml", overrides=['holdout.folds=[["sentiment"]]', "training.learning_rate=1"]
    )
    assert write_down(begun, planned(other)).changed == ("the run file: training.learning_rate was 0.001, is 1.0",)


def test_an_edited_plan_is_found_out(file, begun: StudyFolder) -> None:
    begun.plan.write_text(begun.plan.read_text().replace('"question": "?"', '"question": "!"'))
    (change,) = write_down(begun, planned(file)).changed
    assert "plan.json was edited" in change


def test_before_the_first_run_a_plan_may_be_written_again(file, tmp_path: Path) -> None:
    folder = StudyFolder(tmp_path / "study")
    first = write_down(folder, planned(file))
    second = write_down(folder, planned(file, seeds=(3,)))
    assert second.changed == () and second.sha256 != first.sha256


def test_another_study_has_another_folder(file, begun: StudyFolder) -> None:
    with pytest.raises(ConfigError, match='holds the study "s"'):
        write_down(begun, planned(file, replace(STUDY, name="t")))
