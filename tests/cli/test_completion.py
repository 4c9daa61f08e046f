"""The Tab key: what a shell is told, by the lines of the installation page."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = "import sys; sys.argv[0] = 'flantune'; from flantune.cli.main import main; main()"
PAGE = Path(__file__).parents[2] / "docs/install.md"


def asked(instruction: str, *words: str) -> str:
    told = {"COMP_WORDS": " ".join(words), "COMP_CWORD": str(len(words) - 1), "_FLANTUNE_COMPLETE": instruction}
    result = subprocess.run(
        [sys.executable, "-c", PROGRAM], env=os.environ | told, capture_output=True, text=True, check=True
    )
    return result.stdout


def completed(*words: str) -> list[str]:
    return [line.partition(",")[2] for line in asked("bash_complete", *words).splitlines()]


@pytest.mark.parametrize(
    ("words", "wanted"),
    [
        (("flantune", "ev"), {"evaluate"}),
        (("flantune", "tasks", "l"), {"leaks", "list"}),
        (("flantune", "run", "--dry"), {"--dry-run"}),
        (("flantune", "report", "x", "--format", "p"), {"pdf", "png"}),
        (("flantune", "run", "run.toml", "--set", "training.st"), {"training.steps="}),
    ],
)
def test_commands_options_choices_and_settings_are_completed(words, wanted):
    assert wanted <= set(completed(*words))


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_page_tells_each_shell_what_it_reads(shell, tmp_path):
    (line,) = re.findall(rf"^\| {shell} \| `(.*)` \|$", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    assert line.startswith(f"_FLANTUNE_COMPLETE={shell}_source flantune >")
    script = tmp_path / "completion"
    script.write_text(asked(f"{shell}_source"), encoding="utf-8")
    assert "flantune" in script.read_text(encoding="utf-8")
    if program := shutil.which(shell):
        subprocess.run([program, "-n", str(script)], check=True)
