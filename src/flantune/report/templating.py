"""The package's templates, styles and scripts; every page is made with dataset text escaped."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path

import jinja2
from markupsafe import Markup

from flantune.system.files import write_text


@cache
def template(name: str) -> jinja2.Template:
    """A page template, with escaping on and undefined names as errors."""
    loader = jinja2.PackageLoader("flantune.report", "templates")
    environment = jinja2.Environment(
        loader=loader, autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    return environment.get_template(name)


@cache
def asset(name: str) -> str:
    """The text of a style sheet or a script."""
    return (files("flantune.report") / "templates" / name).read_text(encoding="utf-8")


@dataclass(frozen=True, slots=True, kw_only=True)
class Looks:
    """The one style sheet and the one script of a page, with their digests for its content security policy."""

    css: Markup
    script: Markup
    css_hash: str
    script_hash: str


def looks(*, css: Sequence[str] = (), scripts: Sequence[str] = ()) -> Looks:
    """The common style sheets and scripts of all pages, followed by the page's own."""
    style = "".join(asset(name) for name in ("page.css", "figure.css", *css))
    script = "".join(asset(name) for name in ("page.js", *scripts))
    return Looks(css=Markup(style), script=Markup(script), css_hash=digest(style), script_hash=digest(script))


def digest(text: str) -> str:
    """SHA-256 in base 64, by which a content security policy allows an inline script or style."""
    return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def write_page(path: Path, page: str) -> Path:
    """Writes a page; a lone surrogate, which JSON allows and UTF-8 does not, is shown as a question mark."""
    return write_text(path, page.encode("utf-8", "replace").decode("utf-8"))
