"""A setting that is added as docs/contributing.md says: a field with a docstring in its section."""

from __future__ import annotations

import pytest

from flantune.errors import ConfigError
from flantune.settings import run_file
from flantune.settings.config import RunConfig, TrainingSettings
from flantune.settings.run_file import explain, fingerprint, flatten, load_run_file, to_toml
from flantune.settings.setting_types import Natural


class Training(TrainingSettings):
    """How the model is tuned."""

    cooldown: Natural = 0
    """Steps at the end over which the rate falls to zero; 0: none."""


class Config(RunConfig):
    """A run."""

    training: Training = Training()
    """How the model is tuned."""


@pytest.fixture(autouse=True)
def _added(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run_file, "RunConfig", Config)


def test_a_new_setting_is_read_explained_and_written(tmp_path):
    (tmp_path / "run.toml").write_text("[training]\ncooldown = 20\n")
    file = load_run_file(tmp_path / "run.toml")
    assert file.config.training.cooldown == 20
    assert file.origins["training.cooldown"] == "run.toml:2"
    assert explain("training.cooldown").startswith("Steps at the end")
    (tmp_path / "again.toml").write_text(to_toml(file.config))
    assert load_run_file(tmp_path / "again.toml").config == file.config


def test_it_is_checked_like_all_others(tmp_path):
    (tmp_path / "run.toml").write_text("[training]\ncooldown = -1\ncooldwon = 2\n")
    with pytest.raises(ConfigError) as caught:
        load_run_file(tmp_path / "run.toml")
    assert "training.cooldown (run.toml:2): should be at least 0, got -1" in caught.value.message
    assert 'training.cooldwon (run.toml:3): unknown key; did you mean "cooldown"?' in caught.value.message


def test_another_value_is_another_run(tmp_path):
    names = []
    for value in (0, 20):
        (tmp_path / "run.toml").write_text(f"[training]\ncooldown = {value}\n")
        names.append(fingerprint(dict(flatten(load_run_file(tmp_path / "run.toml").config))))
    assert names[0] != names[1]
