"""Jinja for third-party texts: a sandbox with limited work and memory, and with keyed random choices.

A text that does more work than ``MOST_WORK``, or would make a text longer than ``MOST_CHARACTERS``, is stopped; see
``sandbox_limits``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache, wraps
from typing import Any, cast

import jinja2
import jinja2.filters
import jinja2.meta
from jinja2 import nodes
from jinja2.exceptions import SecurityError
from jinja2.sandbox import SandboxedEnvironment
from jinja2.visitor import NodeTransformer

from flantune.errors import TemplateError
from flantune.prompts.sandbox_limits import (
    METER,
    MOST_WORK,
    Choose,
    Meter,
    check_format,
    check_joined,
    check_length,
    check_product,
    check_replace,
    checked_arguments,
    is_small,
    metered,
    size,
    sized,
    spend,
)

_FILTERS = (
    *("abs", "capitalize", "count", "d", "default", "dictsort", "first", "float", "format", "groupby", "int", "items"),
    *("join", "last", "length", "list", "lower", "map", "max", "min", "reject", "rejectattr", "replace", "reverse"),
    *("round", "select", "selectattr", "sort", "string", "title", "trim", "truncate", "unique", "upper", "wordcount"),
)
_METHODS = {
    str: "split rsplit splitlines strip lstrip rstrip lower upper title capitalize startswith endswith find rfind index"
    " count replace join isdigit isalpha isalnum isupper islower isspace partition rpartition",
    list: "append extend insert pop remove index count reverse sort copy clear",
    dict: "keys values items get update pop setdefault copy clear",
}
_ALLOWED = {kind: frozenset(names.split()) for kind, names in _METHODS.items()}


def _turns(values: Any) -> Iterator[Any]:
    """The values of a loop; each iteration costs work."""
    for value in values:
        meter = METER.get()
        if meter is not None:
            meter.spend(meter.step)
        yield value


class _Metering(NodeTransformer):
    """Counts the work of what the sandbox itself does not limit: loops, concatenations, slices."""

    def visit_For(self, node: nodes.For) -> nodes.Node:  # noqa: N802 - named by the library
        self.generic_visit(node)
        node.iter = _toll(node.iter, "flantune turns")
        return node

    def visit_Compare(self, node: nodes.Compare) -> nodes.Node:  # noqa: N802
        self.generic_visit(node)
        node.expr = _toll(node.expr, "flantune sized")
        for operand in node.ops:
            operand.expr = _toll(operand.expr, "flantune sized")
        return node

    def visit_Concat(self, node: nodes.Concat) -> nodes.Node:  # noqa: N802
        self.generic_visit(node)
        return _toll(node, "flantune sized")

    def visit_Getitem(self, node: nodes.Getitem) -> nodes.Node:  # noqa: N802
        self.generic_visit(node)
        return _toll(node, "flantune sized") if isinstance(node.arg, nodes.Slice) else node

    def visit_List(self, node: nodes.List) -> nodes.Node:  # noqa: N802
        self.generic_visit(node)
        return _toll(node, "flantune sized")

    def visit_Tuple(self, node: nodes.Tuple) -> nodes.Node:  # noqa: N802
        self.generic_visit(node)
        return _toll(node, "flantune sized") if node.ctx == "load" else node


def _toll(node: nodes.Node, name: str) -> nodes.Filter:
    return nodes.Filter(cast("nodes.Expr", node), name, [], [], None, None, lineno=node.lineno)


class _Sandbox(SandboxedEnvironment):
    """Jinja's sandbox, with its work counted."""

    intercepted_binops = frozenset({"+", "*", "**", "%"})

    def call_binop(self, context: Any, operator: str, left: Any, right: Any) -> Any:
        if operator == "**" and not (is_small(left) and is_small(right)):
            raise SecurityError("powers of large numbers are not taken")
        if operator == "*":
            check_product(left, right)
        if operator == "%" and isinstance(left, str):
            check_format(left, right)
        spend(size(left) + size(right))
        return sized(super().call_binop(context, operator, left, right))

    def wrap_str_format(self, value: Any) -> None:  # noqa: ARG002 - no texts' own format: its widths have no end
        return None

    def is_safe_attribute(self, obj: Any, attr: str, value: Any) -> bool:
        kind = next((kind for kind in _ALLOWED if isinstance(obj, kind)), None)
        if kind is not None and callable(value) and attr not in _ALLOWED[kind]:
            return False
        return super().is_safe_attribute(obj, attr, value)

    def call(self, context: Any, obj: Any, *args: Any, **kwargs: Any) -> Any:
        meter = METER.get()
        if meter is not None:
            meter.spend(meter.step)
        owner = getattr(obj, "__self__", None)
        spend(size(owner) + sum(map(size, args)))
        if isinstance(owner, str) and args:
            args = checked_arguments(owner, obj.__name__, args)
        return sized(super().call(context, obj, *args, **kwargs))


def _replace(text: object, old: str, new: str, count: int | None = None) -> str:
    check_replace(str(text), old, new)
    return str(text).replace(str(old), str(new), -1 if count is None else count)


def _format(pattern: object, *args: Any, **kwargs: Any) -> str:
    check_format(str(pattern), *args, kwargs)
    return jinja2.filters.do_format(str(pattern), *args, **kwargs)


@jinja2.pass_eval_context
def _join(context: Any, values: Any, d: str = "", attribute: Any = None) -> str:
    listed = list(values)
    check_joined(str(d), listed)
    return str(jinja2.filters.sync_do_join(context, listed, d, attribute))


def _round(value: Any, precision: int = 0, method: Any = "common") -> Any:
    if abs(precision) > 100:
        raise SecurityError("a number is rounded to at most a hundred digits")
    return jinja2.filters.do_round(value, precision, method)


