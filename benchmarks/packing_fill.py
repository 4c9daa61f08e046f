"""Share of positions filled and speed of encoding and packing, on prompts of FLAN-like lengths, for both families."""

from __future__ import annotations

import random
import time
from typing import Any

from flantune.models.scratch import train_tokenizer
from flantune.packing.batches import Batches
from flantune.packing.encode import Codec
from flantune.packing.packs import Counts
from flantune.packing.stream import PromptStream
from flantune.prompts.layout import Layout
from flantune.settings.config import PackingSettings
from flantune.types import Family, Prompt

WORDS = [
    f"{a}{b}" for a in ("ka", "lo", "mi", "ner", "pu", "sta", "tor", "ve") for b in ("da", "fen", "gi", "ro", "sul")
]
BATCHES = 20


class _Prompts:
    """Draws whose lengths follow a log-normal law: about 140 tokens, 15% of them targets."""

    def __getitem__(self, index: int) -> Prompt:
        draw = random.Random(index)
        inputs = " ".join(draw.choices(WORDS, k=max(4, min(400, int(draw.lognormvariate(4.5, 0.6))))))
        targets = " ".join(draw.choices(WORDS, k=max(1, min(120, int(draw.lognormvariate(2.2, 1.0))))))
        return Prompt(task="words", split="train", row=index, template="t", inputs=inputs, targets=targets)


def measure() -> dict[str, Any]:
    """Fill and tokens a second for each family and batch shape."""
    prompts = _Prompts()
    tokenizer = train_tokenizer([prompts[index].inputs for index in range(500)], vocabulary_size=600)
    rows = []
    for family in ("decoder-only", "encoder-decoder"):
        for batch_tokens, row_tokens in ((8192, 1280), (8192, 512), (4096, 256)):
            rows.append(_measure(prompts, tokenizer, family, batch_tokens, row_tokens))
    return {"batches": BATCHES, "rows": rows}


def _measure(prompts: _Prompts, tokenizer: Any, family: Family, batch_tokens: int, row_tokens: int) -> dict[str, Any]:
    codec = Codec(
        tokenizer=tokenizer, family=family, layout=Layout(), max_input_tokens=1024, max_target_tokens=256
    )  # fmt: skip
    stream = PromptStream(prompts, codec, row_tokens=row_tokens)
    batches = Batches(stream, PackingSettings(batch_tokens=batch_tokens, row_tokens=row_tokens))
    counts, cursor = Counts(), 0
    start = time.process_time()
    for _ in range(BATCHES):
        batch = batches.batch(cursor)
        counts, cursor = counts + batch.counts, batch.next_cursor
    seconds = time.process_time() - start
    return {
        "family": family,
        "batch_tokens": batch_tokens,
        "row_tokens": row_tokens,
        "fill": round(counts.fill, 4),
        "mean_tokens": round((counts.input_tokens + counts.target_tokens) / counts.prompts, 1),
        "target_share": round(counts.target_tokens / (counts.input_tokens + counts.target_tokens), 3),
        "tokens_per_cpu_second": round((counts.input_tokens + counts.target_tokens) / seconds),
    }
