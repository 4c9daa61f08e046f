"""Tunes, scores and writes with a tiny random model of every architecture that transformers can build offline.

``python -m benchmarks.architectures [NAME …] [--out FILE]``: one line an architecture, and what is wrong with it. Each
is compared with plain transformers: the loss and the gradient of a step on prompts one by one, scores of options, and
greedy answers. Half an hour on two cores; not among the benchmarks that ``make bench`` runs.
"""

from __future__ import annotations

import json
import multiprocessing
import sys
import traceback
import warnings
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers
from transformers import AutoConfig, AutoModelForCausalLM, AutoModelForSeq2SeqLM
from transformers.models.auto.modeling_auto import (
    MODEL_FOR_CAUSAL_LM_MAPPING_NAMES,
    MODEL_FOR_SEQ_TO_SEQ_CAUSAL_LM_MAPPING_NAMES,
)

from flantune.errors import FlantuneError
from flantune.models.language_model import LanguageModel
from flantune.models.load import needs_eager_attention
from flantune.models.scratch import train_tokenizer
from flantune.types import Prompt

LIMIT_S = 240
VOCABULARY = 300
SIZES: dict[str, Any] = {
    "vocab_size": VOCABULARY, "pad_token_id": 0, "eos_token_id": 1, "decoder_start_token_id": 0,
    "forced_eos_token_id": None, "forced_bos_token_id": None, "vocab_size_per_layer_input": VOCABULARY,
    "hidden_size": 32, "d_model": 32, "n_embd": 32, "embed_dim": 32, "embedding_size": 32, "word_embed_proj_dim": 32,
    "hidden_size_per_layer_input": 8, "emb_dim": 32, "attention_hidden_size": 32,
    "intermediate_size": 48, "ffn_dim": 48, "d_ff": 48, "encoder_ffn_dim": 48, "decoder_ffn_dim": 48, "n_inner": 48,
    "moe_intermediate_size": 16, "shared_expert_intermediate_size": 16, "block_ff_dim": 48, "ffn_hidden_size": 48,
    "feed_forward_size": 48, "intermediate_size_mlp": 48, "moe_shared_expert_intermediate_size": 16, "dff": 48,
    "num_hidden_layers": 2, "n_layer": 2, "n_layers": 2, "num_layers": 2, "encoder_layers": 2, "decoder_layers": 2,
    "num_encoder_layers": 2, "num_decoder_layers": 2, "num_blocks": 2,
    "num_attention_heads": 4, "n_head": 4, "n_heads": 4, "num_heads": 4, "encoder_attention_heads": 4,
    "decoder_attention_heads": 4, "num_encoder_attention_heads": 4, "num_decoder_attention_heads": 4,
    "num_key_value_heads": 2, "head_dim": 8, "d_kv": 8, "attention_head_size": 8, "global_head_dim": 8,
    "swa_head_dim": 8, "swa_num_attention_heads": 4, "swa_num_key_value_heads": 2, "num_kv_shared_layers": 0,
    "kv_lora_rank": 8, "q_lora_rank": 8, "qk_rope_head_dim": 4, "qk_nope_head_dim": 4, "v_head_dim": 8,
    "qk_head_dim": 8, "dim_head": 8, "dim_ff": 48, "rotary_dim": 4,
    "num_experts": 4, "num_local_experts": 4, "n_routed_experts": 4, "moe_num_experts": 4, "num_experts_per_tok": 2,
    "n_shared_experts": 1, "n_group": 1, "topk_group": 1, "moe_k": 2, "top_k_experts": 2, "moe_topk": 2,
    "first_k_dense_replace": 1, "mlp_layer_types": None, "layer_types": None, "num_dense_layers": 1,
    "zero_expert_num": 0, "expert_ffn_hidden_size": 16, "expert_capacity": 64, "encoder_sparse_step": 2,
    "decoder_sparse_step": 2, "num_sparse_encoder_layers": 1, "num_sparse_decoder_layers": 1,
    "max_position_embeddings": 256, "n_positions": 256, "n_ctx": 256, "max_seq_len": 256,
    "max_encoder_position_embeddings": 256, "max_decoder_position_embeddings": 256, "max_source_positions": 256,
    "max_target_positions": 256, "sliding_window": 12, "attention_window": 12, "attention_window_size": 12,
    "state_size": 8, "mamba_d_state": 8, "mamba_n_heads": 4, "mamba_d_head": 16, "mamba_n_groups": 1,
    "mamba_num_heads": 4, "mamba_head_dim": 16, "ssm_state_size": 8, "n_groups": 1, "time_step_rank": 4,
    "mamba_dt_rank": 4, "mamba_d_ssm": 64, "lru_width": 32, "conv_dim": 32, "n_mamba_heads": 2,
    "linear_num_key_heads": 2, "linear_num_value_heads": 4, "linear_key_head_dim": 8, "linear_value_head_dim": 8,
    "mamba_headdim": 16, "mamba_ngroups": 1, "attention_head_dim": 16, "adapter_rank": 4, "use_mamba_kernels": False,
    "index_n_heads": 2, "index_head_dim": 8, "index_topk": 64, "query_pre_attn_scalar": 8, "chunk_size": 8,
    "laurel_rank": 4, "altup_num_inputs": 2, "activation_sparsity_pattern": None, "ngram": 2, "block_size": 8,
    "num_random_blocks": 1, "use_kernels": False, "local_radius": 12, "global_block_size": 8,
}  # fmt: skip
"""Small values under whatever name a config has for them; others keep their defaults."""

