"""Processes that work at different speeds agree on what the store knows, and so on who computes what."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
import torch

from flantune.evaluation.asking.option_scores import score_prompts
from flantune.evaluation.asking.score_store import ScoreStore
from tests.training.team import together

from .made import make_model
from .test_engine import asked, codec_of, colors


def score_as_one_of(folder: Path, late: int) -> list[tuple[float, ...]]:
    """Scores of a task; one of the processes opens the store when the others have long begun to write to it."""
    torch.set_num_threads(1)
    from flantune.system.processes import joined

    with joined() as processes:
        lm = make_model("llama")
        prompts = asked(colors(rows=12))
        processes.total(torch.zeros(1).numpy())
        if processes.rank == late:
            time.sleep(1.5)
        store = ScoreStore(folder)
        found = score_prompts(lm, prompts, codec=codec_of(lm), store=store, batch_tokens=512)
        assert len(store) > 0
        return [scores.sums for scores in found]


@pytest.mark.parametrize("late", [0, 1])
def test_a_process_that_opens_the_store_late_computes_what_is_its_own(tmp_path, late):
    alone = score_as_one_of(tmp_path / "one", 1)
    for found in together(2, score_as_one_of, tmp_path / "two", late):
        assert found == alone
