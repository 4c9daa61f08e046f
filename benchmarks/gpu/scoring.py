"""Options scored by flantune and by lm-evaluation-harness: the same ids, the same model, both in bfloat16."""

from __future__ import annotations

from importlib.util import find_spec
from typing import Any

import numpy as np
import torch

from benchmarks.gpu.made_up import LARGE, TINY, model, requests
from benchmarks.gpu.timing import Task, peak_gib, seconds
from flantune.models.forms.reading_form import scoring_mode
from flantune.models.language_model import LanguageModel
from flantune.models.scoring.check import scoring_layout
from flantune.models.scoring.option_scorer import OptionScorer
from flantune.models.scoring.plan import forward_cost, plan_scoring
from flantune.packing.packs import EncodedPrompt

CASES = {"zero-shot": (512, 0), "five-shot": (256, 700)}
BATCH_TOKENS = 32_768
BATCH_SIZES = (16, 64, 256)


def measure(task: Task) -> dict[str, Any]:
    """Requests a second of each side, the ratio, and how far the scores are apart."""
    architecture = task.settings["architecture"]
    lm = model((TINY if task.is_small else LARGE)[architecture], task.device, dtype="bfloat16")
    found: dict[str, Any] = {"layout": scoring_layout(lm).layout, "refused": list(scoring_layout(lm).refused)}
    for name, (count, shared) in CASES.items():
        if shared and architecture == "t5":
            continue
        units = requests(
            len(lm.tokenizer), 8 if task.is_small else count, shared=shared // (10 if task.is_small else 1)
        )
        found[name] = _case(lm, units, task)
    return {**found, "peak_gib": peak_gib(task.device)}


def _case(lm: LanguageModel, units: list[EncodedPrompt], task: Task) -> dict[str, Any]:
    own: list[float] = []

    def ours() -> None:
        own[:] = _scores(lm, units)

    took = seconds(task.device, ours, rounds=1 if task.is_small else 3)
    figures: dict[str, Any] = {"requests": 4 * len(units), "flantune_per_second": round(4 * len(units) / took, 1)}
    if find_spec("lm_eval") is None:
        return {**figures, "why_no_peer": "lm-eval is not installed"}
    harness = _harness(lm)
    given = [(("", ""), unit.inputs.tolist(), target.tolist()) for unit in units for target in unit.targets]
    tried = {size: seconds(task.device, lambda size=size: _theirs(harness, given[:128], size), rounds=1) for size in (
        BATCH_SIZES[:1] if task.is_small else BATCH_SIZES)}  # fmt: skip
    best = min(tried, key=lambda size: tried[size])
    their: list[float] = []

    def theirs() -> None:
        their[:] = _theirs(harness, given, best)

    longer = seconds(task.device, theirs, rounds=1 if task.is_small else 2)
    lm.model.float()
    gaps = np.abs(np.array(own) - np.array(their))
    return {
        **figures,
        "lm_eval_per_second": round(4 * len(units) / longer, 1),
        "lm_eval_batch_size": best,
        "ratio": round(longer / took, 2),
        # Rounded arithmetic on both sides: a hundredth of a nat a token, about.
        "mean_difference": round(float(gaps.mean()), 4),
        "largest_difference": round(float(gaps.max()), 4),
    }


def _scores(lm: LanguageModel, units: list[EncodedPrompt]) -> list[float]:
    plan = plan_scoring(
        units,
        family=lm.family,
        layout=scoring_layout(lm).layout,
        batch_tokens=BATCH_TOKENS,
        pass_cost=forward_cost(lm.device.type),
    )
    sums = [0.0] * len(units) * 4
    with scoring_mode(lm):
        scorer = OptionScorer(lm)
        for batch in plan:
            found = iter(scorer.score(units, batch).sums.tolist())
            for at in batch.units:
                sums[4 * at : 4 * at + 4] = [next(found) for _ in range(4)]
    return sums


def _harness(lm: LanguageModel) -> Any:
    from lm_eval.models.huggingface import HFLM

    backend = "seq2seq" if lm.family == "encoder-decoder" else "causal"
    made: Any = HFLM
    return made(
        pretrained=lm.model.bfloat16(), tokenizer=lm.tokenizer, backend=backend, batch_size=1, max_length=1_024
    )  # fmt: skip


def _theirs(harness: Any, given: list[Any], size: int) -> list[float]:
    with torch.no_grad():
        return [score for score, _ in harness._loglikelihood_tokens(given, disable_tqdm=True, override_bs=size)]
