"""The code that users run against a stand-in of the hub's HTTP API: what it gives, and what it refuses and breaks."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from flantune.tasks.sources.mirror import mirrored_splits
from tests.hub.server import READING_TOKEN, TOKEN, Hub, serve
from tests.training.small import make_lm

pytest.importorskip("datasets")

ROWS = [{"question": f"What is twice {k}?" + "?" * (k % 37), "answer": str(2 * k)} for k in range(900)]
HELD = [f"data/train-0000{k}-of-00002.parquet" for k in range(2)]
ZEROS = "0" * 40

Ask = Callable[..., dict[str, Any]]


def parquet(rows: list[dict[str, Any]]) -> bytes:
    stream = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(rows), stream)
    return stream.getvalue()


def dataset(count: int = 900, tested: int = 20) -> dict[str, bytes]:
    """The files of a dataset whose training split has two shards."""
    parts = (parquet(ROWS[: count // 2]), parquet(ROWS[count // 2 : count]))
    return {**dict(zip(HELD, parts, strict=True)), "data/test-00000-of-00001.parquet": parquet(ROWS[:tested])}


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, bytes], float]:
    """The files of a model whose weights are in three shards, and the sum of its weights."""
    folder, lm = tmp_path_factory.mktemp("weights"), make_lm("llama")
    lm.model.save_pretrained(folder, max_shard_size="50KB")
    lm.tokenizer.save_pretrained(folder)
    files = {path.name: path.read_bytes() for path in folder.iterdir()}
    assert sum("-of-00003" in name for name in files) == 3
    return files, sum(float(weight.detach().double().sum()) for weight in lm.model.parameters())


@pytest.fixture(scope="module")
def hub() -> Iterator[Hub]:
    with serve() as found:
        yield found


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("hub_home")


def surroundings(hub: Hub, home: Path, **more: str) -> Mapping[str, str]:
    offline = ("HF_HUB_OFFLINE", "HF_DATASETS_OFFLINE", "TRANSFORMERS_OFFLINE", "HF_TOKEN", "HF_DATASETS_CACHE")
    kept = {key: value for key, value in os.environ.items() if key not in offline}
    path = os.pathsep.join([str(Path(__file__).parents[2] / "src"), str(Path(__file__).parents[2])])
    # The stand-in has no Xet store, whose protocol is a program of its own.
    no_proxy = {"NO_PROXY": "127.0.0.1", "HF_HUB_DISABLE_TELEMETRY": "1", "HF_HUB_DISABLE_XET": "1"}
    return {**kept, "PYTHONPATH": path, "HF_ENDPOINT": hub.url, "HF_HOME": str(home), **no_proxy, **more}


def asking(environment: Mapping[str, str]) -> Iterator[Ask]:
    command = [sys.executable, "-m", "tests.hub.asked"]
    process = subprocess.Popen(
        command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    assert process.stdin is not None and process.stdout is not None

    def ask(*call: str | bool | None) -> dict[str, Any]:
        print(json.dumps(call), file=process.stdin, flush=True)
        answer: dict[str, Any] = json.loads(process.stdout.readline())
        return answer

    yield ask
    process.stdin.close()
    process.wait()


@pytest.fixture(scope="module")
def ask(hub: Hub, home: Path) -> Iterator[Ask]:
    """Asks the hub in one process, with the network."""
    yield from asking(surroundings(hub, home))


def model_folder(folder: Path, files: Mapping[str, bytes]) -> Path:
    """A tuned model's folder, with a card, its record and what does not belong there."""
    folder.mkdir()
    card = '---\nbase_model: "/models/base"\n# license: yours to state\n---\n# Made of /models/base\n'
    more = {"README.md": card.encode(), "flantune.json": b"{}", "training_rows.npz": b"rows", "optimizer.bin": b"x"}
    for name, data in {**files, **more, ".env": b"secret"}.items():
        (folder / name).write_bytes(data)
    return folder


def files_below(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.rglob("*") if path.is_file())


def test_a_pinned_revision_stays_what_it_was(hub: Hub, ask: Ask, tmp_path: Path) -> None:
    repo = hub.repo("datasets", "me/numbers")
    first, newest = repo.commit(dataset(count=100)), repo.commit(dataset())
    assert ask("fetch", str(tmp_path / "old"), f"me/numbers@{first}")["gives"] == [
        ["train", 100, first],
        ["test", 20, first],
    ]
    assert ask("fetch", str(tmp_path / "new"), "me/numbers")["gives"] == [["train", 900, newest], ["test", 20, newest]]
    assert pq.read_table(tmp_path / "new/me/numbers/default/train.parquet").to_pylist() == ROWS
    assert ask("rows", f"me/numbers@{first}", "train")["gives"] == ROWS[:100]


