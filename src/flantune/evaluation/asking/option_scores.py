"""Scores of options: the single entry point for tasks, benchmarks and imported prompts."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from typing import TYPE_CHECKING, Any

from flantune.errors import EvaluationError
from flantune.evaluation.asking.requests import KnownScores, PromptGroup, Request, compile_group
from flantune.packing.packs import Counts
from flantune.packing.shares import assign
from flantune.system.processes import ALONE, Processes, current

if TYPE_CHECKING:
    from flantune.evaluation.asking.score_store import ScoreStore
    from flantune.models.language_model import LanguageModel
    from flantune.models.scoring.plan import ScoringBatch
    from flantune.packing.encode import Codec
    from flantune.prompts.layout import Layout
    from flantune.settings.protocols import ScoringProtocol
    from flantune.types import Prompt

GROUP_PROMPTS = 2_048
"""Largest number of prompts in a group. Bounds memory, but allows even batches and shared contexts."""

_VERSION = 5
"""Part of every key: increase it when the same tokens and weights would give different scores."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OptionScores:
    """A model's scores of each option of one prompt; parallel tuples, one entry per option.

    Attributes:
        sums: Summed log-likelihood, natural log, rounded to a millionth of a nat.
        tokens: Tokens summed (including the end of sequence if it is scored).
        characters: Characters of the option's text, without delimiter.
        bytes: UTF-8 bytes of the option's text.
        greedy: Whether every scored token is the model's most likely one.
        counts: What happened to the prompt during encoding.
    """

    sums: tuple[float, ...]
    tokens: tuple[int, ...]
    characters: tuple[int, ...]
    bytes: tuple[int, ...]
    greedy: tuple[bool, ...]
    counts: Counts


def score_prompts(
    lm: LanguageModel,
    prompts: Sequence[Prompt],
    *,
    codec: Codec,
    scoring: ScoringProtocol | None = None,
    store: ScoreStore | None = None,
    batch_tokens: int = 8_192,
    progress: Callable[[int, int], None] | None = None,
) -> list[OptionScores | None]:
    """Scores every option of every prompt: each context is read once, and shared beginnings only once for all.

    Prompts are scored in groups of one task, split, template and number of exemplars. Under ``torchrun`` the groups'
    batches are distributed over the processes by cost, and each process gets all results. The same prompts give the
    same numbers, bit for bit, whatever the number of processes and whether or not some were already in the store.

    Args:
        lm: The model; it is not changed.
        prompts: Prompts with ``options``; identical ones are computed once.
        codec: Turns prompts into tokens.
        scoring: A protocol whose choices (end of sequence, tokenization, truncation, delimiters, limits) replace the
            codec's; None: the codec's own.
        store: Where scores are stored and looked up; None: nowhere.
        batch_tokens: Array positions of one forward pass, at most.
        progress: Called with (prompts done, total prompts) after each batch.

    Returns:
        One entry per prompt, in order; None for a prompt left out because it does not fit.

    Raises:
        EvaluationError: An option has no token to score, or a score is not finite.
    """
    codec = codec if scoring is None else scoring_codec(codec, scoring)
    scorer = PromptScorer(lm, codec, store=store, batch_tokens=batch_tokens)
    return scorer.score(prompts, progress=progress)


