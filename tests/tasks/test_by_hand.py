"""Data that has to be placed by hand: the message says where to get it, where to put it and what is read of it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from flantune.cli.fetch import command as fetch_command
from flantune.commands.plan import prepare_tasks
from flantune.errors import FlantuneError, MissingDataError
from flantune.settings.config import RunConfig
from flantune.tasks.sources import hub_api
from flantune.tasks.sources.fetch import _gathered, by_hand
from flantune.tasks.sources.hub_api import CONVERTED, load_hub_split
from flantune.types import HubDataset, Task

from .conftest import BODY, HEAD

SOURCE = """
hub = "me/letters"
config = "old"
manual = \"\"\"
Ask their author. Put them at <mirror>/me/letters/old/train.jsonl.gz;
read are text and label.\"\"\"
"""
HOW = "Ask their author. Put them at <mirror>/me/letters/old/train.jsonl.gz; read are text and label."


def test_without_a_mirror_the_hub_is_never_asked(
    load_text: Callable[..., Task], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hub_api, "stream_rows", lambda *_, **__: pytest.fail("asked"))
    task = load_text(f'{HEAD}[source]{SOURCE}[splits]\ntrain = "train"\n{BODY}')
    for read in (lambda: next(task.source.rows("train")), lambda: task.source.fingerprint("train")):
        with pytest.raises(MissingDataError, match=r"me/letters \(old\) cannot be downloaded from the hub") as error:
            read()
        assert error.value.hint == HOW


def test_a_mirror_without_it_says_how_to_get_it(load_text: Callable[..., Task], tmp_path: Path) -> None:
    text = f'{HEAD}[source]{SOURCE}[splits]\ntrain = "train"\n{BODY}'
    (tmp_path / "mirror").mkdir()
    task = load_text(text, mirror=tmp_path / "mirror")
    with pytest.raises(MissingDataError, match="the mirror has no me/letters") as error:
        next(task.source.rows("train"))
    assert error.value.hint == HOW
    assert by_hand([task], tmp_path / "mirror") == {"moods": HOW}
    folder = tmp_path / "mirror/me/letters/old"
    folder.mkdir(parents=True)
    (folder / "train.jsonl").write_text('{"text": "Dear all", "label": 1}\n')
    assert next(task.source.rows("train"))["label"] == 1
    assert by_hand([task], tmp_path / "mirror") == {}


def test_a_run_goes_on_without_it_and_lists_it(load_text: Callable[..., Task], tmp_path: Path) -> None:
    load_text(f'{HEAD}[source]{SOURCE}[splits]\ntrain = "train"\n{BODY}')
    there = HEAD.replace("moods", "others") + '[source]\nfiles = { train = "t.jsonl" }\n[splits]\ntrain = "train"\n'
    load_text(there + BODY, name="others.toml")
    (tmp_path / "t.jsonl").write_text("".join(json.dumps({"text": f"t{k}", "label": k % 2}) + "\n" for k in range(4)))
    data = {"tasks": ["task.toml", "others.toml"], "mirror": "mirror"}
    with pytest.raises(FlantuneError, match="Ask their author"):
        prepare_tasks(RunConfig.model_validate({"data": data}), root=tmp_path, cache=tmp_path / "cache")
    config = RunConfig.model_validate({"data": {**data, "missing": "skip"}})
    prepared, skipped = prepare_tasks(config, root=tmp_path, cache=tmp_path / "cache")
    assert [one.task.name for one in prepared] == ["others"]
    assert set(skipped) == {"moods"} and HOW in skipped["moods"]


def test_fetching_passes_it_over_and_says_so(tmp_path: Path, load_text: Callable[..., Task]) -> None:
    load_text(f'{HEAD}[source]{SOURCE}[splits]\ntrain = "train"\n{BODY}')
    (tmp_path / "run.toml").write_text('[data]\ntasks = ["task.toml"]\n')
    result = CliRunner().invoke(fetch_command, [str(tmp_path / "run.toml"), "--mirror", str(tmp_path / "mirror")])
    assert result.exit_code == 0, result.output
    assert f"moods has to be put there manually. {HOW}" in result.stderr


def test_of_a_huge_split_only_the_rows_that_are_read_are_fetched(load_text: Callable[..., Task]) -> None:
    def wanted(train: str, other: str = "") -> dict[str, int]:
        splits = f'train = "{train}"\n' + (f'dev = "{other}"\n' if other else "") + 'test = "test"'
        task = load_text(f'{HEAD}[source]\nhub = "me/big"\n[splits]\n{splits}\n{BODY}')
        return next(iter(_gathered([task]).values()))

    assert wanted("train[:30000]") == {"train": 30_000, "test": 0}
    assert wanted("train[:30000]", "train[30000:30200]") == {"train": 30_200, "test": 0}
    assert wanted("train[:100] + train[500:600]") == {"train": 600, "test": 0}
    assert wanted("train[:30000]", "train[-200:]") == {"train": 0, "test": 0}
    assert wanted("train[:-200]", "train[10:20]") == {"train": 0, "test": 0}


def test_the_hubs_own_conversion_is_read_file_by_file(monkeypatch: pytest.MonkeyPatch) -> None:
    """The library would take a folder challenge_train_sample for rows of train, and knows no configurations there."""
    datasets = pytest.importorskip("datasets")
    calls: list[Any] = []
    monkeypatch.setattr(datasets, "load_dataset", lambda *given, **named: calls.append((given, named)))
    wanted = HubDataset(id="GEM/e2e_nlg", config="default", revision=CONVERTED)
    load_hub_split(wanted, split="train", streaming=True)
    ((given, named),) = calls
    assert given == ("parquet",)
    files = "hf://datasets/GEM/e2e_nlg@refs%2Fconvert%2Fparquet/default/train/*.parquet"
    assert named == {"data_files": {"train": files}, "split": "train", "streaming": True}
