"""Generation: a model's continuation of each prompt, many prompts at a time, each as if it were alone."""

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
    """The model's continuation of each input, in the order in which they finish, the longest inputs first.

    Sampling, penalties and forced tokens in the model's own generation config are ignored.

    Each answer is the one its input gets alone, up to float precision (in bfloat16 a near-tie may come out differently
    in another batch). A random draw is keyed by seed, input tokens and sample, so it does not depend on the batch, the
    order or other inputs; a repeated input is computed once and gets the same samples.

    Decoder-only models read a common start of inputs (an instruction, exemplars) once if that is faster, and an input
    with several samples once; encoder-decoders read each input once. Finished rows leave, and the next inputs take
    their place. If memory runs out, the batch is halved.

    Args:
        lm: The model.
        inputs: Token ids of each context.
        decoding: How tokens are chosen, and when generation ends.
        samples: Number of answers to each input.
        batch_tokens: Array positions of a batch, including those to be generated.
        method: Overrides the method that the start-up test found for this model.
        heard: Called with each piece of text as it is generated; for one input at a time. If memory runs out, the text
            starts again.

    Raises:
        ModelError: An input fills all of the model's positions, or a single answer does not fit in memory.
    """
    distinct: dict[bytes, list[int]] = {}
    for at, tokens in enumerate(inputs):
        distinct.setdefault(np.asarray(tokens, dtype=np.int32).tobytes(), []).append(at)
    places = list(distinct.values())
    # Without randomness all samples are the same.
    drawn = samples if decoding.temperature > 0.0 else 1
    rows = [
        _row(lm, inputs[same[0]], decoding, prompt=number, sample=sample, heard=heard)
        for number, same in enumerate(places)
        for sample in range(drawn)
    ]
    method = method or (writing_method(lm) if rows else "uncached")
    find_narrowed(lm)  # cached before the model takes another form
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
    """Rows grouped by rotary regime, with a length of it; None: the regime may change during generation."""
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
    """The whole text, decoded at once; if that lacks the stop string, the watch's text, cut at it."""
    text = _decoded(lm, row.tokens)
    if finish == "stop" and row.watch is not None and decoding.stop:
        cut = cut_at_stop(text, decoding.stop, spared=decoding.spared)
        return cut if len(cut) < len(text) else cut_at_stop(row.watch.text, decoding.stop, spared=decoding.spared)
    return text


def _decoded(lm: LanguageModel, tokens: Sequence[int]) -> str:
    return decode(lm.tokenizer, tokens)


def _room(lm: LanguageModel, length: int) -> int:
    """Number of positions left after an input."""
    limit = known_positions(lm)
    if not limit:
        return 2**31
    if lm.family == "encoder-decoder":
        # Positions of the decoder, which has its own start token.
        return limit - 1
    if length >= limit:
        raise ModelError(
            f"an input has {length} tokens but the model has {limit} positions",
            where="packing.max_input_tokens",
            hint=f"set packing.max_input_tokens = {limit - 1} or less",
        )
    return limit - length


def _as_reading(lm: LanguageModel, form: ReadingForm, steps: Iterator[Any], length: int | None) -> Iterator[Any]:
    """Passes on the steps in which rows end; while it is suspended, the model is in its ordinary form.

    Args:
        lm: The model.
        form: The form for reading.
        steps: The rows that ended in each step.
        length: Length of the text, which determines the rotary positions; None: they change during generation.
    """
    step: Any = ()
    while step is not None:
        with form.in_place(), nullcontext() if length is None else as_if_alone(lm, length):
            # Steps without an ended row are not yielded, because changing the form takes as long as a few layers.
            step = next(steps, None)
            while step == []:
                step = next(steps, None)
        yield step or ()
