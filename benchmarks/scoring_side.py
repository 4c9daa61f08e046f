"""One side of ``lm_eval_scoring``: scores the prompts of a file with one library and writes what it took."""

from __future__ import annotations

import json
import pickle
import sys
import time
from collections.abc import Callable, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

import torch

from flantune.prompts.layout import Layout, inputs_text
from flantune.settings.protocols import PRESETS
from flantune.types import Prompt

MAX_TOKENS = 2_048
BATCH_SIZES = (4, 8, 16, 32)
LAYOUT = Layout(target_separator=" ", exemplar_separator="\n\n")


def main(folder: str, prompts_path: str, out: str, side: str, batch_size: str = "") -> None:
    """Runs a side on the model of a folder and the prompts of a file, and writes what it measured to ``out``."""
    torch.set_num_threads(1)
    prompts: list[Prompt] = pickle.loads(Path(prompts_path).read_bytes())
    sides: dict[str, Callable[[], dict[str, Any]]] = {
        "batch_size": lambda: best_batch_size(folder, prompts),
        "lm_eval": lambda: lm_eval_side(folder, prompts, int(batch_size)),
        "flantune": lambda: flantune_side(folder, prompts),
    }
    measured = sides[side]()
    Path(out).write_text(json.dumps(measured), encoding="utf-8")


def flantune_side(folder: str, prompts: Sequence[Prompt]) -> dict[str, Any]:
    from flantune.evaluation.asking.option_scores import PromptScorer, scoring_codec, within_positions
    from flantune.models.load import load_model
    from flantune.packing.encode import Codec
    from flantune.settings.config import ModelSettings

    lm = load_model(ModelSettings(path=folder, device="cpu"))
    codec = Codec(
        tokenizer=lm.tokenizer, family=lm.family, layout=LAYOUT, max_input_tokens=MAX_TOKENS, max_target_tokens=512
    )
    codec = within_positions(scoring_codec(codec, PRESETS["lm_eval"]), lm)
    scorer = PromptScorer(lm, codec, store=None, batch_tokens=8_192)
    scorer.score(prompts[:2])
    counter = Positions(lm.model)
    found, seconds, peak = _by_task(prompts, scorer.score)
    encoded = codec.encode_prompts(prompts, continuations="options")
    return {
        "cpu_s": sum(seconds.values()),
        "seconds": seconds,
        "peak_mib": peak,
        "positions": counter.count,
        "scores": [one.sums for one in found],
        "greedy": [one.greedy for one in found],
        "tokens": [[[*one.inputs.tolist()], [target.tolist() for target in one.targets]] for one in encoded if one],
        **_floor(lm, encoded.prompts, prompts),
    }


