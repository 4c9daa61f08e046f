"""Span corruption: spans of a text are replaced by sentinels, and the model predicts them."""

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
        tokens: Number of its tokens.
        hidden: Number of hidden tokens.
        spans: Number of hidden spans.
    """

    tokens: int
    hidden: int
    spans: int

    @property
    def inputs(self) -> int:
        """Tokens read: those not hidden, a sentinel per span, EOS."""
        return self.tokens - self.hidden + self.spans + 1

    @property
    def targets(self) -> int:
        """Tokens predicted: those hidden, a sentinel per span, EOS."""
        return self.hidden + self.spans + 1


def span_sizes(tokens: int, *, density: float, mean: float) -> SpanSizes:
    """Numbers of hidden tokens and spans in a stretch. At least one token is hidden and at least one is not.

    >>> span_sizes(568, density=0.15, mean=3)
    SpanSizes(tokens=568, hidden=85, spans=28)
    """
    hidden = min(max(round(tokens * density), 1), tokens - 1)
    # Each span has at least one token, and at least one shown token before it.
    return SpanSizes(tokens=tokens, hidden=hidden, spans=min(max(round(hidden / mean), 1), hidden, tokens - hidden))


def sizes_for_inputs(inputs: int, *, density: float, mean: float) -> SpanSizes:
    """The sizes of the longest stretch of text that is read as at most ``inputs`` tokens.

    If half is hidden, the targets are not longer than the inputs.

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
    """Predicts hidden spans of a stretch of text from the rest of it.

    Documents follow each other without a separator. A stretch begins with shown text and ends with a hidden span. A
    single hidden span can be anywhere: always at the end, it would amount to a second prefix objective.

    Attributes:
        input_tokens: Largest number of tokens read.
        density: Share of the text that is hidden.
        mean: Mean length of a span.
        marks: Ids of the tokens around the text.
        prefix: Ids that the inputs begin with, after BOS: a mode word.

    Paper: Raffel et al. 2020, section 3.1.4.
    """

    input_tokens: int
    density: float
    mean: float
    marks: Marks
    prefix: tuple[int, ...] = ()

    @property
    def family(self) -> Family:
        """Either family: in a decoder-only model the inputs precede the targets in the row."""
        return self.marks.family

    @cached_property
    def sizes(self) -> SpanSizes:
        """The division of every stretch."""
        before = len(self.marks.begin) + len(self.prefix)
        return sizes_for_inputs(self.input_tokens - before, density=self.density, mean=self.mean)

    @property
    def row(self) -> int:
        """Tokens that a row must have room for."""
        inputs, targets = self.sizes.inputs + len(self.marks.begin) + len(self.prefix), self.sizes.targets
        return inputs + targets if self.family == "decoder-only" else max(inputs, targets)

    def take(self, text: TextAhead, chances: Chances) -> EncodedPrompt:
        """The next draw."""
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
    """The start and stop of each hidden span, as indices of tokens."""
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
    """A number as the sum of ``count`` positive integers; all such sums are equally likely."""
    cuts = [0, *(cut + 1 for cut in chances.some_below(whole - 1, count - 1)), whole]
    return [stop - first for first, stop in pairwise(cuts)]
