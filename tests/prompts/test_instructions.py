"""Prompts of a definition and examples: the words, the budget, and the authors' own texts where they are at hand."""

from __future__ import annotations

import json
import re
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
from tests.no_source import NoSource

from flantune.commands.export import export_rows
from flantune.errors import TemplateError
from flantune.mixture.mixture import Mixture
from flantune.packing.budget import Budget
from flantune.packing.encode import Codec
from flantune.packing.encoded import Laid
from flantune.prompts.instructions import read_encoding
from flantune.prompts.layout import Layout, inputs_text
from flantune.prompts.lint import lint_task
from flantune.prompts.render import render
from flantune.prompts.spans import render_spans
from flantune.prompts.styles import Style
from flantune.settings.natural_instructions import InstructionSettings
from flantune.tasks.example_store import PreparedTask
from flantune.tasks.natural_instructions import adapt_instance
from flantune.tasks.sources.natural_instructions import read_instruction_file
from flantune.types import Example, Exemplar, Prompt, Task, Template

FOLDER = Path(__file__).parents[2] / "../shared/data/flan2022"
REFERENCE = FOLDER / "reference/ni_reference.jsonl"

EXAMPLES = (
    Exemplar(row=-1, inputs="red", targets="rouge", explanation="It is French"),
    Exemplar(row=-1, inputs="blue", targets="bleu", explanation="The same."),
    Exemplar(row=-1, inputs="green", targets="grün", explanation="That is German.", is_right=False),
)


def task_of(encoding: str, *, exemplars: tuple[Exemplar, ...] = EXAMPLES, name: str = "colors") -> Task:
    return Task(
        name=name,
        clusters=("c",),
        source_family="colors",
        kind="generation",
        source=NoSource(),
        adapter=adapt_instance,
        splits={"train": "instances"},
        templates=(Template(name=encoding, inputs="{input}", encoding=encoding),),
        metrics=("exact_match",),
        definition="Say the color in French",
        exemplars=exemplars,
    )


def prompt_of(encoding: str, text: str = "white", *, split="test", key=0, references=("blanc",), words=None) -> Prompt:
    task = task_of(encoding)
    example = Example(row=3, fields={"input": text}, references=references)
    style = Style(words=words or InstructionSettings())
    return render(task, example, task.templates[0], split=split, style=style, options_key=key)


def test_all_parts_stand_in_order():
    prompt = prompt_of("name_definition_pos2_neg2_explanation", " white ")
    assert inputs_text(prompt, Layout()) == (
        "colors: What to do: Say the color in French.\n\n"
        "Example 1, done right:\nGiven:\nred.\nAnswer:\nrouge.\nReason: It is French.\n\n"
        "Example 2, done right:\nGiven:\nblue.\nAnswer:\nbleu.\nReason: The same.\n\n"
        "Example 1, done wrong:\nGiven:\ngreen.\nAnswer:\ngrün.\nReason: That is German.\n\n"
        "Now do this one:\nGiven:\nwhite.\nAnswer:\n"
    )
    assert prompt.targets == "blanc"


def test_separators_of_the_layout_have_no_say():
    prompt = prompt_of("definition_pos2")
    odd = Layout(target_separator="<eos>", exemplar_separator=" | ")
    assert inputs_text(prompt, odd) == inputs_text(prompt, Layout())


def test_fault_04_a_query_is_never_among_its_own_examples():
    shown = inputs_text(prompt_of("definition_pos2", "red"), Layout())
    assert shown.count("red") == 1 and "bleu" in shown and "rouge" not in shown


def test_fault_18_which_reference_is_trained_on_is_drawn_by_key_and_a_test_prompt_keeps_the_first():
    references = ("blanc", "blanche", "blancs")
    drawn = [prompt_of("pos2", split="train", key=key, references=references).targets for key in range(60)]
    again = [prompt_of("pos2", split="train", key=key, references=references).targets for key in range(60)]
    assert drawn == again and set(drawn) == set(references)
    assert {prompt_of("pos2", key=key, references=references).targets for key in range(20)} == {"blanc"}


@pytest.mark.parametrize(
    "name", ["", "neg2_pos2", "pos2_pos2", "definition_explanation", "pos", "pos0", "pos²", "definition_pos2_x"]
)
def test_what_is_no_encoding_is_refused(name: str):
    with pytest.raises(TemplateError, match="is not an encoding"):
        read_encoding(name)


