"""How to ask: an example and a template become a prompt."""

from flantune.prompts.exemplars import draw_exemplars
from flantune.prompts.layout import Layout, inputs_text
from flantune.prompts.lint import Finding, lint_task
from flantune.prompts.options import options_block
from flantune.prompts.render import render
from flantune.prompts.styles import Style, forward_templates, usable_templates
from flantune.system.keyed_random import mix64, stream_key

__all__ = [
    "Finding",
    "Layout",
    "Style",
    "draw_exemplars",
    "forward_templates",
    "inputs_text",
    "lint_task",
    "mix64",
    "options_block",
    "render",
    "stream_key",
    "usable_templates",
]
