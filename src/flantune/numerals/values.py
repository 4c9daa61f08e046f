"""What a number is worth, exactly: a decimal number, or a fraction where the decimals never end."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction

Value = Decimal | Fraction

# No number that anybody means has a larger exponent, or a fraction of larger parts; both would cost time to expand.
MAX_FRACTION_FIGURES = 50
_MAX_EXPONENT, _MAX_EXPONENT_FIGURES = 9999, 8


def plain_form(value: Value) -> str:
    """A number in plain ASCII, one form for each value.

    >>> plain_form(Decimal("1.50E+3")), plain_form(Decimal("-0.0")), plain_form(Fraction(-2, 6))
    ('1500', '0', '-1/3')
    """
    if isinstance(value, Fraction):
        return str(value)
    shown = f"{value:f}"
    shown = shown.rstrip("0").rstrip(".") if "." in shown else shown
    return "0" if shown == "-0" else shown


def fraction_of(written: str) -> Value | None:
    """Two whole numbers over each other, as "1/2"; None where they are none, or the second is nought."""
    parts = written.split("/")
    if len(parts) != 2 or not all(part.isdecimal() and len(part) <= MAX_FRACTION_FIGURES for part in parts):
        return None
    return quotient(int(parts[0]), int(parts[1]))


def sum_of(whole: str, part: Value | None) -> Value | None:
    """A mixed number: whole figures (or none) and a fraction.

    >>> sum_of("1", Decimal("0.5")), sum_of("", Fraction(1, 3))
    (Decimal('1.5'), Fraction(1, 3))
    """
    if part is None or len(whole) > MAX_FRACTION_FIGURES:
        return None
    exact = Fraction(part) + int(whole or 0)
    return quotient(exact.numerator, exact.denominator)


def quotient(above: int, below: int) -> Value | None:
    """A fraction as a decimal number where its decimals end, so that equal values are of one kind."""
    if not below:
        return None
    exact = Fraction(above, below)
    rest, places = exact.denominator, 0
    while rest % 10 == 0 or rest % 5 == 0 or rest % 2 == 0:
        rest //= 10 if rest % 10 == 0 else 5 if rest % 5 == 0 else 2
        places += 1
    return exact if rest > 1 else Decimal(f"{exact.numerator * 10**places // exact.denominator}e-{places}")


def scaled(value: Value | None, exponent: str) -> Decimal | None:
    """A number times a power of ten; None where nobody can mean it.

    >>> scaled(Decimal("1.5"), "-3"), scaled(Decimal(1), "999999999")
    (Decimal('0.0015'), None)
    """
    if not isinstance(value, Decimal) or len(exponent) > _MAX_EXPONENT_FIGURES or abs(int(exponent)) > _MAX_EXPONENT:
        return None
    return Decimal(f"{value:f}e{exponent}")


def negated(value: Value | None) -> Value | None:
    """Minus the number. Not by the operator, which rounds what is longer than the precision of the context."""
    return value.copy_negate() if isinstance(value, Decimal) else None if value is None else -value


def hundredth(value: Value | None) -> Value | None:
    """A hundredth, exactly."""
    return Decimal(f"{value:f}e-2") if isinstance(value, Decimal) else None if value is None else value / 100
