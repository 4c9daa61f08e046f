"""The example of Flan 2022, in both families: every sub-mixture is drawn from, and the report is written."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from flantune.commands.run import run
from flantune.settings.run_file import load_run_file

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "examples/flan2022_small.toml"

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not (ROOT / "../shared/data/flan2022").is_dir(), reason="no real data here"),
]


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Adapted rows, which are the same for both."""
    return tmp_path_factory.mktemp("cache")


@pytest.mark.parametrize("architecture", ["llama", "t5"])
def test_it_runs_to_the_report(architecture: str, cache: Path, tmp_path: Path) -> None:
    small = (
        f'data.cache="{cache}"',
        f"model.scratch.architecture={architecture}",
        "model.scratch.vocabulary_size=512",
        "model.scratch.hidden_size=32",
        "training.steps=3",
        "evaluation.max_examples=3",
        "evaluation.max_new_tokens=2",
    )
    done = run(load_run_file(EXAMPLE, overrides=small), out=tmp_path / "run")
    assert (done.folder / "report.html").is_file()
    mixture = json.loads((done.folder / "folds/natural-language-inference/mixture.json").read_text(encoding="utf-8"))
    shares = {part["path"]: part["rate"] for part in mixture["tree"]["parts"]}
    released = {"flan2021": 0.4, "t0": 0.32, "niv2": 0.2, "cot": 0.05, "dialogue": 0.03}
    assert shares == pytest.approx(released, abs=1e-6)
