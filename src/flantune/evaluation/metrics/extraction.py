"""Finds the answer in a generated text, by rules in order of trust, and records which rule found it."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

from flantune.evaluation.metrics.same_answer import same_answer as same_answer
from flantune.numerals.digit_groups import DecimalSign
from flantune.numerals.reading import FoundNumber, boxed_text, find_numbers, parse_number, read_number
from flantune.numerals.values import plain_form

Form = Literal["text", "number", "number_comma", "last_number", "last_number_comma", "letter", "lower"]
"""The form of a found answer: trimmed text; the stated or the last number in plain digits (``_comma``: 1.234,5 is read
as in German or Spanish); a capital letter; trimmed text in lower case."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ExtractionRule:
    r"""A rule for one place where an answer may be.

    Attributes:
        name: Its name in reports.
        pattern: A regular expression with a group ``answer``; ``re.IGNORECASE`` and ``re.MULTILINE`` are on.
        pick: Which match counts if there are several.
        form: The form of the answer; a match that does not have it does not count.
    """

    name: str
    pattern: str
    pick: Literal["first", "last"] = "last"
    form: Form = "text"

    def find(self, text: str) -> str | None:
        """The answer by this rule."""
        found = [match.group("answer") for match in _compiled(self.pattern).finditer(text)]
        if self.pick == "last":
            found.reverse()
        return next((answer for each in found if (answer := FORMS[self.form](each)) is not None), None)


