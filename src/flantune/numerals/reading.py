r"""The one reader of numbers: labels of rows, answers that models write and references are all read here.

``docs/numbers.md`` lists what is read as what; its tables are tested. Values are exact: ``Decimal``, or
``Fraction`` where the decimals never end. Reading takes time in proportion to the text, whatever is in it.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal

from flantune.numerals.ascii_figures import UNSEEN, signs_at_figures, spaces_grouped, sure_spaces_grouped
from flantune.numerals.ascii_figures import in_ascii as in_ascii
from flantune.numerals.digit_groups import ARABIC_POINT, INNER_SPACE, DecimalSign, digits_of
from flantune.numerals.values import (
    MAX_FRACTION_FIGURES,
    Value,
    fraction_of,
    hundredth,
    negated,
    quotient,
    scaled,
    sum_of,
)

_CURRENCY = "$€£¥₹₩₽¢₺₪₫₱₦₴₸฿₡₲₵"
_VULGAR = "½⅓⅔¼¾⅕⅖⅗⅘⅙⅚⅐⅛⅜⅝⅞⅑⅒"
_RAISED = "⁰¹²³⁴⁵⁶⁷⁸⁹"
_SPACE = f"[ {INNER_SPACE}]"
# {,} and ,\! are LaTeX's comma without a space; \, and ~ are spaces of its own. Programs group by an underscore.
_BETWEEN = (
    rf"(?:[.,'{ARABIC_POINT}]|\{{[,.]\}}|[,.]\\!|(?:{INNER_SPACE}|[~_]|\\[,;:! ])(?=[0-9]{{3}}(?![0-9])))(?=[0-9])"
)
_FIGURES = rf"[0-9]+(?:{_BETWEEN}[0-9]+)*"
_NUMBER = rf"(?:{_FIGURES}|(?<![\w.)\]}}])\.[0-9]+)"
_ARGUMENT = rf"(?:\{{{_SPACE}?-?{_FIGURES}{_SPACE}?\}}|[0-9])"
_FIGURE = re.compile(
    rf"(?P<hex>0[xX][0-9a-fA-F]+)"
    rf"|(?P<latex>(?:[0-9]+{_SPACE}?)?\\[dtc]?frac{_SPACE}?{_ARGUMENT}{_SPACE}?{_ARGUMENT})"
    rf"|(?P<term>\\(?:[dtc]?frac|sqrt|binom)(?![a-z]))"
    rf"|(?P<mixed>[0-9]+{_SPACE}[0-9]+/[0-9]+(?![/0-9]))"
    rf"|(?P<vulgar>(?:[0-9]+{_SPACE}?)?[{_VULGAR}])"
    rf"|(?P<chain>{_NUMBER}(?:[/:-]{_FIGURES})*)"
)
_POWER = rf"(?:\^{_SPACE}?(?:\{{{_SPACE}?)?([+-]?[0-9]+){_SPACE}?\}}?|([⁺⁻]?[{_RAISED}]+))"
_EXPONENT = re.compile(
    r"[eE]([+-]?[0-9]+)(?!\w)"
    rf"|{_SPACE}?(?:[×*x]|\\times|\\cdot){_SPACE}?10{_POWER}"
)
_OF_TEN = re.compile(_POWER)
_TERM_BEHIND = re.compile(rf"\^|\*\*|[{_RAISED}⁻√π]|{_SPACE}?\\(?:sqrt|pi)(?![a-z])")
_PERCENT = re.compile(rf"{_SPACE}?\\?%")
_BEFORE = re.compile(
    rf"(?:(?P<outer>[+-])(?P<gap>{_SPACE}?))?"
    rf"(?:(?P<mark>(?:(?<![^\W_])[A-Z]{{1,2}})?\\?[{_CURRENCY}]|(?<![0-9 ])%){_SPACE}?)?(?P<inner>[+-])?\Z"
)
_SLASH = re.compile(r"(?<=[0-9]) ?/ ?(?=[0-9])")
_BRACE = re.compile(r"[{}]")
_LATEX_COMMA = re.compile(r"\{([.,])\}|(?<=[.,])\\!")
_LATEX_SPACE = re.compile(r"[~_]|\\[,;:! ]")
_ARGUMENTS = re.compile(r"\{[^{}]*\}|[0-9]")
_BOXED = "\\boxed{"
_AROUND = f" \t\r\n{INNER_SPACE}\"'“”„«»`*_{UNSEEN}"
_BEHIND = f".,;:!?。।\\{_CURRENCY}"
_FORMULA = re.compile(r"\A(\$\$?)(?P<inner>[^$]*(?:\\\$[^$]*)?)\1[.,;:!?。]*\Z")
_PRICE_END = re.compile(r"(?<=[0-9])[.,/][-—]{1,2}\Z")
# In brackets a comma separates two numbers, unless it groups thousands.
_PAIR = re.compile(r"[+-]?[0-9]+,(?![0-9]{3}\Z)[0-9]+")
_UNSPACED = re.compile(r"[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af\uf900-\ufaff]")
_BRACKETS = (("(", ")"), ("[", "]"), ("{", "}"))
_WRAPPERS = (
    *_BRACKETS, ("\\(", "\\)"), ("\\[", "\\]"), ("\\left(", "\\right)"), ("\\text{", "}"), ("\\mathrm{", "}"),
    ("\\textbf{", "}"), ("\\mathbf{", "}"), ("\\boxed{", "}"),
)  # fmt: skip
_REACH = 8
_RAISED_FIGURES = str.maketrans("⁺⁻" + _RAISED, "+-0123456789")
_MAX_TERM = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundNumber:
    """A number in a text, or something of figures that is none (a time, a date, a version, a power).

    Attributes:
        start: Where it begins, its sign and currency included.
        stop: Where it ends, its percent sign included.
        value: What it is worth; None where it is not a number.
        is_percent: A percent sign follows; 50% has the value 50.
    """

    start: int
    stop: int
    value: Value | None
    is_percent: bool = False


def find_numbers(text: str, *, decimal: DecimalSign = ".") -> Iterator[FoundNumber]:
    """All numbers of a text in order, and what looks like one but is none.

    Args:
        text: Any text; places refer to it.
        decimal: The decimal sign that is meant where both readings are possible ("1.234").

    >>> [str(found.value) for found in find_numbers("5-3 = 2 at 10:30, -1/2 of $1,200")]
    ['5', '3', '2', 'None', '-0.5', '1200']
    """
    plain = signs_at_figures(in_ascii(text))
    return _find(spaces_grouped(plain) if decimal == "," else sure_spaces_grouped(plain), decimal)


def parse_number(text: str, *, decimal: DecimalSign = ".") -> FoundNumber | None:
    """The number that a text is, and nothing else: but for quotes, brackets, emphasis, currency and a full stop.

    >>> [str(found.value) if (found := parse_number(text)) else None for text in ("- 1 200 €.", "(½)", "5 km", "3-4")]
    ['-1200', '0.5', None, None]
    """
    core = _SLASH.sub("/", spaces_grouped(_bare(signs_at_figures(in_ascii(text)))))
    found = next(_find(core, decimal, is_alone=True), None)
    if found is None or found.value is None or (found.start, found.stop) != (0, len(core)):
        return None
    return found


def read_number(text: str, *, decimal: DecimalSign = ".") -> FoundNumber | None:
    r"""The number that a text is, or else the last one in it; of a text with ``\boxed{…}``, of what is boxed last.

    >>> found = read_number("So 3 of 12 are \\boxed{1/4}, as in step 2.")
    >>> str(found.value), str(read_number("x = -3.").value), read_number("at 10:30")
    ('0.25', '-3', None)
    """
    boxed = boxed_text(text)
    if boxed is not None and (found := read_number(boxed, decimal=decimal)):
        return found
    whole = parse_number(text, decimal=decimal)
    if whole is not None:
        return whole
    numbers = [found for found in find_numbers(text, decimal=decimal) if found.value is not None]
    return numbers[-1] if numbers else None


def is_same_number(one: FoundNumber, other: FoundNumber) -> bool:
    """Whether two numbers are equal, exactly; a percent sign on one side only may stand for "of a hundred" or not.

    >>> half, fifty, percent, five = map(parse_number, ("1/2", "50", "50%", "5%"))
    >>> is_same_number(half, percent), is_same_number(fifty, percent), is_same_number(percent, five)
    (True, True, False)
    """
    if one.value is None or other.value is None:
        return False
    if one.is_percent == other.is_percent or one.value == other.value:
        return one.value == other.value
    share, number = (one, other) if one.is_percent else (other, one)
    return hundredth(share.value) == number.value


def boxed_text(text: str) -> str | None:
    r"""The contents of the last ``\boxed{…}`` of a text; to its end where the box is never closed.

    >>> boxed_text("so $\\boxed{\\frac{1}{2}}$, or a half"), boxed_text("so 1/2")
    ('\\frac{1}{2}', None)
    """
    start = text.rfind(_BOXED)
    if start < 0:
        return None
    start += len(_BOXED)
    stop = _closing_brace(text, start, len(text))
    return text[start:stop] if stop is not None else text[start:]


# ---- one figure


def _find(plain: str, decimal: DecimalSign, *, is_alone: bool = False) -> Iterator[FoundNumber]:
    at = 0
    while match := _FIGURE.search(plain, at):
        if match.lastgroup == "hex" or _is_in_name(plain, match.start()):
            at = match.end()
            continue
        for found in _read(plain, match, decimal, is_alone):
            yield found
            at = found.stop


def _read(plain: str, match: re.Match[str], decimal: DecimalSign, is_alone: bool) -> Iterator[FoundNumber]:
    """What a match stands for: one number, two (a range or subtraction), or something that is none."""
    start, stop = match.span()
    if match.lastgroup == "term":
        yield FoundNumber(start=start, stop=_end_of_term(plain, stop), value=None)
        return
    if match.lastgroup == "mixed":
        whole, _, part = match[0].replace(INNER_SPACE, " ").partition(" ")
        value = fraction_of(part)
        if value is not None and value < 1:
            yield _finished(plain, start, stop, sum_of(whole, value), is_alone)
            return
        stop = start + len(whole)
    if match.lastgroup == "chain" and match[0].count("-") == 1 and not set(match[0]) & {"/", ":"}:
        middle = start + match[0].index("-")
        yield _finished(plain, start, middle, _plain_value(plain[start:middle], decimal), is_alone)
        start = middle + 1
    yield _finished(plain, start, stop, _value(plain[start:stop], match.lastgroup, decimal), is_alone)


def _finished(plain: str, start: int, stop: int, value: Value | None, is_alone: bool) -> FoundNumber:
    """A number with what comes before and after it: sign, currency, exponent, percent sign."""
    exponent = _EXPONENT.match(plain, stop)
    if exponent is not None:
        value, stop = scaled(value, _power(exponent)), exponent.end()
    elif plain[start:stop] == "10" and (power := _OF_TEN.match(plain, stop)) is not None:
        value, stop = scaled(Decimal(1), _power(power)), power.end()
    if _TERM_BEHIND.match(plain, stop):
        return FoundNumber(start=start, stop=stop, value=None)
    begin, is_negative = _signed(plain, start, is_alone)
    if begin and plain[begin - 1] in "±∓":
        value = None
    percent = _PERCENT.match(plain, stop)
    return FoundNumber(
        start=begin,
        stop=percent.end() if percent else stop,
        value=negated(value) if is_negative else value,
        is_percent=percent is not None or "%" in plain[begin:start],
    )


def _power(match: re.Match[str]) -> str:
    return "".join(group or "" for group in match.groups()).translate(_RAISED_FIGURES)


def _signed(plain: str, start: int, is_alone: bool) -> tuple[int, bool]:
    """Where a number begins with its sign and currency, and whether it is negative."""
    reach = max(0, start - _REACH)
    match = _BEFORE.search(plain[reach:start])
    if match is None:
        return start, False
    outer, gap, mark, inner = match.group("outer", "gap", "mark", "inner")
    if inner and not mark:
        # Two signs in a row are a dash; a single one without such a mark is the outer one.
        return start, False
    if outer and not _may_stand_behind(plain, reach + match.start(), bool(gap), is_alone):
        outer = None
    begin = reach + (match.start() if outer else match.start("mark") if mark else start - reach)
    return begin, "-" in (outer, inner)


def _may_stand_behind(plain: str, at: int, has_gap: bool, is_alone: bool) -> bool:
    """Whether a plus or minus at a place can be a sign: elsewhere it is a hyphen, a subtraction or a bullet."""
    if has_gap:
        return (is_alone and not at) or plain[max(0, at - _REACH) : at].rstrip().endswith(("=", "(", "{"))
    before = plain[at - 1] if at else " "
    is_in_word = (before.isalnum() or unicodedata.category(before)[0] == "M") and not _UNSPACED.match(before)
    return not is_in_word and before not in ")]}%-+"


def _is_in_name(plain: str, start: int) -> bool:
    """Whether figures belong to a word (B12), a power (x^2) or an index (a_1)."""
    before = plain[start - 1] if start else " "
    if before == "{":
        return plain[max(0, start - 2) : start - 1] in {"^", "_"}
    return before in "^_√" or _is_spaced_letter(before)


def _is_spaced_letter(character: str) -> bool:
    """A letter of a script with capitals: there, words stand apart from numbers by a space."""
    return character.isalpha() and character.lower() != character.upper()


def _end_of_term(plain: str, stop: int) -> int:
    """After the arguments of a LaTeX command that makes no number of them."""
    while plain[stop : stop + 1] == "{":
        closing = _closing_brace(plain, stop + 1, stop + _MAX_TERM)
        if closing is None:
            break
        stop = closing + 1
    return stop


def _closing_brace(text: str, start: int, stop: int) -> int | None:
    depth = 1
    for brace in _BRACE.finditer(text, start, stop):
        depth += 1 if brace[0] == "{" else -1
        if not depth:
            return brace.start()
    return None


# ---- what it is worth


def _value(written: str, kind: str | None, decimal: DecimalSign) -> Value | None:
    if kind == "latex":
        return _latex_fraction(written, decimal)
    if kind == "vulgar":
        value = fraction_of(unicodedata.normalize("NFKC", written[-1]).replace("⁄", "/"))
        return sum_of(written[:-1].rstrip(f" {INNER_SPACE}"), value)
    if "/" in written:
        return fraction_of(written)
    return _plain_value(written, decimal)


def _plain_value(written: str, decimal: DecimalSign) -> Decimal | None:
    if ":" in written or "-" in written:
        return None
    digits = digits_of(_LATEX_SPACE.sub(INNER_SPACE, _LATEX_COMMA.sub(r"\1", written)), decimal)
    return None if digits is None else Decimal(f"{digits.whole}.{digits.fraction}" if digits.fraction else digits.whole)


def _latex_fraction(written: str, decimal: DecimalSign) -> Value | None:
    whole, _, arguments = written.partition("\\")
    first, second = _ARGUMENTS.findall(arguments)
    values = [_whole_argument(argument.strip("{} "), decimal) for argument in (first, second)]
    if None in values:
        return None
    return sum_of(whole.strip(f" {INNER_SPACE}"), quotient(*values))  # type: ignore[arg-type]  # None is ruled out


def _whole_argument(written: str, decimal: DecimalSign) -> int | None:
    value = _plain_value(written.lstrip("-"), decimal)
    if value is None or value != value.to_integral_value() or len(written) > MAX_FRACTION_FIGURES:
        return None
    return -int(value) if written.startswith("-") else int(value)


# ---- the text


def _bare(plain: str) -> str:
    """Without what surrounds an answer that is one number; empty where brackets hold a pair of them."""
    for _ in range(_REACH):
        before = plain
        # A backslash is LaTeX's only before a bracket or a sign of currency.
        plain = plain.strip(_AROUND)
        plain = _PRICE_END.sub("", plain)
        plain = _FORMULA.sub(r"\g<inner>", plain)
        plain = plain if plain.endswith(("\\)", "\\]")) else plain.rstrip(_BEHIND)
        for opening, closing in _WRAPPERS:
            if plain.startswith(opening) and plain.endswith(closing) and len(plain) > len(opening + closing):
                plain = plain[len(opening) : -len(closing)]
                if (opening, closing) in _BRACKETS and _PAIR.fullmatch(plain.strip()):
                    return ""
        if plain == before:
            break
    return plain
