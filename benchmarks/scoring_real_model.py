"""Where the time goes when a real model's options are scored, and the share of what its matrix products allow.

Real rows under four templates, in bfloat16 and float32, one thread. ``FLANTUNE_MODEL`` names the model's folder; the
rows are those of ``lm_eval_scoring``. The limit is what the very same matrix products take by themselves, on 512 rows
at a time: an average over the shapes of the layers, weighted by their arithmetic.
"""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from benchmarks.lm_eval_scoring import config_of
from benchmarks.peers import data_folder

KINDS = {
    "matrix products": ("aten::mm", "aten::addmm", "mkldnn::_linear_pointwise", "aten::linear"),
    "attention": ("aten::_scaled_dot_product_flash_attention_for_cpu", "aten::bmm", "aten::baddbmm"),
    "log-softmax": ("aten::logsumexp", "aten::argmax", "aten::exp_", "aten::sub"),
    "copies and casts": ("aten::copy_", "aten::cat", "aten::index_select"),
}


def measure(*, small: bool = False) -> dict[str, Any] | None:
    """Tokens a second and shares, by arithmetic."""
    from flantune.models.load import load_model
    from flantune.settings.config import ModelSettings

    data, folder = data_folder(), os.environ.get("FLANTUNE_MODEL")
    if data is None or folder is None:
        print("skipped: needs a model (FLANTUNE_MODEL) and real rows (FLANTUNE_DATA)")
        return None
    torch.set_num_threads(1)
    prompts = _prompts(data, rows=1 if small else 6)
    found = {}
    for dtype in ("bfloat16", "float32"):
        lm = load_model(ModelSettings(path=folder, device="cpu", dtype=dtype))  # type: ignore[arg-type]
        found[dtype] = _measured(lm, prompts)
        print(dtype, found[dtype], flush=True)
    return {"model": Path(folder).name, "prompts": len(prompts), "arithmetic": found}


def _measured(lm: Any, prompts: Sequence[Any]) -> dict[str, Any]:
    from flantune.evaluation.asking.option_scores import PromptScorer
    from flantune.packing.encode import Codec
    from flantune.prompts.layout import Layout

    codec = Codec(
        tokenizer=lm.tokenizer, family=lm.family, layout=Layout(), max_input_tokens=1_024, max_target_tokens=128
    )
    start = time.process_time()
    scorer = PromptScorer(lm, codec, store=None, batch_tokens=8_192)
    tried = time.process_time() - start
    scorer.score(prompts[:2])
    rate = _rate(lm)
    counted: Counter[str] = Counter()
    head = lm.model.get_output_embeddings()
    hook = lm.model.get_input_embeddings().register_forward_hook(
        lambda _, given, __: counted.update(positions=given[0].numel())
    )
    start = time.process_time()
    waves = list(scorer.compiled(prompts))
    compiled = time.process_time() - start
    start = time.process_time()
    scorer.score_requests(waves, prompts=len(prompts))
    seconds = time.process_time() - start
    hook.remove()
    asked = sum(
        len({tuple(target[:place].tolist()) for target in request.unit.targets for place in range(len(target))})
        for groups in waves for group in groups for request in group.requests
    )  # fmt: skip
    layers = sum(weight.numel() for weight in _layers(lm))
    gflop = 2e-9 * (counted["positions"] * layers + asked * head.weight.numel())
    # The machine's rate changes while the benchmark runs: the better of before and after.
    rate = max(rate, _rate(lm))
    return {
        "positions": counted["positions"],
        "positions_asked": asked,
        "seconds_of_trials": round(tried, 2),
        "seconds_of_tokenizing": round(compiled, 3),
        "seconds_of_scoring": round(seconds, 2),
        "positions_a_second": round(counted["positions"] / seconds, 1),
        "gflops": round(gflop / seconds, 1),
        "gflops_of_products_alone": round(rate, 1),
        "share_of_limit": round(gflop / seconds / rate, 3),
        "shares_of_time": _shares(lambda: scorer.score_requests(waves, prompts=len(prompts))),
    }


def _layers(lm: Any) -> list[torch.Tensor]:
    """The matrices that every position goes through."""
    known = {id(lm.model.get_input_embeddings().weight), id(lm.model.get_output_embeddings().weight)}
    return [weight for weight in lm.model.parameters() if weight.ndim == 2 and id(weight) not in known]


def _rate(lm: Any) -> float:
    """GFLOP/s of the layers' products, each by itself, the best of five; weights as the scorer has them."""
    from flantune.models.forms.matrix_products import fast_form
    from flantune.models.forms.rounded_products import packed_form

    form = fast_form if lm.compute_dtype == torch.float32 else packed_form
    layers = [module for module in lm.model.base_model.modules() if type(module) is torch.nn.Linear]
    shapes = Counter((layer.in_features, layer.out_features) for layer in layers)
    flop = seconds = 0.0
    with torch.no_grad():
        for (inputs, outputs), count in shapes.items():
            plain = torch.nn.Linear(inputs, outputs, bias=False)
            alone = form(plain) or plain.to(lm.compute_dtype)
            x, times = torch.randn(512, inputs).to(lm.compute_dtype), []
            for _ in range(5):
                start = time.process_time()
                alone(x)
                times.append(time.process_time() - start)
            flop += count * 2e-9 * 512 * inputs * outputs
            seconds += count * min(times)
    return flop / seconds


def _shares(run: Any) -> dict[str, float]:
    """Each kind of operation's share of the time of all operations, by PyTorch's profiler."""
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]) as profile:
        run()
    times = {event.key: event.self_cpu_time_total for event in profile.key_averages()}
    whole = sum(times.values())
    kinds = {kind: sum(times.get(name, 0.0) for name in names) / whole for kind, names in KINDS.items()}
    return {kind: round(share, 3) for kind, share in {**kinds, "the rest": 1.0 - sum(kinds.values())}.items()}


def _prompts(data: Any, *, rows: int) -> list[Any]:
    import tempfile

    from flantune.commands.plan import prepare_tasks
    from flantune.evaluation.asking.task_questions import TaskQuestions, questions
    from flantune.settings.config import EvaluationSettings, PromptSettings

    settings = EvaluationSettings(max_examples=rows, dev_examples=0, max_templates=4)
    asked = TaskQuestions(evaluation=settings, prompts=PromptSettings(), seed=0)
    with tempfile.TemporaryDirectory() as name:
        prepared, _ = prepare_tasks(config_of(data), root=Path(name), cache=Path(name) / "data")
        return [question.prompt for entry in prepared for question in questions(entry, asked)]
