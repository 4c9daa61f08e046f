from __future__ import annotations

import json
import os
import signal
from dataclasses import replace

import pytest
from tests.conftest import HUNG_AFTER_S
from tests.processes import PROCESSES
from transformers import AutoConfig, AutoTokenizer

from flantune.demo import probes
from flantune.demo.pretrain import Recipe, build_model, main, make_stream, pretrain
from flantune.demo.rest_of_text import FIRST_SIGN, SIGNS, RestOfText, without_spans
from flantune.demo.rows import MAKERS, task_rows
from flantune.demo.text import DemoText
from flantune.demo.tokenizer import train_tokenizer
from flantune.demo.write import RUN_NAMES, TASK_FILES, base_folder
from flantune.errors import TrainingError
from flantune.models.load import load_model
from flantune.pretraining.objectives import Chances
from flantune.pretraining.text_stream import TextStream
from flantune.pretraining.tokenized_corpus import PLACE_BITS
from flantune.prompts.render import render
from flantune.settings.config import ModelSettings
from flantune.tasks.taskfile import load_task_file

FAMILIES = tuple(RUN_NAMES)
TEXT = DemoText(seed=0)
FOLDER_BYTES = 10_000_000


@pytest.fixture(scope="module")
def tokenizer():
    return train_tokenizer((TEXT[number] for number in range(2_000)), vocabulary_size=1_400)


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


def test_draws_of_the_decoder_begin_with_documents_and_follow_each_other(tokenizer) -> None:
    stream = make_stream(Recipe(family="decoder-only", steps=1), TEXT, tokenizer)
    drawn = stream.draws(0, 40)
    lengths = [len(one.prompt.inputs) + len(one.prompt.targets[0]) for one in drawn]
    assert set(lengths) == {128, 256} and lengths.count(128) > 2 * lengths.count(256)
    place = 0
    for one in drawn:
        number = place >> PLACE_BITS
        assert (one.row, place) == (number, number << PLACE_BITS)
        ids = [*one.prompt.inputs.tolist(), *one.prompt.targets[0].tolist()]
        begun = tokenizer(TEXT[number], add_special_tokens=False)["input_ids"]
        assert ids[: len(begun) + 1] == [*begun, tokenizer.eos_token_id][: len(ids)]
        place = one.next


def test_pairs_of_the_encoder_decoder_are_the_two_parts_of_documents(tokenizer) -> None:
    objective = RestOfText(max_input_tokens=10_000, max_target_tokens=10_000, spans_share=0.0)
    stream = TextStream(TEXT, tokenizer, objective, row_tokens=10_000)
    for one in stream.draws(0, 30):
        documents = [TEXT[number] for number in range(one.row, one.next >> PLACE_BITS)]
        read, written = one.prompt.inputs.tolist(), one.prompt.targets[0].tolist()
        assert read[-1] == tokenizer.eos_token_id and tokenizer.eos_token_id not in read[:-1]
        whole = [token for text in documents for token in tokenizer(text, add_special_tokens=False)["input_ids"]]
        together = [*read[:-1], *written]
        assert together[: len(read) - 1 + len(written)] == [*whole, tokenizer.eos_token_id][: len(together)]
        assert len(documents) in (1, 2, 3) and len(written) > 0


def test_spans_that_are_left_out_can_be_put_back(tokenizer) -> None:
    for number in range(30):
        document = [*tokenizer(TEXT[number], add_special_tokens=False)["input_ids"], tokenizer.eos_token_id]
        inputs, targets = without_spans(document, Chances(number))
        spans: dict[int, list[int]] = {}
        for token in targets:
            if FIRST_SIGN <= token < FIRST_SIGN + SIGNS:
                spans[token] = found = []
            else:
                found.append(token)
        back = [token for one in inputs for token in spans.pop(one, [one])]
        assert back == document[:-1] and not spans
        assert sum(FIRST_SIGN <= token < FIRST_SIGN + SIGNS for token in inputs) <= SIGNS


def small(family, **changes) -> Recipe:
    sizes = {"steps": 4, "hidden_size": 32, "layers": 3, "batch_tokens": 512, "warmup_steps": 2}
    return Recipe(family=family, tokenizer_documents=300, **(sizes | changes))


def pretrain_until_killed(family, out, every) -> None:
    """In a process of its own, which kills itself as it tells of step 3."""
    from flantune.demo import pretrain as told

    told._tell = lambda text: os.kill(os.getpid(), signal.SIGKILL) if text.startswith("step 3") else None
    pretrain(small(family), out=out, **every)


@pytest.mark.parametrize("family", FAMILIES)
def test_a_pretraining_run_that_is_killed_goes_on_to_the_same_weights(family, tmp_path) -> None:
    every = {"probe_items": 2, "checkpoint_every": 1, "log_every": 1}
    straight = pretrain(small(family), out=tmp_path / "straight", **every)
    killed = PROCESSES.Process(target=pretrain_until_killed, args=(family, tmp_path / "killed", every))
    killed.start()
    killed.join(HUNG_AFTER_S)
    assert killed.exitcode == -signal.SIGKILL and not (tmp_path / "killed/model").exists()
    resumed = pretrain(small(family), out=tmp_path / "killed", **every)
    assert (resumed.cursor, resumed.last_loss) == (straight.cursor, straight.last_loss)
    for name in ("model/model.safetensors", "model/tokenizer.json", "checkpoints/step-00000004/optimizer.safetensors"):
        assert (tmp_path / "killed" / name).read_bytes() == (tmp_path / "straight" / name).read_bytes()
    losses = [json.loads(line)["loss"] for line in (tmp_path / "killed/metrics.jsonl").read_text().splitlines()]
    assert losses == [
        json.loads(line)["loss"] for line in (tmp_path / "straight/metrics.jsonl").read_text().splitlines()
    ]
    folder = tmp_path / "killed/model"
    assert AutoConfig.from_pretrained(folder).vocab_size == len(AutoTokenizer.from_pretrained(folder))


def test_a_pretraining_folder_is_for_one_recipe(tmp_path) -> None:
    recipe = small("decoder-only", steps=1)
    pretrain(recipe, out=tmp_path, probe_items=2)
    with pytest.raises(TrainingError, match="of another run"):
        pretrain(replace(recipe, seed=1), out=tmp_path, probe_items=2)


@pytest.mark.parametrize("family", FAMILIES)
def test_own_text_can_be_pretrained_on(family, tmp_path) -> None:
    (tmp_path / "text").mkdir()
    for number in range(20):
        (tmp_path / f"text/{number}.txt").write_text("\n".join(TEXT[20 * number + k] for k in range(20)))
    arguments = ["--family", family, "--text", str(tmp_path / "text"), "--out", str(tmp_path / "out")]
    assert main([*arguments, "--tokens", "8192", "--hidden-size", "32", "--layers", "3"]) == 0
    assert (tmp_path / "out/model/model.safetensors").is_file()


def test_models_are_small() -> None:
    for family in FAMILIES:
        model = build_model(Recipe(family=family, steps=1), vocabulary_size=1_800)
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
    lm = load_model(ModelSettings(path=str(folder), device="cpu"))
    scores = probes.score_all(lm, count=60, skills=tuple(FLOORS[family]))
    assert {skill: score for skill, score in scores.items() if score < FLOORS[family][skill]} == {}


def test_the_shipped_base_models_are_small() -> None:
    files = [path for family in FAMILIES for path in base_folder(family).glob("*")]
    assert sum(path.stat().st_size for path in files) < FOLDER_BYTES