@jinja2.pass_context
def _choice(_: object, values: Any) -> Any:
    """One of the values, drawn by the key of the prompt and never by a global generator."""
    meter = METER.get()
    if meter is None or not len(values):
        return jinja2.Undefined("there is nothing to choose from")
    return values[meter.choose(len(values))]


def _most_frequent(values: Any) -> list[Any]:
    """All values that occur as often as the most frequent one, in order of appearance."""
    listed = list(values)
    counts: dict[Any, int] = {}
    for value in listed:
        counts[value] = counts.get(value, 0) + 1
    most = max(counts.values(), default=0)
    return [value for value, count in counts.items() if count == most]


def _range(*args: int) -> range:
    values = range(*args)
    spend(len(values))
    return values


_SLOW = {"title": 32, "wordcount": 8, "truncate": 8}
"""Filters that process text character by character, and their cost relative to reading it once."""


def _paid(function: Callable[..., Any], *, times: int = 1) -> Callable[..., Any]:
    """A filter or test that costs a multiple of the length of what it reads."""
    place = 1 if getattr(function, "jinja_pass_arg", None) is not None else 0

    @wraps(function)
    def paid(*args: Any, **kwargs: Any) -> Any:
        spend(1 + times * sum(map(size, args[place:])))
        return sized(function(*args, **kwargs))

    return paid


@cache
def _environment() -> _Sandbox:
    made = _Sandbox(finalize=_finalize)
    own: dict[str, Callable[..., Any]] = {
        **{name: made.filters[name] for name in _FILTERS},
        "replace": _replace,
        "format": _format,
        "join": _join,
        "round": _round,
        "choice": _choice,
        "random": _choice,
        "most_frequent": _most_frequent,
    }
    made.filters = {name: _paid(function, times=_SLOW.get(name, 1)) for name, function in own.items()}
    made.tests = {name: _paid(cast("Callable[..., Any]", test)) for name, test in made.tests.items()}
    made.filters |= {"flantune turns": _unfolded(_turns), "flantune sized": _unfolded(sized)}
    made.globals = {name: made.globals[name] for name in ("dict", "namespace", "cycler", "joiner")}
    made.globals |= {"range": _range, "zip": zip}
    return made


def _finalize(value: Any) -> Any:
    """Printed text costs its length."""
    spend(size(value))
    return value


def _unfolded(function: Callable[[Any], Any]) -> Callable[..., Any]:
    """A filter that is never constant-folded when the text is compiled."""

    @jinja2.pass_context
    def unfolded(_: object, value: Any) -> Any:
        return function(value)

    return unfolded


@dataclass(frozen=True, slots=True, kw_only=True)
class JinjaProgram:
    """A compiled Jinja text.

    Attributes:
        text: The source text.
        names: The outside variables that it uses, in order of appearance.
        words: Its own words, with a space where something is filled in.
    """

    text: str
    names: tuple[str, ...]
    words: str
    template: jinja2.Template

    def render(self, values: Mapping[str, Any], *, choose: Choose) -> str:
        """The text with these values; every random choice calls ``choose``.

        Raises:
            TemplateError: It fails on these values, exceeds a limit, or accesses something forbidden.
        """
        meter = Meter(left=MOST_WORK, step=1 + len(self.text) // 64, choose=choose)
        pieces, characters = [], 0
        try:
            with metered(meter):
                for piece in self.template.generate(values):
                    characters += len(piece)
                    check_length(characters)
                    pieces.append(piece)
        except TemplateError:
            raise
        except (SecurityError, RecursionError, MemoryError) as error:
            raise TemplateError(f"the template does something that is not allowed: {_said(error)}") from None
        except Exception as error:
            # The text is a third-party program: any exception counts as a failure on this row.
            raise TemplateError(f"the template fails on this row: {_said(error)}") from None
        return "".join(pieces)


def read_jinja(text: str) -> JinjaProgram:
    """Compiles a Jinja text.

    Raises:
        TemplateError: It cannot be read.
    """
    environment = _environment()
    try:
        tree = environment.parse(text)
        names = _names(tree)
        words = " ".join(one.data for one in tree.find_all(nodes.TemplateData))
        with metered(Meter(left=MOST_WORK, step=1, choose=lambda _: 0)):
            code = environment.compile(_Metering().visit(tree))
        template = jinja2.Template.from_code(environment, code, environment.make_globals(None))
    except jinja2.TemplateSyntaxError as error:
        raise TemplateError(
            f"line {error.lineno} is not Jinja: {error.message}", hint="compare the text with its authors' own file"
        ) from None
    except (RecursionError, MemoryError, jinja2.TemplateError) as error:
        raise TemplateError(f"the template cannot be read: {_said(error)}") from None
    return JinjaProgram(text=text, names=names, words=words, template=template)


def tokens(text: str) -> Iterator[tuple[str, str]]:
    """A text as tokens with their types ("variable_begin", "data" …), which together are the text.

    Raises:
        TemplateError: It is not Jinja.
    """
    try:
        for _, kind, piece in _environment().lex(text):
            yield kind, piece
    except jinja2.TemplateSyntaxError as error:
        raise TemplateError(f"line {error.lineno} is not Jinja: {error.message}") from None


def _names(tree: nodes.Template) -> tuple[str, ...]:
    free = jinja2.meta.find_undeclared_variables(tree)
    shown = [one.name for one in tree.find_all(nodes.Name) if one.name in free]
    return tuple(dict.fromkeys(shown))


def _said(error: BaseException) -> str:
    text = str(error).partition("\n")[0]
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
