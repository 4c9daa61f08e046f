"""Training prompts as the model will see them, token by token."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from itertools import count as count_from
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flantune.errors import ConfigError, did_you_mean
from flantune.planning import make_codec, make_mixture, numbered_split, planned_reader, prepare_tasks

if TYPE_CHECKING:
    from flantune.run_file import RunFile

# With --task, give up after looking at this many draws: the task may have a tiny share.
_MAX_LOOKED_AT = 200_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Preview:
    """One training prompt.

    Attributes:
        input_tokens: The text of each token the model reads.
        target_tokens: The text of each token that carries loss.
    """

    index: int
    task: str
    row: int
    template: str
    input_tokens: tuple[str, ...]
    target_tokens: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """The preview as JSON-able values."""
        return asdict(self)


def preview(
    file: RunFile, *, cache: Path, start: int, count: int, only_task: str | None = None, fold: int = 0
) -> Iterator[Preview]:
    """Shows training prompts exactly as the model will get them.

    Raises:
        ConfigError: There is no such fold, or no such task is trained on in it.
    """
    config = file.config
    prepared, _ = prepare_tasks(config, root=file.root, cache=config.data.cache or cache)
    split = numbered_split(config, [p.task for p in prepared], fold)
    names = [task.name for task in split.train]
    if only_task is not None and only_task not in names:
        hint = did_you_mean(only_task, names) or "trained on: " + ", ".join(names)
        raise ConfigError(f'no task "{only_task}" is trained on in this fold', where="--task", hint=hint)
    reader = planned_reader(config, prepared)
    tokenizer, codec = reader.tokenizer, make_codec(config, reader)
    mixture = make_mixture(config, prepared, split)
    indices = (i for i in islice(count_from(start), _MAX_LOOKED_AT) if only_task is None or _is(mixture, i, only_task))
    for index in islice(indices, count):
        prompt = mixture[index]
        encoded = codec.encode_prompts([prompt], continuations="target").prompts[0]
        if encoded is None:
            continue
        texts = [
            tuple(str(tokenizer.decode([int(token)])) for token in ids) for ids in (encoded.inputs, encoded.targets[0])
        ]
        yield Preview(
            index=index,
            task=prompt.task,
            row=prompt.row,
            template=prompt.template,
            input_tokens=texts[0],
            target_tokens=texts[1],
        )


def _is(mixture: Any, index: int, task: str) -> bool:
    return bool(mixture.task_names[mixture.draw(index).task] == task)