DROP = object()
"""A value of ``SPECIAL`` that leaves the config's own."""
SPECIAL: dict[str, dict[str, Any]] = {
    "bamba": {"layer_types": DROP, "attn_layer_indices": [1]},
    "falcon_h1": {"layer_types": DROP},
    "mamba2": {"num_heads": 4, "head_dim": 16},
    "nemotron_h": {"layer_types": DROP, "layers_block_type": ["mamba", "attention", "mlp"], "num_hidden_layers": 3},
    "recurrent_gemma": {"layer_types": DROP, "num_hidden_layers": 3},
    "zamba": {
        "layer_types": DROP,
        "layers_block_type": ["mamba", "hybrid", "hybrid"],
        "num_hidden_layers": 3,
        "attention_hidden_size": 64,
        "attention_head_dim": 16,
    },
    "zamba2": {
        "layer_types": DROP,
        "layers_block_type": ["mamba", "hybrid", "hybrid"],
        "num_hidden_layers": 3,
        "n_mamba_heads": 4,
        "mamba_headdim": 16,
        "attention_hidden_size": 64,
        "attention_head_dim": 16,
    },
    "lfm2_moe": {"layer_types": ["conv", "full_attention"]},
    "zaya": {"num_experts_per_tok": 1},
    "cohere_compass_text": {"layer_types": DROP},
    "xmod": {"default_language": "en_XX"},
    "reformer": {"is_decoder": True},
    # Their plain forward hides what is padding by its id: the start token must be another.
    "t5gemma": {"decoder_start_token_id": 2},
    "t5gemma2": {"decoder_start_token_id": 2},
    "fsmt": {"decoder_start_token_id": 2},
    "prophetnet": {"decoder_start_token_id": 2},
    "gpt_neo": {"attention_types": [[["global", "local"], 1]], "window_size": 12},
}
"""What some architectures need besides."""


_WORDS = ("red", "blue", "green", "tall", "short", "round", "square", "old", "new", "quick", "slow", "warm")


def _prompt(number: int) -> Prompt:
    first, second = _WORDS[number % 12], _WORDS[(number * 7 + 3) % 12]
    asked, answer = ((f"Spell {first}.", "-".join(first)), (f"Repeat {first} and {second}.", f"{first} {second}"))[
        number % 2
    ]
    return Prompt(task="t", split="train", row=number, template="t", inputs=asked, targets=answer)


