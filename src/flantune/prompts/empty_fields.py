"""Fields that are empty in some rows: a prompt without its question reads well and teaches nothing."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from flantune.prompts.compiled import slots_of
from flantune.prompts.lint_text import Finding
from flantune.prompts.styles import RESERVED_SLOTS, forward_templates
from flantune.types import Example, Task


def empty_field_findings(task: Task, examples: Sequence[Example]) -> Iterator[Finding]:
    """The fields shown by templates that ask the task which hold no text in some of these examples."""
    shown = [slot for template in forward_templates(task) for slot in slots_of(template, "inputs")]
    for name in dict.fromkeys(shown):
        empty = [one for one in examples if name not in RESERVED_SLOTS and not one.fields.get(name, "-").strip()]
        if empty:
            yield Finding(
                task=task.name,
                template="",
                rule="empty-field",
                message=f"the field {name} is empty in {len(empty):,} of {len(examples):,} rows looked at, first in row"
                f" {empty[0].row} (counted from 0): their prompts show nothing there",
                hint=f"fix these rows, or leave them out; unless {name} may be empty",
                severity="warning",
            )
