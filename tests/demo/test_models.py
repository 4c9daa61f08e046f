from __future__ import annotations

from itertools import islice

import pytest
import torch
from transformers import AutoConfig, AutoModelForCausalLM, AutoModelForSeq2SeqLM, AutoTokenizer

from flantune.demo import probes
from flantune.demo.pretrain import Recipe, build_model, pretrain
from flantune.demo.pretrain_batches import (
    DECODER_ROW,
    ENCODER_ROW,
    IGNORED,
    batches,
    decoder_batch,
    encoder_decoder_batch,
)
from flantune.demo.rows import MAKERS, task_rows
from flantune.demo.text import documents
from flantune.demo.tokenizer import train_tokenizer
from flantune.demo.write import RUN_NAMES, TASK_FILES, base_folder
from flantune.prompts.render import render
from flantune.tasks.taskfile import load_task_file

FAMILIES = tuple(RUN_NAMES)
FOLDER_BYTES = 10_000_000


@pytest.fixture(scope="module")
def tokenizer():
    return train_tokenizer(islice(documents(0), 2_000), vocabulary_size=1_400)


@pytest.mark.parametrize(
    "text", ["red", "OPTIONS:\n- a red hat\n- 12 it's", "\n", "a\n\nb\n", "  two  spaces ", "Zürich, 日本 {}", "", " a"]
)
def test_the_tokenizer_gives_any_text_back(tokenizer, text: str) -> None:
    assert tokenizer.decode(tokenizer(text, add_special_tokens=False)["input_ids"]) == text


def test_the_tokenizer_gives_all_task_text_back(tokenizer) -> None:
    for name in MAKERS:
        task = load_task_file(TASK_FILES / f"{name}.toml")
        example = task.adapter(task_rows(name, seed=0, counts={"train": 1, "dev": 0, "test": 0})["train"][0])
        for template in task.templates:
            prompt = render(task, example, template, split="train")
            for text in (prompt.inputs, prompt.targets, *prompt.options):
                assert tokenizer.decode(tokenizer(text, add_special_tokens=False)["input_ids"]) == text


def test_trap_09_an_answer_is_the_same_tokens_alone_and_after_its_prompt(tokenizer) -> None:
    def ids(text: str) -> list[int]:
        return tokenizer(text, add_special_tokens=False)["input_ids"]

    assert ids("Which one?\n- red\n- blue\n") + ids("blue") == ids("Which one?\n- red\n- blue\nblue")
    assert ids("blue")[0] in ids("- blue")


def test_rows_of_the_decoder_begin_with_documents_and_follow_each_other(tokenizer) -> None:
    sizes = {"seed": 0, "batch_tokens": 1_024}
    first = decoder_batch(tokenizer, **sizes, document=0, step=0)
    assert first.arrays["input_ids"].shape == (8, 128)
    begun = tokenizer(next(documents(0)), add_special_tokens=False)["input_ids"]
    assert first.arrays["input_ids"][0, : len(begun)].tolist() == begun
    again = next(islice(batches(tokenizer, family="decoder-only", **sizes, document=0, step=0), 1, None))
    other = decoder_batch(tokenizer, **sizes, document=first.next_document, step=1)
    assert torch.equal(again.arrays["input_ids"], other.arrays["input_ids"])


def test_pairs_of_the_encoder_decoder_are_the_two_parts_of_documents(tokenizer) -> None:
    arrays = encoder_decoder_batch(tokenizer, seed=0, batch_tokens=1_024, document=0).arrays
    assert arrays["encoder_tokens"].shape[1] == ENCODER_ROW and arrays["labels"].shape[1] == DECODER_ROW
    whole = {" ".join(text.split()) for text in islice(documents(0), 200)}
    read = arrays["encoder_tokens"][0][arrays["encoder_segments"][0] == 1]
    written = arrays["labels"][0][arrays["decoder_segments"][0] == 1]
    text = " ".join(tokenizer.decode([*read[:-1], *written], skip_special_tokens=True).split())
    assert any(text.endswith(document[-20:]) and document[:10] in text for document in whole)
    # What the decoder reads is what it is to write, one place later, behind the start token.
    fed = arrays["decoder_tokens"][0][arrays["decoder_segments"][0] == 1]
    assert fed.tolist() == [0, *written[:-1].tolist()]
    assert (arrays["labels"][arrays["decoder_segments"] == 0] == IGNORED).all()


@pytest.mark.parametrize("family", FAMILIES)
def test_a_pretraining_run_goes_on_where_it_stopped(family, tmp_path) -> None:
    recipe = Recipe(
        family=family, tokens=10**9, hidden_size=32, layers=3, batch_tokens=512, warmup_steps=2, tokenizer_documents=300
    )
    pretrain(recipe, out=tmp_path / "straight", stop_after_steps=4, probe_items=2)
    pretrain(recipe, out=tmp_path / "resumed", stop_after_steps=2, probe_items=2)
    folder = pretrain(recipe, out=tmp_path / "resumed", stop_after_steps=2, probe_items=2)
    for name in ("state.json", "state.safetensors", "model.safetensors"):
        assert (folder / name).read_bytes() == (tmp_path / "straight" / "model" / name).read_bytes()
    assert AutoConfig.from_pretrained(folder).vocab_size == len(AutoTokenizer.from_pretrained(folder))


def test_models_are_small(tokenizer) -> None:
    for family in FAMILIES:
        model = build_model(Recipe(family=family, tokens=1), vocabulary_size=1_800)
        assert 1_000_000 < sum(p.numel() for p in model.parameters()) < 2_300_000


# Shares of right probe items that the shipped base models must reach. Chance is 1/2 for the first six and 1/4 else.
# The encoder-decoder model reads as many tokens but learns from fewer, and has some of the skills.
FLOORS = {
    "decoder-only": {
        "sentiment": 0.9,
        "cause and effect": 0.9,
        "coreference": 0.9,
        "matter": 0.9,
        "talk": 0.9,
        "titles": 0.9,
        "counting": 0.9,
        "purpose": 0.9,
        "facts": 0.9,
        "feeling": 0.75,
        "topic": 0.9,
    },
    "encoder-decoder": {
        "titles": 0.9,
        "cause and effect": 0.9,
        "choice from a list": 0.9,
        "talk": 0.9,
        "topic": 0.9,
        "feeling": 0.85,
        "purpose": 0.85,
        "sentiment": 0.65,
    },
}


@pytest.mark.parametrize("family", FAMILIES)
def test_the_shipped_base_models_have_the_skills(family) -> None:
    folder = base_folder(family)
    if not (folder / "model.safetensors").exists():
        pytest.skip("no base model: make one with `flantune demo pretrain`")
    kind = AutoModelForCausalLM if family == "decoder-only" else AutoModelForSeq2SeqLM
    model = kind.from_pretrained(folder, dtype=torch.float32).eval()
    scores = probes.score_all(model, AutoTokenizer.from_pretrained(folder), count=60, skills=tuple(FLOORS[family]))
    assert {skill: score for skill, score in scores.items() if score < FLOORS[family][skill]} == {}


def test_the_shipped_base_models_are_small() -> None:
    files = [path for family in FAMILIES for path in base_folder(family).glob("*")]
    assert sum(path.stat().st_size for path in files) < FOLDER_BYTES
