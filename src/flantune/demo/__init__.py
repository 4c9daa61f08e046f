"""The embedded demo: a micro-world made by code, whose tasks and tiny models show the whole line offline."""

from flantune.demo.write import write_demo

__all__ = ["write_demo"]