def best_batch_size(folder: str, prompts: Sequence[Prompt]) -> dict[str, Any]:
    """lm-eval's fastest batch size on some of the prompts."""
    lm = _harness(folder, 8)
    some = prompts[:: max(1, len(prompts) // 10)]
    _harness_scores(lm, some[:2])
    tried = {}
    for size in BATCH_SIZES:
        lm.batch_size_per_gpu = size
        start = time.process_time()
        _harness_scores(lm, some)
        tried[size] = time.process_time() - start
    return {"batch_size": min(tried, key=lambda size: tried[size])}


def _harness(folder: str, batch_size: int) -> Any:
    from lm_eval.models.huggingface import HFLM

    return HFLM(pretrained=folder, dtype="float32", device="cpu", batch_size=batch_size, max_length=MAX_TOKENS)


def _requests(some: Sequence[Prompt]) -> list[Any]:
    from lm_eval.api.instance import Instance

    pairs = [(inputs_text(prompt, LAYOUT), f" {option}") for prompt in some for option in prompt.options]
    return [Instance(request_type="loglikelihood", doc={}, arguments=pair, idx=at) for at, pair in enumerate(pairs)]


def _harness_scores(lm: Any, some: Sequence[Prompt]) -> list[tuple[list[float], list[bool]]]:
    flat = iter(lm.loglikelihood(_requests(some), disable_tqdm=True))
    pairs = [[next(flat) for _ in prompt.options] for prompt in some]
    return [([pair[0] for pair in group], [bool(pair[1]) for pair in group]) for group in pairs]


def lm_eval_side(folder: str, prompts: Sequence[Prompt], batch_size: int) -> dict[str, Any]:
    lm = _harness(folder, batch_size)
    _harness_scores(lm, prompts[:2])
    counter = Positions(lm.model)
    found, seconds, peak = _by_task(prompts, lambda some: _harness_scores(lm, some))
    pairs = [lm._encode_pair(*request.args) for request in _requests(prompts)]
    tokens, at = [], 0
    for prompt in prompts:
        own = pairs[at : at + len(prompt.options)]
        at += len(prompt.options)
        tokens.append([list(own[0][0]), [list(target) for _, target in own]])
    return {
        "cpu_s": sum(seconds.values()),
        "seconds": seconds,
        "peak_mib": peak,
        "positions": counter.count,
        "batch_size": batch_size,
        "scores": [scores for scores, _ in found],
        "greedy": [greedy for _, greedy in found],
        "tokens": tokens,
    }


class Positions:
    """Counts the token positions that a model is fed."""

    def __init__(self, model: Any) -> None:
        self.count = 0
        sides = (model.get_encoder(), model.get_decoder()) if model.config.is_encoder_decoder else (model,)
        for side in sides:
            side.get_input_embeddings().register_forward_hook(self._add)

    def _add(self, _: object, inputs: tuple[torch.Tensor, ...], __: object) -> None:
        self.count += inputs[0].numel()


def _by_task(
    prompts: Sequence[Prompt], score: Callable[[list[Prompt]], list[Any]]
) -> tuple[list[Any], dict[str, float], float]:
    """Scores each task apart: results, CPU seconds of each, and the peak of memory above where it began, in MiB."""
    seconds, found = {}, []
    before = _reset_peak()
    for task, members in groupby(prompts, key=lambda prompt: prompt.task):
        some = list(members)
        start = time.process_time()
        found += score(some)
        seconds[task] = time.process_time() - start
    return found, seconds, round(_status("VmHWM") - before, 1)


def _floor(lm: Any, encoded: Sequence[Any], prompts: Sequence[Prompt]) -> dict[str, float]:
    """What cannot be avoided: each distinct position once, no padding, at the speed of this model's best batch.

    A group is a task and template. Decoder-only: what its contexts start with counts once, then each context, then
    all option tokens but the last. Encoder-decoder: each context once, and the options with their start token. The
    head, which is needed where a token is scored alone, is left out.
    """
    from flantune.models.scoring.plan import request_sizes
    from flantune.models.scoring.shared_starts import shared_prefixes

    sides = [0, 0]
    keys = [(prompt.task, prompt.template) for prompt in prompts]
    for key in dict.fromkeys(keys):
        units = [one for one, own in zip(encoded, keys, strict=True) if own == key and one is not None]
        contexts, options = request_sizes(units, lm.family).sum(axis=0).tolist()
        sides = [sides[0] + contexts, sides[1] + options]
        if lm.family == "decoder-only":
            clusters = shared_prefixes([unit.inputs for unit in units])
            sides[0] -= sum((len(cluster.members) - 1) * cluster.length for cluster in clusters)
    costs = _seconds_a_position(lm)
    return {
        "floor_positions": sum(sides),
        "floor_cpu_s": sum(count * cost for count, cost in zip(sides, costs, strict=True)),
    }


def _seconds_a_position(lm: Any) -> tuple[float, float]:
    """CPU seconds of one context position and of one option position, in rows of 128 tokens, eight at a time."""
    from flantune.models.forms.reading_form import scoring_mode

    tokens = torch.randint(5, 1000, (8, 128))
    with scoring_mode(lm):
        if lm.family == "decoder-only":
            own = _best_time(lambda: lm.model.base_model(input_ids=tokens)) / tokens.numel()
            return own, own
        encoder, decoder = lm.model.get_encoder(), lm.model.get_decoder()
        read = encoder(input_ids=tokens).last_hidden_state
        few, many = (
            _best_time(
                lambda size=size: decoder(input_ids=tokens[:, :size], encoder_hidden_states=read, use_cache=False)
            )
            for size in (16, 48)
        )
        option = (many - few) / (32 * 8)
        # What reading the options costs besides: keys and values of each context position for the decoder's layers.
        shared = max(few - option * 16 * 8, 0.0)
        return (_best_time(lambda: encoder(input_ids=tokens)) + shared) / tokens.numel(), option


def _best_time(run: Callable[[], Any]) -> float:
    times = []
    for _ in range(5):
        start = time.process_time()
        run()
        times.append(time.process_time() - start)
    return min(times)


def _reset_peak() -> float:
    """Forgets the highest memory so far (on Linux); what is resident now, in MiB."""
    Path("/proc/self/clear_refs").write_text("5")
    return _status("VmRSS")


def _status(name: str) -> float:
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith(name))
    return int(line.split()[1]) / 1024


if __name__ == "__main__":
    main(*sys.argv[1:])
