"""``flantune evaluate``: from models to results, and back to where it stopped."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner

from flantune.cli.main import cli
from flantune.commands.evaluate import EvaluationRequest, evaluate
from flantune.contamination.record_files import write_record
from flantune.contamination.training_record import TrainedTask, TrainingRecord, make_index
from flantune.contamination.training_record import _one_corpus as one_corpus
from flantune.errors import ConfigError, FlantuneError, LeakError
from flantune.evaluation.asking import answers as writing
from flantune.evaluation.asking import ask as asking
from flantune.evaluation.asking.score_store import ScoreStore
from flantune.evaluation.samples import read_samples
from flantune.models.writing.decoding import Continuation
from flantune.models.writing.generate import write
from flantune.settings.config import DataSettings
from flantune.settings.protocols import PRESETS
from flantune.suites.flan2022 import SCORES
from flantune.system.progress import Silent

from .world import make_model, mmlu_row, short_answers, write_rows, write_world

SMALL = ("tydiqa", "gsm8k", "natural_instructions")


@pytest.fixture(scope="module", autouse=True)
def eight_tokens():
    with short_answers(8):
        yield


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    return write_world(tmp_path_factory.mktemp("world"))


@pytest.fixture(scope="module")
def few(world, tmp_path_factory):
    """The same with three of the 57 subjects, for what does not depend on their number."""
    folder = shutil.copytree(world, tmp_path_factory.mktemp("few") / "world")
    for subject in (folder / "hub/cais/mmlu").iterdir():
        if subject.name not in {"astronomy", "law", "virology"}:
            shutil.rmtree(subject)
    return folder


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models")
    return {
        "llama": make_model(folder / "llama"),
        "other": make_model(folder / "other", seed=1),
        "t5": make_model(folder / "t5", "t5"),
    }


def request(world, out, *models, **values) -> EvaluationRequest:
    values = {"suites": ("mmlu_direct",), "limit": 1, "skip_missing": True, **values}
    return EvaluationRequest(models=tuple(map(str, models)), out=out, root=world, **values)


@pytest.fixture(scope="module")
def flan2022(world, models, tmp_path_factory):
    """The whole suite, two families of models side by side, one question a part."""
    out = tmp_path_factory.mktemp("evaluation")
    return out, evaluate(request(world, out, models["llama"], models["t5"], suites=("flan2022",)))


def test_one_command_gives_six_scores_the_average_and_differences(flan2022):
    out, results = flan2022
    assert [model.name for model in results.models] == ["llama", "t5"]
    assert [one.name for one in results.benchmarks] == list(SCORES)
    (average,) = results.normalized_averages
    assert all(list(one.scores) == ["llama", "t5"] for one in (*results.benchmarks, average))
    assert all(list(one.differences) == ["t5"] for one in (*results.benchmarks, average))
    stored = json.loads((out / "results.json").read_text())
    assert stored["kind"] == "evaluation" and stored["schema"] == 4
    assert average.name == "flan2022" and all(one.low <= one.value <= one.high for one in average.scores.values())
    mmlu = next(one for one in results.benchmarks if one.name == "mmlu_direct")
    assert mmlu.averages[0].name == "mean of 57 subjects" and len(mmlu.averages) == 23
    assert mmlu.averages[0].chance == pytest.approx(0.25) and mmlu.scores["t5"].examples == 57
    assert {one.metric for one in results.benchmarks if one.name == "tydiqa_direct"} == {"exact_match"}
    manifest = json.loads((out / "manifest.json").read_text())
    assert manifest["fingerprints"]["protocol flan2022"] == PRESETS["flan2022"].fingerprint
    assert list(stored["protocols"]) == [PRESETS["flan2022"].fingerprint]


def test_a_limit_is_marked_loudly_as_not_reportable(flan2022):
    out, results = flan2022
    each = [one for benchmark in results.benchmarks for one in benchmark.scores.values()]
    assert not results.is_reportable and not any(one.is_complete for one in each)
    assert "Not reportable: at most 1 questions" in (out / "report.html").read_text()
    assert "not on all questions of mmlu_direct" in results.normalized_averages[0].reasons["llama"]


def test_the_page_holds_every_part_and_no_foreign_markup(flan2022):
    page = (flan2022[0] / "report.html").read_text()
    assert page.count("<details") >= 6 and "abstract_algebra" in page and "http" not in page.split("<body>")[1]


def test_the_same_command_again_asks_nothing(world, models, tmp_path, monkeypatch):
    first = evaluate(request(world, tmp_path, models["llama"], suites=SMALL))
    monkeypatch.setattr(asking, "_ask_alike", None)
    again = evaluate(request(world, tmp_path, models["llama"], suites=SMALL))
    assert again.benchmarks == first.benchmarks


def test_what_a_killed_run_has_in_its_store_is_not_asked_again(few, models, tmp_path):
    suites = ("gsm8k", "mmlu_direct")
    first = evaluate(request(few, tmp_path, models["llama"], suites=suites, limit=2))
    entries, files = len(ScoreStore(tmp_path / "store")), len(list((tmp_path / "store").iterdir()))
    shutil.rmtree(tmp_path / "models")  # as if it had been killed before the samples were written
    again = evaluate(request(few, tmp_path, models["llama"], suites=suites, limit=2))
    assert again.benchmarks == first.benchmarks and entries > 0
    assert (len(ScoreStore(tmp_path / "store")), len(list((tmp_path / "store").iterdir()))) == (entries, files)


@pytest.mark.parametrize("change", ["protocol", "shots", "model"])
def test_trap_2_samples_of_other_prompts_or_models_are_not_reused(world, models, tmp_path, change):
    first = evaluate(request(world, tmp_path, models["llama"], suites=("gsm8k",), limit=2))
    path = next(tmp_path.rglob("origins/*.json"))
    before = json.loads(path.read_text())["fingerprint"]
    if change == "model":  # the same folder name, other weights
        shutil.copytree(models["other"], tmp_path / "copy" / "llama")
        models = {"llama": tmp_path / "copy" / "llama"}
    values = {"protocol": {"protocol": "t0"}, "shots": {"shots": 2}, "model": {}}[change]
    second = evaluate(request(world, tmp_path, models["llama"], suites=("gsm8k",), limit=2, **values))
    assert json.loads(path.read_text())["fingerprint"] != before
    assert second.models != first.models or second.benchmarks != first.benchmarks


def test_samples_hold_the_prompt_as_it_was_asked(few, models, tmp_path):
    evaluate(request(few, tmp_path, models["t5"], limit=0))
    samples = list(read_samples(tmp_path / "models/t5/samples/mmlu_direct%2Fvirology.parquet"))
    assert [sample.row for sample in samples] == [0, 1]
    assert samples[0].inputs.endswith("\nAnswer:") and len(samples[0].scores) == 4 and len(samples[0].greedy) == 4


def test_too_long_prompts_lose_exemplars_and_that_is_counted(few, models, tmp_path):
    """The original script drops exemplars one at a time until the prompt fits; so does this, and it says so."""
    folder = shutil.copytree(few, tmp_path / "world")
    long = [mmlu_row("virology", n) | {"question": f"Question {n}? " + "stones " * 400} for n in range(5)]
    write_rows(folder / "hub/cais/mmlu/virology", "dev", long)
    (found,) = evaluate(request(folder, tmp_path / "out", models["llama"])).benchmarks
    dropped = {part.name: part.scores["llama"].exemplars_dropped for part in found.parts}
    assert dropped.pop("virology") in range(1, 5) and not any(dropped.values())
    (sample,) = read_samples(tmp_path / "out/models/llama/samples/mmlu_direct%2Fvirology.parquet")
    assert sample.inputs.startswith("Questions about virology.\n\nQuestion 0?") and len(sample.exemplar_rows) < 5


def record(folder, *, rows=(), **task) -> None:
    values = {"name": "x", "clusters": ("c",), "family": "x", "hub": "", "source": "", "rows": 1, **task}
    taught = TrainingRecord(tasks=(TrainedTask(**values),), held_out=("d",), base="")
    write_record(folder, taught, make_index(one_corpus(rows)))


@pytest.fixture
def tuned(models, tmp_path):
    """A copy of the model, to which a training record is added."""
    return shutil.copytree(models["llama"], tmp_path / "tuned")


def test_a_benchmark_the_model_was_trained_on_is_refused_before_anything_is_loaded(world, tuned, tmp_path):
    record(tuned, hub="openai/gsm8k:main", name="grade_school")
    (tuned / "model.safetensors").write_bytes(b"not weights")
    with pytest.raises(LeakError) as error:
        evaluate(request(world, tmp_path / "out", tuned, suites=("gsm8k",)))
    assert "gsm8k_cot/main" in str(error.value) and '"grade_school"' in str(error.value)
    assert "--allow-seen" in error.value.hint
    assert not (tmp_path / "out").exists()


def test_forced_it_is_labeled_seen_everywhere(world, tuned, tmp_path):
    record(tuned, hub="openai/gsm8k:main", name="grade_school")
    results = evaluate(request(world, tmp_path / "out", tuned, suites=("gsm8k",), limit=0, allow_seen=True))
    assert results.benchmarks[0].is_seen and not results.is_reportable
    page = (tmp_path / "out/report.html").read_text()
    assert "gsm8k_cot (seen)" in page and "was trained on what gsm8k_cot measures" in page


def test_mgsm_is_kin_to_gsm8k(world, tuned, tmp_path):
    record(tuned, family="gsm8k", name="rationales")
    with pytest.raises(LeakError, match="mgsm_cot/bn"):
        evaluate(request(world, tmp_path / "out", tuned, suites=("mgsm",)))


def test_near_duplicate_rows_are_counted_and_left_out_of_the_clean_score(few, tuned, tmp_path):
    question = "Which of the many rivers that rise in the northern hills of this country reaches the sea first of all?"
    folder = tmp_path / "world"
    shutil.copytree(few, folder)
    rows = [
        {"question": question, "choices": ["a", "b", "c", "d"], "answer": 0},
        {"question": "Which city is the largest?", "choices": ["a", "b", "c", "d"], "answer": 1},
    ]
    write_rows(folder / "hub/cais/mmlu/virology", "test", rows)
    record(tuned, rows=[(question.upper(),)])
    with pytest.raises(LeakError, match="1 of 2 questions of mmlu_direct/virology"):
        evaluate(request(folder, tmp_path / "out", tuned, limit=0))
    (found,) = evaluate(request(folder, tmp_path / "out", tuned, limit=0, allow_seen=True)).benchmarks
    ((name, whole),) = found.scores.items()
    seen = {part.name: part.scores[name].seen_examples for part in found.parts}
    assert seen.pop("virology") == 1 and not any(seen.values())
    assert whole.clean is not None


def test_tasks_of_ones_own_are_measured_in_all_their_templates(models, tmp_path):
    (tmp_path / "colors.toml").write_text(TASK)
    rows = [{"text": f"The {n} is red", "label": n % 2} for n in range(20)]
    (tmp_path / "colors.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    data = DataSettings(tasks=(str(tmp_path / "colors.toml"),))
    results = evaluate(
        EvaluationRequest(models=(str(models["llama"]), str(models["other"])), out=tmp_path / "out", data=data)
    )
    (task,) = results.tasks
    assert task.name == "colors" and {name: one.examples for name, one in task.scores.items()} == {
        "llama": 10, "other": 10,
    }  # fmt: skip
    assert [template.template for template in task.scores["llama"].templates] == ["ask", "tell"]
    (difference,) = task.differences.values()
    assert difference.examples == 10 and list(task.differences) == ["other"]
    # Tasks with clusters have clusters, a whole and a verdict, as in a run.
    (cluster,), (overall,) = results.clusters, results.overall
    assert (cluster.cluster, cluster.fold, cluster.raw.exams) == ("colors", "", ("colors",))
    assert overall.raw.differences["other"].value == difference.value == results.verdicts["other"].difference.value
    assert results.verdicts["other"].text.startswith("On 1 task of 1 cluster, other scored ")
    assert task.protocol == PRESETS["flan2021"].fingerprint and results.is_reportable


def test_tasks_that_cannot_be_measured_are_named_and_nothing_is_reportable(models, tmp_path):
    (tmp_path / "colors.toml").write_text(TASK)
    (tmp_path / "absent.toml").write_text(TASK.replace('"colors', '"absent'))
    (tmp_path / "untested.toml").write_text(TASK.replace('"colors"', '"untested"').replace('test = "all[10:]"\n', ""))
    rows = [{"text": f"The {n} is red", "label": n % 2} for n in range(12)]
    (tmp_path / "colors.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    asked = {
        names: EvaluationRequest(
            models=(str(models["llama"]),),
            out=tmp_path / "out",
            data=DataSettings(tasks=tuple(str(tmp_path / f"{name}.toml") for name in names), missing="skip"),
        )
        for names in (("colors", "absent", "untested"), ("untested",))
    }
    results = evaluate(asked["colors", "absent", "untested"])
    assert [one.name for one in results.tasks] == ["colors"] and not results.is_reportable
    assert [one.score for one in results.missing] == ["absent", "untested"]
    assert results.missing[0].needs == "its data: no such file"
    assert "untested: not measured; needs test rows." in (tmp_path / "out/report.html").read_text()
    with pytest.raises(ConfigError, match=r"nothing to measure:\n  untested:\n    test rows"):
        evaluate(asked[("untested",)])


def test_a_harness_task_of_a_benchmarks_name_is_not_averaged_with_it(world, models, tmp_path):
    (tmp_path / "rows.jsonl").write_text('{"q": "1+1?", "a": "2"}\n')
    (tmp_path / "task.yaml").write_text(
        "task: gsm8k_cot\ndataset_path: json\ndataset_kwargs: {data_files: {test: rows.jsonl}}\ntest_split: test\n"
        "doc_to_text: q\ndoc_to_target: a\n"
    )
    values = {"suites": ("gsm8k",), "harness": (tmp_path / "task.yaml",)}
    with pytest.raises(ConfigError, match='"gsm8k_cot" is the name of a benchmark'):
        evaluate(request(world, tmp_path / "out", models["llama"], **values))


TASK = """
name = "colors"
clusters = ["colors"]
family = "colors"
kind = "classification"
metrics = ["accuracy"]

