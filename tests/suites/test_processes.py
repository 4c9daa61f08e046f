"""``flantune evaluate`` under ``torchrun``: two processes over gloo make what one makes."""

from __future__ import annotations

import json
import shutil

import pytest

from flantune.commands.evaluate import EvaluationRequest, evaluate
from flantune.settings.config import DataSettings
from tests.conftest import HUNG_AFTER_S
from tests.end_to_end.torchrun import start
from tests.training.team import start_commands

from .world import make_model, write_world

pytestmark = pytest.mark.slow

TASK = """
name = "colors"
clusters = ["naming"]
kind = "classification"
[source]
files = { all = "colors.jsonl" }
[splits]
train = "all[:5]"
test = "all[5:]"
[fields]
text = "text"
[options]
values = ["no", "yes"]
[answer]
column = "label"
[[templates]]
name = "ask"
inputs = "{text}?\\n\\n{options}"
"""


def written(folder):
    """All files that do not depend on time or chance."""
    timed = {"seconds.json", "manifest.json", "results.json", "report.html"}
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not {"store", "data", "origins"} & {*path.parts} and path.name not in timed
    }


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    folder = tmp_path_factory.mktemp("world")
    (folder / "colors.toml").write_text(TASK)
    rows = [{"text": f"stone {n} is heavy", "label": n % 2} for n in range(20)]
    (folder / "colors.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    make_model(folder / "llama")
    write_world(folder)
    for subject in (folder / "hub/cais/mmlu").iterdir():
        if subject.name not in {"astronomy", "law", "virology"}:
            shutil.rmtree(subject)
    return folder


def test_two_processes_give_the_results_of_one(world, tmp_path):
    """Options, greedy answers, sampled answers and a task; the first process alone writes and prints."""
    suites = ("mmlu_direct", "tydiqa", "gsm8k")
    request = EvaluationRequest(
        models=(str(world / "llama"),), out=world / "one", suites=suites, root=world, limit=2, shots=1, answers_each=3,
        skip_missing=True,
        data=DataSettings(tasks=(str(world / "colors.toml"),)), normalization="contextual",
    )  # fmt: skip
    alone = evaluate(request).model_dump(mode="json", exclude={"seconds"}, by_alias=True)
    named = [text for name in suites for text in ("--suite", name)]
    arguments = [str(world / "llama"), *named, "--tasks", str(world / "colors.toml"), "--data", str(world), "--json",
                 "--missing", "skip",
                 "--limit", "2", "--shots", "1", "--samples", "3", "--normalization", "contextual",
                 "--out"]  # fmt: skip
    (code, printed, told), other = (
        job.end() for job in start_commands(2, tmp_path, "evaluate", *arguments, str(world / "two"))
    )
    assert (code, other[:2]) == (0, (0, "")), told
    found = json.loads(printed)
    assert {key: value for key, value in found.items() if key != "seconds"} == alone
    assert written(world / "two") == written(world / "one") != {}
    assert not list((world / "two").rglob("*.tmp"))


def test_a_mistake_under_torchrun_ends_all_processes(world):
    job = start(2, "evaluate", str(world / "llama"), "--suite", "mmul", "--out", str(world / "wrong"))
    _, told = job.communicate(timeout=HUNG_AFTER_S)
    assert job.returncode != 0 and 'no suite "mmul"' in told
