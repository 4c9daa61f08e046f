"""Overlap and near-duplicate search over a million synthetic training rows of FLAN-like length.

One training row in a hundred holds a copy of a test row. The texts are made while they are read; making them is timed
apart and taken off, so that what is left is the search.
"""

from __future__ import annotations

import resource
import time
from functools import lru_cache
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np

from flantune.contamination.compare import compare
from flantune.contamination.words import read_words
from flantune.types import Example

if TYPE_CHECKING:
    from collections.abc import Iterator

TRAIN_TASKS, TEST_TASKS = 20, 10
TRAIN_ROWS, TEST_ROWS = 1_000_000, 100_000
SMALL = 50
"""How many times fewer rows ``--small`` has: to see that the program runs, not to measure."""
VOCABULARY, MEDIAN_WORDS, MAX_WORDS = 50_000, 60, 600
PLANTED_EVERY = 100
_CHUNK = 1000


class _Texts:
    """Rows of random words with natural frequencies; every hundredth training row ends in a copy of a test row."""

    def __init__(self, task: int, rows: int, vocabulary: np.ndarray[Any, Any], copied: _Texts | None = None) -> None:
        self._task, self._rows, self._vocabulary, self._copied = task, rows, vocabulary, copied
        self._kept = lru_cache(maxsize=16)(self._chunk)

    def __len__(self) -> int:
        return self._rows

    def __getitem__(self, number: int) -> Example:
        return Example(row=number, references=("yes",), fields={"text": self._kept(number // _CHUNK)[number % _CHUNK]})

    def __iter__(self) -> Iterator[Example]:
        number = 0
        for chunk in range(-(-self._rows // _CHUNK)):
            for text in self._chunk(chunk)[: self._rows - number]:
                yield Example(row=number, references=("yes",), fields={"text": text})
                number += 1

    def _chunk(self, chunk: int) -> list[str]:
        draw = np.random.default_rng([self._task, chunk])
        sizes = np.clip(draw.lognormal(np.log(MEDIAN_WORDS), 0.9, _CHUNK), 5, MAX_WORDS).astype(int)
        # Zipf's law with exponent one: the rank is log-uniform.
        ranks = np.exp(draw.random(sizes.sum()) * np.log(VOCABULARY)).astype(int) - 1
        words = self._vocabulary[ranks].tolist()
        ends = np.cumsum(sizes).tolist()
        texts = [" ".join(words[start:end]) for start, end in zip([0, *ends], ends, strict=False)]
        if self._copied is not None:
            copied = self._copied._kept(chunk % max(1, self._copied._rows // _CHUNK))
            for k in range(0, _CHUNK, PLANTED_EVERY):
                texts[k] = f"{texts[k]} {copied[(k + chunk) % _CHUNK]}"
        return texts


def measure(*, small: bool = False) -> dict[str, Any]:
    """Rows a second, with their text ready in memory, and the memory it takes."""
    train_rows, test_rows = (rows // (SMALL if small else 1) for rows in (TRAIN_ROWS, TEST_ROWS))
    vocabulary = _vocabulary()
    tests = [_Texts(1000 + k, test_rows // TEST_TASKS, vocabulary) for k in range(TEST_TASKS)]
    trains = [
        _Texts(k, train_rows // TRAIN_TASKS, vocabulary, copied=tests[k % TEST_TASKS]) for k in range(TRAIN_TASKS)
    ]
    read_words(["warm up the tables"])
    making, making_cpu, characters = _seconds_to_make([*tests, *trains])
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    start, cpu = time.perf_counter(), time.process_time()
    found = compare(
        [_task(f"train {k}", "train", one) for k, one in enumerate(trains)],
        [_task(f"test {k}", "test", one) for k, one in enumerate(tests)],
    )
    seconds, cpu = time.perf_counter() - start, time.process_time() - cpu
    after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    net = seconds - making
    return {
        "train_rows": train_rows,
        "test_rows": test_rows,
        "characters_per_row": round(characters / (train_rows + test_rows)),
        "seconds_with_making_texts": round(seconds, 1),
        "seconds": round(net, 1),
        "cpu_seconds": round(cpu - making_cpu, 1),
        "rows_per_second": round((train_rows + test_rows) / net),
        "megabytes_of_text_per_second": round(characters / net / 1e6, 1),
        "memory_grown_mib": round((after - before) / 1024),
        "train_rows_found": sum(len(one.dirty) for one in found.train),
        "test_rows_found": sum(len(one.dirty) for one in found.tasks),
    }


def _vocabulary() -> np.ndarray[Any, Any]:
    draw = np.random.default_rng(0)
    letters = np.array(list("etaoinshrdlucmfwypvbgk"))
    sizes = np.clip(draw.normal(3 + 0.5 * np.log2(np.arange(1, VOCABULARY + 1)), 1.5), 1, 16).astype(int)
    return np.array(["".join(letters[draw.integers(0, len(letters), size)]) for size in sizes], dtype=object)


def _seconds_to_make(stores: list[_Texts]) -> tuple[float, float, int]:
    start, cpu = time.perf_counter(), time.process_time()
    characters = sum(len(example.fields["text"]) for store in stores for example in store)
    return time.perf_counter() - start, time.process_time() - cpu, characters


def _task(name: str, role: str, texts: _Texts) -> Any:
    return SimpleNamespace(task=SimpleNamespace(name=name), stores={role: texts})
