"""Training prompts as the model will see them, token by token."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from itertools import count as count_from
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flantune.commands.answer_check import check_answers
from flantune.commands.plan import make_codec, make_mixture, numbered_split, planned_reader, prepare_tasks
from flantune.errors import ConfigError, did_you_mean
from flantune.packing.pieces import text_pieces
from flantune.packing.stream import PromptStream
from flantune.prompts.styles import Style

if TYPE_CHECKING:
    from flantune.settings.run_file import RunFile

# With --task, give up after this many draws: the task may have a tiny share.
_MAX_LOOKED_AT = 200_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Preview:
    """One training prompt.

    Attributes:
        input_tokens: The text of each token the model reads.
        target_tokens: The text of each token of the target, which carries loss.
    """

    index: int
    task: str
    row: int
    template: str
    input_tokens: tuple[str, ...]
    target_tokens: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """The preview as JSON values."""
        return asdict(self)


def preview(
    file: RunFile,
    *,
    cache: Path,
    start: int,
    count: int,
    only_task: str | None = None,
    fold: int = 0,
    note: Callable[[str], None] | None = None,
) -> Iterator[Preview]:
    """Shows training prompts exactly as the model will get them.

    Args:
        file: The run file.
        cache: Folder for adapted examples.
        start: The first draw.
        count: Number of draws.
        only_task: Show prompts of this task only.
        fold: Number of the fold, counted from 0.
        note: Called with what the tokenizer cannot represent and what to know about its chat template.

    Raises:
        ConfigError: There is no such fold, or no such task is trained on in it.
        ModelError: The options of a task have the same tokens, so that no score can distinguish them.
    """
    config = file.config
    prepared, _ = prepare_tasks(config, root=file.root, cache=config.data.cache or cache)
    split = numbered_split(config, [p.task for p in prepared], fold)
    names = [task.name for task in split.train]
    if only_task is not None and only_task not in names:
        hint = did_you_mean(only_task, names) or "trained on: " + ", ".join(names)
        raise ConfigError(f'no task "{only_task}" is trained on in this fold', where="--task", hint=hint)
    reader = planned_reader(config, prepared)
    mixture = make_mixture(config, prepared, split)
    stream = PromptStream(mixture, make_codec(config, reader), row_tokens=config.packing.row_tokens)
    codec = stream.codec
    say = note or (lambda _: None)
    for known in codec.chat.notes if codec.chat else ():
        say(known)
    if weight := config.training.inputs_weight:
        say(
            f"tokens of the inputs carry loss, too, each {weight:g} of what one of the targets does"
            " (training.inputs_weight)"
        )
    shown = [one for one in prepared if only_task in (None, one.task.name)]
    style, inverted = Style.from_settings(config.prompts), config.prompts.include_inverted
    check_answers(shown, codec, style=style, note=say, teaches_inverted=inverted)
    indices = (i for i in islice(count_from(start), _MAX_LOOKED_AT) if only_task is None or _is(mixture, i, only_task))
    for index in islice(indices, count):
        prompt, (draw,) = mixture[index], stream.draws(index, 1)
        if (encoded := draw.prompt) is None:
            continue
        pieces = text_pieces(reader.tokenizer, [*encoded.inputs.tolist(), *encoded.targets[0].tolist()])
        border = len(encoded.inputs)
        yield Preview(
            index=index,
            task=prompt.task,
            row=prompt.row,
            template=prompt.template,
            input_tokens=pieces[:border],
            target_tokens=pieces[border:],
        )


def _is(mixture: Any, index: int, task: str) -> bool:
    return bool(mixture.task_names[mixture.draw(index).task] == task)