[source]
files = { all = "colors.jsonl" }

[splits]
train = "all[:10]"
test = "all[10:]"

[fields]
text = "text"

[options]
values = ["no", "yes"]

[answer]
column = "label"

[[templates]]
name = "ask"
inputs = "{text}?\\n\\n{options}"

[[templates]]
name = "tell"
inputs = "Say whether {text}.\\n\\n{options}"
"""


def test_without_anything_to_measure_it_says_so(models, tmp_path):
    with pytest.raises(ConfigError, match="nothing to measure"):
        evaluate(EvaluationRequest(models=(str(models["llama"]),), out=tmp_path))


@pytest.mark.parametrize("name", ["llama", "Llama"])
def test_two_models_whose_folders_would_be_one_are_told_apart(world, models, tmp_path, name):
    shutil.copytree(models["other"], tmp_path / name)
    results = evaluate(request(world, tmp_path / "out", models["llama"], tmp_path / name, suites=("gsm8k",)))
    assert [model.name for model in results.models] == ["llama", f"{name} (2)"]
    assert len(list((tmp_path / "out/models").iterdir())) == 2


def test_the_command_line_prints_a_table_or_json_and_says_what_is_missing(world, models, tmp_path):
    call = ["evaluate", str(models["llama"]), "--suite", "gsm8k", "--limit", "2", "--data", str(world)]
    done = CliRunner().invoke(cli, [*call, "--out", str(tmp_path)])
    assert done.exit_code == 1 and "gsm8k_cot" in done.output and "Not reportable" in done.output
    done = CliRunner().invoke(cli, [*call, "--out", str(tmp_path), "--json"])
    assert json.loads(done.stdout)["benchmarks"][0]["name"] == "gsm8k_cot"
    empty = [*call[:2], "--suite", "bbh", "--data", str(tmp_path), "--out", str(tmp_path / "new")]
    done = CliRunner().invoke(cli, empty)
    assert isinstance(done.exception, FlantuneError) and "bbh_cot_prompts" in str(done.exception)
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize(
    ("path", "message"),
    [("runs/x/y/model", "no such folder"), ("{folder}", "no model in this folder"), ("{file}", "is a file")],
)
def test_a_wrong_path_shows_before_the_model_named_before_it_is_asked(world, models, tmp_path, path, message):
    (tmp_path / "file").write_text("not a model")
    wrong = path.format(folder=tmp_path, file=tmp_path / "file")
    with pytest.raises(ConfigError, match=message):
        evaluate(request(world, tmp_path / "out", models["llama"], wrong))
    assert not (tmp_path / "out").exists()


def test_contextual_calibration_takes_texts_of_the_users_own(few, models, tmp_path):
    values = {"normalization": "contextual", "limit": 2}
    first = evaluate(request(few, tmp_path / "a", models["llama"], **values))
    other = evaluate(request(few, tmp_path / "b", models["llama"], content_free=("nothing here",), **values))
    (one,), (two,) = first.protocols.values(), other.protocols.values()
    assert one["content_free"] == ["N/A", "", "[MASK]"] and two["content_free"] == ["nothing here"]
    assert one["fingerprint"] != two["fingerprint"]
    read = [list(read_samples(next((tmp_path / name).rglob("*virology.parquet")))) for name in "ab"]
    assert read[0][0].scores == read[1][0].scores and read[0][0].baselines != read[1][0].baselines


@pytest.mark.parametrize(
    ("values", "what"),
    [
        ({"content_free": ("x",)}, "its normalization"),
        ({"domain_premise": "x"}, "its normalization"),
        ({"harness_out": Path("x")}, "--harness"),
    ],
)
def test_options_without_what_they_are_for_are_refused(world, models, tmp_path, values, what):
    with pytest.raises(ConfigError, match=f"has no effect without {what}"):
        evaluate(request(world, tmp_path, models["llama"], **values))


def test_another_engine_writes_all_answers_and_its_answers_are_kept_apart(few, models, tmp_path, monkeypatch):
    """One engine a model; options are ranked by flantune's own passes, which need none."""
    started, asked = [], []

    def writer_for(lm, backend):
        started.append(backend)

        def say(lm, inputs, decoding, *, samples, batch_tokens):
            asked.extend(inputs)
            for at in range(len(inputs)):
                yield Continuation(index=at, sample=0, tokens=(5,), text="The answer is 7.", finish="eos")

        return write if backend == "transformers" else say

    monkeypatch.setattr(writing, "writer_for", writer_for)
    suites = ("gsm8k", "mmlu_direct")
    ours = evaluate(request(few, tmp_path, models["llama"], suites=suites))
    theirs = evaluate(request(few, tmp_path, models["llama"], suites=suites, backend="vllm"))
    assert started == ["transformers", "vllm"] and len(asked) == 1
    (sample,) = read_samples(next(tmp_path.rglob("gsm8k_cot*.parquet")))
    assert sample.prediction == "The answer is 7."
    ranked = [next(one for one in found.benchmarks if one.name == "mmlu_direct") for found in (ours, theirs)]
    assert ranked[0] == ranked[1]


def test_a_sentence_on_what_is_not_as_its_authors_have_it_is_said_once(world, models, tmp_path):
    said = []

    class Told(Silent):
        def note(self, text):
            said.append(text)

    folder = shutil.copytree(world, tmp_path / "world")
    (folder / "files" / "mmlu-cot.json").unlink()
    evaluate(request(folder, tmp_path / "out", models["llama"]), reporter=Told())
    assert len([text for text in said if "and 56 more: " in text]) == 1
    assert "and 56 more" not in said[0].partition(": ")[2]
    page = (tmp_path / "out" / "report.html").read_text()
    assert "57 parts, such as mmlu_direct/" in page