Rules = tuple[ExtractionRule, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Extracted:
    """What was found.

    Attributes:
        answer: The answer; None if no rule matched.
        rule: The rule that found it; empty if none did.
    """

    answer: str | None
    rule: str


def extract(text: str, rules: Sequence[ExtractionRule]) -> Extracted:
    """The answer by the first rule that finds one.

    >>> extract("3 + 4 = 7. So the answer is 7.", BBH_COT)
    Extracted(answer='7', rule='answer_is')
    >>> extract("no idea", MGSM_COT)
    Extracted(answer=None, rule='')
    """
    for rule in rules:
        answer = rule.find(text)
        if answer is not None:
            return Extracted(answer=answer, rule=rule.name)
    return Extracted(answer=None, rule="")


# ---- numbers


def plain_number(text: str, *, decimal: DecimalSign = ".") -> str | None:
    """A number in plain ASCII, in whatever notation it was written; None if the text is not a single number.

    Args:
        text: The number; signs of currency, percent and spaces around it are ignored.
        decimal: The decimal sign, if both readings are possible ("1.234").

    >>> [plain_number(text) for text in ("$1,234.50", "−3", "１２３４", "१२", "12%", "1.234", "1,5", "1/4", "seven")]
    ['1234.5', '-3', '1234', '12', '12', '1.234', '1.5', '0.25', None]
    >>> plain_number("1.234", decimal=","), plain_number("1.234.567,5", decimal=",")
    ('1234', '1234567.5')
    """
    return _written(parse_number(text, decimal=decimal))


def _written(found: FoundNumber | None) -> str | None:
    return None if found is None or found.value is None else plain_form(found.value)


# ---- forms of answers


_STOP = re.compile(r"[.,;!?。．]+$")
_EMPHASIS = re.compile(r"^[\s*_]+|[\s*_]+$")
_ANNOUNCED = re.compile(r"^[\s*_:]+(?:=(?![=<>]))?|^=(?![=<>])")


def _text(found: str) -> str | None:
    """The text without what surrounds an answer in prose: spaces, a period, paired quotes, emphasis.

    An answer that consists of nothing else ("*", "=", "!") is kept.
    """
    found = found.strip()
    for around in (_STOP, _EMPHASIS, _ANNOUNCED, _STOP):
        found = around.sub("", found).strip() or found
    if len(found) > 1 and (found[0], found[-1]) in (('"', '"'), ("'", "'"), ("“", "”"), ("`", "`")):
        found = found[1:-1].strip()
    return found or None


def _lower(found: str) -> str | None:
    text = _text(found)
    return text.lower() if text else None


def _letter(found: str) -> str | None:
    match = re.match(r"\W*([A-Za-z])(?![A-Za-z0-9'’])", found)
    return match.group(1).upper() if match else None


def _number(decimal: DecimalSign) -> Callable[[str], str | None]:
    def read(found: str) -> str | None:
        boxed = boxed_text(found)
        found = found if boxed is None else boxed
        whole = plain_number(found, decimal=decimal)
        if whole is not None:
            return whole
        # In "5 + 6 = 11" the result; in "5 (see step 2)" the first.
        numbers = _numbers(found.rpartition("=")[2], decimal) or _numbers(found, decimal)
        return _written(numbers[0]) if numbers else None

    return read


def _last_number(decimal: DecimalSign) -> Callable[[str], str | None]:
    return lambda text: _written(read_number(text, decimal=decimal))


def _numbers(text: str, decimal: DecimalSign = ".") -> list[FoundNumber]:
    return [found for found in find_numbers(text, decimal=decimal) if found.value is not None]


FORMS: dict[Form, Callable[[str], str | None]] = {
    "text": _text,
    "lower": _lower,
    "letter": _letter,
    "number": _number("."),
    "number_comma": _number(","),
    "last_number": _last_number("."),
    "last_number_comma": _last_number(","),
}


@lru_cache(maxsize=256)
def _compiled(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern, re.IGNORECASE | re.MULTILINE)


# ---- rules, and sets of them for the benchmarks

_STATED = r"(?P<answer>[^\s:][^\n]*?)"
# A period ends the answer unless a digit or letter follows directly (3.5, U.S.).
_ENDED = r"(?:\.(?=\s|[\"'”*)\]]|$)|$)"

ANSWER_IS = ExtractionRule(
    name="answer_is", pattern=rf"answer\s+is\b\s*:?\s*{_STATED}{_ENDED}",
)  # fmt: skip
ANSWER_COLON = ExtractionRule(name="answer_colon", pattern=rf"\banswer\**\s*:\**[ \t]*{_STATED}{_ENDED}")
HASHES = ExtractionRule(name="hashes", pattern=r"####[ \t]*(?P<answer>[^\n]+)", form="number")  # fmt: skip
LAST_NUMBER = ExtractionRule(name="last_number", pattern=r"(?P<answer>[\s\S]+)", form="last_number")
LETTER_IN_BRACKETS = ExtractionRule(name="letter_in_brackets", pattern=r"(?P<answer>\([A-Z]\))", form="letter")
LETTER_WITH_MARK = ExtractionRule(
    name="letter_with_mark", pattern=r"(?:^|(?<=\s))(?P<answer>[A-Z])[.):](?=\s|$)", form="letter"
)
LETTER_ALONE = ExtractionRule(name="letter_alone", pattern=r"^[ \t]*(?P<answer>[A-Z])[ \t]*$", form="letter")
LETTER_FIRST = ExtractionRule(
    name="letter_first", pattern=r"\A\W*(?P<answer>[A-Z])(?=[.):,]|\s*$|\s*\n)", pick="first", form="letter"
)
YES_NO_FIRST = ExtractionRule(name="yes_no_first", pattern=r"\A\W*(?P<answer>yes|no)\b", pick="first", form="lower")
YES_NO_LAST = ExtractionRule(name="yes_no_last", pattern=r"\b(?P<answer>yes|no)\b", form="lower")
FIRST_LINE = ExtractionRule(name="first_line", pattern=r"\A\s*(?P<answer>[^\n]+)", pick="first")  # fmt: skip
LAST_LINE = ExtractionRule(name="last_line", pattern=r"^(?P<answer>[^\n]+)\s*\Z")


def in_form(rule: ExtractionRule, form: Form) -> ExtractionRule:
    """The same rule with another form."""
    return ExtractionRule(name=rule.name, pattern=rule.pattern, pick=rule.pick, form=form)


def after_phrase(phrase: str, *, form: Form = "text") -> ExtractionRule:
    """The rule for an answer after a phrase given by the user, in any language.

    >>> extract("Also ist die Antwort 12.", [after_phrase("Antwort", form="number")]).answer
    '12'
    """
    words = r"\s+".join(map(re.escape, phrase.split()))
    stated = rf"{words}\s*[:：]?\s*{_STATED}"
    return ExtractionRule(
        name=f"after “{' '.join(phrase.split())}”", pattern=rf"{stated}(?:\.(?=\s|$)|[。।]|$)", form=form,
    )  # fmt: skip


@lru_cache(maxsize=4_096)
def rules_between(before: str, after: str) -> Rules:
    r"""Rules for an answer announced by a template: the text between its own words, otherwise the usual places.

    Args:
        before: The words before the answer; empty if it comes first.
        after: The words after it.

    >>> extract("6 + 1 = 7.\nSo we get 7 eggs.", rules_between("\nSo we get ", " eggs.")).answer
    '7'
    >>> extract("yes, since it floats", rules_between("", ", since ")).answer
    'yes'
    >>> extract("It floats. The answer is no.", rules_between("\nSo we get ", ".")).answer
    'no'
    """
    end = re.escape(after.strip().split("\n")[0])
    ended = rf"(?:{end}(?=\s|$)|\.(?=\s|$)|$)" if end else r"(?:\.(?=\s|$)|[。।]|$)"
    if not before:
        first = ExtractionRule(name="before_words", pattern=rf"\A\s*{_STATED}\s*{ended}", pick="first")
        return (first, ANSWER_IS, FIRST_LINE)
    words = before.strip().split("\n")[-1].split()
    if not words:
        return (LAST_LINE,) if "\n" in before else BBH_COT
    announced = r"\s+".join(map(re.escape, words))
    own = ExtractionRule(name="after_words", pattern=rf"{announced}\s*[:：]?\s*{_STATED}\s*{ended}")
    return (own, *BBH_COT)


def shared_phrase(answers: Sequence[str]) -> str:
    """The phrase before the last number in each worked answer; empty if they differ.

    So the exemplars of a language show its phrase for announcing the answer.

    >>> shared_phrase(["3 + 4 = 7. La respuesta es 7.", "La respuesta es 12."])
    'La respuesta es'
    """
    ends = []
    for answer in answers:
        numbers = _numbers(answer)
        if not numbers:
            return ""
        sentence = re.split(r"[.\n。।!?]\s*", answer[: numbers[-1].start])[-1]
        ends.append(sentence.split())
    shared: list[str] = []
    for words in zip(*(reversed(end) for end in ends), strict=False):
        if len(set(words)) > 1:
            break
        shared.append(words[0])
    return " ".join(reversed(shared)).strip(" :：$")


def number_rules(*, phrases: Sequence[str] = (), decimal: DecimalSign = ".") -> Rules:
    """Rules for an answer that is a number, in any language.

    Args:
        phrases: Phrases that announce the answer, most trusted first (see ``shared_phrase``). English "the answer is"
            always counts too; without any of them, the last number does.
        decimal: What "1.234" means in this language.
    """
    form: Form = "number" if decimal == "." else "number_comma"
    last: Form = "last_number" if decimal == "." else "last_number_comma"
    announced = tuple(after_phrase(phrase, form=form) for phrase in phrases if phrase.strip())
    stated = tuple(in_form(rule, form) for rule in (HASHES, ANSWER_IS, ANSWER_COLON))
    return (*announced, *stated, in_form(LAST_NUMBER, last))


BBH_COT: Rules = (ANSWER_IS, ANSWER_COLON, LAST_LINE)
BBH_DIRECT: Rules = (FIRST_LINE,)
MGSM_COT: Rules = number_rules()
GSM8K_COT: Rules = number_rules()
MMLU_COT: Rules = (
    in_form(ANSWER_IS, "letter"), in_form(ANSWER_COLON, "letter"), LETTER_IN_BRACKETS, LETTER_WITH_MARK, LETTER_ALONE,
)  # fmt: skip
MMLU_DIRECT: Rules = (LETTER_FIRST, *MMLU_COT)
YES_NO: Rules = (in_form(ANSWER_IS, "lower"), YES_NO_FIRST, YES_NO_LAST)
TYDIQA_DIRECT: Rules = (FIRST_LINE,)

EXEMPLAR_STOP = ("\n\n", "\nQ:")
"""Where a base model continues with an exemplar of its own. A bare "Q" would cut every answer with that letter."""
