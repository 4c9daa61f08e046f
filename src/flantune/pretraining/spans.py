"""Span corruption: some spans of a text are hidden, each after a sentinel, and are to be written."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import TYPE_CHECKING

from flantune.packing.encoded import id_array
from flantune.packing.packs import EncodedPrompt

if TYPE_CHECKING:
    from flantune.pretraining.marks import Marks
    from flantune.pretraining.objectives import Chances
    from flantune.pretraining.tokenized_corpus import TextAhead
    from flantune.types import Family


@dataclass(frozen=True, slots=True, kw_only=True)
class SpanSizes:
    """How a stretch of text is divided.

    Attributes:
        tokens: Of the text.
        hidden: Of these, how many are hidden.
        spans: In how many spans.
    """

    tokens: int
    hidden: int
    spans: int

    @property
    def inputs(self) -> int:
        """Tokens read: what is not hidden, a sentinel a span, the end."""
        return self.tokens - self.hidden + self.spans + 1

    @property
    def targets(self) -> int:
        """Tokens written: what is hidden, a sentinel a span, the end."""
        return self.hidden + self.spans + 1


def span_sizes(tokens: int, *, density: float, mean: float) -> SpanSizes:
    """How many tokens of a stretch are hidden, in how many spans; at least one is, and at least one is not.

    >>> span_sizes(568, density=0.15, mean=3)
    SpanSizes(tokens=568, hidden=85, spans=28)
    """
    hidden = min(max(round(tokens * density), 1), tokens - 1)
    # Each span has a token, and there is text before each.
    return SpanSizes(tokens=tokens, hidden=hidden, spans=min(max(round(hidden / mean), 1), hidden, tokens - hidden))


def sizes_for_inputs(inputs: int, *, density: float, mean: float) -> SpanSizes:
    """The longest stretch of text of which no more than ``inputs`` tokens are read.

    Where half is hidden, as much is written as is read, not one token more.

    >>> found = sizes_for_inputs(512, density=0.15, mean=3)
    >>> found.tokens, found.inputs, found.targets
    (568, 512, 114)

    Paper: Raffel et al. 2020, section 3.1.4; the authors' code.
    """
    tokens = 2
    while (more := span_sizes(tokens + 1, density=density, mean=mean)).inputs <= inputs:
        tokens = more.tokens
    found = span_sizes(tokens, density=density, mean=mean)
    if density == 0.5 and found.targets > found.inputs:
        found = span_sizes(tokens - 1, density=density, mean=mean)
    return found


@dataclass(frozen=True, kw_only=True)
class SpanCorruption:
    """Hidden spans of a stretch of text, from what is left of it.

    Documents follow each other without a mark; the stretch begins with text and ends with a hidden span. A stretch with
    one hidden span has it anywhere: at the end it would be a second prefix objective.

    Attributes:
        input_tokens: Tokens read, at most.
        density: Share of the text that is hidden.
        mean: Mean length of a span.
        marks: What is around the text.
        prefix: What the inputs begin with.

    Paper: Raffel et al. 2020, section 3.1.4.
    """

    input_tokens: int
    density: float
    mean: float
    marks: Marks
    prefix: tuple[int, ...] = ()

    @property
    def family(self) -> Family:
        """Either: a decoder-only model reads the inputs first in its row."""
        return self.marks.family

    @cached_property
    def sizes(self) -> SpanSizes:
        """How each stretch is divided."""
        before = len(self.marks.begin) + len(self.prefix)
        return sizes_for_inputs(self.input_tokens - before, density=self.density, mean=self.mean)

    @property
    def row(self) -> int:
        """Tokens that a row must have room for."""
        inputs, targets = self.sizes.inputs + len(self.marks.begin) + len(self.prefix), self.sizes.targets
        return inputs + targets if self.family == "decoder-only" else max(inputs, targets)

    def take(self, text: TextAhead, chances: Chances) -> EncodedPrompt:
        """The next stretch of text."""
        sizes = self.sizes
        ids = text.words(sizes.tokens)
        inputs, targets = [*self.marks.begin, *self.prefix], list[int]()
        at = 0
        spans = hidden_spans(sizes, chances)
        for (first, stop), sentinel in zip(spans, self.marks.sentinels[: len(spans)], strict=True):
            inputs += [*ids[at:first], sentinel]
            targets += [sentinel, *ids[first:stop]]
            at = stop
        inputs += [*ids[at:], self.marks.end]
        targets.append(self.marks.end)
        return EncodedPrompt(inputs=id_array(inputs), targets=(id_array(targets),))


def hidden_spans(sizes: SpanSizes, chances: Chances) -> list[tuple[int, int]]:
    """Where each hidden span begins and stops."""
    if sizes.spans == 1:
        first = chances.between(0, sizes.tokens - sizes.hidden)
        return [(first, first + sizes.hidden)]
    hidden = parts(sizes.hidden, sizes.spans, chances)
    shown = parts(sizes.tokens - sizes.hidden, sizes.spans, chances)
    spans, at = list[tuple[int, int]](), 0
    for text, noise in zip(shown, hidden, strict=True):
        spans.append((at + text, at + text + noise))
        at += text + noise
    return spans


def parts(whole: int, count: int, chances: Chances) -> list[int]:
    """A number as a sum of so many numbers from 1 on; each way to do it is as likely."""
    cuts = [0, *(cut + 1 for cut in chances.some_below(whole - 1, count - 1)), whole]
    return [stop - first for first, stop in pairwise(cuts)]
