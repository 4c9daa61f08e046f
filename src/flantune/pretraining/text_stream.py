"""A corpus and an objective as a stream of draws."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flantune.errors import PackingError
from flantune.packing.arrays import decoder_only_size
from flantune.packing.packs import Counts
from flantune.packing.stream import EncodedDraw
from flantune.pretraining.objectives import Chances
from flantune.pretraining.tokenized_corpus import TextAhead, TokenizedCorpus
from flantune.system.keyed_random import mix64, stream_key

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

    from flantune.packing.packs import EncodedPrompt
    from flantune.pretraining.corpus import Corpus
    from flantune.pretraining.objectives import Objective
    from flantune.types import Family


class TextStream:
    """Draws from a corpus. The number of a draw is the place in the corpus where it begins, so the numbers have gaps.

    Args:
        corpus: The documents.
        tokenizer: The model's.
        objective: Divides text into tokens to read and to predict.
        row_tokens: Length of a row.
        seed: Seed of the objective's random numbers.
    """

    def __init__(
        self,
        corpus: Corpus,
        tokenizer: PreTrainedTokenizerBase,
        objective: Objective,
        *,
        row_tokens: int,
        seed: int = 0,
    ) -> None:
        self.objective, self.row_tokens = objective, row_tokens
        self.identity = repr((corpus.identity, objective, row_tokens, seed))
        self.pad_token = int(tokenizer.eos_token_id if tokenizer.pad_token_id is None else tokenizer.pad_token_id)
        self._documents = TokenizedCorpus(corpus, tokenizer, objective.family)
        self._key, self._name = stream_key(seed, "objective"), corpus.name

    @property
    def family(self) -> Family:
        """The objective's."""
        return self.objective.family

    def draws(self, first: int, count: int) -> list[EncodedDraw]:
        """``count`` draws. The first begins at a place of the corpus, each later one where the previous one ended.

        Raises:
            PackingError: A draw does not fit in a row.
        """
        found: list[EncodedDraw] = []
        for _ in range(count):
            ahead = TextAhead(self._documents, found[-1].next if found else first)
            found.append(self._draw(ahead))
        return found

    def _draw(self, ahead: TextAhead) -> EncodedDraw:
        place, document = ahead.place, ahead.document_number
        prompt = self.objective.take(ahead, Chances(mix64(self._key, place)))
        if (longest := max(_sides(prompt, self.family))) > self.row_tokens:
            message = f"a draw of {longest} tokens does not fit a row of {self.row_tokens}"
            raise PackingError(message, where="packing.row_tokens", hint=f"raise it to {longest}, or shorten the draws")
        counts = Counts(prompts=1, input_tokens=len(prompt.inputs), target_tokens=sum(map(len, prompt.targets)))
        return EncodedDraw(prompt=prompt, counts=counts, task=self._name, row=document, next=ahead.place)


def _sides(prompt: EncodedPrompt, family: Family) -> tuple[int, ...]:
    if family == "decoder-only":
        return (decoder_only_size(prompt),)
    return len(prompt.inputs), sum(map(len, prompt.targets))