class PromptScorer:
    """Scores prompts of one model in several calls, but fingerprints its weights only once.

    Args:
        lm: The model; must not change in between.
        codec: Turns prompts into tokens.
        store: Where scores are stored and looked up; None: nowhere.
        batch_tokens: Array positions of one forward pass, at most.
        fingerprint: Identifies the model in the store; None: computed from its weights, which takes a moment.
    """

    def __init__(
        self,
        lm: LanguageModel,
        codec: Codec,
        *,
        store: ScoreStore | None,
        batch_tokens: int,
        fingerprint: str | None = None,
    ) -> None:
        from flantune.models.digests import model_fingerprint
        from flantune.models.scoring.check import scoring_layout

        self.lm, self.codec, self.batch_tokens = lm, within_positions(codec, lm), batch_tokens
        self.processes = processes_of(lm)
        self.layout = scoring_layout(lm).layout
        self._store = store
        scope = f"scores {_VERSION} {fingerprint or model_fingerprint(lm)}" if store is not None else ""
        self._scope = hashlib.sha256(scope.encode()).hexdigest()

    @property
    def wave_prompts(self) -> int:
        """Number of prompts to pass at once so that every process has work."""
        return GROUP_PROMPTS * self.processes.count

    def score(
        self, prompts: Sequence[Prompt], *, progress: Callable[[int, int], None] | None = None
    ) -> list[OptionScores | None]:
        """See ``score_prompts``."""
        return self.score_requests(self.compiled(prompts), prompts=len(prompts), progress=progress)

    def compiled(self, prompts: Sequence[Prompt]) -> Iterator[list[PromptGroup]]:
        """Prompts as requests, in waves that are scored together."""
        for wave in _waves(prompts, self.wave_prompts):
            yield [self._compile(group) for group in wave]

    def score_requests(
        self,
        waves: Iterable[Sequence[PromptGroup]],
        *,
        prompts: int,
        progress: Callable[[int, int], None] | None = None,
    ) -> list[OptionScores | None]:
        """Scores compiled requests, any number of times; without a store, also with different weights.

        Args:
            waves: As returned by ``compiled``.
            prompts: The number of prompts they come from.
            progress: As in ``score_prompts``.
        """
        found: list[OptionScores | None] = []
        for groups in waves:
            # Counts continue from one wave to the next.
            before = len(found)

            def report(done: int, *, before: int = before) -> None:
                if progress is not None:
                    progress(before + done, prompts)

            found += self._score_wave(groups, report)
        return found

    def _score_wave(self, groups: Sequence[PromptGroup], report: Callable[[int], None]) -> list[OptionScores | None]:
        known = self._look_up(groups)
        work = list(self._missing(groups, known))
        shares = assign([batch.positions + len(batch.prefix) for _, batch in work], self.processes.count)
        fresh = self._run(groups, [work[at] for at in shares[self.processes.rank]], known, report)
        # A request of two groups is only stored by the first.
        known = _first_of([known, *self.processes.gather(fresh)])
        if self.processes.count > 1 and self._store is not None:
            self._store.refresh()
        scores = [scores for group in groups for scores in _prompt_scores(group, known)]
        report(len(scores))
        return scores

    def _compile(self, prompts: Sequence[Prompt]) -> PromptGroup:
        encoded = self.codec.encode_prompts(prompts, continuations="options")
        return compile_group(
            prompts,
            encoded,
            scope=self._scope,
            is_split=self.layout == "rows",
            first_token=self.codec.framing.first_token if self.codec.family == "decoder-only" else None,
        )

    def _look_up(self, groups: Sequence[PromptGroup]) -> dict[str, KnownScores]:
        """What is in the store, combined over processes: one that opened or read it later may have more."""
        if self._store is None:
            return {}
        keys = dict.fromkeys(request.key for group in groups for request in group.requests)
        mine = {key: _from_json(value) for key, value in self._store.find(keys).items()}
        # All processes must agree on who computes what, and none adds to the store before all have read it.
        return _first_of(current().gather(mine))

    def _missing(
        self, groups: Sequence[PromptGroup], known: dict[str, KnownScores]
    ) -> Iterator[tuple[int, ScoringBatch]]:
        """Batches with an unknown request. The division into batches does not depend on what is known."""
        from flantune.models.scoring.plan import best_budget, forward_cost, plan_scoring, shares_starts

        family, device = self.lm.family, self.lm.device.type
        budget, pass_cost = best_budget(device, self.batch_tokens), forward_cost(device)

        for number, group in enumerate(groups):
            if all(request.key in known for request in group.requests):
                continue
            units = [request.unit for request in group.requests]
            plan = plan_scoring(
                units, family=family, layout=self.layout, batch_tokens=budget, pass_cost=pass_cost,
                shares_starts=shares_starts(self.lm),
            )  # fmt: skip
            for batch in plan:
                if any(group.requests[at].key not in known for at in batch.units):
                    yield number, batch

    def _run(
        self,
        groups: Sequence[PromptGroup],
        work: Sequence[tuple[int, ScoringBatch]],
        known: dict[str, KnownScores],
        report: Callable[[int], None],
    ) -> dict[str, KnownScores]:
        """Computes this process's batches and stores each before the next begins."""
        from flantune.evaluation.asking.run_batches import run_batches
        from flantune.models.forms.reading_form import scoring_mode

        owner = _owners(groups)
        fresh: dict[str, KnownScores] = {}
        answered = set(known)
        report(_answered(groups, answered))  # what was in the store
        with scoring_mode(self.lm):
            for number, requests, scores in run_batches(self.lm, groups, work):
                batch = {}
                for request, value in zip(requests, scores, strict=True):
                    _check_finite(groups[number], request, value)
                    if owner[request.key] == number and request.key not in known:
                        batch[request.key] = value
                    answered.add(request.key)
                fresh |= batch
                if self._store is not None:
                    self._store.add({key: [list(value.sums), list(value.greedy)] for key, value in batch.items()})
                report(_answered(groups, answered))
        return fresh


