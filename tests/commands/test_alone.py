"""One model a task: tuned on that task alone, on so many labeled rows, and measured on its test rows."""

from __future__ import annotations

import json

import pytest
from tests.end_to_end.small_world import write_small_world

from flantune.commands.plan import prepare_tasks
from flantune.commands.run import run
from flantune.errors import ConfigError
from flantune.evaluation.samples import read_samples
from flantune.mixture.portions import capped_examples
from flantune.report.console import console_tables
from flantune.settings.run_file import load_run_file

TUNED_ROWS, POOL = 10, 3
CHANGES = [
    "holdout.folds=[]",
    'holdout.alone=["mood", "animal"]',
    f"mixture.max_examples={TUNED_ROWS}",
    f"evaluation.exemplar_pool={POOL}",
    "evaluation.shots=[2]",
    "evaluation.dev_examples=2",
]


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    folder = tmp_path_factory.mktemp("alone")
    file = load_run_file(write_small_world(folder, steps=4), overrides=CHANGES)
    return file, run(file, out=folder / "out")


def test_each_model_is_tuned_on_its_task_alone(alone):
    _, done = alone
    for name in ("mood", "animal"):
        mixture = json.loads((done.folder / f"folds/all-but-{name}/mixture.json").read_text())
        assert (mixture["train"], mixture["unseen"], mixture["clusters"]) == ([name], [], [])
        assert {one["reason"] for one in mixture["excluded"]} == {f'"{name}" is trained on alone'}
        (cluster,) = mixture["tree"]["clusters"]
        assert cluster["tasks"][0]["capped"] == TUNED_ROWS


def test_tasks_are_measured_as_seen_and_make_no_verdict(alone):
    _, done = alone
    found = done.results
    assert [(one.name, one.fold) for one in found.tasks] == [("mood", "all-but-mood"), ("animal", "all-but-animal")]
    assert all(one.is_seen for one in found.tasks)
    assert (found.overall, found.clusters, found.verdict.tasks) == ((), (), 0)


def test_the_terminal_shows_them(alone):
    (table,) = console_tables(alone[1].results)
    assert table.title.plain == "Tasks that were trained on"
    assert table.columns[0].header == "task"
    assert sorted(str(cell) for cell in table.columns[0].cells) == ["animal", "mood"]


def test_exemplars_come_from_the_pool_which_is_tuned_on_too(alone, tmp_path):
    file, done = alone
    prepared, _ = prepare_tasks(file.config, root=file.root, cache=tmp_path)
    (mood,) = (one for one in prepared if one.task.name == "mood")

    def labeled(most: int) -> set[int]:
        rows = capped_examples(mood.stores["train"], task="mood", seed=file.config.seed, most=most)
        return {rows[number].row for number in range(len(rows))}

    shown = {row for one in read_samples(done.folder / "base/samples/mood.parquet") for row in one.exemplar_rows}
    assert len(labeled(POOL)) == POOL
    assert shown == labeled(POOL)
    assert shown < labeled(TUNED_ROWS)
    assert len(labeled(0)) == len(mood.stores["train"])


@pytest.mark.parametrize(
    ("names", "message"), [('["mod"]', 'no task "mod"; did you mean "mood"'), ('["mood", "mood"]', "each once")]
)
def test_names_are_checked(alone, tmp_path, names, message):
    file, _ = alone
    with pytest.raises(ConfigError, match=message) as caught:
        run(load_run_file(file.root / "run.toml", overrides=[*CHANGES, f"holdout.alone={names}"]), out=tmp_path)
    assert "holdout.alone" in caught.value.render()
