"""Nothing held out: one model learns from everything, and is measured on test rows of what it learned from."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tests.end_to_end.small_world import write_small_world

from flantune.commands.run import run
from flantune.evaluation.estimates import PairedDifference
from flantune.evaluation.verdict import trained_verdict
from flantune.report.console import console_tables
from flantune.settings.run_file import load_run_file

PLAIN = ["holdout.folds=[]", "evaluation.shots=[0]"]


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory):
    folder = tmp_path_factory.mktemp("plain")
    return run(load_run_file(write_small_world(folder, steps=3), overrides=PLAIN), out=folder / "out")


def test_one_model_is_tuned_on_every_task(done):
    (fold,) = (done.folder / "folds").iterdir()
    mixture = json.loads((fold / "mixture.json").read_text())
    assert fold.name == "nothing-held-out"
    assert (sorted(mixture["train"]), mixture["unseen"]) == (["animal", "echo", "mood", "tone"], [])


def test_it_is_measured_on_new_rows_of_them_before_and_after(done):
    assert {one.name for one in done.results.tasks} == {"animal", "echo", "mood", "tone"}
    assert all(one.is_seen and set(one.scores) == {"base", "tuned"} for one in done.results.tasks)
    verdict = done.results.verdict
    assert verdict.text.startswith("On new rows of the 4 tasks that it was trained on: ")
    assert verdict.text.endswith("nothing can be said about tasks never trained on.")


def test_page_card_and_terminal_show_them(done):
    page = (done.folder / "report.html").read_text()
    assert "The model was trained on other rows of every task here." in page
    assert "Tasks trained on, new rows of them" in page and "never trained on." in page
    above = page.partition('id="mixture"')[0].lower()
    assert "unseen task" not in above and "nothing to show" not in above
    card = (done.folder / "folds/nothing-held-out/model/README.md").read_text()
    assert "## Results on tasks trained on" in card and "| task | mood |" in card
    titles = [str(table.title) for table in console_tables(done.results)]
    assert titles[0] == "Tasks that were trained on"


def test_repeated_it_has_nothing_left_to_do(done, tmp_path: Path):
    file = load_run_file(done.folder.parent / "run.toml", overrides=PLAIN)
    assert run(file, out=done.folder).results == done.results


def difference(value: float, *, half: float, q: float | None) -> PairedDifference:
    return PairedDifference(
        value=value, low=value - half, high=value + half, se=half / 2, p=0.03, detectable=0.1, bootstrap=None,
        mcnemar_p=None, q=q, examples=50, rows_sha256="0" * 64, skill=None, clean=None,
    )  # fmt: skip


def test_the_verdict_counts_what_moved_by_the_rate_of_false_discovery():
    found = {
        "a": difference(0.2, half=0.1, q=0.01),
        "b": difference(0.2, half=0.1, q=0.2),
        "c": difference(0.0, half=0.1, q=0.9),
    }
    verdict = trained_verdict(found, confidence=0.95, shots=0)
    assert "trained on: clearly better: a (+20.0); not clear: 2 other tasks. No task" in verdict.text
    assert verdict.direction == "better"
    found["d"] = difference(-0.3, half=0.1, q=0.01)
    both = trained_verdict(found, confidence=0.95, shots=0)
    assert "better: a (+20.0); clearly worse: d (-30.0);" in both.text and both.direction == "undecided"
    assert "none clearly changed" in trained_verdict({"b": found["b"], "c": found["c"]}, confidence=0.95, shots=0).text
    (one,) = [trained_verdict({"a": found["a"]}, confidence=0.95, shots=2)]
    assert one.text.startswith(
        "On new rows of a, which it was trained on with 2 exemplars, tuning changed the score by"
    )
    assert "(95% interval +10.0 to +30.0): better." in one.text
