"""The holes of a template."""

from __future__ import annotations

from string import Formatter


def slots_of(text: str) -> tuple[str, ...]:
    """Names of the holes in a template's text, in order; ``{{`` and ``}}`` are no holes.

    >>> slots_of("{premise} Is it so that {hypothesis}? {{yes}}")
    ('premise', 'hypothesis')

    Raises:
        ValueError: The braces do not match, or a hole holds more than a name.
    """
    try:
        holes = list(Formatter().parse(text))
    except ValueError as error:
        raise ValueError(f"{error}; literal braces are written {{{{ and }}}}") from None
    names = []
    for _, name, form, conversion in holes:
        if name is None:
            continue
        if form or conversion:
            raise ValueError(f"a slot is a name alone; got {{{name}…}}; literal braces are written {{{{ and }}}}")
        names.append(name)
    return tuple(names)
