"""Pages of results say what the outcomes beside them say, and nobody edits a number."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

from flantune.studies.outcome import StudyOutcome

DOCS = Path(__file__).parents[2] / "docs"
PAGES = sorted((DOCS / "results").glob("*.md"))


@pytest.fixture(scope="module")
def generator():
    spec = importlib.util.spec_from_file_location("generate_results", DOCS / "generate_results.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("path", PAGES, ids=[path.name for path in PAGES])
def test_tables_are_made_from_the_outcomes(generator, path):
    text = path.read_text(encoding="utf-8")
    assert generator.page(text, path.with_suffix("")) == text
    assert "<!-- study: " in text


@pytest.mark.parametrize("path", sorted((DOCS / "results").rglob("*.json")), ids=lambda path: path.stem)
def test_studies_were_run_as_they_were_written_down_and_what_lacks_is_named(path):
    outcome = StudyOutcome.model_validate_json(path.read_text(encoding="utf-8"))
    shown = " ".join(path.parent.with_suffix(".md").read_text(encoding="utf-8").split())
    assert all(f"{one.arm}, seed {one.seed}" in shown for one in outcome.lacking)
    assert len(outcome.seeds) >= 3
    assert not outcome.written.changed and len(outcome.written.sha256) == 64
    assert (path.parent / f"{path.stem}-study.svg").read_text(encoding="utf-8").startswith("<svg")
