"""Checks of a template's English: answers that do not fit, missing final punctuation, near copies.

All are uncertain, so they are warnings. Other languages are not checked, except that options are recognized in any.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Sequence
from difflib import SequenceMatcher
from typing import TYPE_CHECKING

from flantune.prompts.lint_text import Finding, ReadTemplate

if TYPE_CHECKING:
    from flantune.prompts.language import CompiledText

LEAST_DIFFERENCE = 0.1
"""Two templates of a task that differ in a smaller share of their words count as the same."""

_SLOT = "\N{OBJECT REPLACEMENT CHARACTER}"
"""Represents a slot if only the words around it matter."""
_ANSWERS = (
    *("yes", "no", "maybe", "true", "false", "unknown", "positive", "negative", "neutral", "good", "bad"),
    *("right", "wrong", "correct", "incorrect", "acceptable", "unacceptable", "favorable", "unfavorable"),
)
"""Words that name an answer if "or" is between two of them."""
_TOLD = re.compile(r'\b(?:say|answer|reply|respond|write|enter|answer is|reply is)(?: with)? "([^"\n]{1,40})"', re.I)
_VERB = "(?:is|are|was|were|am|do|does|did|can|could|will|would|shall|should|may|might|must|has|have|had)"
"""The first words of yes-or-no questions."""
_YES_OR_NO = re.compile(rf"(?:^|[.:;,!?\n])\s*({_VERB}\b[^.?!\n]*)\?", re.I)
_EITHER_OR = re.compile(rf",? or {_VERB}\b")
_ANSWERED = re.compile(rf"\?[\"'”’»)]*\s+(?:{_SLOT}answer{_SLOT}|yes|no)[.!]?\s*$", re.I | re.M)
_MIN_WORDS = 4
"""A paragraph with fewer words may be a heading or a label."""


def wording_findings(reading: ReadTemplate, options: Sequence[str]) -> Iterator[Finding]:
    """Findings about one template's wording.

    Args:
        reading: The template.
        options: The options of all examples; empty if there are none, or if they differ between examples.
    """
    words = _words(reading.inputs)
    if options and not reading.template.is_inverted:
        yield from _answers_differ(reading, words, options)
    yield from _answered_question(reading, has_labels=bool(options))
    yield from _final_punctuation(reading, words)


def difference(one: ReadTemplate, other: ReadTemplate) -> float:
    """The share of two inputs' words and slots that differ, from 0 to 1; 1 if the targets differ."""
    if one.template.targets != other.template.targets:
        return 1.0
    left, right = (re.findall(rf"{_SLOT}\w+{_SLOT}|\w+", _pieces(side.inputs).casefold()) for side in (one, other))
    return 1 - SequenceMatcher(None, left, right, autojunk=False).ratio()


def _answers_differ(reading: ReadTemplate, words: str, options: Sequence[str]) -> Iterator[Finding]:
    """The words name answers that are not the options, or ask for something else."""
    shown = [option.strip().casefold() for option in options if option.strip()]
    for named, is_whole in _named_answers(words, shown):
        if set(named) != set(shown) if is_whole else not set(named) <= set(shown):
            yield reading.warning(
                "answers-differ",
                f"the words name the answers {_listed(named)}, but the options are {_listed(shown)}",
                hint="ask the question whose answers are the options",
            )
            return
    for told in (match[1].strip(" .").casefold() for match in _TOLD.finditer(words)):
        if _SLOT not in told and told not in shown:
            yield reading.warning(
                "answers-differ",
                f'the words ask for "{told}", but the options are {_listed(shown)}',
                hint="name an option, or take it out",
            )
            return
    yield from _question_differs(reading, words, shown)


def _question_differs(reading: ReadTemplate, words: str, shown: Sequence[str]) -> Iterator[Finding]:
    """The last question begins with a verb ("Is …?"), but the options do not answer that."""
    questions = list(_YES_OR_NO.finditer(words))
    if not questions or "?" in words[questions[-1].end() :]:
        return
    asked, after = questions[-1][1], words[questions[-1].start() :].casefold()
    if {"yes", "no"} & set(shown):
        is_answered = not _EITHER_OR.search(asked.casefold())
    else:
        is_answered = any(_contains(after, option) for option in shown)
    if not is_answered:
        yield reading.warning(
            "answers-differ",
            f'the question "{asked.replace(_SLOT, "…")}?" cannot be answered with {_listed(shown)}',
            hint="ask the question whose answers are the options",
        )


def _named_answers(words: str, options: Sequence[str]) -> Iterator[tuple[list[str], bool]]:
    """Every list of answers with "or", and whether all of its answers are known.

    "True, false or unknown" is; of "right, wrong or beyond what the text says" only the first two answers are.
    """
    known = sorted({*_ANSWERS, *options}, key=len, reverse=True)
    one = rf"(?:(?:a|an|the|as|either) )*(?<!\w)({'|'.join(map(re.escape, known))})(?!\w)"
    for match in re.finditer(rf"{one}(?:,? (?:or )?{one})*,? or (?P<last>{one})?", words.casefold()):
        named = [found[1] for found in re.finditer(one, match[0])]
        if match["last"] or len(named) > 1:
            yield named, bool(match["last"])


def _answered_question(reading: ReadTemplate, *, has_labels: bool) -> Iterator[Finding]:
    """A question directly followed by its answer looks like a mistake: "Does it mean the same? no"."""
    match = _ANSWERED.search(_pieces(reading.inputs))
    if match and (has_labels or _SLOT not in match[0]):
        yield reading.warning(
            "answered-question",
            "a question ends in its bare answer, as if the template were answering itself",
            hint="state what is wanted, or put the answer on its own line: Same meaning: {answer}",
        )


def _final_punctuation(reading: ReadTemplate, words: str) -> Iterator[Finding]:
    """The text, or a paragraph, ends without punctuation."""
    paragraphs = [paragraph.strip() for paragraph in words.split("\n\n") if paragraph.strip()]
    for number, paragraph in enumerate(paragraphs, start=1):
        is_last = number == len(paragraphs)
        is_sentence = _SLOT not in paragraph and len(paragraph.split()) >= _MIN_WORDS and not paragraph.isupper()
        if (is_last or is_sentence) and _wants_a_mark(paragraph[-1]):
            yield reading.warning(
                "final-punctuation",
                f'"… {" ".join(paragraph.replace(_SLOT, "…").split()[-4:])}" has no punctuation mark at its end',
                hint="end it with a period, a question mark or a colon",
            )
            return


def _wants_a_mark(last: str) -> bool:
    """A digit, or a letter of a script whose sentences end in punctuation."""
    return last.isdigit() or unicodedata.name(last, "").startswith(("LATIN", "GREEK", "CYRILLIC"))


def _words(text: CompiledText) -> str:
    """The template's words, with a placeholder for every slot except the options."""
    return "".join(_SLOT if span.slot else span.text for span in text.source() if span.slot != "options")


def _pieces(text: CompiledText) -> str:
    """The same with the names of the slots, including options."""
    return "".join(f"{_SLOT}{span.slot}{_SLOT}" if span.slot else span.text for span in text.source())


def _contains(text: str, phrase: str) -> bool:
    return re.search(rf"(?<!\w){re.escape(phrase)}(?!\w)", text) is not None


def _listed(answers: Sequence[str]) -> str:
    return ", ".join(f'"{answer}"' for answer in dict.fromkeys(answers))
