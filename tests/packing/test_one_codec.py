"""Whoever asks a model, it is asked as it was tuned: one builder of codecs, and every entry goes through it."""

from __future__ import annotations

import ast
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from tests.evaluation.made import color_examples, generation_examples, make_task, run
from tests.models.written import generate
from tests.training.small import make_lm

import flantune
from flantune.commands.plan import make_codec
from flantune.evaluation.asking.ask import ask
from flantune.evaluation.asking.session import Session
from flantune.evaluation.samples import read_samples
from flantune.harness.read import harness_exams
from flantune.judging.answers import Answering, OpenPrompt, answer_prompts
from flantune.models.language_model import LanguageModel, VirtualTokens
from flantune.packing.codec_for import UnloadedReader
from flantune.prompts.layout import Layout
from flantune.settings.config import PackingSettings, RunConfig
from flantune.settings.protocols import PRESETS
from flantune.suites.suite import SuiteData
from flantune.types import Prompt

SOURCE = Path(flantune.__file__).parent


def test_nobody_else_builds_a_codec():
    builders = {
        path.relative_to(SOURCE).as_posix()
        for path in SOURCE.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call) and getattr(node.func, "id", getattr(node.func, "attr", "")) == "Codec"
    }
    assert builders == {"packing/codec_for.py"}


@pytest.fixture(scope="module", params=["llama", "t5"])
def lm(request) -> LanguageModel:
    """A model with virtual tokens that matter."""
    base = make_lm(request.param)
    for weight in base.model.parameters():
        weight.data.add_(0.1 * torch.randn(weight.shape, generator=torch.Generator().manual_seed(weight.numel())))
    vectors = torch.randn(3, 32, generator=torch.Generator().manual_seed(1)) * 3
    tokens = VirtualTokens(base.model.get_input_embeddings(), vectors)
    base.model.set_input_embeddings(tokens)
    return replace(base, adapter=tokens)


def inputs_of(lm: LanguageModel, text: str) -> list[int]:
    ids = list(lm.tokenizer(text, add_special_tokens=False)["input_ids"])
    return [*lm.prefix_tokens, *ids, *([] if lm.family == "decoder-only" else [lm.tokenizer.eos_token_id])]


def score(lm: LanguageModel, inputs: list[int], text: str, *, eos: bool) -> float:
    """By the model's plain forward, with its virtual tokens before the text."""
    target = [*lm.tokenizer(text, add_special_tokens=False)["input_ids"], *([lm.tokenizer.eos_token_id] if eos else [])]
    with torch.no_grad():
        if lm.family == "decoder-only":
            logits = lm.model(input_ids=torch.tensor([inputs + target])).logits[0, len(inputs) - 1 : -1]
        else:
            logits = lm.model(input_ids=torch.tensor([inputs]), labels=torch.tensor([target])).logits[0]
    return float(logits.log_softmax(-1)[range(len(target)), target].sum())


def writes(lm: LanguageModel, inputs: list[int], count: int) -> str:
    tokens = generate(lm, [np.array(inputs, dtype=np.int32)], max_new_tokens=count)[0]
    return str(lm.tokenizer.decode(tokens, skip_special_tokens=True))


def test_tasks(lm, tmp_path):
    task = make_task({"train": color_examples(4, start=50), "test": color_examples(3)})
    (done,) = run(lm, task, tmp_path, shots=(0,))
    for sample in read_samples(done.path):
        inputs = inputs_of(lm, sample.inputs + ("\n" if lm.family == "decoder-only" else ""))
        for option, found in zip(sample.options, sample.scores, strict=True):
            closest = min(
                (score(lm, inputs, option, eos=eos) for eos in (True, False)), key=lambda one: abs(one - found)
            )
            assert found == pytest.approx(closest, abs=1e-3)


def test_written_tasks_and_open_answers(lm, tmp_path):
    task = make_task({"train": generation_examples(3), "test": generation_examples(2)}, kind="generation")
    (done,) = run(lm, task, tmp_path, shots=(0,), max_new_tokens=5)
    for sample in read_samples(done.path):
        inputs = inputs_of(lm, sample.inputs + ("\n" if lm.family == "decoder-only" else ""))
        assert sample.prediction == writes(lm, inputs, 5).strip()
    out = tmp_path / "answers.jsonl"
    answering = Answering(max_new_tokens=5)
    answer_prompts(lm, [OpenPrompt(id="1", text="Spell red.")], model="one", answering=answering, out=out)
    inputs = inputs_of(lm, "Spell red." + ("\n" if lm.family == "decoder-only" else ""))
    assert json.loads(out.read_text())["answer"] == writes(lm, inputs, 5).strip()


def test_benchmarks_and_harness_files(lm, tmp_path):
    rows = [{"q": f"Is {word} a color?", "choices": ["yes", "no"], "label": 0} for word in ("red", "blue", "tall")]
    (tmp_path / "test.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    text = (
        "task: {name}\ndataset_path: json\ndataset_kwargs: {{data_files: {{test: test.jsonl}}}}\ntest_split: test\n"
        'doc_to_text: "{{{{q}}}}"\n{rest}'
    )
    options = 'output_type: multiple_choice\ndoc_to_choice: "{{choices}}"\ndoc_to_target: "{{label}}"\n'
    written = (
        'output_type: generate_until\ndoc_to_target: "{{choices[0]}}"\n'
        'generation_kwargs: {until: ["zzz"], max_gen_toks: 5}\n'
        "metric_list: [{metric: exact_match}]\n"
    )
    for name, rest in (("choose", options), ("say", written)):
        (tmp_path / f"{name}.yaml").write_text(text.format(name=name, rest=rest))
    parts = [
        harness_exams([tmp_path / f"{name}.yaml"], SuiteData(), protocol=PRESETS["flan2021"])[0].exam
        for name in ("choose", "say")
    ]
    ranked, said = ask(Session(lm=lm, folder=tmp_path / "out", batch_tokens=1_024), parts)
    gap = parts[0].layout.target_separator if lm.family == "decoder-only" else ""
    for sample in ranked.samples:
        inputs = inputs_of(lm, sample.inputs + gap)
        for option, found in zip(sample.options, sample.scores, strict=True):
            assert any(found == pytest.approx(score(lm, inputs, option, eos=eos), abs=1e-3) for eos in (True, False))
    for sample in said.samples:
        assert sample.prediction in {writes(lm, inputs_of(lm, sample.inputs + end), 5) for end in ("", gap)}


def test_training_and_previews(lm):
    config = RunConfig.model_validate({"model": {"path": "x"}, "packing": PackingSettings(max_input_tokens=40)})
    known = UnloadedReader(tokenizer=lm.tokenizer, family=lm.family, prefix_tokens=lm.prefix_tokens)
    prompt = Prompt(task="t", split="train", row=0, template="t", inputs="Spell red. " * 20, targets="r-e-d")
    for reader in (lm, known):
        codec = make_codec(config, reader)
        assert codec.layout == Layout.from_settings(config.prompts)
        encoded = codec.encode_prompts([prompt], continuations="target")[0]
        assert tuple(encoded.inputs[:3]) == lm.prefix_tokens and len(encoded.inputs) == 40
