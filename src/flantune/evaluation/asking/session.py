"""One model and how it is asked."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from flantune.evaluation.asking.option_scores import PromptScorer

if TYPE_CHECKING:
    from flantune.evaluation.asking.answers import Backend
    from flantune.evaluation.asking.score_store import ScoreStore
    from flantune.evaluation.exams import Exam
    from flantune.models.language_model import LanguageModel
    from flantune.models.writing.decoding import Writer
    from flantune.packing.chat import ChatTokens
    from flantune.packing.encode import Codec


@dataclass(frozen=True, kw_only=True)
class Session:
    """One model, and how it is asked.

    Attributes:
        lm: The model; it is not changed.
        folder: Folder for ``samples/`` and ``origins/``.
        store: Where scores and answers are stored as they are computed; None: only complete exams are stored.
        batch_tokens: Array positions of one forward pass.
        chat: A chat template around every prompt; None: plain text.
        seed: Seed of sampling.
        answers_each: Answers sampled for each question that can be voted on.
        temperature: Sampling temperature; 0 is greedy.
        backend: What generates answers.
        engine: The generator, if already started.
    """

    lm: LanguageModel
    folder: Path
    store: ScoreStore | None = None
    batch_tokens: int = 8_192
    chat: ChatTokens | None = None
    seed: int = 0
    answers_each: int = 1
    temperature: float = 0.0
    backend: Backend = "transformers"
    engine: Writer | None = None

    @cached_property
    def fingerprint(self) -> str:
        """Identifies the model's weights, arithmetic and tokenizer by content."""
        from flantune.models.digests import model_fingerprint

        return model_fingerprint(self.lm)

    @cached_property
    def writer(self) -> Writer:
        """The generator, started for the first answer."""
        from flantune.evaluation.asking.answers import writer_for

        return self.engine or writer_for(self.lm, self.backend)

    @property
    def written_by(self) -> str:
        """Identifies the generator: another engine's arithmetic gives different answers with the same weights."""
        return self.fingerprint if self.backend == "transformers" else f"{self.fingerprint} {self.backend}"

    def drawn(self, exam: Exam) -> tuple[int, float]:
        """The number of answers to each question of an exam, and the temperature."""
        return (self.answers_each, self.temperature) if exam.is_voted else (1, 0.0)

    @cached_property
    def _scorers(self) -> dict[str, PromptScorer]:
        return {}

    def scorer(self, kind: str, codec: Codec) -> PromptScorer:
        """The scorer for exams of a kind."""
        if kind not in self._scorers:
            self._scorers[kind] = PromptScorer(
                self.lm, codec, store=self.store, batch_tokens=self.batch_tokens, fingerprint=self.fingerprint
            )
        return self._scorers[kind]
