"""The pages say what the code does."""

from __future__ import annotations

import json
import re
from dataclasses import fields
from pathlib import Path

from flantune.cli.evaluate import command
from flantune.harness.filters import FILTERS
from flantune.harness.grading import OPTION_METRICS
from flantune.harness.read import harness_exams
from flantune.settings.protocols import PRESETS, ScoringProtocol
from flantune.suites.catalog import SUITES as KNOWN
from flantune.suites.suite import SuiteData

DOCS = Path(__file__).parents[2] / "docs"
PROTOCOLS, SUITES, HARNESS = (
    (DOCS / f"{name}.md").read_text(encoding="utf-8") for name in ("protocols", "suites", "harness")
)


def test_the_table_of_protocols_is_the_presets():
    header, _, *rows = [line for line in PROTOCOLS.splitlines() if line.startswith("|")]
    names = re.findall(r"`(\w+)`", header)
    table = {line.split("|")[1].strip(" `"): [cell.strip() for cell in line.split("|")[2:-1]] for line in rows}
    assert names == list(PRESETS)
    assert list(table) == [field.name for field in fields(ScoringProtocol) if field.name != "name"]
    for choice, cells in table.items():
        for name, cell in zip(names, cells, strict=True):
            assert cell == _shown(choice, getattr(PRESETS[name], choice)), (choice, name)


_TEXTS = {"target_delimiter", "exemplar_separator", "domain_premise", "content_free"}


def _shown(choice: str, value: object) -> str:
    if value is None:
        return "as the tokenizer does" if choice == "inputs_eos" else "the run's"
    if isinstance(value, bool):
        return str(value).lower()
    return f"`{json.dumps(value)}`" if choice in _TEXTS else str(value)


def test_every_suite_and_score_is_named():
    assert all(f"| `{name}` |" in SUITES for name in (suite.name for suite in KNOWN))
    assert all(f"`{name}`" in SUITES or name.startswith("natural") for suite in KNOWN for name in suite.scores)


def test_every_option_the_pages_use_exists():
    known = {option for one in command.params for option in (*one.opts, *one.secondary_opts)}
    used = set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", PROTOCOLS + SUITES + HARNESS))
    assert used and used - {"--nproc-per-node"} <= known, used - known


def test_the_task_file_of_the_page_is_read(tmp_path):
    (text,) = re.findall(r"^`shop.yaml`:\n\n```yaml\n(.*?)```$", HARNESS, flags=re.MULTILINE | re.DOTALL)
    (tmp_path / "shop.yaml").write_text(text)
    row = {"choices": ["drum", "flag"], "label": 0}
    for split in ("train", "test"):
        rows = [{"passage": f"She took the drum in {split} {n}.", **row} for n in range(3)]
        (tmp_path / f"shop_{split}.jsonl").write_text("".join(json.dumps(one) + "\n" for one in rows))
    (found,) = harness_exams([tmp_path / "shop.yaml"], SuiteData())
    assert found.shots == 2 and next(found.exam.prompts).options == ("drum", "flag")


def test_every_metric_and_filter_is_named():
    assert all(f"`{name}`" in HARNESS for name in (*OPTION_METRICS, *FILTERS))
