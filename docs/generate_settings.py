"""Writes docs/settings.md from the docstrings of flantune.settings.config: run `python docs/generate_settings.py`."""

from __future__ import annotations

import json
from pathlib import Path

from pydantic import BaseModel

from flantune.settings.chain_of_thought import ChainOfThoughtSettings
from flantune.settings.config import RunConfig, ScratchSettings
from flantune.settings.mixture_settings import PartSettings
from flantune.settings.natural_instructions import NaturalInstructionsSettings
from flantune.settings.pretraining import HubTextSettings, PretrainingSettings
from flantune.settings.run_file import explain, flatten

_HEAD = """# Settings

Every setting of a run file, with its default. This page is generated from the docstrings in `settings/config.py`;
`flantune config show run.toml` prints the same for a run file, with the origin of each value. Any setting can be
overridden on the command line: `--set training.steps=100`.

A value of the wrong kind is an error: `true` or `"3"` for a number, `3.0` for a whole number, infinity, a count above
10⁹, a factor outside 10⁻³⁰ to 10⁶, the same entry twice in a list. All problems of a file are reported at once.
"""

_LEFT_OUT: dict[str, type[BaseModel]] = {
    "data.chain_of_thought": ChainOfThoughtSettings,
    "data.natural_instructions": NaturalInstructionsSettings,
    "mixture.parts": PartSettings,
    "model.scratch": ScratchSettings,
    "pretraining": PretrainingSettings,
    "pretraining.hub": HubTextSettings,
}
"""Sections that are left out by default."""
_NAMED = ("mixture.parts",)
"""Sections of which there are as many as wanted, each with a name of its own."""


def settings_page() -> str:
    """The page's text."""
    sections: dict[str, list[str]] = {}
    for key, default in flatten(RunConfig()):
        head, _, name = key.rpartition(".")
        if key not in _LEFT_OUT:
            sections.setdefault(head, []).append(_row(name, default, explain(key)))
    for head, section in _LEFT_OUT.items():
        fields = section.model_fields.items()
        sections[head] = [
            _row(
                name,
                "" if field.is_required() else field.get_default(call_default_factory=True),
                field.description or "",
            )
            for name, field in fields
        ]
    return "\n\n".join([_HEAD.rstrip("\n"), *(_section(head, rows) for head, rows in sections.items())]) + "\n"


def _section(head: str, rows: list[str]) -> str:
    named = ".NAME" if head in _NAMED else ""
    title = f"## [{head}{named}]\n\n{explain(head)}" if head else "## At the top"
    return "\n".join([title, "", "| setting | default | meaning |", "|---|---|---|", *rows])


def _row(name: str, default: object, meaning: str) -> str:
    shown = json.dumps(default, default=str, ensure_ascii=False)
    # A line break would end the table, and a docstring may have some.
    return f"| `{name}` | `{shown}` | {' '.join(meaning.split()).replace('|', '/')} |"


if __name__ == "__main__":
    Path(__file__).with_name("settings.md").write_text(settings_page(), encoding="utf-8")
