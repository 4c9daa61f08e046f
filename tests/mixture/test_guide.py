"""What docs/mixture.md shows is so."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from flantune.mixture.rates import capped_size, effective_epochs, quotas, shares
from flantune.mixture.taxonomy import load_taxonomy

GUIDE = (Path(__file__).parents[2] / "docs/mixture.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", GUIDE, flags=re.DOTALL)


def test_its_code_runs() -> None:
    (code,) = blocks("python")
    exec(compile(code, "docs/mixture.md", "exec"), {})


def test_its_taxonomy_loads(tmp_path) -> None:
    path = tmp_path / "own.toml"
    path.write_text(next(block for block in blocks("toml") if "[[kin]]" in block), encoding="utf-8")
    taxonomy = load_taxonomy(path)
    assert taxonomy.overlap(evaluating="Cuisine", training="baking")
    assert taxonomy.overlap(evaluating="paraphrase", training="nli")


def test_its_table_of_rates_is_right() -> None:
    rows = re.findall(
        r"^\| \w+ \| ([\d,]+) \| ([\d,]+) \| ([\d,]+) \| ([\d.]+) \| ([\d.]+) \|$", GUIDE, flags=re.MULTILINE
    )
    table = [[float(cell.replace(",", "")) for cell in row] for row in rows]
    assert len(table) == 3
    used = [capped_size(int(row[0]), max_examples=30_000) for row in table]
    quota = quotas(used, max_rate=3_000)
    assert [row[1] for row in table] == used
    assert tuple(row[2] for row in table) == quota
    assert [row[3] for row in table] == pytest.approx(shares(quota))
    assert [row[4] for row in table] == pytest.approx(effective_epochs(used, quota, draws=200_000), abs=0.05)
