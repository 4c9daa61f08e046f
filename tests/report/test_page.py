from __future__ import annotations

import base64
import hashlib
import json
import re
from dataclasses import replace
from pathlib import Path

import pytest
from tests.report.html_pages import Page, whole_page

from flantune.errors import ConfigError, SourceError
from flantune.evaluation.results import Verdict
from flantune.evaluation.samples import read_samples, write_samples
from flantune.report.page import render_run, write_report
from flantune.report.sentences import verdict_sentence
from flantune.runs.files import read_run
from flantune.runs.folder import SCHEMA
from flantune.training.values import NonFinite

SECTIONS = ["verdict", "figures", "tables", "mixture", "training", "samples", "dropped", "setup"]


@pytest.fixture(scope="module")
def html(run_folder: Path) -> str:
    return render_run(read_run(run_folder))


@pytest.fixture(scope="module")
def hostile(hostile_folder: Path) -> str:
    return render_run(read_run(hostile_folder))


def words(html: str) -> str:
    return Page(html).words


def test_writes_one_file_and_leaves_nothing_else_behind(make_run):
    folder = make_run(rows=2, shots=(0,))
    before = {path.name for path in folder.iterdir()}
    assert write_report(folder) == folder / "report.html"
    assert {path.name for path in folder.iterdir()} == before | {"report.html"}


def test_same_folder_gives_the_same_bytes(run_folder, html):
    assert render_run(read_run(run_folder)) == html


def test_structure(html):
    page = whole_page(html, scripts=2)
    ids = page.of("id")
    assert [name for name in ids if name in SECTIONS] == SECTIONS
    assert page.tags["h1"] == 1
    assert page.tags["caption"] == page.tags["table"]
    assert [f"#{name}" for name in SECTIONS] == [v for v in page.of("href") if v.startswith("#") and v != "#main"]
    labels = [value for tag, name, value in page.attributes if tag == "svg" and name == "aria-label"]
    assert len(labels) == page.tags["svg"] >= 10
    assert all(labels)
    described = {name for value in page.of("aria-labelledby") for name in value.split()}
    assert described <= set(ids)


def test_says_what_the_numbers_say(html):
    text = words(html)
    assert "On 6 tasks of 4 clusters it never trained on, tuning changed the score from" in text
    for part in ("Natural language inference", "cluster overlap: Paraphrase", "kin family: snli", "held out"):
        assert part in text
    for part in ("61,204", "97.3%", "1 h 46 min", "little-llama-110m", "812"):
        assert part in text
    for part in ("12 unknown label", "row 17", "run.toml:20", "--set", "2.10.0", "old_news", "3.1%"):
        assert part in text


def test_every_template_of_every_task_is_drawn(html):
    for task in ("verse_entailment", "short_facts"):
        for template in ("ask_plain", "list_short"):
            assert f"<title>{task} / {template}: base" in html
            assert f"<title>{task} / {template}: tuned" in html


def test_figures_agree_with_the_results(html, run_folder):
    results = json.loads((run_folder / "results.json").read_text())
    for cluster in results["clusters"]:
        base = cluster["raw"]["scores"]["base"]["value"]
        difference = cluster["raw"]["differences"]["tuned"]["value"]
        shots = "zero-shot" if cluster["shots"] == 0 else "5-shot"
        said = f"{cluster['cluster']}, {shots}: base {base * 100:.1f} ("
        assert said in html
        assert f"{abs(difference) * 100:.1f}" in html


def test_trap_14_dataset_text_never_becomes_html(html, hostile):
    page, clean = Page(hostile), Page(html)
    assert not page.open
    assert set(page.tags) == set(clean.tags)
    assert "img" not in page.tags
    assert page.tags["script"] == 2
    assert {name for _, name, _ in page.attributes} == {name for _, name, _ in clean.attributes}
    assert not [name for _, name, _ in page.attributes if name.startswith("on")]
    assert sum(text.count("onerror=alert(1)") for text in page.text) > 100, "hostile text is shown, as text"
    assert "{{7*7}}" in " ".join(page.text)
    assert "49 {% raw %}" not in hostile


def test_trap_14_embedded_samples_are_inert(hostile, hostile_folder):
    data, script = Page(hostile).scripts
    assert "<" not in data
    assert ">" not in data
    groups = json.loads(data)["groups"]
    assert len(groups) == 6
    assert all("</script><img src=x onerror=alert(1)>" in row["x"] for group in groups for row in group["rows"])
    assert all("textContent" in script and word not in script for word in ("innerHTML", "outerHTML", "document.write"))


def test_loads_nothing_from_anywhere(html, hostile):
    for page in (html, hostile):
        found = Page(page)
        assert found.of("src") == []
        assert all(value.startswith(("#", "data:")) for value in found.of("href"))
        style = re.search(r"<style>(.*?)</style>", page, re.DOTALL).group(1)
        assert "@import" not in style
        assert "url(" not in style
        assert not any("url(" in value for value in found.of("style"))


def test_policy_allows_the_pages_own_script_alone(html):
    policy = next(v for v in Page(html).of("content") if "default-src" in v)
    script = Page(html).scripts[-1]
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}'" in policy
    assert "default-src 'none'" in policy