@cache
def _tokenizer() -> Any:
    return train_tokenizer((f"{_prompt(i).inputs} {_prompt(i).targets}" for i in range(60)), VOCABULARY)


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What was found of one architecture.

    Attributes:
        name: Its ``model_type``.
        family: Decoder-only or encoder-decoder.
        result: "packed", "one prompt a row", "refused", "not built" or "wrong".
        detail: Why, or the largest differences.
    """

    name: str
    family: str
    result: str
    detail: str


def config_of(name: str) -> Any:
    """A tiny config of an architecture."""
    kind = type(AutoConfig.for_model(name))
    special = SPECIAL.get(name, {})
    return _small(kind, {**SIZES, **special}, set(special))


def _small(kind: Any, sizes: dict[str, Any], forced: set[str]) -> Any:
    default = kind()
    forced = forced | ({"decoder_start_token_id"} if default.is_encoder_decoder else set())
    known = set(default.to_dict()) | set(getattr(kind, "attribute_map", {}))
    if "kv_lora_rank" in known and not {"num_key_value_heads", "head_dim"} & forced:
        # Latent attention: a key for each head, and rotations of the rotated part only.
        sizes = {**sizes, "num_key_value_heads": 4, "head_dim": 4}
    sizes = {key: value for key, value in sizes.items() if value is not DROP}
    own = {key: value for key, value in sizes.items() if key in known or key in forced}
    nested = {
        key: _small(type(value), sizes, set()).to_dict()
        for key, value in vars(default).items()
        if isinstance(value, transformers.PretrainedConfig)
    }
    own = {key: value for key, value in own.items() if kind.attribute_map.get(key, key) == key or
           kind.attribute_map[key] not in own}  # fmt: skip
    return kind(**own, **nested)


def build(name: str, *, config: Any = None) -> LanguageModel:
    """A tiny random model, its weights as large as a trained model's; of another config than the usual, if given."""
    config = config or config_of(name)
    is_pair = name in MODEL_FOR_SEQ_TO_SEQ_CAUSAL_LM_MAPPING_NAMES and config.is_encoder_decoder
    auto: Any = AutoModelForSeq2SeqLM if is_pair else AutoModelForCausalLM
    torch.manual_seed(0)
    eager = needs_eager_attention(config)
    try:
        model = auto.from_config(config, attn_implementation="eager" if eager else "sdpa", dtype=torch.float32)
    except ValueError as error:
        if "scaled_dot_product_attention" not in str(error) and "attention" not in str(error):
            raise
        model = auto.from_config(config, attn_implementation="eager", dtype=torch.float32)
    model = model.float()
    with torch.no_grad():
        for weight in model.parameters():
            weight.nan_to_num_(0.0).clamp_(-2, 2)
            weight.add_(0.1 * torch.randn_like(weight))
    family = "encoder-decoder" if is_pair else "decoder-only"
    return LanguageModel(model=model.eval(), tokenizer=_tokenizer(), family=family, device=torch.device("cpu"))


def prompts_of(lm: LanguageModel, count: int = 12) -> list[Any]:
    """Encoded prompts of different length."""
    from flantune.packing.encode import Codec
    from flantune.prompts.layout import Layout

    codec = Codec(tokenizer=lm.tokenizer, family=lm.family, layout=Layout(), max_input_tokens=96, max_target_tokens=48)
    return list(codec.encode_prompts([_prompt(i) for i in range(count)], continuations="target"))


def plain_step(lm: LanguageModel, prompts: list[Any]) -> tuple[float, dict[str, torch.Tensor]]:
    """Loss a token and its gradient by the model's own forward, a prompt at a time."""
    from flantune.models.language_model import start_token

    lm.model.zero_grad()
    total = sum(len(each.targets[0]) for each in prompts)
    loss = 0.0
    for each in prompts:
        inputs, target = (torch.from_numpy(part).long() for part in (each.inputs, each.targets[0]))
        if lm.family == "decoder-only":
            out = lm.model(input_ids=torch.cat([inputs, target])[None], use_cache=False).logits[0, len(inputs) - 1 : -1]
        else:
            shifted = torch.cat([torch.tensor([start_token(lm)]), target[:-1]])[None]
            out = lm.model(input_ids=inputs[None], decoder_input_ids=shifted, use_cache=False).logits[0]
        nll = torch.nn.functional.cross_entropy(out.float(), target, reduction="sum") / total
        nll.backward()
        loss += float(nll.detach())
    return loss, gradient_of(lm)


