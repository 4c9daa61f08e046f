"""Instruction tuning as the FLAN papers describe it: tune on many tasks, measure on kinds of task never seen."""

__version__ = "0.1.0"
