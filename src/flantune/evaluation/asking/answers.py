"""Generated answers: the single entry point for tasks, benchmarks and open-ended prompts."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

from flantune.evaluation.asking.score_store import JsonValue, content_key
from flantune.models.writing.decoding import Decoding, Finish
from flantune.models.writing.generate import write

if TYPE_CHECKING:
    from flantune.evaluation.asking.score_store import ScoreStore
    from flantune.models.language_model import LanguageModel
    from flantune.models.writing.decoding import Writer
    from flantune.packing.encode import Codec
    from flantune.types import Prompt

Backend = Literal["transformers", "vllm"]
"""What generates answers: flantune's own loop over the model, or vLLM."""

# Part of every key: increase it when the same tokens and weights would give different answers.
_VERSION = 5
_KEEP_EVERY_SECONDS = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """One answer.

    Attributes:
        text: What the model wrote, cut where a stop string begins.
        tokens: Its token ids, without the end of sequence but including a stop string's tokens.
        finish: Why it ended: end of sequence, a stop string (or a complete answer), or the length limit.
    """

    text: str
    tokens: tuple[int, ...]
    finish: Finish


def writer_for(lm: LanguageModel, backend: Backend) -> Writer:
    """The generator of a backend.

    Raises:
        ModelError: vLLM is requested but not installed, or cannot serve this model.
    """
    if backend == "transformers":
        return write
    from flantune.models.writing.vllm import vllm_writer

    return vllm_writer(lm)


def write_answers(
    lm: LanguageModel,
    prompts: Sequence[Prompt],
    *,
    codec: Codec,
    decoding: Decoding,
    answers_each: int = 1,
    store: ScoreStore | None = None,
    fingerprint: str | None = None,
    batch_tokens: int = 8_192,
    progress: Callable[[int, int], None] | None = None,
    each: Callable[[int, int, Written], None] | None = None,
    writer: Writer = write,
) -> list[tuple[Written, ...]]:
    """Generates answers to each prompt; stored answers are not generated again.

    Args:
        lm: The model; it is not changed.
        prompts: The prompts. Identical ones are computed once.
        codec: Turns prompts into tokens.
        decoding: How tokens are chosen, and what ends an answer besides the codec's end token. The same seed, prompt
            and number of the answer give the same answer, independent of other prompts.
        answers_each: Number of answers per prompt. Without temperature all are the same.
        store: Where answers are stored every few seconds, and looked up; None: nowhere.
        fingerprint: Identifies the model in the store; None: computed from its weights, which takes a moment.
        batch_tokens: Array positions of a batch, including those to be generated.
        progress: Called with (answers done, total answers).
        each: Called with prompt, number and answer for each answer that was not in the store, as soon as it is done.
        writer: The generator.

    Returns:
        The answers to each prompt, by number; none for a prompt that the codec drops.

    Raises:
        ModelError: A prompt fills all positions of the model.
    """
    encoded = codec.encode_prompts(prompts, continuations="none")
    inputs = [(at, entry.inputs) for at, entry in enumerate(encoded) if entry is not None]
    decoding = replace(decoding, end_tokens=(codec.eos_token,))
    scope = _scope(lm, decoding, fingerprint) if store is not None else ""
    keys = {(at, n): content_key(f"{scope} {n}", ids) for at, ids in inputs for n in range(answers_each)}
    found = _stored(store, keys)
    if progress is not None and found:
        progress(len(found), len(keys))
    missing = [(at, ids) for at, ids in inputs if any((at, n) not in found for n in range(answers_each))]
    shelf = _Shelf(store)
    for one in writer(lm, [ids for _, ids in missing], decoding, samples=answers_each, batch_tokens=batch_tokens):
        place = (missing[one.index][0], one.sample)
        found[place] = Written(text=one.text, tokens=one.tokens, finish=one.finish)
        shelf.put(keys[place], found[place])
        if each is not None:
            each(*place, found[place])
        if progress is not None:
            progress(len(found), len(keys))
    shelf.clear()
    return [tuple(found[at, n] for n in range(answers_each) if (at, n) in found) for at in range(len(prompts))]


class _Shelf:
    """Buffers answers for the store and writes them every few seconds, since each write waits for the disk."""

    def __init__(self, store: ScoreStore | None) -> None:
        self._store, self._waiting, self._since = store, dict[str, JsonValue](), time.monotonic()

    def put(self, key: str, written: Written) -> None:
        if self._store is None:
            return
        self._waiting[key] = {"text": written.text, "tokens": list(written.tokens), "finish": written.finish}
        if time.monotonic() - self._since > _KEEP_EVERY_SECONDS:
            self.clear()

    def clear(self) -> None:
        if self._store is not None and self._waiting:
            self._store.add(self._waiting)
        self._waiting, self._since = {}, time.monotonic()


def _stored(store: ScoreStore | None, keys: Mapping[tuple[int, int], str]) -> dict[tuple[int, int], Written]:
    if store is None:
        return {}
    known = store.find(keys.values())
    return {place: _as_written(known[key]) for place, key in keys.items() if key in known}


def _as_written(value: JsonValue) -> Written:
    if not isinstance(value, dict):  # pragma: no cover - keys name the kind of value
        raise TypeError(value)
    return Written(text=value["text"], tokens=tuple(value["tokens"]), finish=value["finish"])


def _scope(lm: LanguageModel, decoding: Decoding, fingerprint: str | None) -> str:
    """Everything an answer depends on besides its tokens."""
    from flantune.models.digests import model_fingerprint
    from flantune.models.writing.endings import end_tokens

    named = {
        "written": _VERSION,
        "model": fingerprint or model_fingerprint(lm),
        "max_new_tokens": decoding.max_new_tokens,
        "temperature": decoding.temperature,
        "seed": decoding.seed if decoding.temperature > 0.0 else None,
        "stop": decoding.stop,
        "spared": decoding.spared,
        "ends": end_tokens(lm, decoding),
    }
    return json.dumps(named, sort_keys=True)
