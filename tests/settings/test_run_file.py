"""The run file: every problem at once, with its place; origins; a round trip; a fingerprint that means something."""

from __future__ import annotations

from pathlib import Path

import pytest

from flantune.errors import ConfigError
from flantune.settings.config import RunConfig
from flantune.settings.run_file import explain, fingerprint, flatten, load_run_file, to_toml
from flantune.system.files import near_file


def write(folder: Path, text: str) -> Path:
    path = folder / "run.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_all_problems_come_at_once_with_their_lines(tmp_path):
    path = write(tmp_path, '[training]\nstepss = 3\nlearning_rate = -1\n[modell]\npath = "x"\n')
    with pytest.raises(ConfigError) as caught:
        load_run_file(path)
    text = str(caught.value)
    assert "3 problems" in text
    assert 'training.stepss (run.toml:2): unknown key; did you mean "steps"?' in text
    assert "training.learning_rate (run.toml:3): should be greater than 0, got -1" in text
    assert 'modell (run.toml:4): unknown key; did you mean "model"?' in text


def test_missing_file_names_a_near_one(tmp_path):
    write(tmp_path, "")
    with pytest.raises(ConfigError, match=r'did you mean "run.toml"'):
        load_run_file(tmp_path / "rum.toml")


def test_a_missing_file_is_not_taken_for_one_with_the_same_ending_alone(tmp_path):
    for name in ("model.toml", "rows.csv", "rows.toml"):
        (tmp_path / name).touch()
    assert near_file(tmp_path / "nope.toml") == ""
    assert near_file(tmp_path / "row.csv") == 'did you mean "rows.csv"?'
    assert near_file(tmp_path / "modle.toml") == 'did you mean "model.toml"?'
    assert near_file(tmp_path / "no folder/rows.csv") == ""


def test_broken_toml_says_where(tmp_path):
    with pytest.raises(ConfigError, match="line 2"):
        load_run_file(write(tmp_path, 'name = "a"\nseed = = 3\n'))


def test_overrides_win_and_are_remembered(tmp_path):
    path = write(tmp_path, "seed = 1\n[training]\nsteps = 10\n")
    loaded = load_run_file(path, overrides=["training.steps=20", "model.path=some/hub-id"])
    assert loaded.config.training.steps == 20
    assert loaded.config.model.path == "some/hub-id"
    assert loaded.origins["training.steps"] == "--set"
    assert loaded.origins["seed"] == "run.toml:1"
    assert loaded.origins["training.optimizer"] == "default"


def test_a_malformed_override_is_explained(tmp_path):
    with pytest.raises(ConfigError, match=r"dotted\.key=value"):
        load_run_file(write(tmp_path, ""), overrides=["training.steps"])


def test_an_inline_table_is_the_origin_of_what_it_sets(tmp_path):
    loaded = load_run_file(write(tmp_path, "\ntraining = { steps = 5 }\n"))
    assert loaded.origins["training.steps"] == "run.toml:2"


def test_paths_start_from_the_run_file(tmp_path):
    loaded = load_run_file(write(tmp_path, '[data]\nmirror = "m"\ntasks = ["tasks/*.toml"]\n'))
    assert loaded.config.data.mirror == tmp_path.resolve() / "m"
    assert loaded.config.data.tasks == (str(tmp_path.resolve() / "tasks/*.toml"),)


def test_written_config_loads_as_the_same_config(tmp_path):
    path = write(
        tmp_path,
        'name = "quote \\" and \\\\ slash"\n[holdout]\nfolds = [["a", "b"], ["c"]]\n[model.scratch]\nlayers = 2\n',
    )
    config = load_run_file(path).config
    again = load_run_file(write(tmp_path, to_toml(config))).config
    assert again == config


def test_every_setting_has_a_help_text():
    missing = [key for key, _ in flatten(RunConfig()) if len(explain(key)) < 10]
    assert missing == []


def test_fingerprint_sees_every_setting():
    base = RunConfig()
    assert fingerprint(base.model_dump(mode="json")) != fingerprint(RunConfig(seed=1).model_dump(mode="json"))
