"""From a run folder to pages: the report, the model card and the terminal table.

The public verb is ``write_report``. Everything here reads files only: no model, no torch.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from flantune.report.card import model_card as model_card
    from flantune.report.console import console_tables as console_tables
    from flantune.report.page import write_report as write_report

__all__ = ["console_tables", "model_card", "write_report"]

_HOMES = {"console_tables": "console", "model_card": "card", "write_report": "page"}


def __getattr__(name: str) -> object:
    """Loads a public name when it is first asked for, so that the command line starts fast."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
