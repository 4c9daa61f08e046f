"""The whole line with adapters and with a chat template: one line in the run file each."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from flantune.commands.evaluate import EvaluationRequest, evaluate
from flantune.errors import ConfigError
from flantune.evaluation.samples import read_samples
from flantune.models.load import load_model, save_model
from flantune.models.scratch import build_model, train_tokenizer
from flantune.settings.config import DataSettings, ModelSettings, ScratchSettings
from flantune.settings.run_file import load_run_file
from flantune.types import Sample
from tests.end_to_end.small_world import write_small_world

pytest.importorskip("peft")
pytestmark = pytest.mark.slow

CHAT = (
    "{% for m in messages %}<|start|>{{ m['role'] }}\n{{ m['content'] }}<|stop|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|start|>assistant\n{% endif %}"
)


@pytest.fixture(scope="module")
def world(tmp_path_factory) -> Path:
    """The small world, and a base model with a chat template to start from."""
    folder = tmp_path_factory.mktemp("world")
    write_small_world(folder, steps=4)
    tokenizer = train_tokenizer([path.read_text() for path in folder.glob("*/train.jsonl")], 300)
    tokenizer.add_special_tokens({"additional_special_tokens": ["<|start|>", "<|stop|>"]})
    tokenizer.chat_template = CHAT
    scratch = ScratchSettings(hidden_size=32, layers=2, heads=2)
    save_model(build_model(scratch, tokenizer, seed=1), folder / "base", card="base")
    text = (folder / "run.toml").read_text()
    kept = [line for line in text.splitlines() if not line.startswith("scratch")]
    lines = ['path = "base"' if line == "[model]" else line for line in kept]
    at = lines.index('path = "base"')
    (folder / "run.toml").write_text("\n".join([*lines[:at], "[model]", *lines[at:]]))
    return folder


def run(world: Path, name: str, *lines: str) -> Path:
    from flantune.commands.run import run

    overrides = ["holdout.folds=[['sentiment']]", *lines]
    out = world / name
    run(load_run_file(world / "run.toml", overrides=overrides), out=out)
    return out


def test_low_rank_adapters_alone(world):
    out = run(world, "lora", "model.adapter='lora'")
    fold = out / "folds/sentiment"
    assert (fold / "model/adapter_config.json").exists() and not (fold / "model/model.safetensors").exists()
    assert not (fold / "adapter").exists()
    assert "Low-rank adapters of rank 16." in (fold / "model/README.md").read_text()
    before = (fold / "tuned/samples/mood.parquet").read_bytes()
    run(world, "lora", "model.adapter='lora'")
    assert (fold / "tuned/samples/mood.parquet").read_bytes() == before
    assert json.loads((fold / "training.json").read_text())["steps"] == 4


def test_merged_and_chatting(world):
    out = run(world, "merged", "model.adapter='lora'", "model.merge_adapter=true", "prompts.chat=true")
    fold = out / "folds/sentiment"
    assert (fold / "model/model.safetensors").exists() and (fold / "adapter/adapter_model.safetensors").exists()
    assert not (fold / "model/adapter_config.json").exists()
    merged = load_model(ModelSettings(path=str(fold / "model")))
    stop = merged.tokenizer.convert_tokens_to_ids("<|stop|>")
    assert stop in merged.model.generation_config.eos_token_id
    assert merged.tokenizer.chat_template == CHAT
    assert json.loads((out / "config.json").read_text())["values"]["prompts"]["chat"] is True
    plain = run(world, "plain")
    scores = [next(iter(read_samples(one / "base/samples/mood.parquet"))).scores for one in (out, plain)]
    assert scores[0] != scores[1], "the base model is asked in the chat's form, too"


def test_virtual_tokens(world):
    out = run(world, "prompt", "model.adapter='prompt'", "model.prompt.tokens=4")
    fold = out / "folds/sentiment"
    tuned = load_model(ModelSettings(path=str(fold / "model")))
    assert len(tuned.prefix_tokens) == 4
    base, mine = (list(read_samples(path / "samples/mood.parquet")) for path in (out / "base", fold / "tuned"))
    assert [sample.scores for sample in base] != [sample.scores for sample in mine]


def test_a_prefix_lm_from_its_causal_base_to_its_evaluation(world, tmp_path):
    """In a chat's form and with an adapter, too: whoever loads the folder reads inputs both ways again."""
    out, plain = run(world, "both_ways", "model.attention='prefix'"), run(world, "plain")
    fold = out / "folds/sentiment"
    assert load_model(fold / "model").attention == "prefix"
    assert "It is a prefix LM" in (fold / "model/README.md").read_text()
    before, other = ((one / "base/samples/mood.parquet").read_bytes() for one in (out, plain))
    assert before == other, "the base model is measured as it learned to read"
    data = DataSettings(tasks=(str(world / "mood_task.toml"),))
    evaluate(EvaluationRequest(models=(str(fold / "model"),), out=tmp_path, data=data))
    asked, mine = ({s.inputs: s.scores for s in samples_below(place)} for place in (tmp_path, fold / "tuned"))
    both = asked.keys() & mine.keys()
    assert len(both) > 8 and [asked[one] for one in both] == [mine[one] for one in both]
    chatting = run(world, "both_ways_chat", "model.attention='prefix'", "model.adapter='lora'", "prompts.chat=true")
    with_adapter = load_model(chatting / "folds/sentiment/model")
    assert with_adapter.attention == "prefix" and with_adapter.adapter is not None


def test_vllm_and_a_prefix_lm_do_not_go_together_which_is_told_at_once(world):
    with pytest.raises(ConfigError, match="vLLM reads inputs causally"):
        run(world, "vllm", "model.attention='prefix'", "evaluation.backend='vllm'")
    assert not (world / "vllm/folds").exists()


def samples_below(folder: Path) -> list[Sample]:
    return [sample for path in folder.rglob("mood.parquet") for sample in read_samples(path)]
