"""The harness's own metrics and filters: what it counts as right, so that its numbers come out."""

from __future__ import annotations

import re
import string
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from flantune.errors import TaskError
from flantune.suites.grading import Grade

if TYPE_CHECKING:
    from flantune.evaluation.extraction import Rules
    from flantune.evaluation.presets import ScoringProtocol
    from flantune.types import Sample

OPTION_METRICS = ("acc", "acc_norm", "acc_bytes", "exact_match")
"""Metrics of multiple choice: by the sum, per character, per byte; and whether the right choice is what greedy
decoding writes."""
TEXT_METRICS = ("exact_match",)
FILTERS = ("regex", "remove_whitespace", "take_first", "lowercase", "uppercase", "map")

_PUNCTUATION = str.maketrans("", "", string.punctuation)
_DIGITS = str.maketrans("", "", string.digits)


@dataclass(frozen=True, slots=True, kw_only=True)
class HarnessOptionGrader:
    """Multiple choice as the harness scores it: the first of the greatest, no tolerance.

    Attributes:
        names: Metrics, the headline first.
        golds: Row → right choices.
    """

    names: tuple[str, ...]
    golds: Mapping[int, tuple[int, ...]]

    @property
    def metrics(self) -> tuple[str, ...]:
        """Metrics as the harness's results name them."""
        return tuple(f"{name},none" for name in self.names)

    @property
    def rules(self) -> Rules:
        """None: the harness has filters."""
        return ()

    def grade(self, sample: Sample, protocol: ScoringProtocol) -> Grade:  # noqa: ARG002 - each metric is its own way
        """All metrics of one question."""
        golds = self.golds[sample.row]
        sizes = {
            "acc": [1] * len(sample.options),
            "acc_norm": [max(len(option), 1) for option in sample.options],
            "acc_bytes": [max(len(option.encode("utf-8")), 1) for option in sample.options],
        }
        chosen = {name: _first_best(sample.scores, each) for name, each in sizes.items()}
        values = {name: float(at in golds) for name, at in chosen.items()}
        values["exact_match"] = float(any(sample.greedy[gold] for gold in golds)) if sample.greedy else 0.0
        return Grade(
            metrics={f"{name},none": values[name] for name in self.names},
            answer=sample.options[chosen["acc"]],
            rule="likeliest",
        )


def _first_best(scores: Sequence[float], sizes: Sequence[int]) -> int:
    each = [score / size for score, size in zip(scores, sizes, strict=True)]
    return each.index(max(each))


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One function of a filter."""

    function: str
    options: Mapping[str, Any]

    def apply(self, text: str) -> str:
        """The text behind it."""
        if self.function == "regex":
            return _regex(text, self.options)
        if self.function == "remove_whitespace":
            return text.strip()
        if self.function == "lowercase":
            return text.lower()
        if self.function == "uppercase":
            return text.upper()
        if self.function == "map":
            table = self.options.get("mapping_dict") or {}
            return str(table.get(text, self.options.get("default_value", "")))
        return text


def _regex(text: str, options: Mapping[str, Any]) -> str:
    fallback = str(options.get("fallback", "[invalid]"))
    found = re.findall(str(options.get("regex_pattern", r"#### (\-?[0-9\.\,]+)")), text)
    try:
        match = found[int(options.get("group_select", 0))]
    except IndexError:
        return fallback
    if isinstance(match, tuple):
        match = next((group for group in match if group), fallback)
    return str(match).strip()


@dataclass(frozen=True, slots=True, kw_only=True)
class Filter:
    """A chain of functions that makes an answer of what a model wrote."""

    name: str
    steps: tuple[Step, ...]

    def apply(self, text: str) -> str:
        """The answer."""
        for step in self.steps:
            text = step.apply(text)
        return text


NO_FILTER = Filter(name="none", steps=())


def read_filters(entries: Sequence[Mapping[str, Any]] | None, *, where: str) -> tuple[Filter, ...]:
    """The filters of a task; without any, the text as it is.

    Raises:
        TaskError: A function is not known.
    """
    if not entries:
        return (NO_FILTER,)
    found = []
    for entry in entries:
        steps = tuple(
            Step(function=str(one["function"]), options={k: v for k, v in one.items() if k != "function"})
            for one in entry.get("filter") or ()
        )
        unknown = [step.function for step in steps if step.function not in FILTERS]
        if unknown:
            raise TaskError(f'filter_list: "{unknown[0]}" is not known; there are {", ".join(FILTERS)}', where=where)
        found.append(Filter(name=str(entry.get("name", "none")), steps=steps))
    return tuple(found)


@dataclass(frozen=True, slots=True, kw_only=True)
class HarnessTextGrader:
    """Written answers as the harness scores them: every filter, exact match of what it leaves.

    Attributes:
        filters: The filters, the headline's first.
        options: Settings of exact match: ignore_case, ignore_punctuation, ignore_numbers, regexes_to_ignore.
    """

    filters: tuple[Filter, ...]
    options: Mapping[str, Any]

    @property
    def metrics(self) -> tuple[str, ...]:
        """Metrics as the harness's results name them."""
        return tuple(f"exact_match,{one.name}" for one in self.filters)

    @property
    def rules(self) -> Rules:
        """None: the harness has filters."""
        return ()

    def grade(self, sample: Sample, protocol: ScoringProtocol) -> Grade:  # noqa: ARG002 - nothing to choose
        """Exact match behind each filter."""
        answers = [one.apply(sample.prediction) for one in self.filters]
        values = [
            float(any(self._plain(answer) == self._plain(reference) for reference in sample.references))
            for answer in answers
        ]
        is_found = answers[0] not in {"", "[invalid]"}
        return Grade(
            metrics=dict(zip(self.metrics, values, strict=True)),
            answer=answers[0] if is_found else None,
            rule=self.filters[0].name if is_found else "",
        )

    def _plain(self, text: str) -> str:
        for pattern in self.options.get("regexes_to_ignore") or ():
            text = re.sub(str(pattern), "", text)
        text = text.lower() if self.options.get("ignore_case") else text
        text = text.translate(_PUNCTUATION) if self.options.get("ignore_punctuation") else text
        return text.translate(_DIGITS) if self.options.get("ignore_numbers") else text
