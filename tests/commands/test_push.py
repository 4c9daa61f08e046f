"""What ``flantune push`` would send: chosen, changed and told without asking anybody; tests/hub sends it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from flantune.cli.main import cli
from flantune.commands.push import parcel, with_front_matter
from flantune.errors import ConfigError, ModelError
from flantune.models.stored.places import read_adapter_config

CARD = '---\nlibrary_name: transformers\nbase_model: "/models/big_one"\n# license: yours to state\n---\n\n# Big\n\n'
CARD += "Made of /models/big\\_one, in /models/big_one.\n"


@pytest.fixture
def model(tmp_path: Path) -> Path:
    folder = tmp_path / "folds/x/model"
    folder.mkdir(parents=True)
    files = {
        "config.json": "{}", "model.safetensors": "weights", "tokenizer.json": "{}", "chat_template.jinja": "{{ x }}",
        "flantune.json": "{}", "training_rows.npz": "rows", "README.md": CARD,
        "pytorch_model.bin": "pickled", "notes.py": "print()", ".env": "HF_TOKEN=secret",
    }  # fmt: skip
    for name, text in files.items():
        (folder / name).write_text(text)
    (folder / "more").mkdir()
    return folder


def test_what_belongs_to_the_model_is_sent_and_the_rest_is_named(model: Path) -> None:
    found = parcel(model, "me/model")
    assert [file.name for file in found.files] == [
        "README.md", "chat_template.jinja", "config.json", "flantune.json", "model.safetensors", "tokenizer.json",
        "training_rows.npz",
    ]  # fmt: skip
    assert found.left_out == ("more", "notes.py", "pytorch_model.bin")
    assert found.size == sum((model / file.name).stat().st_size for file in found.files)
    assert any("states no license" in note for note in found.notes)
    assert any("its card names a folder on this machine, /models/big_one" in note for note in found.notes)


def test_code_of_a_models_own_goes_along(model: Path) -> None:
    (model / "config.json").write_text('{"auto_map": {"AutoModel": "notes.Model"}}')
    assert "notes.py" in [file.name for file in parcel(model, "me/model").files]


def test_license_and_base_model_change_what_is_sent_and_not_the_folder(model: Path) -> None:
    found = parcel(model, "me/model", license_id="mit", base_model="org/big")
    (card,) = [file.text for file in found.files if file.name == "README.md"]
    assert card is not None and "/models" not in card and "Made of org/big, in org/big." in card
    assert 'license: "mit"\n' in card and 'base_model: "org/big"\n' in card and "yours to state" not in card
    assert found.notes == () and (model / "README.md").read_text() == CARD


def test_an_adapter_of_a_folder_is_told_and_can_be_named(model: Path) -> None:
    (model / "config.json").rename(model / "adapter_config.json")
    (model / "adapter_config.json").write_text('{"base_model_name_or_path": "/models/big_one", "r": 8}')
    assert any("cannot be loaded elsewhere" in note for note in parcel(model, "me/model").notes)
    found = parcel(model, "me/model", license_id="mit", base_model="org/big")
    (config,) = [file.text for file in found.files if file.name == "adapter_config.json"]
    assert json.loads(str(config)) == {"base_model_name_or_path": "org/big", "r": 8} and found.notes == ()


@pytest.mark.parametrize("text", ["{", "[]", '"text"'])
@pytest.mark.parametrize("base_model", ["", "org/big"])
def test_a_broken_adapter_is_one_sentence(model: Path, text: str, base_model: str) -> None:
    (model / "adapter_config.json").write_text(text)
    with pytest.raises(ModelError) as told:
        parcel(model, "me/model", base_model=base_model)
    assert told.value.where.endswith("adapter_config.json") and told.value.hint
    with pytest.raises(ModelError) as told:
        read_adapter_config(model)
    assert told.value.where.endswith("adapter_config.json")


def test_folders_of_the_machine_are_told(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/somebody")
    (model / "flantune.json").write_text('{"path": "/somebody/data"}')
    assert any("are named in flantune.json" in note for note in parcel(model, "me/model").notes)


def test_a_card_without_front_matter_gets_one() -> None:
    assert with_front_matter("# Model\n", {"license": "mit"}) == '---\nlicense: "mit"\n---\n# Model\n'
    again = with_front_matter('---\nlicense: "x"\n---\n', {"license": "mit"})
    assert again == '---\nlicense: "mit"\n---\n'


@pytest.mark.parametrize("name", ["model", "me/", "me/my model", "a/b/c", "me/a--b", "../me/a"])
def test_a_name_that_the_hub_does_not_take(model: Path, name: str) -> None:
    with pytest.raises(ConfigError, match="is not the name of a hub repository"):
        parcel(model, name)


def test_a_folder_without_a_model_names_one_below_it(model: Path) -> None:
    with pytest.raises(ModelError, match="holds no model") as caught:
        parcel(model.parents[1], "me/model")
    assert str(model) in caught.value.hint
    (model / "model.safetensors").unlink()
    with pytest.raises(ModelError, match="no weights as safetensors"):
        parcel(model, "me/model")


def test_a_dry_run_lists_and_sends_nothing(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("flantune.commands.push.send", lambda *_, **__: pytest.fail("sent"))
    result = CliRunner().invoke(cli, ["push", str(model), "me/model", "--dry-run", "--license", "mit"])
    assert result.exit_code == 0 and "nothing was sent" in result.stderr
    assert "model.safetensors" in result.stdout and "README.md  (changed)" in result.stdout
    assert "not sent: more, notes.py, pytorch_model.bin" in result.stderr
    result = CliRunner().invoke(cli, ["push", str(model), "me/model", "--dry-run", "--json"])
    assert {"name": "model.safetensors", "bytes": 7} in json.loads(result.stdout)["files"]
