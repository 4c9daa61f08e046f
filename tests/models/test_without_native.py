"""Attention in C++ is optional: without its files and its line in ``door.PROGRAMS``, everything works as before."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from tests.training.small import ARCHITECTURES, lines, make_lm, settings, tune_small

import flantune
from flantune.models.forms.reading_form import scoring_mode
from flantune.models.scoring.check import scoring_layout
from flantune.models.scoring.option_scorer import OptionScorer
from flantune.models.scoring.plan import plan_scoring
from flantune.packing.packs import EncodedPrompt

ROOT = Path(__file__).parents[2]
PROGRAM = ("native*", "segment_attention.cpp")
LINE = '    "cpu": "flantune.models.attention.native",\n'


def numbers(folder: Path) -> dict[str, list[float]]:
    """Losses of a small tuning run and the tuned model's scores of options, for both families."""
    found: dict[str, list[float]] = {}
    for architecture in ARCHITECTURES:
        lm = make_lm(architecture)
        tune_small(folder / architecture, lm, settings(steps=3, dropout=0.0))
        found[f"{architecture} losses"] = [line["loss"] for line in lines(folder / architecture)]
        found[f"{architecture} scores"] = scores(lm)
    return found


def scores(lm) -> list[float]:
    rng = np.random.default_rng(0)
    lengths = ((9, (3, 1)), (14, (2, 2, 5)), (5, (1, 1)))
    units = [
        EncodedPrompt(inputs=ids(rng, read), targets=tuple(ids(rng, size) for size in options))
        for read, options in lengths
    ]
    plan = plan_scoring(units, family=lm.family, layout=scoring_layout(lm).layout, batch_tokens=512)
    with scoring_mode(lm):
        return [score for batch in plan for score in OptionScorer(lm).score(units, batch).sums.tolist()]


def ids(rng, count: int) -> np.ndarray:
    return rng.integers(3, 250, count).astype(np.int32)


def without_native(source: Path, copy: Path) -> None:
    """A copy of the package without the program in C++ and the line that names it."""
    shutil.copytree(source, copy, ignore=shutil.ignore_patterns("__pycache__", *PROGRAM))
    path = copy / "models/attention/door.py"
    text = path.read_text(encoding="utf-8")
    assert text.count(LINE) == 1
    path.write_text(text.replace(LINE, ""), encoding="utf-8")


def test_without_the_program_flantune_scores_and_tunes_with_the_same_numbers(tmp_path, stranger):
    without_native(Path(flantune.__file__).parent, tmp_path / "src/flantune")
    code = (
        "import json, pathlib, flantune; from flantune.models.attention.door import find_program;"
        "from tests.models.test_without_native import numbers;"
        "print(json.dumps([flantune.__file__, find_program().why_not, numbers(pathlib.Path('run'))]))"
    )
    told = stranger.run(code, cwd=tmp_path, path=(str(tmp_path / "src"), str(ROOT)))
    file, why_not, found = json.loads(told.splitlines()[-1])
    assert Path(file).is_relative_to(tmp_path) and why_not == "this flantune has none"
    for name, expected in numbers(tmp_path / "usual").items():
        assert found[name] == pytest.approx(expected, rel=1e-4, abs=1e-5), name
