"""Writing: what a model goes on with after each prompt, many prompts at a time, each as if it were alone."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Sequence
from contextlib import nullcontext
from itertools import chain
from typing import TYPE_CHECKING, Any

import numpy as np

from flantune.errors import ModelError
from flantune.models.forms.last_layer import find_narrowed
from flantune.models.forms.reading_form import ReadingForm
from flantune.models.rope import as_if_alone, known_positions, regime
from flantune.models.writing.check import writing_method
from flantune.models.writing.decoding import Continuation, Decoding, Finish, Method, Row, TextWatch, cut_at_stop
from flantune.models.writing.sampling import draw_key
from flantune.models.writing.writers import write_rows
from flantune.packing.tokenize import decode

if TYPE_CHECKING:
    from flantune.models.language_model import LanguageModel
    from flantune.types import Int32


def write(
    lm: LanguageModel,
    inputs: Sequence[Int32],
    decoding: Decoding,
    *,
    samples: int = 1,
    batch_tokens: int = 8_192,
    method: Method | None = None,
    heard: Callable[[str], None] | None = None,
) -> Iterator[Continuation]:
    """What the model writes after each input, as it gets done, the longest inputs first.

    What the model's own generation config says about sampling, penalties or forced tokens does not count.

    Each answer is that of its input alone, to float precision (in bfloat16 a near-tie may fall the other way in
    another batch). A random draw is named by seed, input tokens and sample, so it does not depend on the batch, on
    the order or on what else is asked; the same input twice is computed once and gets the same samples.

    Decoder-only models read what inputs have in common once (an instruction, exemplars) where it pays, and an input
    with several samples once; encoder-decoders read each input once. Rows that are done leave, and the next inputs take
    their place. When memory runs out, the batch is halved.

    Args:
        lm: The model.
        inputs: Token ids of each context.
        decoding: How tokens are chosen, and when writing ends.
        samples: Answers to each input.
        batch_tokens: Array positions of a batch, those to be written included.
        method: Overrides what the start-up test found to be safe for this model.
        heard: Told each piece of text as it is written; for one input at a time. Where memory runs out on the way, the
            text begins again.

    Raises:
        ModelError: An input fills all positions that the model has, or one answer alone does not fit the memory.
    """
    distinct: dict[bytes, list[int]] = {}
    for at, tokens in enumerate(inputs):
        distinct.setdefault(np.asarray(tokens, dtype=np.int32).tobytes(), []).append(at)
    places = list(distinct.values())
    # Without chance all samples are the same.
    drawn = samples if decoding.temperature > 0.0 else 1
    rows = [
        _row(lm, inputs[same[0]], decoding, prompt=number, sample=sample, heard=heard)
        for number, same in enumerate(places)
        for sample in range(drawn)
    ]
    method = method or (writing_method(lm) if rows else "uncached")
    find_narrowed(lm)  # before the model stands in another form
    form = ReadingForm(lm)
    for length, some in _by_regime(lm, rows):
        own: Method = "growing" if length is None and method != "uncached" else method
        steps = write_rows(lm, some, decoding, budget=batch_tokens, method=own)
        for row, finish in chain.from_iterable(_as_reading(lm, form, steps, length)):
            text = _text(lm, row, finish, decoding)
            for index in places[row.prompt]:
                for sample in (row.sample,) if drawn == samples else range(samples):
                    yield Continuation(index=index, sample=sample, tokens=tuple(row.tokens), text=text, finish=finish)


def _by_regime(lm: LanguageModel, rows: Sequence[Row]) -> list[tuple[int | None, list[Row]]]:
    """Rows apart whose rotary positions differ, with a length of theirs; None: they may change while being written."""
    groups: dict[Hashable, tuple[int | None, list[Row]]] = {}
    for row in rows:
        longest = len(row.inputs) + row.room - 1  # The last token is never read.
        own = regime(lm, longest)
        is_steady = own == regime(lm, len(row.inputs))
        length, rows_alike = groups.setdefault(own if is_steady else None, (0 if is_steady else None, []))
        rows_alike.append(row)
        if length is not None:
            groups[own] = max(length, longest), rows_alike
    return list(groups.values())


def _row(
    lm: LanguageModel, tokens: Int32, decoding: Decoding, *, prompt: int, sample: int,
    heard: Callable[[str], None] | None,
) -> Row:  # fmt: skip
    watch = None
    if decoding.stop or heard is not None:
        watch = TextWatch(lambda some: _decoded(lm, some), stop=decoding.stop, spared=decoding.spared, heard=heard)
    return Row(
        prompt=prompt,
        sample=sample,
        inputs=np.asarray(tokens, dtype=np.int32),
        room=min(decoding.max_new_tokens, _room(lm, len(tokens))),
        key=draw_key(decoding.seed, tokens, sample) if decoding.temperature > 0.0 else 0,
        watch=watch,
    )


def _text(lm: LanguageModel, row: Row, finish: Finish, decoding: Decoding) -> str:
    """The whole text, decoded once; what the watch saw of it decides where decoding in one piece would differ."""
    text = _decoded(lm, row.tokens)
    if finish == "stop" and row.watch is not None and decoding.stop:
        cut = cut_at_stop(text, decoding.stop, spared=decoding.spared)
        return cut if len(cut) < len(text) else cut_at_stop(row.watch.text, decoding.stop, spared=decoding.spared)
    return text


def _decoded(lm: LanguageModel, tokens: Sequence[int]) -> str:
    return decode(lm.tokenizer, tokens)


def _room(lm: LanguageModel, length: int) -> int:
    """Positions left after an input."""
    limit = known_positions(lm)
    if not limit:
        return 2**31
    if lm.family == "encoder-decoder":
        # Of the decoder, which starts with a token of its own.
        return limit - 1
    if length >= limit:
        raise ModelError(
            f"an input has {length} tokens but the model knows {limit} positions",
            where="packing.max_input_tokens",
            hint=f"set packing.max_input_tokens = {limit - 1} or less",
        )
    return limit - length


def _as_reading(lm: LanguageModel, form: ReadingForm, steps: Iterator[Any], length: int | None) -> Iterator[Any]:
    """The steps in which rows end, with the model in its form; between them, as it was.

    Args:
        lm: The model.
        form: How it stands while it is read.
        steps: What ended in each step.
        length: Rotary positions are those of a text so long; None: they change.
    """
    step: Any = ()
    while step is not None:
        with form.in_place(), nullcontext() if length is None else as_if_alone(lm, length):
            # Nobody looks at the model before a row has ended, and to change its form takes as long as some layers do.
            step = next(steps, None)
            while step == []:
                step = next(steps, None)
        yield step or ()
