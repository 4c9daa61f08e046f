"""Solved examples before the query: drawn from the training split, never the query itself."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Protocol

from flantune.errors import NotAskedError
from flantune.prompts.alike import plain
from flantune.prompts.render import render_words
from flantune.prompts.styles import INSTRUCTION
from flantune.system.keyed_random import shuffled
from flantune.types import Exemplar

if TYPE_CHECKING:
    from flantune.prompts.render import PromptTexts
    from flantune.prompts.styles import Style
    from flantune.types import Example, SplitRole, Task, Template

MAX_LOOKS_PER_SHOT = 16
"""Candidates tried for each exemplar, so that a split full of duplicates cannot stall a run."""
MIN_LOOKS = 64
"""Splits up to this size are always searched completely."""


class Examples(Protocol):
    """A split's examples by number, such as a tuple."""

    def __len__(self) -> int:
        """Their number."""

    def __getitem__(self, index: int, /) -> Example:
        """The example with this number."""


def draw_exemplars(
    task: Task,
    store: Examples,
    *,
    query: Example,
    split: SplitRole,
    template: Template,
    shots: int,
    key: int,
    style: Style = INSTRUCTION,
    options_key: int = 0,
) -> tuple[Exemplar, ...]:
    """Up to ``shots`` solved examples for a query, a pure function of ``key``; fewer if the split has no more.

    All use the query's template, so that they show what its answer should look like. They are drawn
    uniformly without replacement, classes not balanced. Paper: FLAN 2021, section 4.4 and appendix.

    Left out: the query itself (same split, same row), any example with the query's text or another exemplar's (up to
    case and white space), and, for a forward template, any whose rendered inputs are the query's. So no exemplar shows
    the query's answer, and no question occurs twice. Options in another order are still the same question, and has no
    say in which exemplars are drawn.

    Args:
        task: The task.
        store: Its training examples.
        query: The query's example.
        split: Which split the query comes from.
        template: The template of the query.
        shots: Number of exemplars.
        key: Seeds the draw; see ``stream_key`` and ``mix64``.
        style: The query's style.
        options_key: The query's; each exemplar's options and turns are written like the query's. Options are shuffled,
            and the reply of a conversation drawn, by the exemplar's own row.

    Raises:
        TemplateError: A candidate cannot be rendered.
    """
    if shots <= 0:
        return ()
    plain = replace(style, shuffle_options=False)
    taken = _identities(query, render_words(task, query, template, style=plain), template)
    exemplars: list[Exemplar] = []
    looks = max(MIN_LOOKS, MAX_LOOKS_PER_SHOT * shots)
    for index in shuffled(len(store), key=key, limit=looks):
        candidate = store[index]
        if split == "train" and candidate.row == query.row:
            continue
        try:
            words = render_words(task, candidate, template, style=plain)
        except NotAskedError:
            continue
        marks = _identities(candidate, words, template)
        if taken & marks:
            continue
        taken |= marks
        if style.shuffle_options or style.options == "varied" or candidate.turns:
            words = render_words(task, candidate, template, style=style, options_key=options_key)
        exemplars.append(Exemplar(row=candidate.row, inputs=words.inputs, targets=words.targets))
        if len(exemplars) == shots:
            break
    return tuple(exemplars)


def _identities(example: Example, words: PromptTexts, template: Template) -> set[tuple[str, ...]]:
    """What makes two examples equal for a reader.

    Rendered inputs only count for forward templates: an inverted one ("write a positive review") rightly has the same
    words for many different examples.
    """
    marks = {("fields", *(plain(text) for text in example.fields.values()))}
    if template.is_inverted:
        marks.add(("words", plain(words.inputs), plain(words.targets)))
    else:
        marks.add(("words", plain(words.inputs)))
    return marks
