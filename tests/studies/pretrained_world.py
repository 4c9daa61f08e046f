"""The small world with a base model in a folder, as studies need it that start from one model."""

from __future__ import annotations

from pathlib import Path

from tests.end_to_end.small_world import write_small_world

from flantune.models.load import save_model
from flantune.models.scratch import build_model, train_tokenizer
from flantune.settings.config import ScratchSettings


def write_pretrained_world(folder: Path, *, steps: int = 4, rows: int = 40) -> Path:
    """Its run file."""
    run_file = write_small_world(folder, steps=steps, rows=rows)
    tokenizer = train_tokenizer([path.read_text() for path in folder.glob("*/train.jsonl")], vocabulary_size=300)
    scratch = ScratchSettings(hidden_size=32, layers=2, heads=2)
    save_model(build_model(scratch, tokenizer, seed=1), folder / "base", card="base")
    text = run_file.read_text(encoding="utf-8")
    (scratch_line,) = (line for line in text.splitlines() if line.startswith("scratch"))
    run_file.write_text(text.replace(scratch_line, 'path = "base"'), encoding="utf-8")
    return run_file