def test_the_converted_branch(hub: Hub, ask: Ask, tmp_path: Path) -> None:
    repo = hub.repo("datasets", "me/script")
    repo.commit({"script.py": b"raise SystemExit"})
    assert 'set [source] revision = "refs/convert/parquet"' in ask("rows", "me/script", "train")["says"]
    files = {"small/train/0000.parquet": parquet(ROWS[:7]), "small/train/0001.parquet": parquet(ROWS[7:9])}
    repo.commit(files, branch="refs/convert/parquet")
    assert ask("rows", "me/script:small@refs/convert/parquet", "train")["gives"] == ROWS[:9]
    says = ask("rows", "me/script:large@refs/convert/parquet", "train")["says"]
    assert "check [source] config and the names of the splits" in says and "Traceback" not in says


def test_a_download_that_breaks_off_goes_on(hub: Hub, ask: Ask, tmp_path: Path) -> None:
    files = dataset(count=880)
    hub.repo("datasets", "me/broken").commit(files)
    hub.sent.clear()
    hub.cut_after[HELD[1]] = 500
    assert ask("fetch", str(tmp_path), "me/broken")["gives"][0][:2] == ["train", 880]
    assert pq.read_table(tmp_path / "me/broken/default/train.parquet").to_pylist() == ROWS[:880]
    assert hub.sent[HELD[1]] > len(files[HELD[1]]), "it did not break off"


def test_the_hub_fails_between_two_shards(hub: Hub, ask: Ask, tmp_path: Path) -> None:
    hub.repo("datasets", "me/halfway").commit(dataset(count=840))
    hub.down_after = HELD[1]
    assert "out of order (503)" in ask("fetch", str(tmp_path), "me/halfway")["says"]
    hub.down = False
    assert files_below(tmp_path) == []
    assert ask("fetch", str(tmp_path), "me/halfway")["gives"][0][:2] == ["train", 840]


@pytest.mark.parametrize("call", ["rows", "fetch"])
def test_a_file_of_a_dataset_that_cannot_be_read(call: str, hub: Hub, ask: Ask, tmp_path: Path) -> None:
    files = dataset(count=820)
    hub.repo("datasets", "me/damaged").commit({**files, HELD[1]: files[HELD[1]][:200]})
    says = ask("rows", "me/damaged", "train") if call == "rows" else ask("fetch", str(tmp_path), "me/damaged")
    assert "Parquet magic bytes not found" in says["says"] and "pin an earlier revision" in says["says"]
    assert files_below(tmp_path) == []


def test_a_split_that_is_not_there(hub: Hub, ask: Ask) -> None:
    hub.repo("datasets", "me/splits").commit(dataset(count=40))
    says = ask("rows", "me/splits", "trian")["says"]
    assert "Bad split: trian" in says and "check [source] config and the names of the splits" in says


def test_rows_that_are_streamed_go_on_where_the_line_broke(hub: Hub, ask: Ask) -> None:
    hub.repo("datasets", "me/streamed").commit(dataset(count=800))
    hub.cut_after[HELD[1]] = 300
    assert ask("rows", "me/streamed", "train")["gives"] == ROWS[:800]
    assert hub.cut_after == {}


def test_sharded_weights_come_whole_even_where_one_breaks_off(
    hub: Hub, ask: Ask, weights: tuple[dict[str, bytes], float]
) -> None:
    files, total = weights
    commit = hub.repo("models", "me/sharded").commit(files)
    hub.cut_after["model-00002-of-00003.safetensors"] = 5000
    assert ask("model", "me/sharded", commit)["gives"] == pytest.approx(total)


FAULTS = {
    "gated": ("it is gated", "accept them at https://huggingface.co/{kind}me/gated, then log in with `hf auth login`"),
    "missing": ("the hub has no such name, or it is private", "check the name at https://huggingface.co/{kind}me"),
    "pinned": (f"it has no revision {ZEROS}", "the commits it has are listed at https://huggingface.co/{kind}me/pin"),
    "busy": ("429, too many requests", "wait some minutes and repeat the command"),
    "down": ("the hub is out of order (503)", "repeat the command later"),
}


