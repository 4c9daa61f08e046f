"""``flantune prepare``: the same bytes whoever makes them, and the same training from them."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner
from tests.end_to_end.small_world import write_small_world

from flantune.cli.main import cli
from flantune.commands import prepare as command
from flantune.commands import prepared_draws
from flantune.commands import run as running
from flantune.commands.prepare import PreparedManifest, draws_taken, make_block, prepare
from flantune.contamination.clean import CleanFilter, CleanFold
from flantune.errors import PackingError
from flantune.packing import blocks, prepared
from flantune.packing.blocks import block_path
from flantune.settings.json_file import read_value, write_value
from flantune.settings.run_file import load_run_file
from flantune.system.engines import LocalEngine
from flantune.system.files import file_sha256

SIZE = 64


@pytest.fixture
def _small_blocks(monkeypatch):
    for module in (blocks, prepared, command, prepared_draws):
        monkeypatch.setattr(module, "BLOCK_DRAWS", SIZE)
    monkeypatch.setattr(command, "_CHUNK", 16)
    monkeypatch.setattr(command, "_SAMPLE", 50)


@pytest.fixture(scope="module")
def world(tmp_path_factory) -> Path:
    return write_small_world(tmp_path_factory.mktemp("world"))


class Told:
    def __init__(self):
        self.stages, self.notes, self.steps = [], [], []

    def stage(self, title):
        self.stages.append(title)

    def note(self, message):
        self.notes.append(message)

    def step(self, done, total, text):
        self.steps.append(text)


def make(world, out, *, overrides=(), engine=None, **options):
    loaded = load_run_file(world, overrides=overrides)
    options = {"fold": 0, "cache": world.parent / "cache", **options}
    return prepare(loaded, out=out, engine=engine or LocalEngine(workers=1), **options)


def content(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.glob("block-*"))}


class Backwards:
    """Makes pieces from the last to the first."""

    def make(self, work, job, numbers):
        yield from (work(job, number) for number in reversed(numbers))


@pytest.mark.usefixtures("_small_blocks")
class TestInOneProcess:
    def test_blocks_and_a_manifest_that_names_them(self, world, tmp_path):
        told = Told()
        (done,) = make(world, tmp_path, draws=200, reporter=told)
        assert (done.folder, done.draws, done.made, done.kept, done.missing) == (tmp_path / "sentiment", 256, 4, 0, 0)
        manifest = read_value(done.folder / "manifest.json", PreparedManifest)
        assert (manifest.held_out, manifest.draws, manifest.block_draws) == (("sentiment",), 256, SIZE)
        assert [one.sha256 for one in manifest.blocks] == [file_sha256(block_path(done.folder, n)) for n in range(4)]
        assert manifest.counts.prompts == 256 and manifest.counts.target_tokens > 256
        assert "without sentiment" in told.stages[-1]
        assert told.steps[-1].startswith("block 4 of 4, ") and told.steps[-1].endswith(" prompts/s, 0 s left")
        tasks = pq.read_table(block_path(done.folder, 3)).column("task").unique().to_pylist()
        assert sorted(tasks) == ["animal", "echo"]

    def test_order_and_parts_change_no_byte(self, world, tmp_path):
        make(world, tmp_path / "straight", draws=300)
        make(world, tmp_path / "backwards", draws=300, engine=Backwards())
        left = [make(world, tmp_path / "parts", draws=300, part=(k, 3))[0].missing for k in (2, 1, 3)]
        assert left == [3, 1, 0]
        expected = content(tmp_path / "straight/sentiment")
        assert len(expected) == 5
        for other in ("backwards", "parts"):
            assert content(tmp_path / other / "sentiment") == expected
            manifests = [(tmp_path / name / "sentiment/manifest.json").read_text() for name in ("straight", other)]
            assert manifests[0] == manifests[1]

    def test_what_is_there_is_kept_and_what_is_missing_made(self, world, tmp_path):
        make(world, tmp_path, draws=200)
        before = content(tmp_path / "sentiment")
        times = {path.name: path.stat().st_mtime_ns for path in (tmp_path / "sentiment").glob("block-*")}
        block_path(tmp_path / "sentiment", 1).unlink()
        block_path(tmp_path / "sentiment", 2).write_bytes(b"damaged")
        told = Told()
        (done,) = make(world, tmp_path, draws=200, reporter=told)
        assert (done.made, done.kept) == (2, 2) and content(tmp_path / "sentiment") == before
        assert any("damaged" in note for note in told.notes)
        after = {path.name: path.stat().st_mtime_ns for path in (tmp_path / "sentiment").glob("block-*")}
        assert [after[name] == times[name] for name in sorted(times)] == [True, False, False, True]

    def test_what_a_killed_process_left_is_removed_after_a_day(self, world, tmp_path):
        old, new = (tmp_path / "sentiment" / f".block-0000001.parquet.{name}.tmp" for name in ("old", "new"))
        old.parent.mkdir()
        for path in (old, new):
            path.write_bytes(b"half")
        os.utime(old, (0, 0))
        make(world, tmp_path, draws=10)
        assert not old.exists() and new.exists()

    def test_it_can_be_made_longer(self, world, tmp_path):
        make(world, tmp_path, draws=100)
        (done,) = make(world, tmp_path, draws=200)
        assert (done.made, done.kept) == (2, 2)
        (done,) = make(world, tmp_path, draws=100)
        assert (done.made, done.kept) == (0, 2)
        assert read_value(tmp_path / "sentiment/manifest.json", PreparedManifest).draws == 256

    @pytest.mark.parametrize(
        ("change", "named"),
        [
            ("seed=4", "the setting seed"),
            ('prompts.style="inputs_only"', "[prompts]"),
            ("mixture.max_rate=20", "[mixture]"),
            ("packing.row_tokens=127", "[packing]"),
            ('data.exclude=["echo"]', "the tasks trained on"),
            ("model.scratch.vocabulary_size=300", "the tokenizer"),
            ('model.scratch.architecture="t5"', "the kind of model"),
        ],
    )
    def test_other_draws_are_refused_and_what_differs_is_named(self, world, tmp_path, change, named):
        make(world, tmp_path, draws=10)
        with pytest.raises(PackingError) as found:
            make(world, tmp_path, draws=10, overrides=[change])
        assert "made from other inputs: " in found.value.message and named in found.value.message
        assert "--out" in found.value.hint

    @pytest.mark.parametrize("change", ["training.steps=7", "packing.batch_tokens=256", "evaluation.max_examples=3"])
    def test_what_changes_no_draw_is_not_refused(self, world, tmp_path, change):
        make(world, tmp_path, draws=10)
        assert make(world, tmp_path, draws=10, overrides=[change])[0].kept == 1

    def test_other_rows_are_refused(self, world, tmp_path):
        other = tmp_path / "world"
        shutil.copytree(world.parent, other, ignore=shutil.ignore_patterns("cache"))
        make(world, tmp_path / "out", draws=10)
        rows = other / "echo/train.jsonl"
        rows.write_text(rows.read_text().replace("story 3", "tale 3"))
        with pytest.raises(PackingError, match="their rows or templates"):
            make(other / world.name, tmp_path / "out", draws=10, cache=other / "cache")

    def test_rows_that_are_left_out_count(self, world, tmp_path):
        for name, rows in (("few", (1, 2)), ("more", (1, 2, 3))):
            fold = CleanFold(held_out=("sentiment",), train={"echo": frozenset(rows)}, test={})
            write_value(tmp_path / f"{name}.json", CleanFilter(name="a filter", folds=(fold,)))
        one_fold = 'holdout.folds=[["sentiment"]]'
        few, more = ([one_fold, f"data.clean={tmp_path}/{name}.json"] for name in ("few", "more"))
        make(world, tmp_path / "out", draws=10, overrides=few)
        assert make(world, tmp_path / "out", draws=10, overrides=few)[0].kept == 1
        for others in (more, [one_fold]):
            with pytest.raises(PackingError, match="rows left out"):
                make(world, tmp_path / "out", draws=10, overrides=others)

    def test_a_moved_project_keeps_its_draws(self, world, tmp_path):
        other = tmp_path / "world"
        shutil.copytree(world.parent, other, ignore=shutil.ignore_patterns("cache"))
        make(world, tmp_path / "out", draws=10)
        assert make(other / world.name, tmp_path / "out", draws=10, cache=other / "cache")[0].kept == 1

    def test_every_fold_unless_one_is_named(self, world, tmp_path):
        assert [done.folder.name for done in make(world, tmp_path, draws=10, fold=None)] == ["sentiment", "topic"]
        nothing_held_out = make(world, tmp_path, draws=10, overrides=["holdout.folds=[]"], fold=None)
        assert [done.folder.name for done in nothing_held_out] == ["all-tasks"]

    @pytest.mark.parametrize("architecture", ["llama", "t5"])
    def test_as_many_as_the_steps_take(self, world, tmp_path, architecture):
        loaded = load_run_file(world, overrides=[f'model.scratch.architecture="{architecture}"', "training.steps=40"])
        from flantune.commands.plan import prepare_tasks
        from flantune.packing.batches import Batches

        tasks, _ = prepare_tasks(loaded.config, root=loaded.root, cache=world.parent / "cache")
        stream = command.open_fold(loaded, tasks, 0, out=tmp_path, cache=tmp_path).stream
        batches, cursor = Batches(stream, loaded.config.packing), 0
        for _ in range(40):
            cursor = batches.batch(cursor).next_cursor
        assert cursor <= draws_taken(loaded.config, stream) <= 1.2 * cursor

    @pytest.mark.parametrize("architecture", ["llama", "t5"])
    def test_training_from_them_ends_with_the_same_bits(self, world, tmp_path, architecture):
        overrides = [f'model.scratch.architecture="{architecture}"', 'holdout.folds=[["sentiment"]]',
                     "training.steps=8", "evaluation.shots=[0]", "evaluation.max_examples=2"]  # fmt: skip
        ahead = tmp_path / "prepared"
        # Fewer than the steps take: the last are made while training.
        make(world, ahead, draws=100, overrides=overrides)
        told = Told()
        running.run(load_run_file(world, overrides=overrides), out=tmp_path / "live")
        running.run(
            load_run_file(world, overrides=[*overrides, f"data.prepared={ahead}"]),
            out=tmp_path / "ahead",
            reporter=told,
        )
        assert any("128 draws are read from" in note for note in told.notes)
        live, other = (tmp_path / name / "folds/sentiment" for name in ("live", "ahead"))
        assert (live / "model/model.safetensors").read_bytes() == (other / "model/model.safetensors").read_bytes()
        summaries = [json.loads((folder / "training.json").read_text()) for folder in (live, other)]
        assert summaries[0]["cursor"] == summaries[1]["cursor"] > 128
        assert summaries[0]["counts"] == summaries[1]["counts"]
        # The same run goes on without them.
        running.run(load_run_file(world, overrides=overrides), out=tmp_path / "ahead")

    def test_training_refuses_those_of_another_run(self, world, tmp_path):
        make(world, tmp_path / "prepared", draws=10, overrides=["seed=4"])
        overrides = ['holdout.folds=[["sentiment"]]', "evaluation.max_examples=2", f"data.prepared={tmp_path}/prepared"]
        with pytest.raises(PackingError, match="the setting seed"):
            running.run(load_run_file(world, overrides=overrides), out=tmp_path / "run")


def test_a_worker_that_finds_other_files_stops(world, tmp_path, monkeypatch):
    loaded = load_run_file(world)
    job = command.PrepareJob(
        file=loaded,
        fold=0,
        cache=world.parent / "cache",
        folder=tmp_path / "sentiment",
        identity={"the tokenizer": "x"},
    )
    with pytest.raises(PackingError, match=r"made from other inputs: .*the tokenizer") as found:
        make_block(job, 0)
    assert "same files" in found.value.hint and not (tmp_path / "sentiment").exists()


def test_two_processes_make_what_one_does(world, tmp_path):
    make(world, tmp_path / "two", draws=10_000, engine=LocalEngine(workers=2))
    (done,) = make(world, tmp_path / "one", draws=10_000)
    assert (done.draws, done.made) == (2 * blocks.BLOCK_DRAWS, 2)
    assert content(tmp_path / "two/sentiment") == content(tmp_path / "one/sentiment")


def test_the_command_says_what_it_wrote_and_what_is_next(world, tmp_path):
    arguments = ["prepare", str(world), "--out", str(tmp_path / "p"), "--fold", "0", "--workers", "1",
                 "--run", str(world.parent / "run"), "--draws", "1e3"]  # fmt: skip
    result = CliRunner().invoke(cli, arguments, catch_exceptions=False)
    assert result.stdout == f"{tmp_path / 'p' / 'sentiment'}\n"
    assert f"--set data.prepared={tmp_path / 'p'}" in result.stderr and "1 blocks made" in result.stderr
    again = CliRunner().invoke(cli, [*arguments, "--json"], catch_exceptions=False)
    assert json.loads(again.stdout) == {
        "folder": str(tmp_path / "p/sentiment"), "draws": 8192, "made": 0, "kept": 1, "missing": 0,
        "seconds": pytest.approx(0, abs=1),
    }  # fmt: skip


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--part", "4/3"], '"4/3" is not a part'),
        (["--part", "0/3"], '"0/3" is not a part'),
        (["--draws", "many"], '"many" is not a count'),
        (["--draws", "1.5"], '"1.5" is not a count'),
        (["--engine", "spark"], "'spark' is not one of"),
        ([], "Missing option '--out'"),
    ],
)
def test_wrong_options_are_told(world, tmp_path, options, said):
    given = ["prepare", str(world), *(["--out", str(tmp_path)] if options else []), *options]
    result = CliRunner().invoke(cli, given)
    assert result.exit_code == 2 and said in result.output
