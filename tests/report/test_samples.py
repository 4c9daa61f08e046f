from __future__ import annotations

import json
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flantune.errors import SourceError
from flantune.evaluation.samples import read_samples, write_samples
from flantune.report.samples import MOST_ROWS, MOST_TEMPLATES, asked_in_run, collect_samples, probabilities, script_json
from flantune.runs.files import read_metrics, read_run
from flantune.settings.json_file import plain
from flantune.training.state import Window
from flantune.types import Sample


def browser_of(folder, **limits):
    return collect_samples(asked_in_run(read_run(folder)), root=folder.resolve(), **limits)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@settings(max_examples=50, deadline=None)
@given(json_values)
def test_script_json_is_json_and_cannot_leave_its_element(value):
    written = script_json(value)
    assert not set("<>&\u2028\u2029") & set(written)
    assert json.loads(written) == json.loads(json.dumps(value))


def test_every_task_has_its_share_of_the_page(run_folder):
    browser = browser_of(run_folder)
    assert len(browser.groups) == 6
    assert browser.total == 6 * 12 * 2 * 9
    assert browser.shown == sum(len(group["rows"]) for group in browser.groups) == 6 * 12 * 2 * MOST_TEMPLATES
    for group in browser.groups:
        assert sum(group["totals"].values()) == group["total"] == 12 * 2 * 9


def test_shows_the_best_and_the_worst_template(run_folder):
    results = json.loads((run_folder / "results.json").read_text())
    for group in browser_of(run_folder).groups:
        scored = next(t for t in results["tasks"] if t["name"] == group["task"])["scores"]["tuned"]["templates"]
        ranked = sorted(scored, key=lambda t: t["value"])
        assert {row["t"] for row in group["rows"]} == {ranked[0]["template"], ranked[-1]["template"]}


def test_takes_the_four_outcomes_in_turn(make_run):
    for group in browser_of(make_run(rows=150, shots=(0,))).groups:
        for template in {row["t"] for row in group["rows"]}:
            ours = [row["c"] for row in group["rows"] if row["t"] == template]
            assert len(ours) <= MOST_ROWS
            assert min(ours.count(name) for name in ("fixed", "broken", "right", "wrong")) >= MOST_ROWS // 4 - 1


def test_budget_is_kept_and_shared(run_folder):
    small = browser_of(run_folder, budget=40_000)
    assert len(small.script().encode()) < 48_000
    assert all(group["rows"] for group in small.groups)


def test_long_prompts_lose_their_middle_and_say_so(make_run):
    folder = make_run(rows=1, shots=(0,))
    for path in folder.rglob("verse_entailment.parquet"):
        samples = list(read_samples(path))
        write_samples(path, [replace(sample, inputs="begin" + "x" * 9_000 + "end") for sample in samples])
    group = next(g for g in browser_of(folder).groups if g["task"] == "verse_entailment")
    assert group["rows"][0]["x"].startswith("begin")
    assert group["rows"][0]["x"].endswith("end")
    assert "[… 3,008 characters left out here …]" in group["rows"][0]["x"]


def test_outcomes_follow_the_run_s_normalization(make_run):
    folder = make_run(rows=1, shots=(0,))
    sample = Sample(
        task="everyday_causes", split="test", row=0, template="a", shots=0, inputs="?",
        options=("no", "certainly not"), answer=1, scores=(-2.0, -3.0), lengths=(1, 2),
    )  # fmt: skip
    for path in folder.rglob("everyday_causes.parquet"):
        write_samples(path, [sample])
    for normalization, outcome in (("sum", "wrong"), ("token", "right")):
        results = json.loads((folder / "results.json").read_text())
        for protocol in results["protocols"].values():
            protocol["normalization"] = normalization
        for task in results["tasks"]:
            for scores in task["scores"].values():
                scores["templates"] = [scores["templates"][0] | {"template": "a"}]
        (folder / "results.json").write_text(json.dumps(results))
        group = next(g for g in browser_of(folder).groups if g["task"] == "everyday_causes")
        assert [row["c"] for row in group["rows"]] == [outcome]


def test_generation_keeps_what_both_models_wrote(run_folder):
    group = next(g for g in browser_of(run_folder).groups if g["task"] == "short_facts")
    row = group["rows"][0]
    assert row["f"][0] == "the Nile"
    assert [answer["p"] for answer in row["m"]] and len(row["m"]) == 2
    assert "o" not in row


def test_dev_rows_and_base_without_tuned_are_left_out(make_run):
    folder = make_run(rows=2, shots=(0,))
    path = folder / "folds" / "natural-language-inference" / "tuned" / "samples" / "claim_pairs.parquet"
    write_samples(path, [replace(sample, split="dev") for sample in list(read_samples(path))])
    browser = browser_of(folder)
    assert "claim_pairs" not in {group["task"] for group in browser.groups}
    assert browser.total == 5 * 2 * 9


def test_torn_last_line_is_left_out_and_a_torn_earlier_one_is_an_error(tmp_path):
    path = tmp_path / "metrics.jsonl"
    line = Window(steps=1).line(step=1, cursor=1, seconds=1.0)
    path.write_text(json.dumps(plain(line)) + '\n{"st')
    assert list(read_metrics(path)) == [line]
    path.write_text('{"st\n{"step": 1}\n')
    with pytest.raises(SourceError, match=r"metrics\.jsonl:1"):
        list(read_metrics(path))


@settings(max_examples=30, deadline=None)
@given(st.lists(st.floats(-1e9, 0), min_size=1, max_size=8))
def test_probabilities_add_up(scores):
    assert sum(probabilities(scores)) == pytest.approx(1, abs=0.01)
