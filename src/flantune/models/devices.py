"""Accelerators by name: their makers' specifications, and the utilization of published runs."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from flantune.errors import ConfigError, did_you_mean

HERE = "here"
"""This machine, whose speed is measured."""

_WHERE = "--on"


@dataclass(frozen=True, slots=True, kw_only=True)
class Device:
    """One kind of accelerator.

    Attributes:
        name: Its short name.
        about: Its full name.
        peak: Floating-point operations per second in bfloat16 according to its maker, without sparsity.
        memory: Size of its memory in bytes.
        bandwidth: Memory bandwidth in bytes per second.
        utilization: Share of the peak that a published run reached.
        source: That published run.
    """

    name: str
    about: str
    peak: float
    memory: float
    bandwidth: float
    utilization: float
    source: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Devices:
    """Several devices of one kind used together.

    Attributes:
        device: The kind.
        count: Number of devices.
    """

    device: Device
    count: int

    @property
    def flops(self) -> float:
        """Floating-point operations per second that they are expected to reach together."""
        return self.count * self.device.peak * self.device.utilization

    def __str__(self) -> str:
        return f"{self.count:,} × {self.device.about}" if self.count > 1 else self.device.about


@cache
def known_devices() -> dict[str, Device]:
    """All known devices, by name."""
    found = tomllib.loads(Path(__file__).with_suffix(".toml").read_text(encoding="utf-8"))
    return {name: _device(name, entry, found) for name, entry in found.items()}


def _device(name: str, entry: dict[str, object], others: dict[str, dict[str, object]]) -> Device:
    measured = others[str(entry["like"])] if "like" in entry else entry
    like = f"none of its own is known; as {measured['about']}: " if measured is not entry else ""
    return Device(
        name=name,
        about=str(entry["about"]),
        peak=float(str(entry["peak"])) * 1e12,
        memory=float(str(entry["memory"])) * 1e9,
        bandwidth=float(str(entry["bandwidth"])) * 1e9,
        utilization=float(str(measured["utilization"])),
        source=f"{like}{measured['source']}",
    )


def parse_devices(text: str) -> Devices:
    """Devices by name and number.

    >>> str(parse_devices("h100:8")), parse_devices("l4").count
    ('8 × NVIDIA H100 SXM', 1)

    Raises:
        ConfigError: There is no such device, or the number is invalid.
    """
    name, _, number = text.strip().lower().partition(":")
    known = known_devices()
    if name not in known:
        suggestion = did_you_mean(name, [*known, HERE])
        there = f"available: {', '.join(known)}; or {HERE}, which tries this machine"
        raise ConfigError(f'there is no device "{name}"', where=_WHERE, hint=f"{suggestion} {there}".strip())
    if number and not (number.isdecimal() and int(number)):
        hint = f"write --on {name}:8 for eight of them"
        raise ConfigError(f'"{number}" is not a number of devices', where=_WHERE, hint=hint)
    return Devices(device=known[name], count=int(number or 1))