def scoring_codec(codec: Codec, scoring: ScoringProtocol) -> Codec:
    """The codec with a protocol's choices instead of its own."""
    own = scoring
    return replace(
        codec,
        layout=with_delimiters(codec.layout, own),
        score_eos=own.score_eos,
        inputs_eos=codec.framing.adds_eos if own.inputs_eos is None else own.inputs_eos,
        tokenization=own.tokenization,
        drops_exemplars=own.drops_exemplars,
        truncation=own.truncation,
        max_input_tokens=own.max_input_tokens or codec.max_input_tokens,
        max_target_tokens=own.max_target_tokens or codec.max_target_tokens,
    )


def with_delimiters(layout: Layout, own: ScoringProtocol) -> Layout:
    """A layout with a protocol's delimiters instead of its own."""
    return replace(
        layout,
        target_separator=layout.target_separator if own.target_delimiter is None else own.target_delimiter,
        exemplar_separator=layout.exemplar_separator if own.exemplar_separator is None else own.exemplar_separator,
    )


def within_positions(codec: Codec, lm: LanguageModel, *, room: int = 0) -> Codec:
    """The codec, limited to the positions that a decoder-only model supports.

    The last token of an option is predicted and needs none. Encoder-decoders like T5 have no such limit, even if their
    config has a number, so nothing is cut.

    Args:
        codec: Turns prompts into tokens.
        lm: The model.
        room: Positions to leave free after the inputs for a generated answer.
    """
    from flantune.models.rope import known_positions

    limit = known_positions(lm)
    if lm.family == "encoder-decoder" or not limit:
        return codec
    longest = limit - room if room else limit + 1
    return replace(codec, max_row_tokens=max(1, min(codec.max_row_tokens or longest, longest)))


def processes_of(lm: LanguageModel) -> Processes:
    """The processes that share the work; a sharded model must be computed by all of them together."""
    is_sharded = any(hasattr(parameter, "full_tensor") for parameter in lm.model.parameters())
    return ALONE if is_sharded else current()


def group_key(prompt: Prompt) -> tuple[str, str, str, int]:
    """What prompts of one group have in common: task, split, template and number of exemplars."""
    return prompt.task, prompt.split, prompt.template, len(prompt.exemplars)


def _waves(prompts: Sequence[Prompt], size: int) -> Iterator[list[Sequence[Prompt]]]:
    """Groups, as many at a time as give ``size`` prompts; the division into groups does not depend on it."""
    wave: list[Sequence[Prompt]] = []
    for _, members in groupby(prompts, key=group_key):
        group = list(members)
        for start in range(0, len(group), GROUP_PROMPTS):
            wave.append(group[start : start + GROUP_PROMPTS])
            if sum(map(len, wave)) >= size:
                yield wave
                wave = []
    if wave:
        yield wave


def _first_of(found: Sequence[dict[str, KnownScores]]) -> dict[str, KnownScores]:
    """All results; of duplicates, the first."""
    return {key: value for one in reversed(found) for key, value in one.items()}


def _answered(groups: Sequence[PromptGroup], keys: set[str]) -> int:
    """Prompts whose requests are all among the keys; one that does not fit has none."""
    return sum(
        parts is None or all(group.requests[part.request].key in keys for part in parts)
        for group in groups
        for parts in group.parts
    )


def _owners(groups: Sequence[PromptGroup]) -> dict[str, int]:
    """The first group with each request, whose scores are stored."""
    owner: dict[str, int] = {}
    for number, group in enumerate(groups):
        for request in group.requests:
            owner.setdefault(request.key, number)
    return owner


def _prompt_scores(group: PromptGroup, known: dict[str, KnownScores]) -> Iterator[OptionScores | None]:
    for prompt, counts, parts in zip(group.prompts, group.counts, group.parts, strict=True):
        if parts is None:
            yield None
            continue
        count = len(prompt.options)
        sums, tokens, greedy = [0.0] * count, [0] * count, [False] * count
        for part in parts:
            request = group.requests[part.request]
            scores = known[request.key]
            for place, option in enumerate(part.options):
                sums[option], greedy[option] = scores.sums[place], scores.greedy[place]
                tokens[option] = len(request.unit.targets[place])
        yield OptionScores(
            sums=tuple(sums),
            tokens=tuple(tokens),
            characters=tuple(map(len, prompt.options)),
            bytes=tuple(len(option.encode("utf-8")) for option in prompt.options),
            greedy=tuple(greedy),
            counts=counts,
        )


def _check_finite(group: PromptGroup, request: Request, value: KnownScores) -> None:
    if not all(map(math.isfinite, value.sums)):
        prompt = group.prompts[request.prompts[0]]
        hint = 'the model itself produces it: try dtype = "float32", or look at its weights'
        where = f"{prompt.task}/{prompt.template}/row {prompt.row}"
        raise EvaluationError("an option's log-likelihood is not a finite number", where=where, hint=hint)


def _from_json(value: Any) -> KnownScores:
    sums, greedy = value
    return KnownScores(tuple(sums), tuple(greedy))
