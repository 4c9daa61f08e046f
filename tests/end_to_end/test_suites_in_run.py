"""A run that measures benchmarks as well: base and tuned model of every fold, nothing of them trained on."""

from __future__ import annotations

import json

import pytest

from flantune.commands.check import check_run_file
from flantune.commands.rescore import rescore_run
from flantune.commands.run import run
from flantune.errors import LeakError
from flantune.evaluation.samples import read_samples
from flantune.settings.run_file import load_run_file
from flantune.suites.suite import MissingSuiteDataError
from tests.suites.harms_world import write_harms

from .small_world import write_small_world


def overrides(root, *more: str) -> list[str]:
    return ['evaluation.suites=["winobias"]', f'evaluation.suite_data="{root.as_posix()}"', *more]


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    folder = tmp_path_factory.mktemp("suites")
    data = write_harms(folder / "harms")
    file = load_run_file(write_small_world(folder), overrides=overrides(data))
    return folder, data, run(file, out=folder / "out")


def test_every_fold_has_the_benchmark_of_base_and_tuned(finished):
    folder, _, done = finished
    folds = [path.name for path in sorted((folder / "out/folds").iterdir())]
    assert sorted(one.fold for one in done.results.benchmarks) == folds and len(folds) == 2
    for one in done.results.benchmarks:
        assert one.name == "winobias_direct" and list(one.scores) == ["base", "tuned"]
        (gap,) = one.gaps
        assert list(gap.scores) == ["base", "tuned"] and gap.pairs == 8 and one.differences["tuned"].q is not None
    protocols = {protocol["name"] for protocol in done.results.protocols.values()}
    assert protocols == {"flan2021", "t0"}
    (path,) = (folder / "out/base/samples").glob("winobias_direct*type1.parquet")
    assert len(list(read_samples(path))) == 8 * 3


def test_verdict_and_clusters_are_those_of_tasks_alone(finished):
    _, _, done = finished
    assert done.results.verdict.tasks == 3 and {task.name for task in done.results.tasks} == {"mood", "tone", "animal"}


def test_the_page_has_them(finished):
    folder, _, done = finished
    page = (folder / "out/report.html").read_text()
    assert 'id="table-gaps"' in page and f"winobias_direct ({done.results.benchmarks[0].fold})" in page


def test_scoring_again_gives_the_same_bytes(finished):
    folder, _, _ = finished
    before = (folder / "out/results.json").read_bytes()
    rescore_run(folder / "out")
    assert (folder / "out/results.json").read_bytes() == before


def test_what_would_be_taught_is_found_before_anything_is_loaded(finished, tmp_path):
    _, data, _ = finished
    write_small_world(tmp_path)
    task = tmp_path / "echo_task.toml"
    task.write_text(task.read_text().replace('family = "echo"', 'family = "dpr"'))
    with pytest.raises(LeakError, match="were written after them") as error:
        run(load_run_file(tmp_path / "run.toml", overrides=overrides(data)), out=tmp_path / "out")
    assert 'benchmarks = ["winobias"]' in error.value.hint and "evaluation.seen_tasks" in error.value.hint
    assert not (tmp_path / "out/base/model").exists()
    kept = overrides(data, 'holdout.benchmarks=["winobias"]')
    done = run(load_run_file(tmp_path / "run.toml", overrides=kept), out=tmp_path / "held out")
    assert not any(one.is_seen for one in done.results.benchmarks)


def test_without_its_data_a_run_does_not_begin(finished, tmp_path):
    folder, _, _ = finished
    with pytest.raises(MissingSuiteDataError) as error:
        run(load_run_file(folder / "run.toml", overrides=overrides(tmp_path)), out=tmp_path / "out")
    assert "evaluation.suite_data" in error.value.hint
    found = json.loads((folder / "out/results.json").read_text())
    assert found["missing"] == []


def test_the_check_before_a_run_finds_a_leak_and_missing_data(finished, tmp_path):
    _, data, _ = finished
    write_small_world(tmp_path)
    task = tmp_path / "echo_task.toml"
    task.write_text(task.read_text().replace('family = "echo"', 'family = "winomt"'))
    for root, told in ((data, "were written after them"), (tmp_path, "winobias/{pro,anti}_stereotyped_type1")):
        file = load_run_file(tmp_path / "run.toml", overrides=overrides(root))
        found = check_run_file(file, cache=tmp_path / "cache", contamination=False).found
        assert any(one.severity == "error" and told in one.text for one in found)
