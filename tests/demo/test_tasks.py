from __future__ import annotations

import json
import re
from collections import Counter
from functools import cache
from pathlib import Path

import pytest
from tests.demo.oracle import answer

from flantune.demo import world
from flantune.demo.names import PEOPLE
from flantune.demo.rows import MAKERS, task_rows
from flantune.demo.skills import NEEDED
from flantune.demo.text import DemoText, asked_text
from flantune.demo.write import RUN_NAMES, TASK_FILES, write_demo
from flantune.mixture.holdout import hold_out
from flantune.mixture.taxonomy import load_taxonomy
from flantune.prompts.lint import lint_task
from flantune.prompts.render import render
from flantune.runs.identity import training_identity
from flantune.settings.run_file import load_run_file
from flantune.studies.study import arm_file
from flantune.studies.study_file import read_study
from flantune.tasks.taskfile import load_task_file
from flantune.types import Example, Task

NAMES = sorted(MAKERS)
COUNTS = {"train": 60, "dev": 12, "test": 200}


@cache
def rows(name: str):
    return task_rows(name, seed=0, counts=COUNTS)


@cache
def task(name: str) -> Task:
    return load_task_file(TASK_FILES / f"{name}.toml")


@cache
def examples(name: str, role: str = "test") -> tuple[Example, ...]:
    return tuple(task(name).adapter(row) for row in rows(name)[role])


def test_there_are_enough_tasks_of_enough_kinds() -> None:
    assert sorted(path.stem for path in TASK_FILES.glob("*.toml")) == NAMES
    assert len(NAMES) >= 25
    assert len({cluster for name in NAMES for cluster in task(name).clusters}) >= 10


@pytest.mark.parametrize("name", NAMES)
def test_each_task_has_varied_templates_that_render_and_lint_clean(name: str) -> None:
    one = task(name)
    assert one.name == name
    assert sum(not template.is_inverted for template in one.templates) >= 4
    assert list(lint_task(one, examples(name)[:20])) == []
    for template in one.templates:
        prompt = render(one, examples(name)[0], template, split="test")
        assert prompt.inputs and prompt.targets


def test_many_tasks_have_an_inverted_template() -> None:
    assert sum(any(template.is_inverted for template in task(name).templates) for name in NAMES) >= 15


@pytest.mark.parametrize("name", NAMES)
def test_who_knows_the_world_answers_every_row_right(name: str) -> None:
    for row in (row for made in rows(name).values() for row in made):
        said = answer(name, row)
        wanted = row["answer"]
        assert sorted(said) == sorted(wanted) if isinstance(wanted, list) else said == wanted, row


HELD_OUT = [name for name in NAMES if set(NEEDED) & set(task(name).clusters)]


@pytest.mark.parametrize("name", HELD_OUT)
def test_held_out_tasks_have_two_hundred_rows_and_say_where_a_fact_recurs(name: str) -> None:
    """Each row asks about a fact of its own, or says which one: then intervals count facts."""
    assert len(examples(name)) >= 200
    own = {"fact", "goal", "name"} & set(rows(name)["test"][0])
    groups = {example.group for example in examples(name)}
    if own and name != "demo_satisfied":
        assert "" not in groups and len(groups) >= 40
    else:
        assert groups == {""}


def test_tests_ask_first_what_no_training_row_told() -> None:
    for name, field in (("demo_home", "name"), ("demo_effect", "fact"), ("demo_purpose", "goal")):
        trained = {row[field] for row in rows(name)["train"] + rows(name)["dev"]}
        assert not any(row[field] in trained for row in rows(name)["test"][:90]), name


@pytest.mark.parametrize("name", NAMES)
def test_splits_share_no_question(name: str) -> None:
    asked = {role: {json.dumps(_unanswered(row), sort_keys=True) for row in made} for role, made in rows(name).items()}
    assert not asked["train"] & asked["test"]
    assert not asked["train"] & asked["dev"]
    assert not asked["dev"] & asked["test"]


def _unanswered(row):
    return {key: value for key, value in row.items() if key not in ("answer", "options")} | {
        "choices": sorted(row.get("options", ()))
    }


@pytest.mark.parametrize("name", NAMES)
def test_answers_are_balanced(name: str) -> None:
    if task(name).kind != "classification":
        pytest.skip("written answers")
    shown = examples(name)
    # Enough rows to tell, and options in a fixed order are right equally often; so are places in a shuffled order.
    assert len(shown) >= 40
    places = Counter(example.answer for example in shown)
    size = len(shown[0].options)
    assert max(places.values()) / len(shown) < 1 / size + 0.12
    for pick in (max, min):
        by_length = sum(_picks_gold(example, pick) for example in shown) / len(shown)
        assert by_length < 1 / size + 0.25


def _picks_gold(example: Example, pick) -> float:
    """How often the longest (or shortest) option is the gold one, guessing among equals."""
    wanted = pick(map(len, example.options))
    best = [k for k, option in enumerate(example.options) if len(option) == wanted]
    return (example.answer in best) / len(best)