@pytest.mark.parametrize("kind", ["datasets", "models"])
@pytest.mark.parametrize("fault", FAULTS)
def test_each_fault_says_what_where_and_what_helps(
    kind: str, fault: str, hub: Hub, ask: Ask, weights: tuple[dict[str, bytes], float], tmp_path: Path
) -> None:
    if fault != "missing":
        repo = hub.repo(kind, f"me/{fault}")
        repo.commit(dataset() if kind == "datasets" else weights[0])
        repo.needs_token = fault == "gated"  # and none is set
    hub.busy, hub.down = -1 if fault == "busy" else 0, fault == "down"
    revision = ZEROS if fault == "pinned" else None
    try:
        if kind == "datasets":
            answer = ask("fetch", str(tmp_path), f"me/{fault}:default" + (f"@{revision}" if revision else ""))
        else:
            answer = ask("model", f"me/{fault}", revision)
    finally:
        hub.busy, hub.down = 0, False
    message, hint = FAULTS[fault]
    assert message in answer["says"] and f"me/{fault}" in answer["says"].partition("cannot be loaded")[0]
    assert hint.format(kind="datasets/" if kind == "datasets" else "") in answer["says"].partition("hint: ")[2]
    assert files_below(tmp_path) == []


def test_a_few_refusals_are_waited_out(hub: Hub, ask: Ask, weights: tuple[dict[str, bytes], float]) -> None:
    hub.repo("models", "me/patient").commit(weights[0])
    hub.busy = 2
    assert ask("model", "me/patient")["gives"] == pytest.approx(weights[1])


def test_a_part_of_the_weights_that_is_not_there_or_was_cut(
    hub: Hub, ask: Ask, weights: tuple[dict[str, bytes], float]
) -> None:
    part = "model-00002-of-00003.safetensors"
    hub.repo("models", "me/lost").commit({name: data for name, data in weights[0].items() if name != part})
    says = ask("model", "me/lost")["says"]
    assert part in says and "pickle" not in says
    hub.repo("models", "me/short").commit({**weights[0], part: weights[0][part][:9000]})
    says = ask("model", "me/short")["says"]
    assert "damaged or was cut off: it has 9,000 bytes" in says and part in says and "delete this file" in says


def test_an_adapter_of_the_hub(hub: Hub, ask: Ask) -> None:
    hub.repo("models", "me/adapter").commit({"adapter_config.json": b'{"peft_type": "LORA"}'})
    assert "hf download ID --local-dir FOLDER" in ask("model", "me/adapter")["says"]


def test_pickled_weights_alone_are_refused(hub: Hub, ask: Ask, weights: tuple[dict[str, bytes], float]) -> None:
    files = {name: data for name, data in weights[0].items() if "safetensors" not in name}
    hub.repo("models", "me/pickled").commit({**files, "pytorch_model.bin": b"x" * 100})
    says = ask("model", "me/pickled")["says"]
    assert "flantune never unpickles weights" in says


def test_offline_what_is_in_the_cache_is_used(
    hub: Hub, home: Path, ask: Ask, weights: tuple[dict[str, bytes], float], tmp_path: Path
) -> None:
    hub.repo("models", "me/kept").commit(weights[0])
    hub.repo("datasets", "me/unseen").commit(dataset())
    assert ask("model", "me/kept")["gives"] == pytest.approx(weights[1])
    asked = len(hub.asked)
    for offline in asking(surroundings(hub, home, HF_HUB_OFFLINE="1")):
        assert offline("model", "me/kept")["gives"] == pytest.approx(weights[1])
        for says in (offline("model", "me/unseen")["says"], offline("fetch", str(tmp_path), "me/unseen")["says"]):
            assert "HF_HUB_OFFLINE is set" in says and "not in the cache" in says and "HF_HOME" in says
    assert len(hub.asked) == asked
    assert files_below(tmp_path) == []


def test_a_model_is_sent_whole_private_and_comes_back(
    hub: Hub, ask: Ask, weights: tuple[dict[str, bytes], float], tmp_path: Path
) -> None:
    folder = model_folder(tmp_path / "model", weights[0])
    url, commit, is_private = ask("push", str(folder), "me/sent", TOKEN, False, "org/base")["gives"]
    repo = hub.repo("models", "me/sent")
    assert (url, is_private, repo.is_private) == (f"{hub.url}/me/sent", True, True)
    there = repo.commits[commit]
    assert repo.revisions["main"] == commit and repo.messages == ["First."]
    assert {name: there[name] for name in weights[0]} == weights[0]
    assert there["training_rows.npz"] == b"rows" and "flantune.json" in there
    assert not {".env", "optimizer.bin"} & set(there)
    card = there["README.md"].decode()
    assert 'base_model: "org/base"' in card and 'license: "mit"' in card and "# Made of org/base" in card
    assert b"/models/base" in (folder / "README.md").read_bytes(), "the card here is as it was"
    repo.is_private = False
    assert ask("model", "me/sent", commit)["gives"] == pytest.approx(weights[1])