def test_stays_below_three_megabytes_with_long_prompts(make_run):
    folder = make_run(rows=70, shots=(0,))
    for path in folder.rglob("samples/*.parquet"):
        samples = list(read_samples(path))
        write_samples(path, [replace(sample, inputs=sample.inputs + "é <&> " * 1_500) for sample in samples])
    assert write_report(folder).stat().st_size < 3_000_000


@pytest.mark.parametrize(
    ("gain", "direction", "badge", "sentence"),
    [
        (0.2, "better", "▲ Better", "chance 36.0): better."),
        (-0.2, "worse", "▼ Worse", "chance 36.0): worse."),
        (-0.02, "undecided", "◆ Undecided", "chance 36.0): undecided."),
    ],
)
def test_is_as_ready_to_say_worse_as_better(make_run, gain, direction, badge, sentence):
    folder = make_run(gain=gain, rows=1, shots=(0,))
    results = json.loads((folder / "results.json").read_text())
    assert results["verdicts"]["tuned"]["direction"] == direction
    text = words(render_run(read_run(folder)))
    assert badge in text
    assert sentence in text


def test_every_minus_of_the_verdict_is_one():
    told = "from 39.6 to 36.8 (-2.8 points, 95% interval -19.9 to +14.4; chance 40.0): zero-shot undecided."
    verdict = Verdict(
        text=told, direction="undecided", first=None, second=None, difference=None, chance=None, tasks=1, clusters=1,
        notes=(),
    )  # fmt: skip
    assert verdict_sentence(verdict) == told.replace("(-2.8", "(−2.8").replace(" -19.9", " −19.9")


def test_a_run_that_has_just_begun_says_what_is_missing(tmp_path):
    settings = {"values": {}, "origins": {}, "contents": {}, "identity": "9f", "schema": SCHEMA}
    (tmp_path / "config.json").write_text(json.dumps(settings))
    text = words(write_report(tmp_path).read_text(encoding="utf-8"))
    assert "This run has no verdict" in text
    assert "There is no results.json" in text
    assert "No fold has a mixture yet." in text
    assert "No samples of both models" in text
    assert "There is no data.json" in text
    assert "There is no manifest.json yet" in text


@pytest.mark.parametrize("holds", ["", "notes.txt", "config.json", "results.json", "data.json"])
def test_no_page_is_written_into_a_folder_that_is_no_run(tmp_path, holds):
    if holds:
        (tmp_path / holds).write_text("{}")
    with pytest.raises(SourceError, match="is not a run folder"):
        write_report(tmp_path)
    assert not (tmp_path / "report.html").exists()


def test_no_page_of_a_run_is_written_over_an_evaluations_page(tmp_path):
    (tmp_path / "results.json").write_text('{"kind": "evaluation", "tasks": []}')
    with pytest.raises(SourceError, match="expected a run folder") as caught:
        write_report(tmp_path)
    assert "flantune evaluate" in caught.value.hint


@pytest.mark.parametrize("name", ["results.json", "manifest.json", "data.json", "config.json"])
def test_any_file_may_be_missing(make_run, name):
    folder = make_run(rows=1, shots=(0,))
    (folder / name).unlink()
    page = Page(render_run(read_run(folder)))
    assert not page.open
    assert name in " ".join(page.text)


def test_fold_that_is_not_tuned_yet(make_run):
    folder = make_run(rows=1, shots=(0,))
    for name in ("metrics.jsonl", "training.json", "mixture.json"):
        (folder / "folds" / "natural-language-inference" / name).unlink()
    text = words(render_run(read_run(folder)))
    assert "Nothing was logged" in text
    assert "mixture.json does not exist yet" in text


def test_one_number_of_exemplars_needs_no_column(make_run, html):
    folder = make_run(rows=1, shots=(0,))
    text = words(render_run(read_run(folder)))
    assert "All zero-shot." in text
    assert "All zero-shot." not in words(html)
    assert "5-shot" not in text


def test_numbers_that_are_not_numbers_never_reach_the_page(make_run):
    """Where none may stand instead they are left out, else the file is named, with the place."""
    folder = make_run(rows=1, shots=(0,))
    text = (folder / "results.json").read_text()
    broken = re.sub(r'"(dev|mcnemar_p|q|best_dev_test)": -?[0-9.e-]+', r'"\1": NaN', text)
    (folder / "results.json").write_text(broken)
    page = render_run(read_run(folder))
    assert "nan" not in words(page).lower().replace("finance", "")
    assert not Page(page).open
    (folder / "results.json").write_text(re.sub(r'"std": -?[0-9.e-]+', '"std": Infinity', text))
    with pytest.raises(
        SourceError, match=r"results\.json: tasks\[0\]\.scores\.base\.std: should be a number, got null"
    ):
        read_run(folder)