@pytest.mark.parametrize("name", NAMES)
def test_mentions_do_not_give_the_answer_away(name: str) -> None:
    """Taking the option that shares most words with the fields does little better than chance where it should not."""
    reading = {"demo_pronoun", "demo_reworded", "demo_gist", "demo_needed_thing", "demo_cause", "demo_effect"}
    shown = examples(name)
    if task(name).kind != "classification" or name in reading:
        pytest.skip("the options are taken from the text on purpose")
    size = len(shown[0].options)
    right = 0.0
    for example in shown:
        words = Counter(re.findall(r"\w+", " ".join(example.fields.values()).lower()))
        scores = [sum(words[word] for word in set(re.findall(r"\w+", option.lower()))) for option in example.options]
        best = [k for k, score in enumerate(scores) if score == max(scores)]
        right += (example.answer in best) / len(best)
    assert right / len(shown) < 1 / size + 0.2


def pretraining_texts() -> list[str]:
    return [*(DemoText(seed=0)[number] for number in range(6_000)), *(asked_text(number) for number in range(6_000))]


def test_the_pretraining_text_has_nothing_of_the_tasks_wording() -> None:
    text = "\n".join(pretraining_texts())
    assert "OPTIONS" not in text
    plain = _bare(text)
    for name in NAMES:
        for template in task(name).templates:
            for piece in re.split(r"\{\w+\}|\n|[.?!:]", template.inputs):
                words = _bare(piece)
                assert len(words.split()) < 5 or words not in plain, f"{name}/{template.name}: {piece}"


def test_the_pretraining_text_asks_in_other_words_than_the_rows_do() -> None:
    words = "|".join((*PEOPLE, *world.THINGS, *world.PLACES, *world.COLORS))

    def blank(text: str) -> str:
        return re.sub(rf"\b({words})\b", "_", text)

    text = "\n".join(map(blank, pretraining_texts()))
    # "Is the cup red?" has hardly another form: whether a claim is so is asked in the same words in both.
    asked = {
        blank(str(row["question"]))
        for name in NAMES
        if name != "demo_boolean"
        for row in rows(name)["test"]
        if "question" in row
    }
    assert len(asked) > 8 and not {question for question in asked if question in text}


def _bare(text: str) -> str:
    return " ".join(re.findall(r"\w+", text.lower()))


def test_the_demo_is_written_as_ordinary_files(tmp_path: Path) -> None:
    folder = write_demo(tmp_path / "world", seed=1, train_rows=6, dev_rows=2, test_rows=4)
    first = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    assert write_demo(folder, seed=1, train_rows=6, dev_rows=2, test_rows=4) == folder
    assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == first
    loaded = load_task_file(folder / "tasks" / "demo_entailment.toml")
    assert len(list(loaded.source.rows("train"))) == 6


def test_run_files_are_valid_and_hold_out_what_exists(tmp_path: Path) -> None:
    folder = write_demo(tmp_path, train_rows=2, dev_rows=1, test_rows=1)
    tasks = [load_task_file(path) for path in sorted((folder / "tasks").glob("*.toml"))]
    folds = []
    for name in RUN_NAMES.values():
        config = load_run_file(folder / f"{name}.toml").config
        folds.append(config.holdout.folds)
        for clusters in config.holdout.folds:
            split = hold_out(tasks, clusters, taxonomy=load_taxonomy(None))
            assert len(split.unseen) >= 4
            assert len({cluster for one in split.train for cluster in one.clusters}) >= 8
    assert folds[0] == folds[1]
    assert {cluster for fold in folds[0] for cluster in fold} == set(NEEDED)


def test_the_question_over_seeds_compares_with_the_base_and_with_inputs_alone(tmp_path: Path) -> None:
    folder = write_demo(tmp_path, train_rows=1, dev_rows=1, test_rows=1)
    study = read_study(folder / "effect.toml")
    assert study.baseline == "reference" and study.measure.of == "unseen"
    assert {(arm.series, arm.label) for arm in study.arms} >= {
        ("against the base model", "instructions"),
        ("against inputs only", "instructions"),
    }
    file = load_run_file(folder / "decoder_only.toml")
    tuned = [arm_file(file, arm).config for arm in study.arms if arm.reads == "tuned"]
    assert len({training_identity(config) for config in tuned}) == 3
    assert {config.evaluation.style or config.prompts.style for config in tuned} == {"instruction"}


def test_a_changed_run_file_is_left_alone(tmp_path: Path) -> None:
    write_demo(tmp_path, train_rows=1, dev_rows=1, test_rows=1)
    (tmp_path / "decoder_only.toml").write_text("# mine\n")
    write_demo(tmp_path, train_rows=1, dev_rows=1, test_rows=1)
    assert (tmp_path / "decoder_only.toml").read_text() == "# mine\n"


def test_run_files_name_a_base_model_wherever_flantune_lies(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("flantune.demo.write.HERE", tmp_path / 'a "quoted" \\ folder')
    write_demo(tmp_path, train_rows=1, dev_rows=1, test_rows=1)
    path = load_run_file(tmp_path / "decoder_only.toml").config.model.path
    assert path == str(tmp_path / 'a "quoted" \\ folder/base/decoder_only')


@pytest.mark.parametrize(("name", "field"), [("demo_mood", "event"), ("demo_next_deed", "story")])
def test_nobody_loses_an_animal_of_another_kind_than_their_pet(name: str, field: str) -> None:
    lost = re.compile(r"(\w+) lost (?:her|his) (dog)|(\w+)'s (cat) died|(\w+) had to sell (?:her|his) (horse)")
    found = [match for part in rows(name).values() for row in part if (match := lost.search(str(row[field])))]
    assert len(found) > 5
    for match in found:
        person, animal = (group for group in match.groups() if group)
        assert world.person(person).pet == animal