def gradient_of(lm: LanguageModel) -> dict[str, torch.Tensor]:
    """The gradient of every weight that has one."""
    return {name: weight.grad.clone() for name, weight in lm.model.named_parameters() if weight.grad is not None}


def tuned_step(lm: LanguageModel, prompts: list[Any], *, packed: bool) -> tuple[float, dict[str, torch.Tensor]]:
    """The same by flantune, as it tunes."""
    from flantune.models.checks.tuning import check_tuning
    from flantune.models.forms.training_form import TrainingForm
    from flantune.models.forward import target_logprobs
    from flantune.packing.batches import lay_out
    from flantune.training.randomness import dropout

    lm.model.zero_grad()
    rows = [list(range(len(prompts)))] if packed else [[at] for at in range(len(prompts))]
    pack = lay_out(prompts, rows, family=lm.family)
    form = TrainingForm(lm)
    check_tuning(lm, form=form, is_still=False)
    with dropout(lm.model, 0.0), form.in_place():
        loss = -target_logprobs(lm, pack).logprobs.sum() / len(pack.targets.token)
        loss.backward()
    return float(loss.detach()), gradient_of(lm)


def difference(found: dict[str, torch.Tensor], expected: dict[str, torch.Tensor]) -> float:
    """Of two gradients, as a share of the second's size."""
    whole = sum(float(each.norm()) ** 2 for each in expected.values()) ** 0.5
    names = set(found) | set(expected)
    zero = torch.zeros(())
    return sum(float((found.get(n, zero) - expected.get(n, zero)).norm()) ** 2 for n in names) ** 0.5 / whole


def try_scores(lm: LanguageModel, prompts: list[Any]) -> tuple[str, float]:
    """How options are scored, and the largest difference of a score from the option's alone."""
    from flantune.models.checks.isolation import logprobs_alone
    from flantune.models.forms.reading_form import scoring_mode
    from flantune.models.scoring.check import scoring_layout
    from flantune.models.scoring.option_scorer import OptionScorer
    from flantune.models.scoring.plan import plan_scoring

    units = [replace(each, targets=(each.targets[0], prompts[0].targets[0], each.targets[0][:1])) for each in prompts]
    report = scoring_layout(lm)
    if report.layout == "rows":
        units = [replace(each, targets=(target,)) for each in units for target in each.targets]
    with torch.no_grad():
        expected = [[float(logprobs_alone(lm, u, t).double().sum()) for t in u.targets] for u in units]
    worst = 0.0
    with scoring_mode(lm):
        for batch in plan_scoring(units, family=lm.family, layout=report.layout, batch_tokens=2048):
            sums = iter(OptionScorer(lm).score(units, batch).sums)
            for at in batch.units:
                worst = max(worst, *(abs(next(sums) - each) for each in expected[at]))
    return report.layout, worst


def try_writing(lm: LanguageModel, prompts: list[Any]) -> tuple[str, int]:
    """How answers are written, and how many differ from the greedy ones of the plain forward."""
    from flantune.models.language_model import start_token
    from flantune.models.writing.check import writing_method
    from flantune.models.writing.decoding import Decoding
    from flantune.models.writing.generate import write

    inputs = [each.inputs for each in prompts[:4]]
    written = {answer.index: list(answer.tokens) for answer in write(lm, inputs, Decoding(max_new_tokens=5))}
    found = [written[at] for at in range(len(inputs))]
    wrong = 0
    for ids, mine in zip(inputs, found, strict=True):
        read, own = torch.from_numpy(ids).long()[None], []
        with torch.no_grad():
            for _ in range(5):
                tail = torch.tensor([own], dtype=torch.long)
                if lm.family == "decoder-only":
                    logits = lm.model(input_ids=torch.cat([read, tail], dim=1), use_cache=False).logits
                else:
                    head = torch.tensor([[start_token(lm)]])
                    logits = lm.model(
                        input_ids=read, decoder_input_ids=torch.cat([head, tail], dim=1), use_cache=False
                    ).logits
                token = int(logits[0, -1].argmax())
                if token == lm.tokenizer.eos_token_id:
                    break
                own.append(token)
        wrong += own != mine
    return writing_method(lm), wrong