@pytest.mark.parametrize(
    ("file", "old", "new", "said"),
    [
        ("results.json", '"schema": 4', '"schema": 3', "another version of flantune"),
        ("results.json", '"examples": 200', '"examples": -200', "should be at least 0, got -200"),
        ("data.json", '"kept": ', '"kept": "many", "was": ', 'should be a whole number, got "many"'),
        ("manifest.json", '"seconds": {', '"seconds": 3, "was": {', "seconds: should be an object, got 3"),
        ("config.json", '"steps": 1200', '"steps": -3', "training.steps"),
        ("folds/natural-language-inference/mixture.json", '"draws": 61204', '"draws": []', "draws: should be"),
        (
            "folds/natural-language-inference/training.json",
            '"steps": 1200',
            '"steps": null',
            "steps: should be a whole",
        ),
    ],
)
def test_a_file_that_holds_something_else_is_named_with_the_place(make_run, file, old, new, said):
    folder = make_run(rows=1, shots=(0,))
    text = (folder / file).read_text()
    assert old in text
    (folder / file).write_text(text.replace(old, new, 1))
    with pytest.raises((SourceError, ConfigError), match=re.escape(said)) as caught:
        write_report(folder)
    assert file in str(caught.value) and caught.value.hint
    assert not (folder / "report.html").exists()


def test_no_tasks_at_all(make_run):
    folder = make_run(rows=1, shots=(0,))
    results = json.loads((folder / "results.json").read_text())
    verdict = results["verdicts"]["tuned"] | {"text": "No task was held out and measured.", "direction": "undecided"}
    verdict |= dict.fromkeys(("first", "second", "difference", "chance")) | {"tasks": 0, "clusters": 0}
    results |= {"tasks": [], "clusters": [], "overall": [], "verdicts": {"tuned": verdict}}
    (folder / "results.json").write_text(json.dumps(results))
    text = words(render_run(read_run(folder)))
    assert "No task was held out and measured." in text


def test_seen_tasks_are_shown_apart(make_run):
    folder = make_run(rows=1, shots=(0,))
    results = json.loads((folder / "results.json").read_text())
    seen = json.loads(json.dumps(results["tasks"][0] | {"name": "film_reviews"}))
    seen["scores"]["tuned"]["seen"] = ["it was trained on it"]
    results["tasks"].append(seen)
    (folder / "results.json").write_text(json.dumps(results))
    page = render_run(read_run(folder))
    assert "Tasks trained on, measured too" in page
    assert "<title>film_reviews / " not in page


def test_task_of_two_folds_carries_its_fold(make_run):
    folder = make_run(rows=1, shots=(0,))
    results = json.loads((folder / "results.json").read_text())
    for key in ("tasks", "clusters"):
        results[key].append(results[key][0] | {"fold": "everything"})
    (folder / "results.json").write_text(json.dumps(results))
    text = words(render_run(read_run(folder)))
    assert "verse_entailment (everything)" in text
    assert "Natural language inference (everything)" in text


def test_broken_file_is_named(make_run):
    folder = make_run(rows=1, shots=(0,))
    (folder / "manifest.json").write_text("{")
    with pytest.raises(SourceError, match=r"manifest\.json.*not valid JSON"):
        write_report(folder)
    assert not (folder / "report.html").exists()


def test_folder_that_is_not_there(tmp_path):
    with pytest.raises(SourceError, match="no such run folder"):
        write_report(tmp_path / "nowhere")


def test_lone_surrogate_from_json_is_no_obstacle(make_run):
    folder = make_run(rows=1, shots=(0,))
    results = (folder / "results.json").read_text()
    (folder / "results.json").write_text(results.replace("Synthetic run", r"Half a pair \ud83d here"))
    assert "Half a pair ? here" in write_report(folder).read_text(encoding="utf-8")


def test_steps_that_were_left_out_are_told(run_folder, tmp_path):
    """And nothing is said where there are none."""
    files = read_run(run_folder)
    assert "left the weights unchanged" not in render_run(files)
    skipped = tuple(NonFinite(step=step, what="loss", rows={"t": (1,)}) for step in (3, 4, 5))
    told = [replace(fold, training=replace(fold.training, skipped=skipped)) for fold in files.folds[:1]]
    page = render_run(replace(files, folds=(*told, *files.folds[1:])))
    assert page.count("left the weights unchanged") == 1
    assert "3 of 1,200 steps" in page


def test_rows_that_are_not_independent_are_told_where_intervals_are_drawn(run_folder):
    run = read_run(run_folder)
    measured = run.results.tasks[0].name
    first, second, *rest = run.data.tasks
    repeated = (
        replace(first, name=measured, repeated="40 rows <b>share</b> a passage"),
        replace(second, name="x", repeated="never measured"),
    )
    page = render_run(replace(run, data=replace(run.data, tasks=(*repeated, *rest))))
    figures = page.split('id="figures"')[1].split('id="tables"')[0]
    assert f"{measured}: 40 rows &lt;b&gt;share&lt;/b&gt; a passage" in figures
    assert "never measured" not in page


def test_what_was_cut_when_measuring_is_told(run_folder):
    """As the origins of the samples say, which every run writes beside them."""
    dropped = render_run(read_run(run_folder)).split('id="dropped"')[1].split('id="setup"')[0]
    assert "Prompts the models were measured with" in dropped
    assert ">4,320<" in dropped and "Tuned, natural-language-inference" in dropped
