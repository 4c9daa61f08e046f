from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner

from flantune.cli.main import cli
from flantune.commands.pretrain import pretrain
from flantune.demo import probes
from flantune.demo.rows import MAKERS, task_rows
from flantune.demo.skills import NEEDED, Skill, lacking, measure
from flantune.demo.start import untrained, write_start
from flantune.demo.text import DemoText
from flantune.demo.tokenizer import train_tokenizer
from flantune.demo.write import RUN_NAMES, TASK_FILES, base_folder
from flantune.models.load import load_model
from flantune.pretraining.choose import choose_objective
from flantune.pretraining.objectives import Causal
from flantune.pretraining.text_stream import TextStream
from flantune.prompts.render import render
from flantune.settings.config import ModelSettings
from flantune.settings.run_file import load_run_file
from flantune.tasks.taskfile import load_task_file
from flantune.types import Family

PAGE = Path(__file__).parents[2] / "docs/demo-study.md"
FAMILIES = tuple(RUN_NAMES)
TEXT = DemoText(seed=0)
FOLDER_BYTES = 10_000_000


@pytest.fixture(scope="module")
def tokenizer():
    return train_tokenizer((TEXT[number] for number in range(2_000)), vocabulary_size=2_000)


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


@pytest.fixture(scope="module")
def start(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_start(tmp_path_factory.mktemp("start"), documents=600)


SMALL = ["training.steps=2", "training.warmup_steps=1", "training.log_every=1", "training.checkpoint_every=1"]


def pretrain_small(start: Path, family: Family, out: Path) -> Path:
    file = load_run_file(start / f"pretrain_{RUN_NAMES[family]}.toml", overrides=SMALL)
    return pretrain(file, out=out).model


def test_the_same_start_is_written_again(start: Path, tmp_path: Path) -> None:
    again = write_start(tmp_path, documents=600)
    for name in ("text/000.jsonl", "start/decoder_only/model.safetensors", "start/encoder_decoder/tokenizer.json"):
        assert (again / name).read_bytes() == (start / name).read_bytes()


@pytest.mark.parametrize("family", FAMILIES)
def test_a_base_model_is_pretrained_by_the_command_that_pretrains_any(
    family: Family, start: Path, tmp_path: Path
) -> None:
    model = pretrain_small(start, family, tmp_path / "out")
    lm = load_model(model)
    assert lm.family == family
    lines = [json.loads(line) for line in (tmp_path / "out/metrics.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == [1, 2] and all(0 < line["loss"] < 20 for line in lines)
    file = load_run_file(start / f"questions_{RUN_NAMES[family]}.toml", overrides=[*SMALL, f"model.path={model}"])
    assert file.config.pretraining is not None and file.config.pretraining.files[0].endswith("questions/*.jsonl")
    assert load_model(pretrain(file, out=tmp_path / "asked").model).family == family
    found = measure(lm, count=4, skills=("recall", "facts"))
    assert [one.name for one in found] == ["recall", "facts"] and found[1].chance == 0.25


def test_draws_of_the_decoder_are_documents(start: Path, tokenizer) -> None:
    file = load_run_file(start / "pretrain_decoder_only.toml").config
    assert file.pretraining is not None
    objective = choose_objective(file.pretraining, tokenizer, "decoder-only", row_tokens=256)
    assert objective == Causal(lengths=(256,), documents_apart=True)
    for one in TextStream(TEXT, tokenizer, objective, row_tokens=256).draws(0, 20):
        number = one.row
        ids = [*one.prompt.inputs.tolist(), *one.prompt.targets[0].tolist()]
        begun = tokenizer(TEXT[number], add_special_tokens=False)["input_ids"]
        assert ids == [*begun, tokenizer.eos_token_id][:256]


def test_a_changed_run_file_is_left_alone(tmp_path: Path) -> None:
    write_start(tmp_path, documents=40)
    (tmp_path / "pretrain_decoder_only.toml").write_text("# mine\n")
    write_start(tmp_path, documents=40)
    assert (tmp_path / "pretrain_decoder_only.toml").read_text() == "# mine\n"


def test_the_commands_write_the_text_and_say_the_skills(tmp_path: Path) -> None:
    said = CliRunner().invoke(cli, ["demo", "text", str(tmp_path), "--documents", "60"], catch_exceptions=False)
    assert said.exit_code == 0 and f"flantune pretrain {tmp_path / 'pretrain_decoder_only.toml'}" in said.stderr
    arguments = ["demo", "probe", str(tmp_path / "start/decoder_only"), "--items", "2"]
    table = CliRunner().invoke(cli, arguments, catch_exceptions=False).stdout
    assert "not above chance" in table and "closed-book qa: rests on facts, which this model lacks" in table
    found = json.loads(CliRunner().invoke(cli, [*arguments, "--json"], catch_exceptions=False).stdout)
    assert {one["name"] for one in found["skills"]} == set(probes.PROBES)
    assert found["lacking"]["closed-book qa"] == ["facts"]


def test_models_are_small(tokenizer) -> None:
    for family in FAMILIES:
        weights = sum(one.numel() for one in untrained(family, tokenizer).model.parameters())
        assert 1_000_000 < weights < FOLDER_BYTES / 2 / 2


def test_skills_that_are_lacking_name_their_clusters() -> None:
    right = {"verification": 0.5, "facts": 0.31}
    skills = [
        Skill(name=name, right=right.get(name, 0.95), chance=probes.chance(name), items=200) for name in probes.PROBES
    ]
    assert lacking(skills) == {
        "natural language inference": ("verification",),
        "closed-book qa": ("facts",),
        "reading comprehension": ("verification",),
    }
    assert not lacking([replace(one, right=0.95) for one in skills])


@pytest.mark.parametrize("family", FAMILIES)
def test_the_shipped_base_models_have_the_skills(family: Family) -> None:
    """Whatever is not named as lacking in docs/demo-study.md is clearly above chance."""
    needed = tuple(dict.fromkeys(name for names in NEEDED.values() for name in names))
    said = PAGE.read_text(encoding="utf-8")
    lm = load_model(ModelSettings(path=str(base_folder(family)), device="cpu"))
    expected = [name for name in needed if f"{family}: {name} is lacking" not in said]
    faint = [one.name for one in measure(lm, count=60, skills=expected) if not one.is_there]
    assert not faint or all(one.is_there for one in measure(lm, count=200, skills=faint))


def test_the_shipped_base_models_are_small() -> None:
    files = [path for family in FAMILIES for path in base_folder(family).glob("*")]
    assert sum(path.stat().st_size for path in files) < FOLDER_BYTES
