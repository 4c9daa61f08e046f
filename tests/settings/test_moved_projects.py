"""A run belongs to its content: a project that was moved goes on, one whose files changed does not."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from flantune.errors import ConfigError, FlantuneError
from flantune.runs.folder import open_run_folder
from flantune.runs.identity import content_digest, training_identity
from flantune.settings.run_file import load_run_file

RUN = """
[data]
tasks = ["tasks/*.toml"]
mirror = "hub"
cache = "cache"
clean = "clean.json"
clusters = "grouping.toml"
[holdout]
folds = [["nli"]]
taxonomy = "taxonomy.toml"
[prompts]
chat = true
chat_template = "chat.jinja"
[model]
path = "base"
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    home = tmp_path / "here"
    (home / "base").mkdir(parents=True)
    (home / "base/config.json").write_text("{}")
    (home / "base/model.safetensors").write_bytes(bytes(range(256)) * 100_000)
    for name in ("taxonomy.toml", "grouping.toml", "chat.jinja"):
        (home / name).write_text("# one\n")
    (home / "run.toml").write_text(RUN)
    open_run_folder(home / "runs/a", load_run_file(home / "run.toml")).base.mkdir()
    return home


def joined(home: Path) -> None:
    open_run_folder(home / "runs/a", load_run_file(home / "run.toml"))


def test_a_moved_project_goes_on(project):
    moved = project.rename(project.parent / "elsewhere")
    joined(moved)
    copied = Path(shutil.copytree(moved, project.parent / "deep/down/copy"))
    joined(copied)


@pytest.mark.parametrize(
    ("file", "setting"),
    [
        ("taxonomy.toml", "holdout.taxonomy"),
        ("grouping.toml", "data.clusters"),
        ("chat.jinja", "prompts.chat_template"),
        ("base/config.json", "model.path"),
        ("base/model.safetensors", "model.path"),
    ],
)
def test_other_content_is_another_run(project, file, setting):
    path = project / file
    raw = bytearray(path.read_bytes())
    raw[-1] ^= 1
    path.write_bytes(bytes(raw))
    with pytest.raises(ConfigError, match="with other content") as caught:
        joined(project)
    assert setting in str(caught.value)


def test_a_setting_that_shapes_weights_is_still_another_run(project):
    text = (project / "run.toml").read_text()
    (project / "run.toml").write_text(text + "[training]\nlearning_rate = 1e-4\n")
    with pytest.raises(ConfigError, match=r"training\.learning_rate: 3e-05 there, 0\.0001 now"):
        joined(project)


def test_a_file_counts_by_its_content_and_a_folder_by_its_names_too(tmp_path):
    (tmp_path / "a").write_text("x")
    (tmp_path / "b").write_text("x")
    assert content_digest(tmp_path / "a") == content_digest(tmp_path / "b")
    before = content_digest(tmp_path)
    (tmp_path / "b").rename(tmp_path / "c")
    assert content_digest(tmp_path) != before
    assert content_digest(tmp_path / "nothing") == ""


def test_a_models_card_is_no_part_of_it(project):
    (project / "base/README.md").write_text("a card")
    joined(project)


def test_a_hub_model_counts_by_its_name(tmp_path):
    (tmp_path / "run.toml").write_text('[model]\npath = "org/one"\n')
    one = training_identity(load_run_file(tmp_path / "run.toml").config)
    (tmp_path / "run.toml").write_text('[model]\npath = "org/two"\n')
    assert training_identity(load_run_file(tmp_path / "run.toml").config) != one


@pytest.mark.parametrize("content", ["", "{", "[]", '{"identity": 3}', "\xff"])
def test_a_damaged_claim_says_what_to_do(project, content):
    (project / "runs/a/config.json").write_text(content, encoding="latin-1")
    with pytest.raises(FlantuneError, match=r"config\.json") as caught:
        joined(project)
    assert caught.value.hint
