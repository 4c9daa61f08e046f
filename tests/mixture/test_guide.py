"""What docs/mixture.md shows is so."""

from __future__ import annotations

import re
from pathlib import Path
from types import SimpleNamespace
from typing import get_args

import pytest

from flantune.mixture.parts import Size, plan_leaves
from flantune.mixture.rates import capped_size, effective_epochs, quotas, shares
from flantune.mixture.taxonomy import load_taxonomy
from flantune.settings.mixture_settings import ProportionsName
from flantune.settings.run_file import validated
from flantune.settings.toml_file import parse_toml

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
    assert {"mmlu", "tasting"} <= {benchmark.name for benchmark in taxonomy.benchmarks}


def test_its_tree_is_one_and_has_the_shares_it_tells_of() -> None:
    tree = next(block for block in blocks("toml") if "[mixture.parts.flan]" in block)
    settings = validated(parse_toml(tree), where="").mixture
    members = [SimpleNamespace(name=name, collection=name, clusters=()) for name in ("flan2021", "cot")]
    leaves = plan_leaves(settings, settings.parts, members, size=lambda *_: Size(50_000))
    found = {leaf.part: leaf.share for leaf in leaves}
    assert found["thoughts.asked"] / 0.1 == pytest.approx(0.769, abs=5e-4)
    assert found["thoughts.turned"] / 0.1 == pytest.approx(0.231, abs=5e-4)
    assert found["flan.zero_shot"] == found["flan.few_shot"] == pytest.approx(0.45)
    assert {leaf.rows for leaf in leaves} == {50_000}


def test_it_names_every_tree() -> None:
    assert [name for name in get_args(ProportionsName) if name and f"| `{name}` |" not in GUIDE] == []


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
