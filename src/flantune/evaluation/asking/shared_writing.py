"""Written answers of tasks, by as many processes as there are."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from flantune.evaluation.asking.answers import write_answers
from flantune.models.writing.decoding import Writer
from flantune.models.writing.generate import write
from flantune.packing.shares import assign

if TYPE_CHECKING:
    from flantune.evaluation.asking.store import ScoreStore
    from flantune.models.language_model import LanguageModel
    from flantune.packing.encode import Codec
    from flantune.packing.encoded import Encoded
    from flantune.system.processes import Processes
    from flantune.types import Prompt

# Prompts written to by one process before the next piece; what they share is read once a piece.
_PIECE = 256


def shared_texts(
    lm: LanguageModel,
    prompts: Sequence[Prompt],
    encoded: Encoded,
    *,
    codec: Codec,
    stop: Sequence[tuple[str, ...]],
    max_new_tokens: int,
    batch_tokens: int,
    store: ScoreStore | None,
    fingerprint: str,
    processes: Processes,
    progress: Callable[[int, int], None],
    spared: int = 0,
    answers_each: int = 1,
    temperature: float = 0.0,
    seed: int = 0,
    writer: Writer = write,
) -> list[tuple[str, ...]]:
    """The answers to each prompt, for every process; none for a prompt that does not fit.

    Pieces of prompts are shared out by length. Which prompts make a piece does not depend on how many processes there
    are.

    Args:
        lm: The model.
        prompts: The prompts.
        encoded: Their tokens.
        codec: What made them.
        stop: What ends each answer.
        max_new_tokens: Longest answer.
        batch_tokens: Array positions of a batch.
        store: Where answers are kept.
        fingerprint: Names the model in the store.
        processes: Who shares it.
        progress: Called with (answers done, answers in all).
        spared: So many of the texts that end an answer it may hold before the next one ends it.
        answers_each: Answers drawn to each prompt.
        temperature: 0 is greedy.
        seed: Names the draws of a prompt's answers, whatever else is asked.
        writer: What does the writing.
    """
    lengths = [0 if tokens is None else len(tokens.inputs) for tokens in encoded]
    pieces = _pieces(stop)
    costs = [sum(lengths[at] + answers_each * max_new_tokens for at in piece) for piece in pieces]
    mine: dict[int, tuple[str, ...]] = {}
    for piece in (pieces[number] for number in assign(costs, processes.count)[processes.rank]):
        before = answers_each * len(mine)
        answers = write_answers(
            lm,
            [prompts[at] for at in piece],
            codec=codec,
            stop=stop[piece[0]],
            spared=spared,
            max_new_tokens=max_new_tokens,
            samples=answers_each,
            temperature=temperature,
            seed=seed,
            store=store,
            fingerprint=fingerprint,
            batch_tokens=batch_tokens,
            progress=lambda done, _, before=before: progress(before + done, answers_each * len(prompts)),  # type: ignore[misc]
            writer=writer,
        )
        mine |= {at: tuple(one.text for one in written) for at, written in zip(piece, answers, strict=True)}
    if processes.count > 1 and store is not None:
        store.refresh()
    found = {at: texts for one in processes.gather(mine) for at, texts in one.items()}
    progress(answers_each * len(prompts), answers_each * len(prompts))
    return [found[at] for at in range(len(prompts))]


def _pieces(stop: Sequence[tuple[str, ...]]) -> list[list[int]]:
    """Prompts that end alike, in their order, so many at a time.

    >>> _pieces([(), ("x",), ()])
    [[0, 2], [1]]
    """
    by_stop: dict[tuple[str, ...], list[int]] = {}
    for at, ends in enumerate(stop):
        by_stop.setdefault(ends, []).append(at)
    return [group[start : start + _PIECE] for group in by_stop.values() for start in range(0, len(group), _PIECE)]
