"""Rendered templates in pieces: joined, they are what a run renders, in every layout of the options."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from flantune.cli.tasks import command as tasks_command
from flantune.cli.templates import command
from flantune.commands.plan import asked_prompts
from flantune.prompts.render import render
from flantune.prompts.spans import render_spans
from flantune.prompts.styles import Style
from flantune.prompts.template_facts import template_facts
from flantune.report.task_sheet import show_templates
from flantune.settings.config import RunConfig
from flantune.tasks.catalog import example_rows, find_task

STYLES = [
    Style(),
    Style(options="lettered"),
    Style(shuffle_options=True),
    Style(options="lettered", shuffle_options=True),
]


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("name", ["rte", "openbookqa", "e2e_nlg", "paws", "winogrande"])
def test_pieces_make_the_prompt(name: str, style: Style) -> None:
    task = find_task(name)
    for example in example_rows(task):
        for template in task.templates:
            spans = render_spans(task, example, template, style=style, options_key=7)
            prompt = render(task, example, template, split="train", style=style, options_key=7)
            assert "".join(one.text for one in spans.inputs) == prompt.inputs
            assert "".join(one.text for one in spans.targets) == prompt.targets


def test_the_preview_shows_letters_in_a_seeded_order() -> None:
    shown = {seed: CliRunner().invoke(command, ["preview", "openbookqa", "--shuffle", str(seed)]) for seed in range(4)}
    assert all(result.exit_code == 0 for result in shown.values())
    assert len({result.output for result in shown.values()}) > 1
    lettered = CliRunner().invoke(command, ["preview", "openbookqa", "--options", "lettered"])
    assert "(A) " in lettered.output and "→ (" in lettered.output


def test_what_a_template_says_of_itself() -> None:
    task = find_task("rte")
    facts = {one.name: template_facts(task, one) for one in task.templates}
    assert facts["shown_by_text"].to_json() == {
        "is_inverted": False,
        "shows_options": True,
        "original_task": "rte",
        "asks_for": ["answer"],
    }
    assert facts["write_passage"].words() == "inverted: asks for premise instead of the answer of rte"
    paws = find_task("paws")
    assert [template_facts(paws, one).shows_options for one in paws.templates].count(False) == 1
    assert template_facts(find_task("e2e_nlg"), find_task("e2e_nlg").templates[0]).shows_options is None
    assert {one.facts.original_task for one in show_templates(task)} == {"rte"}


def test_facts_stand_in_the_list_and_on_the_sheet(tmp_path: Path) -> None:
    import json

    listed = CliRunner().invoke(tasks_command, ["list", "--collection", "flan2021", "--json"])
    rows = {row["name"]: row for row in json.loads(listed.stdout)}
    assert rows["winogrande"]["options_shown"] == 5
    assert rows["rte"]["template_facts"][-1]["asks_for"] == ["premise"]
    sheet = json.loads(CliRunner().invoke(tasks_command, ["show", "newsroom", "--json"]).stdout)
    assert "on request" in sheet["manual"] and sheet["confirmed"]
    assert {"is_inverted", "shows_options", "original_task", "asks_for"} <= set(sheet["templates"][0])


def test_options_may_be_shown_otherwise_when_measuring() -> None:
    def asked(**evaluation: object) -> tuple[str, bool]:
        config = RunConfig.model_validate(
            {"prompts": {"options_layout": "lettered", "shuffle_options": True}, "evaluation": evaluation}
        )
        prompts = asked_prompts(config)
        return prompts.options_layout, prompts.shuffle_options

    assert asked() == ("lettered", True)
    assert asked(options_layout="listed") == ("listed", True)
    assert asked(shuffle_options=False) == ("lettered", False)
