"""Whether an answer is the reference: as numbers where it is one, as bare words elsewhere."""

from __future__ import annotations

import re

from flantune.evaluation.normalizers import lower_case, single_spaced, without_punctuation
from flantune.number_values import plain_form
from flantune.numerals import Found, boxed_text, find_numbers, in_ascii, is_same_number, parse_number

_OPERATOR = r"[-+*/=<>^]"
_AROUND_OPERATOR = re.compile(rf"\s*({_OPERATOR})\s*")
# Marks between figures are part of them wherever they stand: v1.2 is not v12.
_MAYBE_KEPT = re.compile(rf"{_OPERATOR}|(?<=[0-9])[.,:'](?=[0-9])")
_REACH = 8


def same_answer(answer: str | None, reference: str) -> bool:
    """Whether an answer is the reference, but for capitals, ASCII punctuation and spaces; a number by its value.

    Signs, points and operators beside figures are no punctuation: they are what the answer says. Where nothing but
    punctuation is asked for (closing brackets), punctuation counts: dropped, all would be equal.

    >>> same_answer("(B)", "b"), same_answer("] )", "] }"), same_answer("])", "] )")
    (True, False, True)
    >>> same_answer("37", "-37"), same_answer("$1,250.0", "1250"), same_answer("10:30", "1030")
    (False, True, False)
    """
    if answer is None:
        return False
    pair = [text if (boxed := boxed_text(text)) is None else boxed for text in (answer, reference)]
    said, wanted = map(parse_number, pair)
    if said is not None or wanted is not None:
        return said is not None and wanted is not None and is_same_number(said, wanted)
    bare = [_bare(text) for text in pair]
    if bare[1]:
        return bare[0] == bare[1]
    return "".join(answer.split()) == "".join(reference.split())


def _bare(text: str) -> str:
    """The words of a text in lower case and its numbers in their plain form, without punctuation."""
    pieces, at, plain = [], 0, in_ascii(text)
    for found in find_numbers(text):
        pieces += [_words(text, plain, at, found.start), _figures(plain, found)]
        at = found.stop
    pieces.append(_words(text, plain, at, len(text)))
    joined = single_spaced(lower_case("".join(pieces)))
    return _AROUND_OPERATOR.sub(r"\1", joined)


def _figures(plain: str, found: Found) -> str:
    if found.value is None:
        return plain[found.start : found.stop]
    return plain_form(found.value) + ("%" if found.is_percent else "")


def _words(text: str, plain: str, start: int, stop: int) -> str:
    kept, at = [], start
    for mark in _MAYBE_KEPT.finditer(plain, start, stop):
        place = mark.start()
        if mark[0] in ".,:'" or _is_operator(plain, place):
            kept += [without_punctuation(text[at:place]), mark[0]]
            at = place + 1
    return "".join((*kept, without_punctuation(text[at:stop])))


def _is_operator(text: str, place: int) -> bool:
    """Whether a mark between words is an operator: beside figures, between letters that stand alone, or compares."""
    left = text[max(0, place - _REACH) : place].rstrip()
    right = text[place + 1 : place + 1 + _REACH].lstrip()
    if text[place] in "-/" and text[place - 1 : place].isalpha() and len(left) > 1 and left[-2:].isalpha():
        return False  # a hyphen: mother-in-law, GPT-4
    if text[place] in "<>=":
        return left[-1:].isalnum() and right[:1].isalnum()
    is_beside_figures = left[-1:].isdecimal() or right[:1].isdecimal()
    is_between_letters = _is_letter_alone(left[::-1]) and _is_letter_alone(right)
    return is_beside_figures or is_between_letters


def _is_letter_alone(text: str) -> bool:
    return text[:1].isalpha() and not text[1:2].isalnum()
