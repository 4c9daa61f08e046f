"""Draws made in advance: what they are made from, the folder of a fold's draws, and training from them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING

from flantune import __version__
from flantune.commands.plan import trained_tasks
from flantune.models.digests import tokenizer_text
from flantune.packing.blocks import BLOCK_DRAWS
from flantune.packing.prepared import PreparedStream
from flantune.settings.run_file import fingerprint
from flantune.system.files import slug
from flantune.tasks.describe import task_fingerprint

if TYPE_CHECKING:
    from flantune.mixture.holdout import FoldTasks
    from flantune.mixture.mixture import Mixture
    from flantune.mixture.portions import Portion
    from flantune.packing.encode import Codec
    from flantune.packing.stream import PromptStream, Stream
    from flantune.settings.config import RunConfig
    from flantune.tasks.example_store import PreparedTask

# Sections that do not affect draws, or whose content counts separately: the training tasks, their rows and templates,
# and the tokenizer.
_PASSED_OVER = ("name", "data", "holdout", "model", "training", "evaluation")
_PASSED_OVER_IN = {"packing": {"batch_tokens", "enabled"}, "prompts": {"chat_template"}}


def draws_identity(
    config: RunConfig, prepared: Sequence[PreparedTask], split: FoldTasks, mixture: Mixture, codec: Codec
) -> dict[str, str]:
    """Everything that a fold's draws depend on, as fingerprints, under names for error messages.

    The location of files does not count, nor the number of draws in a step.

    Args:
        config: The run.
        prepared: All of its tasks.
        split: The fold.
        mixture: The fold's.
        codec: The codec.
    """
    taught = {one.task.name: one for one in trained_tasks(config, prepared, split)}
    sections = {
        name: {key: one for key, one in value.items() if key not in _PASSED_OVER_IN.get(name, ())}
        if isinstance(value, dict)
        else value
        for name, value in config.model_dump(mode="json").items()
        if name not in _PASSED_OVER
    }
    chat = codec.chat.identity if codec.chat is not None else None
    backend = getattr(codec.tokenizer, "backend_tokenizer", None)
    special = [codec.eos_token, codec.pad_token, codec.tokenizer.bos_token_id]
    return {
        "the tasks trained on": fingerprint(sorted(taught)),
        "their rows or templates": fingerprint(
            sorted(task_fingerprint(one) for one in prepared if one.task.name in taught)
        ),
        "rows left out": fingerprint([len(taught[name].stores["train"]) for name in sorted(taught)], _clean(config)),
        **{f"the setting {name}" if name == "seed" else f"[{name}]": fingerprint(value)
           for name, value in sections.items()},
        "the mixture's shares": fingerprint([_plain_values(portion) for portion in mixture.portions]),
        "the tokenizer": fingerprint(tokenizer_text(codec.tokenizer), special, type(backend).__name__),
        "the kind of model": codec.family,
        "the chat template": fingerprint(chat),
        "the virtual tokens": fingerprint(codec.prefix),
        "the version of flantune": __version__,
    }  # fmt: skip


def _plain_values(portion: Portion) -> list[object]:
    """A task's share and random streams, regardless of its place in the list, and the names of its templates."""
    values = [getattr(portion, one.name) for one in fields(portion) if one.name != "place"]
    return [*(one for one in values if isinstance(one, int | float | str)), *(one.name for one in portion.templates)]


def _clean(config: RunConfig) -> str | None:
    return config.data.clean.read_text(encoding="utf-8") if config.data.clean is not None else None


def prepared_folder(root: Path, held_out: Sequence[str]) -> Path:
    """The folder of a fold's draws.

    >>> prepared_folder(Path("prepared"), ["sentiment"]).as_posix(), prepared_folder(Path("prepared"), []).as_posix()
    ('prepared/sentiment', 'prepared/all-tasks')
    """
    return root / (slug(*held_out) if held_out else "all-tasks")


def with_prepared(
    config: RunConfig,
    stream: PromptStream,
    mixture: Mixture,
    prepared: Sequence[PreparedTask],
    split: FoldTasks,
    *,
    note: Callable[[str], None],
) -> Stream:
    """A fold's stream, with draws from ``data.prepared`` if the run file sets it.

    Args:
        config: The run.
        stream: The fold's live stream.
        mixture: What the stream draws from.
        prepared: All tasks of the run.
        split: The fold.
        note: Called with the number of prepared draws.

    Raises:
        flantune.errors.PackingError: The folder has none, or draws made from something else.
    """
    if config.data.prepared is None:
        return stream
    folder = prepared_folder(config.data.prepared, split.held_out)
    identity = draws_identity(config, prepared, split, mixture, stream.codec)
    ahead = PreparedStream(stream, folder, identity=identity, note=note)
    note(f"{ahead.check() * BLOCK_DRAWS:,} draws are read from {folder}; further ones are made as they are needed")
    return ahead
