"""A new language of templates is one file and one line: what follows adds one as docs/contributing.md says."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest
from tests.no_source import NoSource

from flantune.errors import TaskError, TemplateError
from flantune.mixture.taxonomy import Taxonomy
from flantune.prompts import compiled
from flantune.prompts.exemplars import draw_exemplars
from flantune.prompts.language import Flaw, Language, Side, Span
from flantune.prompts.lint import lint_task
from flantune.prompts.render import render
from flantune.prompts.spans import render_spans
from flantune.prompts.styles import Style
from flantune.prompts.template_facts import template_facts
from flantune.report.collection_page import render_collection_page
from flantune.tasks.taskfile import load_task_file
from flantune.types import Example, Task, Template

# The file. ------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class AngledText:
    """Words with <slots>."""

    text: str

    @property
    def slots(self) -> tuple[str, ...]:
        return tuple(re.findall("<(.*?)>", self.text))

    @property
    def words(self) -> str:
        return re.sub("<.*?>", " ", self.text)

    def fill(self, values: Mapping[str, str]) -> str:
        return "".join(one.text for one in self.spans(values))

    def spans(self, values: Mapping[str, str]) -> Iterator[Span]:
        for piece in re.split("(<.*?>)", self.text):
            slot = piece.strip("<>") if piece.startswith("<") else ""
            yield Span(text=values[slot] if slot else piece, slot=slot)

    def source(self) -> Iterator[Span]:
        return self.spans({slot: f"<{slot}>" for slot in self.slots})

    def without_options(self) -> AngledText:
        return AngledText(self.text.replace("<options>", "").strip())


def compile_angles(text: str) -> AngledText:
    if text.count("<") != text.count(">"):
        raise TemplateError("an angle is open", hint="close it")
    return AngledText(text)


def flaws(text: str, side: Side) -> Iterator[Flaw]:
    if "!" in text:
        yield Flaw(rule="loud", message=f"the {side} shout", hint="speak softly", severity="warning")


ANGLES = Language(name="angles", compile=compile_angles, flaws=flaws)


# The line, in LANGUAGES of flantune/prompts/compiled.py. --------------------------------------------------------------


@pytest.fixture(autouse=True)
def with_angles(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compiled, "LANGUAGES", (*compiled.LANGUAGES, ANGLES))


# What it gives. -------------------------------------------------------------------------------------------------------

TEXT = "A: <premise>\nB: <hypothesis>\n\n<options>"
PAIRS = (("It froze.", "It was cold."), ("It left.", "It stayed."), ("Cats sleep.", "Cats."), ("A hall.", "A room."))
EXAMPLES = tuple(
    Example(
        row=row,
        fields={"premise": premise, "hypothesis": hypothesis},
        options=("yes", "no"),
        answer=row % 2,
        references=(("yes", "no")[row % 2],),
    )
    for row, (premise, hypothesis) in enumerate(PAIRS)
)


def task_of(*templates: Template) -> Task:
    return Task(
        name="pairs", clusters=("inference",), source_family="pairs", kind="classification", source=NoSource(),
        adapter=lambda row: None, splits={"train": "train"}, templates=templates, metrics=("accuracy",),
    )  # fmt: skip


def angled(name: str, inputs: str, targets: str = "<answer>", *, is_inverted: bool = False) -> Template:
    return Template(name=name, inputs=inputs, targets=targets, is_inverted=is_inverted, language="angles")


def test_it_is_rendered_as_ever() -> None:
    ours, same = Template(name="t", inputs=TEXT.replace("<", "{").replace(">", "}")), angled("t", TEXT)
    task = task_of(ours, same)
    for style in (Style(), Style(show_options=False), Style(options="lettered", shuffle_options=True)):
        for example in EXAMPLES:
            asked = render(task, example, same, split="test", style=style, options_key=7)
            assert asked == render(task, example, ours, split="test", style=style, options_key=7)
    query = {"query": EXAMPLES[0], "split": "test", "shots": 3, "key": 1}
    drawn = [draw_exemplars(task, EXAMPLES, template=one, **query) for one in (ours, same)]
    assert drawn[0] == drawn[1] and len(drawn[0]) == 3


def test_what_is_said_of_it() -> None:
    turned = angled("turned", "Write a sentence: <answer>", "<premise>", is_inverted=True)
    task = task_of(angled("t", TEXT), turned)
    assert template_facts(task, task.templates[0]).shows_options
    assert template_facts(task, turned).asks_for == ("premise",)
    spans = render_spans(task, EXAMPLES[0], task.templates[0]).inputs
    assert [one.slot for one in spans if one.slot] == ["premise", "hypothesis", "options"]
    page = render_collection_page([task], {task.name: []}, title="Mine", taxonomy=Taxonomy())
    assert "&lt;premise&gt;" in page


def test_it_is_linted_by_its_own_rules_and_by_those_of_all() -> None:
    task = task_of(
        angled("good", TEXT), angled("loud", f"Hey! {TEXT}"), angled("open", "<premise"), angled("typo", "<premis> {x}")
    )
    found = [(one.template, one.rule, one.severity) for one in lint_task(task, EXAMPLES)]
    assert found == [
        ("loud", "loud", "warning"),
        ("open", "broken-braces", "error"),
        ("typo", "unknown-slot", "error"),
        ("loud", "duplicate-template", "warning"),
    ]
    with pytest.raises(TemplateError, match="an angle is open"):
        render(task, EXAMPLES[0], task.templates[2], split="test")


def test_a_task_file_names_it(tmp_path: Path) -> None:
    text = """
name = "sums"
clusters = ["arithmetic"]
kind = "generation"
source.files.train = "rows.jsonl"
splits.train = "train"
fields.sum = "sum"
answer.column = "answer"
templates = [{ inputs = "<sum> makes", targets = "<answer>", language = "angles" }]
"""
    file = tmp_path / "sums.toml"
    file.write_text(text)
    (template,) = load_task_file(file).templates
    assert (template.language, compiled.slots_of(template)) == ("angles", ("sum", "answer"))
    for wrong, said in (("angle", 'did you mean "angles"?'), ("jinja3", "known: slots, promptsource, angles")):
        file.write_text(text.replace('"angles"', f'"{wrong}"'))
        with pytest.raises(
            TaskError, match=rf'templates\[0\].language: unknown language "{wrong}"; {re.escape(said)}$'
        ):
            load_task_file(file)


def test_a_language_that_is_not_there_is_an_error() -> None:
    task = task_of(Template(name="t", inputs="{premise}", language="angels"))
    with pytest.raises(TemplateError, match="no template language") as caught:
        render(task, EXAMPLES[0], task.templates[0], split="test")
    assert caught.value.where == "pairs/t"
    assert [one.rule for one in lint_task(task, ()) if one.template] == ["unknown-language"]
