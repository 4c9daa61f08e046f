"""Colors where they are wanted: on a terminal, unless NO_COLOR is set."""

from __future__ import annotations

import os

import click


def echo(text: str, *, err: bool = False) -> None:
    """Prints text whose ANSI colors are dropped off a terminal and under NO_COLOR."""
    click.echo(text, err=err, color=False if os.environ.get("NO_COLOR") else None)