def test_five_encodings_are_drawn_with_equal_chance(make_mixture_of_encodings):
    names = Counter(make_mixture_of_encodings[at].template for at in range(2_000))
    assert len(names) == 5 and min(names.values()) > 330 and max(names.values()) < 470


@pytest.fixture
def make_mixture_of_encodings():

    from flantune.settings.natural_instructions import TK_INSTRUCT

    task = task_of("pos2")
    task = replace(task, templates=tuple(Template(name=one, inputs="{input}", encoding=one) for one in TK_INSTRUCT))
    rows = tuple(Example(row=at, fields={"input": f"{at}"}, references=(f"{at}",)) for at in range(50))
    return Mixture([PreparedTask(task=task, stores={"train": rows}, reports={}, missing={})], seed=1)


# The budget. ---------------------------------------------------------------------------------------------------------


def pieces(text: str) -> list[str]:
    return re.findall(r"\s|\S+", text)


def fitted_text(prompt: Prompt, most: int) -> tuple[str | None, int]:
    """The text within a budget of pieces, and how many examples are left."""

    def whole(prompts):
        return [Laid(inner=pieces(inputs_text(one, Layout()))) for one in prompts]

    def apart(prompts):
        found = []
        for one in prompts:
            first, last = one.frame
            end = len(one.inputs) - last
            found.append(
                Laid(
                    before=tuple(pieces(one.preamble + one.inputs[:first])),
                    inner=pieces(one.inputs[first:end]),
                    after=tuple(pieces(one.inputs[end:])),
                )
            )
        return found

    budget = Budget(
        max_input_tokens=most,
        max_target_tokens=10,
        max_row_tokens=None,
        prefix_tokens=0,
        template_tokens=0,
        drops_exemplars=True,
        truncation="middle",
    )
    (fitted,) = budget.fit([prompt], [[1]], encode=whole, encode_apart=apart)
    return ("".join(fitted.tokens), fitted.shots) if fitted else (None, 0)


def test_examples_go_before_anything_is_cut_and_then_the_middle_of_the_input_alone():
    long = "first " + "word " * 200 + "last"
    prompt = prompt_of("definition_pos2_neg2", long)
    text, shots = fitted_text(prompt, 60)
    assert text is not None and shots == 0 and len(pieces(text)) <= 60
    assert text.startswith("What to do: Say the color in French.\n\nNow do this one:\nGiven:\nfirst word")
    assert text.endswith("word last.\nAnswer:\n")


def test_fault_17_the_end_of_the_query_and_the_cue_are_never_cut():
    prompt = prompt_of("definition_pos2", "word " * 300 + "the end")
    for most in range(40, 400, 7):
        text, _ = fitted_text(prompt, most)
        assert text is not None and text.endswith("end.\nAnswer:\n") and text.startswith("What to do: Say the color")


def test_a_prompt_without_room_for_its_definition_is_left_out():
    assert fitted_text(prompt_of("definition"), 12) == (None, 0)


@pytest.mark.parametrize("family", ["decoder-only", "encoder-decoder"])
def test_a_codec_keeps_definition_and_cue(family: str, tokenizer):
    codec = Codec(tokenizer=tokenizer, family=family, layout=Layout(), max_input_tokens=150, max_target_tokens=40)
    prompt = prompt_of("definition_pos2", "word " * 300 + "the end")
    encoded = codec.encode_prompts([prompt], continuations="target")
    assert encoded.counts.exemplars_dropped == 2 and encoded.counts.inputs_shortened == 1
    ids = encoded.prompts[0].inputs
    text = tokenizer.decode(ids, skip_special_tokens=True)
    assert (
        len(ids) <= 150 and text.startswith("What to do: Say the color in French.") and text.endswith("end.\nAnswer:\n")
    )


@pytest.fixture(scope="module")
def tokenizer():
    from flantune.models.scratch import train_tokenizer

    return train_tokenizer(["What to do: Say the color in French. Given: word the end Answer:"] * 5, 300)


def test_fault_18_lengths_are_those_of_the_text_with_its_name_and_all_between_parts(tokenizer):
    prompt = prompt_of("name_definition_pos2_neg2_explanation")
    length = len(tokenizer(inputs_text(prompt, Layout()), add_special_tokens=False)["input_ids"])
    for most, dropped in ((length + 1, 0), (length, 1)):  # with the end of encoder inputs
        codec = Codec(
            tokenizer=tokenizer,
            family="encoder-decoder",
            layout=Layout(),
            max_input_tokens=most,
            max_target_tokens=40,
        )
        assert codec.encode_prompts([prompt], continuations="target").counts.exemplars_dropped == dropped


