"""Writes docs/settings.md from the docstrings of flantune.config: run `python docs/generate_settings.py`."""

from __future__ import annotations

import json
from pathlib import Path

from flantune.config import RunConfig
from flantune.run_file import explain, flatten

_HEAD = """# Settings

Every setting of a run file, with its default. This page is made from the docstrings in `src/flantune/config.py`;
`flantune config show run.toml` prints the same for a run file, with where each value came from. Any setting can be
overridden on the command line: `--set training.steps=100`.
"""


def settings_page() -> str:
    """The page's text."""
    lines = [_HEAD]
    section = ""
    for key, default in flatten(RunConfig()):
        head = key.rpartition(".")[0]
        if head != section or len(lines) == 1:
            section = head
            title = f"[{head}]" if head else "At the top"
            lines += [f"## {title}", "", "| setting | default | meaning |", "|---|---|---|"]
        shown = json.dumps(default, default=str, ensure_ascii=False)
        lines.append(f"| `{key.rpartition('.')[2]}` | `{shown}` | {explain(key).replace('|', '/')} |")
        if key == "family":
            lines.append("")
    text = "\n".join(lines).replace("|\n## ", "|\n\n## ")
    return text + _scratch() + "\n"


def _scratch() -> str:
    from flantune.config import ScratchSettings

    rows = [
        f"| `{name}` | `{json.dumps(field.default)}` | {field.description} |"
        for name, field in ScratchSettings.model_fields.items()
    ]
    head = (
        "\n\n## [model.scratch]\n\nA small model made from nothing, for tests and for runs without pretrained weights."
    )
    return "\n".join([head, "", "| setting | default | meaning |", "|---|---|---|", *rows])


if __name__ == "__main__":
    Path(__file__).with_name("settings.md").write_text(settings_page(), encoding="utf-8")
