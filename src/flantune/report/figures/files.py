"""Figures as separate files, for a paper or a slide: SVG, and PDF and PNG converted from it.

A figure is drawn once, as SVG whose marks have classes. On a page, the style sheet colors them for light and dark mode.
A file contains its own colors, so that every program shows the same picture.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal

from flantune.errors import ConfigError
from flantune.report.templating import asset
from flantune.system.files import whole_file

Format = Literal["svg", "pdf", "png"]
Scheme = Literal["light", "dark"]

FORMATS: tuple[Format, ...] = ("svg", "pdf", "png")
PIXELS = 3.0
"""Pixels of a PNG per pixel of the figure: 860 become 2,580, enough for the width of a printed page."""

MARGIN = 12
"""Width of the background around a figure, in pixels."""

_SIZE = re.compile(r' width="([\d.]+)" height="([\d.]+)"')
_LABEL = re.compile(r' aria-label="([^"]*)"')
_DRAWING = re.compile(r"<svg .*?</svg>", re.DOTALL)
_VARIABLE = re.compile(r"--([\w-]+):\s*((?:[^;{}()]|\([^()]*\))+);")
_BY_SCHEME = re.compile(r"light-dark\(\s*([^,()]+),\s*([^,()]+)\)")


def drawings(figure: str) -> tuple[str, ...]:
    """The SVG drawings in a figure, without those for narrow screens."""
    found = _DRAWING.findall(figure)
    return tuple(one for one in found if 'class="figure narrow"' not in one)


def standalone(drawing: str, *, scheme: Scheme = "light") -> str:
    """A drawing as a self-contained SVG file, with namespace, colors and background."""
    colors = palette(scheme)
    rules = re.sub(r"/\*.*?\*/", "", asset("figure.css"), flags=re.DOTALL).strip()
    style = re.sub(r"var\(--([\w-]+)\)", lambda found: colors[found[1]], rules)
    opening, rest = drawing.split(">", 1)
    width, height = (float(found) for found in _SIZE.findall(opening)[0])
    whole = f'x="{-MARGIN}" y="{-MARGIN}" width="{width + 2 * MARGIN:g}" height="{height + 2 * MARGIN:g}"'
    box = f"{-MARGIN} {-MARGIN} {width + 2 * MARGIN:g} {height + 2 * MARGIN:g}"
    label = f'class="figure" role="img" aria-label="{_LABEL.findall(opening)[0]}"'
    size = f'width="{width + 2 * MARGIN:g}" height="{height + 2 * MARGIN:g}"'
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" {label} viewBox="{box}" {size}><style>{style}</style>'
        f'<rect {whole} fill="{colors["paper"]}"/>{rest}\n'
    )


def palette(scheme: Scheme) -> dict[str, str]:
    """The colors and typefaces of the pages, by name; light figures have a white background.

    >>> palette("light")["tuned"], palette("dark")["tuned"], palette("light")["paper"]
    ('#1f5aa6', '#86b4f4', '#ffffff')
    """
    root = asset("page.css").split("}", 1)[0]
    at = 1 if scheme == "light" else 2
    found = {name: _BY_SCHEME.sub(lambda pair: pair[at], value).strip() for name, value in _VARIABLE.findall(root)}
    return found | ({"paper": "#ffffff"} if scheme == "light" else {})


def write_drawing(folder: Path, name: str, drawing: str, *, formats: Iterable[Format], scheme: Scheme) -> list[Path]:
    """Writes a drawing as ``<name>.svg``, ``.pdf`` or ``.png``, as requested, and returns the paths.

    Raises:
        ConfigError: PDF or PNG is requested, and the converter is not installed.
    """
    svg = standalone(drawing, scheme=scheme)
    return [_write(folder / f"{name}.{kind}", _converted(svg, kind)) for kind in formats]


def makeable() -> tuple[Format, ...]:
    """The formats that can be written with what is installed; SVG always can."""
    return FORMATS if find_spec("vl_convert") else ("svg",)


def check_formats(formats: Iterable[Format]) -> None:
    """Makes sure that figures can be written in these formats.

    Raises:
        ConfigError: PDF or PNG is requested, and the converter is not installed.
    """
    if any(kind != "svg" for kind in formats):
        _converter()


def _write(path: Path, content: bytes) -> Path:
    with whole_file(path) as handle:
        handle.write(content)
    return path


def _converted(svg: str, kind: Format) -> bytes:
    if kind == "svg":
        return svg.encode("utf-8", "replace")
    converter = _converter()
    made: bytes = converter.svg_to_pdf(svg) if kind == "pdf" else converter.svg_to_png(svg, scale=PIXELS)
    return made


def _converter() -> Any:
    try:
        return import_module("vl_convert")
    except ImportError as error:
        hint = "in flantune's folder: pip install -e '.[figures]'; or --format svg, which needs nothing"
        raise ConfigError("PDF and PNG need vl-convert-python, which is not installed", hint=hint) from error
