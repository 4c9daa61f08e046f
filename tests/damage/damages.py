"""Ways in which a file comes to harm, drawn by number: the same number always does the same harm."""

from __future__ import annotations

import os
import random
import re
from collections.abc import Callable
from pathlib import Path

Bytes = Callable[[bytes, random.Random], bytes]

_CONTROLS = [bytes([number]) for number in (*range(32), 127)]
_BROKEN = [b"\xff", b"\xc3", b"\xed\xa0\x80", b"\xf5\x80\x80\x80", b"\x80", b"\xfe\xff"]
_NUMBERS = [
    *(b"true", b"null", b"-1", b"-0.0", b"nan", b"inf", b"-inf", b"NaN", b"Infinity", b"1e999", b"1e39", b"1e-320"),
    *(b"18446744073709551616", b"9" * 26, b"9" * 5_000, b"0.1", b"-9223372036854775809", b'"7"', b"[]", b"{}"),
]
_VALUES = [
    *_NUMBERS,
    b'""',
    b'"\\u0000"',
    b'"\\ud800"',
    b"[[1]]",
    b'{"a": 1}',
    b'"' + b"x" * 5_000 + b'"',
    b"1979-05-27",
]


def _somewhere(raw: bytes, draw: random.Random) -> int:
    return draw.randrange(len(raw) + 1)


def _put(raw: bytes, draw: random.Random, what: bytes) -> bytes:
    at = _somewhere(raw, draw)
    return raw[:at] + what + raw[at:]


def flip_bits(raw: bytes, draw: random.Random) -> bytes:
    spoiled = bytearray(raw)
    for _ in range(draw.choice((1, 1, 1, 8, 64)) if raw else 0):
        spoiled[draw.randrange(len(spoiled))] ^= 1 << draw.randrange(8)
    return bytes(spoiled)


def cut_off(raw: bytes, draw: random.Random) -> bytes:
    return raw[: _somewhere(raw, draw)]


def cut_out(raw: bytes, draw: random.Random) -> bytes:
    ends = sorted((_somewhere(raw, draw), _somewhere(raw, draw)))
    return raw[: ends[0]] + raw[ends[1] :]


def repeat_a_stretch(raw: bytes, draw: random.Random) -> bytes:
    ends = sorted((_somewhere(raw, draw), _somewhere(raw, draw)))
    return raw[: ends[1]] + raw[ends[0] :]


def control_character(raw: bytes, draw: random.Random) -> bytes:
    return _put(raw, draw, draw.choice(_CONTROLS))


def broken_text(raw: bytes, draw: random.Random) -> bytes:
    return _put(raw, draw, draw.choice(_BROKEN))


def nest_deeply(raw: bytes, draw: random.Random) -> bytes:
    opening = draw.choice((b"[", b'{"a":', b"a.", b"("))
    return _put(raw, draw, opening * draw.choice((50, 3_000, 100_000)))


def swap_a_number(raw: bytes, draw: random.Random) -> bytes:
    return _swap(raw, draw, rb"(?<![\w.])-?\d+(\.\d+)?", _NUMBERS)


def swap_a_text(raw: bytes, draw: random.Random) -> bytes:
    return _swap(raw, draw, rb'"[^"\n]*"', _VALUES)


def swap_a_value(raw: bytes, draw: random.Random) -> bytes:
    return _swap(raw, draw, rb'(?<=[:=] )("[^"\n]*"|[\w.+-]+|\[[^\]\n]*\]|\{[^}\n]*\})', _VALUES)


def _swap(raw: bytes, draw: random.Random, pattern: bytes, values: list[bytes]) -> bytes:
    found = list(re.finditer(pattern, raw))
    if not found:
        return flip_bits(raw, draw)
    place = draw.choice(found)
    return raw[: place.start()] + draw.choice(values) + raw[place.end() :]


def change_lines(raw: bytes, draw: random.Random) -> bytes:
    lines = raw.split(b"\n")
    one, other = draw.randrange(len(lines)), draw.randrange(len(lines))
    kind = draw.randrange(4)
    if kind == 0:
        del lines[one]
    elif kind == 1:
        lines.insert(other, lines[one])
    elif kind == 2:
        lines[one], lines[other] = lines[other], lines[one]
    else:
        lines = lines[:1] * draw.choice((1, 3, 1_000))
    return b"\n".join(lines)


def drop_a_key(raw: bytes, draw: random.Random) -> bytes:
    return _swap(raw, draw, rb'"\w+": ("[^"\n]*"|[\w.+-]+|\[[^\]\n]*\])(, )?', [b""])


def rename_a_key(raw: bytes, draw: random.Random) -> bytes:
    return _swap(raw, draw, rb'"?\w+"?(?= ?[:=])', [b'"name"', b"name", b'"\\u0000"', b'"a b"', b"x" * 300])


def other_encoding(raw: bytes, draw: random.Random) -> bytes:
    text = raw.decode("utf-8", "replace")
    return text.encode(draw.choice(("utf-16", "utf-8-sig", "utf-32", "utf-7")), "replace")


def other_line_ends(raw: bytes, draw: random.Random) -> bytes:
    return raw.replace(b"\n", draw.choice((b"\r\n", b"\r", b"\n\n", b"\x0b", b"\xe2\x80\xa8")))


def empty(raw: bytes, draw: random.Random) -> bytes:
    return draw.choice((b"", b"\n", b" ", b"\0" * 64, b"null", b"[]", b"{}", b'""'))


CONTENT: tuple[Bytes, ...] = (
    *(flip_bits, flip_bits, cut_off, cut_off, cut_out, repeat_a_stretch, control_character, broken_text, nest_deeply),
    *(swap_a_number, swap_a_text, swap_a_value, swap_a_value, change_lines, drop_a_key, rename_a_key),
    *(other_encoding, other_line_ends, empty),
)


def damage_content(path: Path, draw: random.Random) -> str:
    """Spoils what a file holds; returns how."""
    how = draw.choice(CONTENT)
    path.write_bytes(how(path.read_bytes(), draw))
    return how.__name__


def damage_place(path: Path, draw: random.Random) -> str:
    """Puts something else in a file's place; returns what."""
    how = draw.choice(("gone", "folder", "loop", "dangling", "pipe", "forbidden"))
    if how == "forbidden":  # root may read it all the same
        path.chmod(0o000)
        return how
    path.unlink()
    if how == "folder":
        path.mkdir()
    elif how == "loop":
        path.symlink_to(path.name)
    elif how == "dangling":
        path.symlink_to("nowhere")
    elif how == "pipe":
        os.mkfifo(path)
    return how


def damage(path: Path, draw: random.Random) -> str:
    """Harm of any kind; returns which."""
    return damage_place(path, draw) if draw.random() < 0.08 else damage_content(path, draw)
