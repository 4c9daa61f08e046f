"""A task and its templates as text: definition, slots, and every template with a shipped row."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from flantune.errors import ConfigError, SourceError
from flantune.prompts.spans import SpannedPrompt, render_spans
from flantune.prompts.styles import INSTRUCTION
from flantune.prompts.template_facts import TemplateFacts, template_facts
from flantune.tasks.catalog import example_rows, slots_of_task, summarize_task
from flantune.tasks.sources.slices import parse_slice

if TYPE_CHECKING:
    from flantune.prompts.styles import Style
    from flantune.types import Example, Task, Template


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownTemplate:
    """One template rendered with one example.

    Attributes:
        facts: What the template asks for and shows.
        prompt: Its inputs and targets, in pieces.
    """

    template: Template
    facts: TemplateFacts
    prompt: SpannedPrompt

    def to_json(self) -> dict[str, Any]:
        """The rendering as JSON values, with the complete texts."""
        return {
            "template": self.template.name,
            **self.facts.to_json(),
            "inputs": "".join(span.text for span in self.prompt.inputs),
            "targets": "".join(span.text for span in self.prompt.targets),
        }


def show_templates(
    task: Task, *, row: int = 0, style: Style = INSTRUCTION, options_key: int = 0
) -> Iterator[ShownTemplate]:
    """Every template of a task on one of its shipped rows (or, for a task of one's own, on one of its first rows).

    Args:
        task: The task.
        row: Index of the row.
        style: How options are shown.
        options_key: Seeds the order of shuffled options.

    Raises:
        SourceError: There is no row to show.
        ConfigError: There is no such row.
        TemplateError: A template cannot be rendered.
    """
    examples = example_rows(task, count=row + 1)
    if not examples:
        hint = "give its data with a run file that names a mirror, or add rows/<task>.jsonl beside the task file"
        raise SourceError("there is no row to show its templates with", where=task.name, hint=hint)
    if row >= len(examples):
        raise ConfigError(f"there are {len(examples)} rows", where=f"--row {row}", hint="rows count from 0")
    for template in task.templates:
        prompt = render_spans(task, examples[row], template, style=style, options_key=options_key)
        yield ShownTemplate(template=template, facts=template_facts(task, template), prompt=prompt)


def describe_definition(task: Task) -> dict[str, Any]:
    """A task's whole definition, with its slots and one rendered example, as JSON values."""
    examples, problem = _examples(task)
    sheet = summarize_task(task) | {
        "description": task.description,
        "citation": task.citation,
        "confirmed": task.confirmed,
        "manual": task.source.manual,
        "origin": task.origin,
        "source": _source(task),
        "slots": list(slots_of_task(task, examples)),
        "templates": [
            {"name": one.name, "inputs": one.inputs, "targets": one.targets, **template_facts(task, one).to_json()}
            for one in task.templates
        ],
        "example": _example(task, examples[0]) if examples else None,
        "example_problem": problem,
    }
    for count in ("inverted", "options_shown", "template_facts"):  # the templates themselves show it
        del sheet[count]
    return sheet


def definition_lines(sheet: dict[str, Any]) -> Iterator[str]:
    """A described task as lines for a terminal."""
    yield f"{sheet['name']}: {sheet['description']}".rstrip(": ")
    inverted = sum(template["is_inverted"] for template in sheet["templates"])
    splits = ", ".join(f"{role} = {text}" for role, text in sheet["splits"].items())
    for key, text in (
        ("clusters", ", ".join(sheet["clusters"])),
        ("family", sheet["family"]),
        ("kind", sheet["kind"]),
        ("metrics", ", ".join(sheet["metrics"])),
        ("source", sheet["hub"] or sheet["source"]),
        ("splits", splits),
        ("slots", ", ".join(f"{{{slot}}}" for slot in sheet["slots"])),
        ("licence", sheet["licence"] or "not stated"),
        *([("languages", ", ".join(sheet["languages"]))] if sheet["languages"] else []),
        ("citation", sheet["citation"]),
        ("checked against", sheet["confirmed"]),
        ("manual download", sheet["manual"]),
        ("defined in", sheet["origin"]),
        ("templates", f"{len(sheet['templates'])}, {inverted} of them inverted"),
    ):
        if text:
            yield f"  {key:15} {text}"
    for template in sheet["templates"]:
        words = TemplateFacts(**{key: template[key] for key in TemplateFacts.__slots__}).words()
        yield f"\n── template {template['name']} ({words})"
        yield template["inputs"]
        if template["targets"] != template["inputs"]:  # one text may give both
            yield f"→ {template['targets']}"
    if sheet["example_problem"]:
        yield f"\n── no example: {sheet['example_problem']}"
    if sheet["example"]:
        yield f"\n── example, row {sheet['example']['row']}, template {sheet['example']['template']}"
        yield sheet["example"]["inputs"]
        yield f"→ {sheet['example']['targets']}"


def _examples(task: Task) -> tuple[tuple[Example, ...], str]:
    """Examples, or what is wrong with the rows, since a definition can be shown without them."""
    try:
        return example_rows(task), ""
    except SourceError as error:
        return (), error.render()


def _source(task: Task) -> str:
    split = next(iter(task.splits.values()), "")
    return task.source.describe(parse_slice(split).source_split)


def _example(task: Task, example: Example) -> dict[str, Any]:
    template = task.templates[0]
    prompt = render_spans(task, example, template)
    shown = ShownTemplate(template=template, facts=template_facts(task, template), prompt=prompt)
    return {"row": example.row, **shown.to_json(), "options": list(example.options), "answer": example.answer}
