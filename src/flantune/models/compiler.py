"""This machine's C++ compiler, if any, for compiled layers and for attention in C++."""

from __future__ import annotations

import shutil

COMPILERS = ("g++", "clang++", "c++")


def find_compiler() -> str:
    """Path of the C++ compiler; empty if there is none."""
    return next(filter(None, map(shutil.which, COMPILERS)), "")


def no_compiler() -> str:
    """The message for when there is none."""
    return f"there is no C++ compiler ({', '.join(COMPILERS)})"
