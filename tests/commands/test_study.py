"""``flantune study``: runs that are shared, killed, repeated; what comes of them."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest
from click.testing import CliRunner
from tests.conftest import HUNG_AFTER_S
from tests.end_to_end.small_world import write_small_world
from tests.processes import PROCESSES

from flantune.commands import study_runs
from flantune.commands.run import run
from flantune.commands.study import expand_study, run_study
from flantune.errors import ConfigError, WorkerKilledError
from flantune.evaluation.statistics.seeds import over_seeds
from flantune.report.sentences import typeset
from flantune.report.study_page import read_outcome
from flantune.runs.files import read_results
from flantune.runs.folder import RunFolder
from flantune.settings.run_file import load_run_file
from flantune.studies.cluster_changes import MEASURES
from flantune.studies.folder import StudyFolder
from flantune.studies.planned_runs import is_done
from flantune.system.progress import Silent

STUDY = """
[study]
question = "Do more steps help?"
axis = "steps"
baseline = "short"

[[arms]]
name = "short"
settings.training.steps = 1

[[arms]]
name = "short, asked in one way"
settings = { training.steps = 1, evaluation.max_templates = 1 }

[[arms]]
name = "on from short"
starts_from = "short"
settings.training.steps = 1

[[arms]]
name = "as it was"
reads = "base"
"""
SMALLER = ('holdout.folds=[["sentiment"]]', "evaluation.max_examples=6", "evaluation.dev_examples=2",
           "evaluation.shots=[0]", "training.checkpoint_every=1")  # fmt: skip


def expanded(world: Path, out: Path, *, seeds: int = 2):
    return expand_study(
        world / "steps.toml", load_run_file(world / "run.toml", overrides=SMALLER), out=out, seeds=seeds
    )


def work(world: Path, out: Path) -> None:
    run_study(expanded(world, out))


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("world")
    write_small_world(folder, rows=40)
    (folder / "steps.toml").write_text(STUDY, encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def ran(world: Path, tmp_path_factory: pytest.TempPathFactory):
    """The study, killed once its first run is done, and repeated."""
    out = tmp_path_factory.mktemp("study")
    process = PROCESSES.Process(target=work, args=(world, out), daemon=True)
    process.start()
    end = time.monotonic() + HUNG_AFTER_S
    while not is_done(expanded(world, out).runs[0]) and time.monotonic() < end:
        time.sleep(0.02)
    process.kill()
    process.join()
    left = expanded(world, out)
    assert 0 < len(left.missing) < len(left.runs) == 8
    return run_study(left)


def scores(outcome) -> list:
    """All that does not depend on when it was run."""
    return [arm.model_copy(update={"cost": None}) for arm in outcome.arms]


def test_a_killed_study_goes_on_and_ends_with_the_same_scores(world: Path, ran, tmp_path: Path) -> None:
    assert not any(one.error for one in ran.receipts), ran.receipts
    assert ran.outcome.is_complete and ran.outcome.written.changed == ()
    straight = run_study(expanded(world, tmp_path, seeds=1)).outcome
    first = [arm.score.each[0] for arm in ran.outcome.arms]
    assert first == [arm.score.each[0] for arm in straight.arms]
    assert [arm.difference and arm.difference.each[0] for arm in ran.outcome.arms] == [
        arm.difference and arm.difference.each[0] for arm in straight.arms
    ]


def test_what_is_there_is_kept(world: Path, ran) -> None:
    again = run_study(expanded(world, ran.expanded.folder.root))
    assert again.receipts == () and scores(again.outcome) == scores(ran.outcome)
    assert read_outcome(ran.expanded.folder.root) == again.outcome


def test_arms_that_train_alike_share_one_model(ran) -> None:
    first, alike = ran.expanded.runs[0], ran.expanded.runs[2]
    assert (alike.arm.name, alike.tuned_by) == ("short, asked in one way", 0)
    (one,), (two,) = ([*run.folder.folds()] for run in (first, alike))
    weights = [fold.model / "model.safetensors" for fold in (one, two)]
    assert weights[0].samefile(weights[1])
    assert not (one.model / "README.md").samefile(two.model / "README.md")
    assert len(ran.outcome.arm(alike.arm.name).tasks[0].score.each) == 2
    assert ran.outcome.arm(alike.arm.name).tasks[0].templates == 1


def test_an_arm_starts_from_the_model_of_another(ran) -> None:
    run = next(one for one in ran.expanded.runs if one.arm.starts_from)
    start = ran.expanded.runs[run.starts_from].folder
    assert run.file.config.model.path == str(start.fold(("sentiment",)).model.absolute())
    assert run.seed == ran.expanded.runs[run.starts_from].seed


def test_an_arm_that_reads_the_base_model_tunes_nothing(ran) -> None:
    arm = ran.outcome.arm("as it was")
    assert arm.score.value == pytest.approx(arm.base.value) and arm.cost is None
    # It starts from the same weights as the first arm does.
    assert arm.score.each == ran.outcome.arm("short").base.each


def test_an_arm_is_an_ordinary_run(ran, tmp_path: Path) -> None:
    planned = ran.expanded.runs[0]
    alone = load_run_file(planned.folder.settings, overrides=[f"evaluation.store={tmp_path / 'store'}"])
    run(alone, out=tmp_path / "alone")
    other = RunFolder(tmp_path / "alone")
    for place in ("base/samples", "folds/sentiment/tuned/samples"):
        own, theirs = ({path.name: path.read_bytes() for path in (root / place).iterdir()} for root in
                       (planned.folder.root, other.root))  # fmt: skip
        assert own == theirs and own


def test_the_folder_has_everything(ran) -> None:
    folder: StudyFolder = ran.expanded.folder
    lines = folder.table.read_text(encoding="utf-8").splitlines()
    assert len(lines) == 1 + len(ran.outcome.arms) + sum(len(arm.tasks) for arm in ran.outcome.arms)
    assert folder.report.read_text(encoding="utf-8").startswith("<!doctype html>")
    plan = json.loads(folder.plan.read_text(encoding="utf-8"))
    assert plan["seeds"] == [3, 4] and len(plan["arms"]) == 4 and all(plan["data"].values())
    assert folder.plan_sha256.read_text().split() == [ran.outcome.written.sha256, "plan.json"]


def test_what_tuning_changed_in_each_cluster_is_told_in_three_measures(ran) -> None:
    arm = ran.outcome.arm("short")
    found = {(one.measure, one.cluster): one for one in arm.clusters}
    assert list(found) == [(one, name) for one in MEASURES for name in ("", "sentiment")]
    raw = found["raw", "sentiment"]
    assert raw.tuned == pytest.approx(arm.score.value) and raw.base == pytest.approx(arm.base.value)
    assert raw.difference.value == pytest.approx(raw.tuned - raw.base)
    runs = [read_results(one.folder.root) for one in ran.expanded.runs if one.arm.name == "short"]
    both = over_seeds(runs).effects
    for one in arm.clusters:
        level = "cluster" if one.cluster else "overall"
        (effect,) = [each for each in both if (each.level, each.measure) == (level, one.measure)]
        assert (one.difference.value, one.difference.low, one.difference.p) == (effect.value, effect.low, effect.p)
        assert one.difference.q is None  # one cluster alone
    assert ran.outcome.arm("as it was").clusters == ()


def test_of_one_seed_a_change_is_the_run_s_own(world: Path, ran) -> None:
    one = run_study(expanded(world, ran.expanded.folder.root, seeds=1), so_far=True).outcome.arm("short")
    own = read_results(ran.expanded.runs[0].folder.root).clusters[0].of("discrimination").differences["tuned"]
    (found,) = [each for each in one.clusters if (each.measure, each.cluster) == ("discrimination", "sentiment")]
    assert (found.difference.value, found.difference.low, found.difference.p) == (own.value, own.low, own.p)


def test_what_was_run_otherwise_is_told(world: Path, ran) -> None:
    root = ran.expanded.folder.root
    fewer = expanded(world, root, seeds=1)
    assert fewer.missing == ()
    assert run_study(fewer).outcome.written.changed == ("seeds: 3, 4 were planned, 3 were run",)


def test_what_is_there_so_far_is_concluded_from(world: Path, ran) -> None:
    more = expanded(world, ran.expanded.folder.root, seeds=3)
    shown = run_study(more, so_far=True)
    assert shown.receipts == () and len(more.missing) == 4
    assert [(one.seed, one.why) for one in shown.outcome.lacking] == [(5, "not run yet")] * 4
    assert scores(shown.outcome) == scores(ran.outcome)
    assert not any(more.runs[number].folder.root.exists() for number in more.missing)


def test_a_wrong_arm_stops_before_anything_runs(world: Path, tmp_path: Path) -> None:
    file = load_run_file(world / "run.toml", overrides=SMALLER)
    wrong = STUDY + '[[arms]]\nname = "no"\nsettings = { holdout.folds = [["sentimant"]] }\n'
    (tmp_path / "wrong.toml").write_text(wrong, encoding="utf-8")
    with pytest.raises(ConfigError) as found:
        run_study(expand_study(tmp_path / "wrong.toml", file, out=tmp_path / "out"))
    assert "arm no" in str(found.value) and "sentimant" in str(found.value)
    assert not (tmp_path / "out/arms").exists()


def test_a_run_that_fails_stops_no_other_but_those_that_need_it(world: Path, tmp_path: Path) -> None:
    study = expanded(world, tmp_path / "out", seeds=1)
    broken = study.runs[0].folder.root
    broken.mkdir(parents=True)
    (broken / "config.json").write_text("no JSON", encoding="utf-8")
    ran = run_study(study)
    assert [bool(one.error) for one in ran.receipts] == [True, True, True, False]
    assert "not valid JSON" in ran.receipts[0].error
    assert {one.error for one in ran.receipts[1:3]} == {"needs a run of another arm that failed"}
    assert [one.arm for one in ran.outcome.lacking] == ["short", "short, asked in one way", "on from short"]
    assert ran.outcome.verdict.direction == "undecided" and ran.outcome.arm("short").score is None


@pytest.mark.parametrize(
    ("measure", "said"),
    [
        ('{ of = "benchmarks", names = ["mmlu_direct"] }', 'the benchmark "mmlu_direct"'),
        ('{ of = "tasks", names = ["moood"] }', 'did you mean "mood"?'),
        ('{ of = "clusters", names = ["topic"] }', 'the cluster "topic"'),
        ("{ shots = 5 }", "5 exemplars are compared"),
    ],
)
def test_what_will_not_be_measured_is_said_before_anything_runs(
    world: Path, tmp_path: Path, measure: str, said: str
) -> None:
    file = load_run_file(world / "run.toml", overrides=SMALLER)
    study = STUDY.replace('baseline = "short"', f'baseline = "short"\nmeasure = {measure}')
    (tmp_path / "other.toml").write_text(study, encoding="utf-8")
    with pytest.raises(ConfigError) as found:
        run_study(expand_study(tmp_path / "other.toml", file, out=tmp_path / "out"))
    assert said in str(found.value) and "arm as it was" in str(found.value)
    assert not (tmp_path / "out/arms").exists()


def test_a_fault_nobody_foresaw_stops_one_run_and_is_told(
    world: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    study = expanded(world, tmp_path / "out", seeds=1)
    run_for_real, failing = study_runs.run, study.runs[2].folder

    def out_of_memory(file, *, out, reporter):
        if out == failing.root:
            raise RuntimeError("CUDA out of memory.\nTried to allocate 2 GiB")
        return run_for_real(file, out=out, reporter=reporter)

    monkeypatch.setattr(study_runs, "run", out_of_memory)
    ran = run_study(study)
    assert [bool(one.error) for one in ran.receipts] == [False, False, True, False]
    told = ran.receipts[2].error
    assert told.startswith("RuntimeError: CUDA out of memory.\n") and "--jobs" in told and str(failing.failure) in told
    assert "Tried to allocate" in failing.failure.read_text() and ran.outcome.lacking[0].arm == "on from short"
    monkeypatch.undo()
    again = run_study(expanded(world, tmp_path / "out", seeds=1))
    assert again.outcome.is_complete and len(again.receipts) == 1 and not failing.failure.exists()


def test_a_run_that_kills_its_process_ends_no_other() -> None:
    class Killed:
        """Never gets anything done while run 1 is among what it makes."""

        def make(self, work, job, numbers):
            if 1 in numbers:
                raise WorkerKilledError("killed 3 times in a row")
            yield from (study_runs.RunReceipt(number) for number in numbers)

    found = list(study_runs._made(Killed(), study_runs._Work((), Silent()), [0, 1, 2]))
    assert [(one.number, one.error) for one in found] == [(0, ""), (1, "killed 3 times in a row"), (2, "")]


def test_the_command_line(world: Path, ran) -> None:
    from flantune.cli.study import command

    out = ran.expanded.folder.root
    args = [str(world / "steps.toml"), str(world / "run.toml"), "--out", str(out), "--seeds", "2"]
    args += [part for one in SMALLER for part in ("--set", one)]
    shown = CliRunner().invoke(command, args)
    assert shown.exit_code == 0 and typeset(ran.outcome.verdict.text) in shown.stdout, shown.output
    as_json = CliRunner().invoke(command, [*args, "--json"])
    assert json.loads(as_json.stdout)["arms"][0]["name"] == "short"
    dry = CliRunner().invoke(command, [*args, "--dry-run", "--on", "h100"])
    assert "2 runs: 2 there, 0 to do" in dry.stdout and "Do more steps help?" in dry.stdout, dry.output
    listed = CliRunner().invoke(command, ["--list"])
    assert "leave-one-cluster-out: " in listed.stdout and "--option clusters=[]" in listed.stdout
