"""The prompts of the shipped tasks, word for word."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).with_name("regenerate.py")
GOLDEN = Path(__file__).with_name("shipped_prompts.txt")
AGAIN = "if this change of the prompts is meant, run: python tests/golden/regenerate.py"


@pytest.fixture(scope="module")
def made() -> bytes:
    spec = importlib.util.spec_from_file_location("golden_regenerate", SCRIPT)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.golden_text().encode("utf-8")


def sections(text: bytes) -> dict[str, str]:
    parts = text.decode("utf-8").split("\n==== ")[1:]
    return {part.split("\n", 1)[0]: part for part in parts}


def test_the_shipped_prompts_are_those_of_the_golden_file_byte_for_byte(made: bytes) -> None:
    kept = GOLDEN.read_bytes()
    assert sections(made) == sections(kept), AGAIN  # first: names the template that changed
    assert made == kept, AGAIN


def test_the_golden_file_holds_every_template_once(made: bytes) -> None:
    files = list((Path(__file__).parents[2] / "src/flantune/shipped").glob("*/*.toml"))
    templates = sum(path.read_text(encoding="utf-8").count("[[templates]]") for path in files)
    assert len(sections(made)) == made.count(b"\n==== ") == templates
    assert made.count(b"\n---- inputs\n") == made.count(b"\n---- targets\n") == templates


def test_another_process_makes_the_same_bytes(made: bytes) -> None:
    code = f"import runpy, sys; sys.stdout.buffer.write(runpy.run_path({str(SCRIPT)!r})['golden_text']().encode())"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, check=True, env={"PYTHONHASHSEED": "123", "LC_ALL": "C"}
    )
    assert done.stdout == made