def test_fault_18_an_export_has_the_name_and_the_mix_of_encodings(make_mixture_of_encodings):
    rows = list(export_rows(make_mixture_of_encodings, start=0, count=200))
    assert len({row["template"] for row in rows}) == 5
    for row in rows:
        assert ("What to do:" in row["inputs"]) == row["template"].startswith("definition")
        assert ("done wrong" in row["inputs"]) == ("neg2" in row["template"])


# The authors' own texts. ---------------------------------------------------------------------------------------------

ENCODINGS = {"examples": "pos2", "definition_pos2_neg2_explanation_300": "definition_pos2_neg2_explanation"} | {
    "definition_pos2_120": "definition_pos2"
}


def authors_words(rows: list[dict]) -> InstructionSettings:
    """The literal words, as they stand in a text of theirs whose parts have no line breaks."""
    for row in rows:
        lines = row["text"].split("\n")
        if row["setting"] == "definition_pos2_neg2_explanation" and len(lines) == 25:
            file = read_instruction_file(FOLDER / f"natural_instructions/tasks/{row['task']}.json")
            example = next(one for one in file.examples if one.is_right)
            break
    named = next(row for row in rows if row["setting"].startswith("name") and row["task"] in row["text"])
    definition = lines[0].partition(file.definitions[0].strip())[0]
    return InstructionSettings(
        name="{text}" + named["text"].removeprefix(named["task"]).partition(definition)[0],
        definition=definition + "{text}",
        positive=lines[2].replace("1", "{number}"),
        input=lines[3].partition(example.inputs.strip())[0] + "{text}",
        output=lines[4].partition(example.targets.strip())[0] + "{text}",
        explanation=lines[5].partition(example.explanation.strip())[0] + "{text}",
        negative=lines[12].replace("1", "{number}"),
        query=lines[22],
        cue=lines[24],
    )


@pytest.mark.skipif(not REFERENCE.is_file(), reason="no real data here")
def test_the_authors_words_give_the_authors_bytes():
    rows = [json.loads(line) for line in REFERENCE.read_text(encoding="utf-8").splitlines()]
    words, files = authors_words(rows), {}
    equal, others = 0, []
    for row in rows:
        if row["tokens"] >= row["budget"]:
            continue  # cut from the right, there
        name = row["task"]
        if name not in files:
            files[name] = read_instruction_file(FOLDER / f"natural_instructions/tasks/{name}.json")
        file = files[name]
        encoding = ENCODINGS.get(row["setting"], row["setting"])
        template = Template(name=encoding, inputs="{input}", encoding=encoding)
        task = task_of(encoding, exemplars=file.examples, name=name)
        object.__setattr__(task, "definition", file.definitions[0])
        example = adapt_instance(file.instances[row["instance"]])
        prompt = render(task, example, template, split="test", style=Style(words=words))
        text, _ = fitted_text(prompt, row["budget"])
        if text == row["text"]:
            equal += 1
        else:
            others.append((row["setting"], row["positives_kept"], row["negatives_kept"]))
        assert list(prompt.references) == list(dict.fromkeys(row["references"]))
    # Ours drops examples from the end, theirs the first of each kind that does not fit and those behind it.
    assert all(right < 2 and wrong > 0 for _, right, wrong in others), Counter(others)
    assert (equal, len(others)) == (519, 5)


# What people look at. ------------------------------------------------------------------------------------------------


def test_the_pieces_of_a_prompt_joined_are_the_prompt():
    task = task_of("name_definition_pos2_neg2_explanation")
    example = Example(row=3, fields={"input": " white "}, references=("blanc",))
    spans = render_spans(task, example, task.templates[0])
    prompt = render(task, example, task.templates[0], split="test")
    assert "".join(one.text for one in spans.inputs) == inputs_text(prompt, Layout())
    assert [one.text for one in spans.inputs if one.slot] == ["white"]


def test_the_linter_tells_encodings_apart():
    encodings = ("definition_pos2", "definition", "pos2")
    task = replace(
        task_of("pos2"), templates=tuple(Template(name=one, inputs="{input}", encoding=one) for one in encodings)
    )
    rows = [Example(row=at, fields={"input": f"word {at}"}, references=(f"mot {at}",)) for at in range(5)]
    assert lint_task(task, rows) == ()