def test_what_everyone_can_read_is_sent_to_only_where_that_is_said(
    hub: Hub, ask: Ask, weights: tuple[dict[str, bytes], float], tmp_path: Path
) -> None:
    folder = model_folder(tmp_path / "model", weights[0])
    first = hub.repo("models", "me/public").commit({"README.md": b""})
    assert "already exists and is public" in ask("push", str(folder), "me/public", TOKEN)["says"]
    assert hub.repo("models", "me/public").revisions["main"] == first
    assert ask("push", str(folder), "me/public", TOKEN, True)["gives"][2] is False


SENDING = {
    "not logged in": ("", "me/new", "you are not logged in, or the token is not valid (401)", "hf auth login"),
    "may read": (READING_TOKEN, "me/new", "this token may not write to me (403)", "a token with write access"),
    "another's": (TOKEN, "org/new", "this token may not write to org (403)", "an organization of yours"),
    "down": (TOKEN, "me/new", "the hub is out of order (503)", "repeat the command later"),
    "changed": (TOKEN, "me/new", "somebody changed the repository meanwhile", "repeat the command"),
    "busy": (TOKEN, "me/new", "429, too many requests", "wait some minutes"),
}


@pytest.mark.parametrize("fault", SENDING)
def test_what_is_not_taken_says_why_and_leaves_nothing_that_looks_whole(
    fault: str, hub: Hub, ask: Ask, weights: tuple[dict[str, bytes], float], tmp_path: Path
) -> None:
    folder = model_folder(tmp_path / "model", weights[0])
    token, name, message, hint = SENDING[fault]
    hub.busy, hub.refuses_commits = -1 if fault == "busy" else 0, {"down": 503, "changed": 412}.get(fault, 0)
    try:
        says = ask("push", str(folder), name, token)["says"]
    finally:
        hub.busy = hub.refuses_commits = 0
    assert says.startswith(f"{name}: was not sent: ") and message in says and hint in says.partition("hint: ")[2]
    repo = hub.repos.pop(("models", name), None)
    assert repo is None or (repo.is_private and set(repo.commits[repo.revisions["main"]]) == {".gitattributes"})


def test_without_a_hub_nothing_is_sent(home: Path, weights: tuple[dict[str, bytes], float], tmp_path: Path) -> None:
    folder = model_folder(tmp_path / "model", weights[0])
    for ask in asking(surroundings(Hub(url="http://127.0.0.1:9"), home)):
        assert "the hub could not be reached" in ask("push", str(folder), "me/new", TOKEN)["says"]


TASK = """
name = "numbers"
clusters = ["closed-book QA"]
kind = "generation"
[source]
hub = "me/stalled"
[splits]
train = "train"
test = "test"
[fields]
question = "question"
[answer]
column = "answer"
[[templates]]
inputs = "{question}"
targets = "{answer}"
"""


def test_fetch_that_is_killed_leaves_nothing_that_looks_whole_and_goes_on(hub: Hub, home: Path, tmp_path: Path) -> None:
    hub.repo("datasets", "me/stalled").commit(dataset(count=860))
    (tmp_path / "numbers.toml").write_text(TASK)
    (tmp_path / "run.toml").write_text('[data]\ntasks = ["numbers.toml"]\n')
    command = [sys.executable, "-m", "flantune", "fetch", "run.toml", "--mirror", "mirror"]
    here: dict[str, Any] = {"cwd": tmp_path, "env": surroundings(hub, home), "stderr": subprocess.PIPE}
    hub.stall_after[HELD[1]] = 500
    hub.stalled.clear()
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, **here) as process:
        assert hub.stalled.wait(600)
        process.kill()
    assert mirrored_splits(tmp_path / "mirror/me/stalled/default") == {}
    done = subprocess.run(command, stdout=subprocess.PIPE, check=False, **here)
    assert done.returncode == 0 and b"Generating" not in done.stderr, done.stderr
    assert pq.read_table(tmp_path / "mirror/me/stalled/default/train.parquet").to_pylist() == ROWS[:860]
    assert b"written" in done.stdout