def examine(name: str) -> Outcome:
    """Everything of one architecture."""
    from flantune.models.checks.causality import check_causal
    from flantune.models.checks.isolation import check_isolation

    family = "encoder-decoder" if name in MODEL_FOR_SEQ_TO_SEQ_CAUSAL_LM_MAPPING_NAMES else "decoder-only"
    try:
        lm = build(name)
        family = lm.family
        prompts = prompts_of(lm)
        expected = plain_step(lm, prompts)
        if not np.isfinite(expected[0]):
            return Outcome(name=name, family=family, result="not built", detail="its loss is not a number")
    except BaseException as error:
        return Outcome(name=name, family=family, result="not built", detail=_last(error))
    try:
        check_causal(lm, where=name)
        report = check_isolation(lm)
        loss, gradient = tuned_step(lm, prompts, packed=report.is_isolated)
        apart = abs(loss - expected[0]), difference(gradient, expected[1])
        layout, score = try_scores(lm, prompts)
        method, unlike = try_writing(lm, prompts)
    except FlantuneError as error:
        return Outcome(name=name, family=family, result="refused", detail=str(error))
    except BaseException as error:
        return Outcome(name=name, family=family, result="wrong", detail="crash: " + _last(error))
    detail = f"loss {apart[0]:.1e} gradient {apart[1]:.1e} score {score:.1e} ({layout}) unlike {unlike} ({method})"
    is_right = apart[0] < 1e-3 and apart[1] < 1e-3 and score < 1e-2 and unlike == 0
    tuned = "packed" if report.is_isolated else "one prompt a row"
    if not report.is_isolated:
        detail += f"; {report.reason}"
    return Outcome(name=name, family=family, result=tuned if is_right else "wrong", detail=detail)


def _last(error: BaseException) -> str:
    where = traceback.extract_tb(error.__traceback__)[-1]
    first = (str(error).strip() or "-").splitlines()[0]
    return f"{type(error).__name__}: {first[:200]} ({Path(where.filename).name}:{where.lineno})"


def _child(name: str, pipe: Any) -> None:
    warnings.simplefilter("ignore")
    transformers.logging.set_verbosity_error()
    torch.set_num_threads(1)
    pipe.send(examine(name))


def in_its_own_process(name: str) -> Outcome:
    """One architecture; a crash of the interpreter or an endless loop ends only its own process."""
    context = multiprocessing.get_context("fork")
    mine, theirs = context.Pipe(duplex=False)
    child = context.Process(target=_child, args=(name, theirs))
    child.start()
    try:
        if mine.poll(LIMIT_S):
            found: Outcome = mine.recv()
            return found
        return Outcome(name=name, family="", result="not built", detail="it took too long, or its process died")
    except EOFError:
        return Outcome(name=name, family="", result="not built", detail="its process died")
    finally:
        child.kill()
        child.join()


def main(arguments: list[str]) -> int:
    """Examines the named architectures, or all; returns the exit code: 1 where something is wrong."""
    out = Path(arguments[arguments.index("--out") + 1]) if "--out" in arguments else None
    names = [each for each in arguments if not each.startswith("--") and each != str(out)]
    names = names or sorted({*MODEL_FOR_CAUSAL_LM_MAPPING_NAMES, *MODEL_FOR_SEQ_TO_SEQ_CAUSAL_LM_MAPPING_NAMES})
    found = []
    for name in names:
        found.append(in_its_own_process(name))
        one = found[-1]
        print(f"{one.name:22} {one.family:16} {one.result:18} {one.detail}", flush=True)
    if out is not None:
        rows = [{key: getattr(one, key) for key in Outcome.__slots__} for one in found]
        out.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")
    return int(any(one.result == "wrong" for one in found))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
