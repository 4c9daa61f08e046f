"""What the page on Natural-Instructions says holds."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

from flantune.settings.natural_instructions import InstructionSettings, NaturalInstructionsSettings
from flantune.settings.run_file import validated
from flantune.tasks.instruction_index import FAULTS

PAGE = (Path(__file__).parents[2] / "docs/natural-instructions.md").read_text(encoding="utf-8")
BLOCKS = [tomllib.loads(text) for text in re.findall(r"^```toml\n(.*?)^```", PAGE, flags=re.MULTILINE | re.DOTALL)]


def test_its_settings_are_settings():
    assert len(BLOCKS) == 3
    for block in BLOCKS:
        validated(block, where="the page")


def test_what_it_calls_the_default_is_the_default():
    encodings = BLOCKS[1]["data"]["natural_instructions"]["encodings"]
    assert tuple(encodings) == NaturalInstructionsSettings(folder=Path()).encodings
    words = InstructionSettings().model_dump()
    for name, text in BLOCKS[2]["prompts"]["instruction"].items():
        assert words[name] == text


def test_it_lists_every_fault():
    assert re.findall(r"^\| \d+ \| (.*) \|$", PAGE, flags=re.MULTILINE) == [words for _, words in FAULTS]
