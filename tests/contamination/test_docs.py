"""The guide's code runs, its options are the command's, its numbers are the defaults."""

from __future__ import annotations

import re
from pathlib import Path

from flantune.cli.contamination import command
from flantune.contamination.findings import Settings

PAGE = (Path(__file__).parents[2] / "docs/contamination.md").read_text(encoding="utf-8")


def test_the_guides_code_runs():
    blocks = re.findall(r"^```python\n(.*?)^```$", PAGE, flags=re.MULTILINE | re.DOTALL)
    assert len(blocks) == 1
    exec(compile(blocks[0], "docs/contamination.md", "exec"), {})


def test_the_guide_names_every_option():
    told = set(re.findall(r"^\| `(--\w[\w-]*)", PAGE, flags=re.MULTILINE))
    options = {name for one in command.params for name in one.opts if name.startswith("--")}
    assert told == options - {"--set"}


def test_the_guides_numbers_are_the_defaults():
    defaults = {one.name: one.default for one in command.params}
    chosen = Settings()
    assert (defaults["ngram"], defaults["max_documents"], defaults["jaccard"]) == (13, 10, 0.8)
    assert (chosen.ngram, chosen.max_documents, chosen.jaccard) == (13, 10, 0.8)
    for text in ("`--ngram 13`", "`--max-documents 10`", "`--jaccard 0.8`"):
        assert text in PAGE
