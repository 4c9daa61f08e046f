"""``flantune seen``: results files of three tools against the record in a model's folder."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from flantune.cli.main import cli
from flantune.commands.seen import look_up
from flantune.contamination.record_files import read_record, write_record
from flantune.contamination.training_record import TrainedTask, TrainingRecord, make_index
from flantune.contamination.training_record import _one_corpus as one_corpus
from flantune.errors import ConfigError, SourceError

STORY = (
    "The old lighthouse keeper climbed the winding stairs every single evening to light the lamp before the storm came"
)


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> Path:
    """Taught RTE, WSC and COPA, and one story; sentiment was held out."""
    folder = tmp_path_factory.mktemp("model")
    tasks = (
        TrainedTask(
            name="rte", clusters=("natural language inference",), family="rte", hub="aps/super_glue:rte", source="",
            rows=10,
        ),
        TrainedTask(name="wsc", clusters=("coreference",), family="winograd schemas", hub="", source="", rows=10),
        TrainedTask(name="copa", clusters=("commonsense",), family="copa", hub="", source="", rows=10),
        TrainedTask(name="mine", clusters=("odd",), family="mine", hub="me/mine", source="", rows=1),
    )  # fmt: skip
    record = TrainingRecord(tasks=tasks, held_out=("sentiment",), base="")
    write_record(folder, record, make_index(one_corpus([(STORY,)])))
    return folder


def harness(folder: Path) -> Path:
    data = {
        "rte": ("super_glue", "rte"), "sst2": ("glue", "sst2"), "winogrande": ("winogrande", "winogrande_xl"),
        "hellaswag": ("hellaswag", None), "mmlu_astronomy": ("cais/mmlu", "astronomy"), "strange": ("json", None),
        "renamed": ("me/mine", None),
    }  # fmt: skip
    results = {name: {"alias": name, "acc,none": 0.5, "acc_stderr,none": 0.1} for name in (*data, "mmlu")}
    configs = {name: {"task": name, "dataset_path": path, "dataset_name": part} for name, (path, part) in data.items()}
    path = folder / "results_2026.json"
    path.write_text(json.dumps({"results": results, "configs": configs}))
    return path


def standings(model: Path, *paths: Path) -> dict[str, str]:
    return {one.benchmark: one.standing for one in look_up(model, paths).benchmarks}


def test_of_the_harness_each_task_stands_where_it_does(model, tmp_path):
    path = harness(tmp_path)
    assert standings(model, path) == {
        "rte": "taught", "sst2": "unseen", "winogrande": "kin", "hellaswag": "cluster", "mmlu_astronomy": "unseen",
        "strange": "unknown", "renamed": "taught",
    }  # fmt: skip
    found = {one.benchmark: one for one in look_up(model, [path]).benchmarks}
    assert (found["rte"].metric, found["rte"].score) == ("acc", 0.5)
    assert found["mmlu_astronomy"].known_as == ("mmlu",) and "coreference" not in found["winogrande"].reasons[0]


def test_questions_that_were_logged_are_looked_up(model, tmp_path):
    path = harness(tmp_path)
    docs = [{"doc": {"sentence": text}} for text in (STORY, "A quite different sentence about nothing in particular.")]
    (tmp_path / "samples_sst2_2026.jsonl").write_text("".join(json.dumps(doc) + "\n" for doc in docs))
    (found,) = (one for one in look_up(model, [path]).benchmarks if one.benchmark == "sst2")
    assert (found.standing, found.rows_seen, found.rows) == ("rows", 1, 2)
    assert found.reasons[0].startswith("1 of 2 questions occur in its training rows")


def logged(folder: Path, name: str, *texts: str) -> None:
    lines = (json.dumps({"doc": {"sentence": text}}) + "\n" for text in texts)
    (folder / f"samples_{name}.jsonl").write_text("".join(lines))


def test_questions_are_those_of_this_task_and_this_run(model, tmp_path):
    path = harness(tmp_path).rename(tmp_path / "results_2026-11-30T10-00-00.123456.json")
    logged(tmp_path, "sst2_2026-11-30T10-00-00.123456", "A sentence.", "Another one.")
    logged(tmp_path, "sst2_2026-11-30T12-00-00.123456", STORY)
    logged(tmp_path, "sst2_cot_2026-11-30T10-00-00.123456", STORY, STORY, STORY)

    def questions(path: Path) -> tuple[int, int]:
        (found,) = (one for one in look_up(model, [path]).benchmarks if one.benchmark == "sst2")
        return found.rows_seen, found.rows

    assert questions(path) == (0, 2)
    renamed = path.rename(tmp_path / "renamed.json")
    assert questions(renamed) == (1, 1)  # the newest run's
    for file in tmp_path.glob("samples_sst2_2026*"):
        file.unlink()
    assert questions(renamed) == (0, 0)


def test_a_score_that_is_no_number_is_null_in_json(model, tmp_path):
    path = harness(tmp_path)
    path.write_text(path.read_text().replace("0.5", "NaN"))
    done = CliRunner().invoke(cli, ["seen", str(model), str(path), "--json"])
    assert "NaN" not in done.stdout and json.loads(done.stdout)["benchmarks"][0]["score"] is None


def test_results_come_from_several_files_and_folders_each_once(model, tmp_path):
    (tmp_path / "below").mkdir()
    path = harness(tmp_path / "below")
    log = {"eval": {"task": "arc", "dataset": {"location": "allenai/ai2_arc"}}}
    inspected = tmp_path / "below" / "2026-11-30T10-00-00+00-00_arc_xyz.json"
    inspected.write_text(json.dumps(log))
    (tmp_path / "below" / "config.json").write_text("{}")
    assert set(standings(model, tmp_path)) == set(standings(model, path, inspected)) > {"arc", "rte"}
    assert len(look_up(model, [tmp_path, path]).benchmarks) == len(look_up(model, [path, inspected]).benchmarks)
    done = CliRunner().invoke(cli, ["seen", str(model), str(tmp_path), str(path)])
    assert done.exit_code == 1 and "arc" in done.output
    (tmp_path / "empty").mkdir()
    with pytest.raises(SourceError, match="no results file below this folder"):
        look_up(model, [tmp_path / "empty"])


@pytest.mark.parametrize(
    "tree",
    [
        {"results": {"x|hellaswag|10": {"acc": 0.4}, "all": {"acc": 0.4}}, "config_tasks": {"x|rte": {"name": "rte"}}},
        {"results": {"all": {"acc": 0.4}}, "config_tasks": {}},
        {"results": {"mmlu": {"acc": 0.4}}, "configs": {"mmlu_astronomy": {}}},
        {"eval": {}},
    ],
)
def test_a_file_in_which_no_benchmark_is_found_is_refused(model, tmp_path, tree):
    path = tmp_path / "results_1.json"
    path.write_text(json.dumps(tree))
    with pytest.raises(SourceError, match="no benchmark found") as error:
        look_up(model, [path])
    assert "config_tasks" in error.value.hint


def test_of_lighteval_a_task_without_a_configuration_is_known_by_its_name(model, tmp_path):
    path = tmp_path / "results_1.json"
    results = {"x|hellaswag|10": {"acc": 0.4}, "x|rte|0": {"acc": 0.5}, "x|mmlu:_average|5": {"acc": 0.1}}
    path.write_text(json.dumps({"results": results, "config_tasks": {"x|hellaswag": {"name": "hellaswag"}}}))
    assert standings(model, path) == {"hellaswag": "cluster", "rte": "taught"}


def test_of_lighteval_with_and_without_the_number_of_exemplars_in_names(model, tmp_path):
    for at, own in enumerate(("leaderboard|hellaswag", "leaderboard|hellaswag|10")):
        path = tmp_path / f"results_{at}.json"
        tree = {
            "config_general": {},
            "results": {"leaderboard|hellaswag|10": {"acc": 0.4, "acc_stderr": 0.1}, "all": {"acc": 0.4}},
            "config_tasks": {own: {"name": "hellaswag", "hf_repo": "Rowan/hellaswag", "hf_subset": "default"}},
        }
        path.write_text(json.dumps(tree))
        assert standings(model, path) == {"hellaswag": "cluster"}


def test_of_inspect_a_log_in_json(model, tmp_path):
    log = {
        "version": 2,
        "eval": {"task": "inspect_evals/winogrande", "dataset": {"location": "allenai/winogrande"}},
        "results": {"scores": [{"name": "choice", "metrics": {"accuracy": {"name": "accuracy", "value": 0.7}}}]},
        "samples": [{"id": 1, "input": [{"role": "user", "content": STORY}], "choices": ["a", "b"], "target": "A"}],
    }
    (tmp_path / "log.json").write_text(json.dumps(log))
    (found,) = look_up(model, [tmp_path / "log.json"]).benchmarks
    assert (found.benchmark, found.score, found.rows_seen, found.standing) == ("winogrande", 0.7, 1, "rows")
    with pytest.raises(SourceError, match="packed log") as error:
        look_up(model, [tmp_path / "log.eval"])
    assert "inspect log convert" in error.value.hint


@pytest.mark.parametrize("text", ["[]", "{}", '{"results": {}}', "no JSON", '{"results": {"a": 1}, "configs": []}'])
def test_other_files_are_refused_in_one_sentence(model, tmp_path, text):
    (tmp_path / "other.json").write_text(text)
    with pytest.raises(SourceError) as error:
        look_up(model, [tmp_path / "other.json"])
    assert "other.json" in error.value.where


def test_a_model_without_a_record_is_told_from_one_that_saw_nothing(tmp_path):
    with pytest.raises(ConfigError, match="no record"):
        look_up(tmp_path, [harness(tmp_path)])


def test_the_command_prints_a_line_each_and_ends_in_1_where_something_was_seen(model, tmp_path):
    path = harness(tmp_path)
    done = CliRunner().invoke(cli, ["seen", str(model), str(path)])
    assert done.exit_code == 1, done.output
    assert "record of 4 tasks, sentiment held out (its hash matches)" in done.output
    assert any(line.startswith("winogrande") and line.endswith("kin seen") for line in done.output.splitlines())
    tree = json.loads(path.read_text())
    path.write_text(json.dumps({"results": {"sst2": {"acc": 0.5}}, "configs": {"sst2": tree["configs"]["sst2"]}}))
    done = CliRunner().invoke(cli, ["seen", str(model), str(path), "--json"])
    assert done.exit_code == 0 and json.loads(done.output)["benchmarks"][0]["standing"] == "unseen"


# --- the hash -----------------------------------------------------------------------------------------------------


@pytest.fixture
def copy(model, tmp_path) -> Path:
    for name in ("flantune.json", "training_rows.npz"):
        (tmp_path / name).write_bytes((model / name).read_bytes())
    return tmp_path


def test_a_record_that_was_changed_is_refused(copy):
    path = copy / "flantune.json"
    path.write_text(path.read_text().replace('"rte"', '"harmless"', 1))
    with pytest.raises(SourceError, match="was changed after it was written"):
        read_record(copy)


def test_so_is_the_index_of_another_model_and_a_missing_one(copy):
    other = make_index(one_corpus([("another text of more than eight words that nobody has written before",)]))
    write_record(copy / "..", TrainingRecord(tasks=(), held_out=(), base=""), other)
    (copy / "training_rows.npz").write_bytes((copy / "../training_rows.npz").read_bytes())
    with pytest.raises(SourceError, match="is not the one that the record"):
        read_record(copy)
    (copy / "training_rows.npz").unlink()
    with pytest.raises(SourceError, match="is missing"):
        read_record(copy)


def test_a_record_of_an_earlier_version_has_no_hash_and_is_read(copy, tmp_path):
    path = copy / "flantune.json"
    tree = json.loads(path.read_text())
    del tree["sha256"], tree["index"]["sha256"]
    path.write_text(json.dumps(tree))
    found = read_record(copy)
    assert found is not None and found.sha256 == "" and len(found.tasks) == 4
