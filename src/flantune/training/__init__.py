"""Training: arrays to a tuned model. The public verb is ``tune``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flantune.training.summary import Progress, TuningSummary

if TYPE_CHECKING:
    from flantune.training.loop import tune

__all__ = ["Progress", "TuningSummary", "tune"]


def __getattr__(name: str) -> object:
    """Imports PyTorch only when ``tune`` is asked for."""
    if name == "tune":
        from flantune.training.loop import tune

        return tune
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
