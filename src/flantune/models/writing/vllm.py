"""Generation with vLLM, if installed, with the same signature as ``writing.generate.write``.

The mapping of settings is tested against a stand-in; it has not been run on a GPU.
"""

from __future__ import annotations

import tempfile
from collections.abc import Collection, Iterator, Sequence
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from flantune.errors import ModelError
from flantune.models.load import save_model
from flantune.models.writing.decoding import Continuation, Finish, cut_at_stop
from flantune.models.writing.endings import end_tokens

if TYPE_CHECKING:
    from flantune.models.language_model import LanguageModel
    from flantune.models.writing.decoding import Decoding, Writer
    from flantune.types import Int32


_MOST_MEMORY = 0.9
"""vLLM's default."""


def vllm_writer(lm: LanguageModel) -> Writer:
    """A writer that passes a model's current weights to vLLM, through a temporary folder, and generates with it.

    It differs from flantune's own loop in batches and random draws, which are vLLM's (keyed by seed and sample, not by
    the prompt). Greedy answers may differ if two tokens are about equally likely.

    Raises:
        ModelError: vLLM is not installed, or the model is not a plain decoder-only model.
    """
    if lm.family != "decoder-only" or lm.adapter is not None:
        hint = 'set evaluation.backend = "transformers" (--backend transformers)'
        raise ModelError("vLLM is used for decoder-only models without adapter", where="evaluation.backend", hint=hint)
    if lm.reads_both_ways:
        hint = 'set evaluation.backend = "transformers" (--backend transformers)'
        raise ModelError("vLLM reads inputs causally, and this model both ways", where="evaluation.backend", hint=hint)
    vllm = require_vllm()
    dtype = str(lm.compute_dtype).removeprefix("torch.")
    with tempfile.TemporaryDirectory(prefix="flantune-vllm-") as folder:
        path = save_model(lm, Path(folder) / "model")
        engine = vllm.LLM(
            model=str(path),
            tokenizer=str(path),
            dtype=dtype,
            enable_prefix_caching=True,
            gpu_memory_utilization=_free_share(lm.device),
        )

    def write(
        lm: LanguageModel, inputs: Sequence[Int32], decoding: Decoding, *, samples: int, batch_tokens: int
    ) -> Iterator[Continuation]:
        del batch_tokens  # vLLM forms its own batches.
        prompts = [{"prompt_token_ids": [int(token) for token in ids]} for ids in inputs]
        ends = end_tokens(lm, decoding)
        chosen = vllm.SamplingParams(
            n=samples if decoding.temperature > 0.0 else 1,
            temperature=decoding.temperature,
            max_tokens=decoding.max_new_tokens,
            # vLLM ends at the first of them: if some are spared, the text is cut afterwards.
            stop=list(decoding.stop) if decoding.stop and not decoding.spared else None,
            stop_token_ids=list(ends),
            seed=decoding.seed if decoding.temperature > 0.0 else None,
            skip_special_tokens=True,
        )
        for index, result in enumerate(engine.generate(prompts, chosen, use_tqdm=False)):
            for sample in range(samples):
                found = result.outputs[min(sample, len(result.outputs) - 1)]
                yield _continuation(found, decoding, index=index, sample=sample, end_tokens=ends)

    return write


def _continuation(
    found: Any, decoding: Decoding, *, index: int, sample: int, end_tokens: Collection[int]
) -> Continuation:
    tokens = tuple(int(token) for token in found.token_ids)
    finish: Finish = "length"
    if found.finish_reason == "stop":
        # vLLM names the stop string, or nothing at the end of sequence.
        finish = "stop" if isinstance(found.stop_reason, str) else "eos"
    if tokens and tokens[-1] in end_tokens:
        tokens = tokens[:-1]
    text = cut_at_stop(str(found.text), decoding.stop, spared=decoding.spared)
    finish = "stop" if len(text) < len(str(found.text)) else finish
    return Continuation(index=index, sample=sample, tokens=tokens, text=text, finish=finish)


def _free_share(device: torch.device) -> float:
    """The share of the accelerator's memory that vLLM may take: it refuses to start if less than that is free.

    The original model stays on the device, since options are scored with it.
    """
    if device.type != "cuda":
        return _MOST_MEMORY
    free, total = torch.cuda.mem_get_info(device)
    return _MOST_MEMORY * free / total


def require_vllm() -> Any:
    """vLLM, the library.

    Raises:
        ModelError: It is not installed.
    """
    try:
        return import_module("vllm")
    except ImportError as error:
        hint = "in flantune's folder: pip install -e '.[vllm]'; or set evaluation.backend (--backend) to transformers"
        raise ModelError("vLLM is not installed", where="evaluation.backend", hint=hint) from error
