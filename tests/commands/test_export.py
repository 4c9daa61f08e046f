"""Exported mixtures: the run's own prompts, with provenance, the same bytes every time."""

from __future__ import annotations

import json
import tracemalloc
from collections import Counter
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner

from flantune.cli.export import command
from flantune.commands import export as exporting
from flantune.commands.export import Format, export, format_of
from flantune.commands.init import write_project
from flantune.commands.plan import make_mixture, prepare_tasks, split_fold
from flantune.errors import ConfigError, FlantuneError
from flantune.prompts.layout import Layout, inputs_text
from flantune.settings.run_file import RunFile, load_run_file
from flantune.system.files import whole_file


def load(world: Path, *overrides: str) -> RunFile:
    return load_run_file(world / "run.toml", overrides=overrides)


def write(world: Path, name: str, *overrides: str, form: Format = "jsonl", count: int = 50, fold: int = 0) -> Path:
    path = world / "exports" / name
    export(load(world, *overrides), path=path, count=count, form=form, fold=fold, cache=world / "cache")
    return path


def rows_of(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


@pytest.mark.parametrize("form", ["jsonl", "parquet", "chat"])
def test_the_same_seed_writes_the_same_bytes(world: Path, form: Format) -> None:
    one, other = (write(world, name, form=form) for name in ("one", "other"))
    assert one.read_bytes() == other.read_bytes()
    assert one.read_bytes() != write(world, "third", "seed=4", form=form).read_bytes()


def test_rows_are_the_draws_of_the_run(world: Path) -> None:
    file = load(world, "prompts.train_shots=[0, 2]")
    prepared, _ = prepare_tasks(file.config, root=file.root, cache=world / "cache")
    split = split_fold(file.config, [one.task for one in prepared], file.config.holdout.folds[1])
    mixture = make_mixture(file.config, prepared, split)
    rows = rows_of(write(world, "draws", "prompts.train_shots=[0, 2]", fold=1))
    for index, row in enumerate(rows):
        prompt = mixture[index]
        assert row["index"] == index
        assert row["inputs"] == inputs_text(prompt, Layout.from_settings(file.config.prompts))
        assert row["targets"] == prompt.targets
        assert row["exemplar_rows"] == [exemplar.row for exemplar in prompt.exemplars]
    assert {len(row["exemplar_rows"]) for row in rows} == {0, 2}


def test_provenance_leads_back_to_the_raw_row(world: Path) -> None:
    raw = {name: rows_of(world / name / "train.jsonl") for name in ("mood", "tone", "animal", "echo")}
    rows = rows_of(write(world, "provenance"))
    assert {row["task"] for row in rows} == {"animal", "echo"}
    assert {row["is_inverted"] for row in rows} == {True, False}
    for row in rows:
        source = raw[row["task"]][row["row"]]
        assert source["text"] in (row["targets"] if row["is_inverted"] else row["inputs"])
        if row["is_inverted"]:
            assert row["options"] == [] and row["answer"] is None
        elif row["options"]:
            assert row["options"][row["answer"]] == source["answer"] == row["targets"]
        assert row["split"] == row["source_split"] == "train"
        assert row["clusters"] == [{"animal": "topic", "echo": "copying"}[row["task"]]]


def test_trap_held_out_tasks_are_not_exported(world: Path) -> None:
    assert {row["task"] for row in rows_of(write(world, "fold1", fold=1))} == {"mood", "tone", "echo"}


def test_parquet_holds_the_same_rows(world: Path) -> None:
    path = write(world, "rows.parquet", form="parquet")
    assert pq.read_table(path).to_pylist() == rows_of(write(world, "rows.jsonl"))


def test_blocks_change_no_row(world: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = write(world, "whole").read_bytes()
    monkeypatch.setattr(exporting, "_BLOCK", 7)
    assert write(world, "pieces").read_bytes() == whole
    assert pq.read_metadata(write(world, "pieces.parquet", form="parquet")).num_row_groups == 8


def test_chat_rows_have_two_turns(world: Path) -> None:
    flat = rows_of(write(world, "flat"))
    for row, plain in zip(rows_of(write(world, "chat", form="chat")), flat, strict=True):
        assert [turn["role"] for turn in row["messages"]] == ["user", "assistant"]
        assert [turn["content"] for turn in row["messages"]] == [plain["inputs"], plain["targets"]]
        assert row["metadata"]["row"] == plain["row"] and "inputs" not in row["metadata"]


def test_chat_rows_begin_with_the_system_message_of_the_run(world: Path) -> None:
    told = ("prompts.chat=true", "prompts.system=Be brief.", "prompts.train_shots=[2]", "prompts.chat_exemplars=turns")
    flat = rows_of(write(world, "flat", *told))
    for row, plain in zip(rows_of(write(world, "chat", *told, form="chat")), flat, strict=True):
        first, *others = row["messages"]
        assert first == {"role": "system", "content": "Be brief."}
        # Exemplars as turns would be learned from, too.
        assert [turn["content"] for turn in others] == [plain["inputs"], plain["targets"]]


def test_a_run_file_without_folds_exports_all_tasks(world: Path) -> None:
    rows = rows_of(write(world, "all", "holdout.folds=[]", count=200))
    assert {row["task"] for row in rows} == {"mood", "tone", "animal", "echo"}
    with pytest.raises(ConfigError, match="there is no fold 2"):
        write(world, "none", fold=2)


def test_an_export_that_fails_leaves_nothing(world: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise FlantuneError("stop")

    monkeypatch.setattr(exporting, "write_jsonl", fail)
    with pytest.raises(FlantuneError, match="stop"):
        write(world, "failed.jsonl")
    assert not [path for path in (world / "exports").iterdir() if "failed" in path.name]


def test_an_export_that_fails_keeps_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "old.jsonl"
    path.write_text("old")
    with pytest.raises(KeyError), whole_file(path) as handle:
        handle.write(b"new")
        raise KeyError
    assert path.read_text() == "old" and list(tmp_path.iterdir()) == [path]
    with whole_file(path) as handle:
        handle.write(b"new")
    assert path.read_text() == "new" and list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("form", ["jsonl", "parquet"])
def test_memory_does_not_grow_with_the_count(world: Path, form: Format, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exporting, "_BLOCK", 64)
    peaks = []
    write(world, "warm", form=form)
    for count in (400, 4_000):
        tracemalloc.start()
        write(world, f"memory-{count}", form=form, count=count)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 2 * peaks[0] + 200_000


def test_without_a_count_a_cycle_is_written(world: Path) -> None:
    path = world / "exports" / "cycle.jsonl"
    done = export(load(world), path=path, cache=world / "cache")
    counted = Counter(row["task"] for row in rows_of(path))
    assert done.rows == counted.total() and set(counted) == {"animal", "echo"}
    assert counted["animal"] == counted["echo"] == 60


def test_the_name_tells_the_format() -> None:
    names = ("a.parquet", "a.jsonl", "a.chat.jsonl", "a")
    assert [format_of(Path(name)) for name in names] == ["parquet", "jsonl", "chat", "jsonl"]


def test_the_command_writes_and_says_where(world: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(world)
    out = world / "exports" / "by-command.jsonl"
    result = CliRunner().invoke(command, ["data", "run.toml", "--fold", "0", "--count", "9", "--out", str(out)])
    assert result.exit_code == 0, result.output
    assert result.stdout.strip() == str(out) and len(rows_of(out)) == 9
    assert "9 rows under: no stated licence" in result.stderr


def test_every_row_says_what_it_is_and_what_its_licence_allows(tmp_path: Path) -> None:
    write_project(tmp_path)
    file = load_run_file(tmp_path / "run.toml")
    export(file, path=tmp_path / "rows.jsonl", count=8, cache=tmp_path / "cache")
    for row in rows_of(tmp_path / "rows.jsonl"):
        assert (row["task"], row["clusters"]) == ("ticket_routing", ["message routing"])
        assert (row["source_family"], row["languages"]) == ("ticket_routing", ["English"])
        assert (row["licence"], row["licence_use"]) == ("CC0 1.0", "commercial")
        assert (row["part"], row["collection"]) == ("", "")
        if row["options"]:
            assert row["options"][row["answer"]] in row["targets"]


def test_an_export_is_narrowed_by_licence_language_and_part(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_project(tmp_path)
    monkeypatch.chdir(tmp_path)
    text = (tmp_path / "tasks/routing.toml").read_text(encoding="utf-8")
    for name, licence, language in (("bound", "CC BY-NC 4.0", "English"), ("deutsch", "CC0 1.0", "de")):
        own = text.replace('"ticket_routing"', f'"{name}"').replace('"CC0 1.0"', f'"{licence}"')
        own = own.replace('languages = ["English"]', f'languages = ["{language}"]')
        (tmp_path / f"tasks/{name}.toml").write_text(own, encoding="utf-8")
    with (tmp_path / "run.toml").open("a", encoding="utf-8") as file:
        file.write(
            '\n[mixture.parts.one]\ntasks = ["ticket_routing", "deutsch"]\n[mixture.parts.two]\ntasks = ["bound"]\n'
        )

    def exported(*options: str) -> set[tuple[str, str]]:
        result = CliRunner().invoke(command, ["data", "run.toml", "--out", "rows.jsonl", "--count", "60", *options])
        assert result.exit_code == 0, result.output
        return {(row["part"], row["task"]) for row in rows_of(tmp_path / "rows.jsonl")}

    one, two, german = ("one", "ticket_routing"), ("two", "bound"), ("one", "deutsch")
    assert exported() == {one, two, german}
    assert exported("--commercial") == {one, german}
    assert exported("--language", "English") == {one, two}
    assert exported("--language", "en", "--language", "German", "--commercial") == {one, german}
    assert exported("--part", "two") == {two}


def test_a_conversation_is_exported_as_its_own_messages(tmp_path):
    said = [{"role": ("user", "assistant")[at % 2], "content": text} for at, text in enumerate(("a?", "b", "c?", "d"))]
    rows = [{"messages": [{"role": "system", "content": "Be brief."}, *said]}, {"messages": said[:2]}]
    (tmp_path / "chats.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (tmp_path / "chats.toml").write_text(
        'name = "chats"\nclusters = ["c"]\nsource.files.train = "chats.jsonl"\nsplits.train = "train"\n'
        'conversation.column = "messages"\n'
    )
    (tmp_path / "run.toml").write_text(
        '[data]\ntasks = ["chats.toml"]\n[prompts]\nchat = true\nsystem = "Of the run."\n'
    )
    file = load_run_file(tmp_path / "run.toml")
    for name in ("rows.chat.jsonl", "rows.jsonl", "rows.parquet"):
        export(file, path=tmp_path / name, form=format_of(tmp_path / name), cache=tmp_path / "cache")
    chats = [json.loads(line)["messages"] for line in (tmp_path / "rows.chat.jsonl").read_text().splitlines()]
    own = {"role": "system", "content": "Be brief."}
    run = {"role": "system", "content": "Of the run."}
    assert sorted(map(str, chats)) == sorted(map(str, [[own, *said[:2]], [own, *said], [run, *said[:2]]]))
    flat = [json.loads(line) for line in (tmp_path / "rows.jsonl").read_text().splitlines()]
    assert pq.read_table(tmp_path / "rows.parquet").column("turns").to_pylist() == [row["turns"] for row in flat]
    assert all(row["turns"][-1]["content"] in row["inputs"] for row in flat)
