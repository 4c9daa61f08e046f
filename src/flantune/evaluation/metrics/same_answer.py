"""Whether an answer equals the reference: compared as numbers if possible, otherwise as plain words."""

from __future__ import annotations

import re

from flantune.evaluation.metrics.normalizers import lower_case, single_spaced, without_punctuation
from flantune.numerals.ascii_figures import without_unseen
from flantune.numerals.reading import FoundNumber, boxed_text, find_numbers, in_ascii, is_same_number, parse_number
from flantune.numerals.values import plain_form

_OPERATOR = r"[-+*/=<>^&|]"
_AROUND_OPERATOR = re.compile(rf"\s*({_OPERATOR})\s*")
# Marks between digits are always part of them: v1.2 is not v12.
_MAYBE_KEPT = re.compile(rf"{_OPERATOR}|[~!#]|(?<=[0-9])[.,:'](?=[0-9])")
# Marks that belong to a letter or a short name: A+, C++, F#, -x, ~p.
_BEHIND_NAME = re.compile(r"(?<![^\W_])[A-Za-z][A-Za-z0-9]{0,2}(?P<marks>[-+]{1,2}|#)(?![^\s.,;:!?)\]}\"'*`$])")
_BEFORE_NAME = re.compile(r"(?<![^\s(\[{\"'*`$])(?P<marks>[-~!])[A-Za-z](?![^\W_])")
_LATEX_FONT = re.compile(r"\\(?:text|math)(?:bf|it|rm|sf|tt)?\{([^{}]*)\}")
_LATEX_AROUND = re.compile(r"\\left(?![a-z])|\\right(?![a-z])|\\[()\[\]]|\$")
_RATIO = re.compile(r"(?<=[0-9]) : (?=[0-9])")
_BRACKETS = ("()", "[]", "{}")
_REACH = 8


def same_answer(answer: str | None, reference: str) -> bool:
    """Whether an answer equals the reference, ignoring case, ASCII punctuation and spaces; numbers by value.

    Signs, points and operators next to digits are not punctuation but part of the answer; nor are the marks of short
    names (A+, C#, -x). If the answer is only punctuation (closing brackets), punctuation counts, since otherwise all
    would be equal. Lists and pairs are compared item by item, ignoring spaces after commas.

    >>> same_answer("(B)", "b"), same_answer("] )", "] }"), same_answer("])", "] )")
    (True, False, True)
    >>> same_answer("37", "-37"), same_answer("$1,250.0", "1250"), same_answer("10:30", "1030")
    (False, True, False)
    >>> same_answer("(1,2)", "(1, 2)"), same_answer("(1,2)", "1.2"), same_answer("A+", "A-")
    (True, False, False)
    """
    if answer is None:
        return False
    pair = [_LATEX_FONT.sub(r"\1", _unboxed(without_unseen(text))) for text in (answer, reference)]
    said, wanted = map(parse_number, pair)
    if (wanted is None or _inner(pair[1]) != pair[1]) and _is_same_list(*pair):
        return True
    if said is not None or wanted is not None:
        return said is not None and wanted is not None and is_same_number(said, wanted)
    bare = [_bare(text) for text in pair]
    if bare[1]:
        return bare[0] == bare[1]
    return "".join(answer.split()) == "".join(reference.split())


def _unboxed(text: str) -> str:
    boxed = boxed_text(text)
    return text if boxed is None else boxed


def _is_same_list(answer: str, reference: str) -> bool:
    said, wanted = _items(answer), _items(reference)
    return len(said) == len(wanted) > 1 and all(map(same_answer, said, wanted))


def _items(text: str) -> list[str]:
    """The items between the commas or semicolons of a text; none if an item is empty."""
    items = [item.strip() for item in re.split("[,;]", _inner(_LATEX_AROUND.sub("", text).strip(" \t\n.")))]
    return items if all(items) else []


def _inner(text: str) -> str:
    """The text inside brackets around the whole; the text itself if there are none."""
    return text[1:-1] if len(text) > 1 and text[0] + text[-1] in _BRACKETS else text


def _bare(text: str) -> str:
    """The words of a text in lower case and its numbers in their plain form, without punctuation."""
    text = _RATIO.sub(":", text)
    pieces, at, plain = [], 0, in_ascii(text)
    kept = _marks_of_names(plain)
    for found in find_numbers(text):
        pieces += [_words(text, plain, range(at, found.start), kept), _figures(plain, found)]
        at = found.stop
    pieces.append(_words(text, plain, range(at, len(text)), kept))
    joined = single_spaced(lower_case("".join(pieces)))
    return _AROUND_OPERATOR.sub(r"\1", joined)


def _figures(plain: str, found: FoundNumber) -> str:
    if found.value is None:
        return plain[found.start : found.stop]
    return plain_form(found.value) + ("%" if found.is_percent else "")


def _marks_of_names(plain: str) -> frozenset[int]:
    """The places of marks that are part of a short name."""
    matches = (match for pattern in (_BEHIND_NAME, _BEFORE_NAME) for match in pattern.finditer(plain))
    return frozenset(place for match in matches for place in range(*match.span("marks")))


def _words(text: str, plain: str, part: range, of_names: frozenset[int]) -> str:
    kept, at = [], part.start
    for mark in _MAYBE_KEPT.finditer(plain, part.start, part.stop):
        place = mark.start()
        if mark[0] in ".,:'" or place in of_names or _is_operator(plain, place):
            kept += [without_punctuation(text[at:place]), mark[0]]
            at = place + 1
    return "".join((*kept, without_punctuation(text[at : part.stop])))


def _is_operator(text: str, place: int) -> bool:
    """Whether a mark between words is an operator: next to digits, between single letters, or a comparison."""
    if text[place] in "~!#":
        return False
    left = text[max(0, place - _REACH) : place].rstrip()
    right = text[place + 1 : place + 1 + _REACH].lstrip()
    if text[place] in "-/" and text[place - 1 : place].isalpha() and len(left) > 1 and left[-2:].isalpha():
        return False  # a hyphen: mother-in-law, GPT-4
    if text[place] in "<>=":
        return left[-1:].isalnum() and right[:1].isalnum()
    if text[place] in "&|":
        return _is_letter_alone(left.rstrip(") ")[::-1]) and _is_letter_alone(right.lstrip("(~!- "))
    is_beside_figures = left[-1:].isdecimal() or right[:1].isdecimal()
    is_between_letters = _is_letter_alone(left[::-1]) and _is_letter_alone(right)
    return is_beside_figures or is_between_letters


def _is_letter_alone(text: str) -> bool:
    return text[:1].isalpha() and not text[1:2].isalnum()
