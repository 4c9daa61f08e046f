"""Load, save and run language models of both families on packed arrays.

Names load lazily, since importing torch is slow. ``generate`` lives in ``flantune.models.writing.generate``.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from flantune.models.forward import TargetScores, target_logprobs
    from flantune.models.isolation import IsolationReport, check_isolation
    from flantune.models.load import LanguageModel, load_model, load_tokenizer, save_model
    from flantune.models.scratch import build_model, train_tokenizer

_HOMES = {
    "IsolationReport": "selftest",
    "LanguageModel": "load",
    "TargetScores": "forward",
    "build_model": "scratch",
    "check_isolation": "selftest",
    "load_model": "load",
    "load_tokenizer": "load",
    "save_model": "load",
    "target_logprobs": "forward",
    "train_tokenizer": "scratch",
}

__all__ = [
    "IsolationReport",
    "LanguageModel",
    "TargetScores",
    "build_model",
    "check_isolation",
    "load_model",
    "load_tokenizer",
    "save_model",
    "target_logprobs",
    "train_tokenizer",
]


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
