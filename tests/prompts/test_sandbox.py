"""Texts of strangers: what they may not do, however they try, and that they are stopped."""

from __future__ import annotations

import random

import pytest

from flantune.errors import TemplateError
from flantune.prompts.sandbox import read_jinja
from flantune.prompts.sandbox_limits import MOST_CHARACTERS


def render(text: str, **values: object) -> str:
    return read_jinja(text).render(values, choose=lambda count: count - 1)


def test_it_is_jinja():
    text = "{% for one in words %}{{ loop.index }}/{{ loop.length }} {{ one | upper }};{% endfor %}"
    assert render(text, words=["a", "b"]) == "1/2 A;2/2 B;"
    text = "{% set s = namespace(n=0) %}{% for a, b in zip(x, y) %}{% set s.n = s.n + a * b %}{% endfor %}{{ s.n }}"
    assert render(text, x=[1, 2], y=[3, 4]) == "11"
    assert render("{{ missing }}{{ row.missing }}", row={}) == ""
    text = "{{ '%.1f' | format(3) }} {{ ['b', 'a'] | sort | join('-') }} {{ 'x' ~ 3 }} {{ words[1:] }}"
    assert render(text, words="abc") == "3.0 a-b x3 bc"


def test_draws_ask_the_key_and_never_the_generator_of_the_process():
    before = random.getstate()
    assert render("{{ ['a', 'b', 'c'] | choice }}{{ [1, 2] | random }}") == "c2"
    assert random.getstate() == before


def test_all_that_is_most_frequent_in_order_of_appearance():
    assert render("{{ [3, 1, 1, 3, 2] | most_frequent }}{{ [] | most_frequent }}") == "[3, 1][]"


ESCAPES = (
    "{{ ''.__class__.__mro__ }}",
    "{{ [].append.__globals__ }}",
    "{{ row.__init__.__globals__ }}",
    "{{ '{0.__class__}'.format(1) }}",
    "{{ cycler.__init__.__globals__.os }}",
    "{% include 'secrets' %}",
    "{% import 'os' as os %}",
    "{{ lipsum() }}",
    "{{ range.__self__ }}x{{ 1 / 0 }}",
)


@pytest.mark.parametrize("text", ESCAPES)
def test_nothing_of_the_machine_can_be_reached(text: str):
    try:
        assert "class" not in render(text, row={}) and "os" not in render(text, row={})
    except TemplateError as error:
        assert "template" in error.message


BOMBS = (
    "{% set a = 'x' * 3999998 %}{{ (['xy'] * 50000) | select('in', a) | list | length }}",
    "{% set a = 'x ' * 1999999 %}{% for i in range(90000) %}{% set b = a | title %}{% endfor %}",
    "{% set a = 'x ' * 1999999 %}{% for i in range(90000) %}{% set b = a | wordcount %}{% endfor %}",
    "{% for a in range(100000) %}{% for b in range(100000) %}{% endfor %}{% endfor %}",
    "{% for a in range(10**9) %}{% endfor %}",
    "{{ 'a' * 10**9 }}",
    "{{ 10 ** 10 ** 10 }}",
    "{{ [0] * 10**8 }}",
    "{% set ns = namespace(s='abcdefgh') %}{% for a in range(60) %}{% set ns.s = ns.s ~ ns.s %}{% endfor %}",
    "{% set ns = namespace(s='abcdefgh') %}{% for a in range(60) %}{% set ns.s = ns.s + ns.s %}{% endfor %}",
    "{% set ns = namespace(s=(1,)) %}{% for a in range(60) %}{% set ns.s = (ns.s, ns.s) %}{% endfor %}{{ ns.s }}",
    "{% set ns = namespace(n=9) %}{% for a in range(60) %}{% set ns.n = ns.n * ns.n %}{% endfor %}{{ ns.n }}",
    "{% set l = [1] %}{% for a in range(60) %}{% set _ = l.extend(l) %}{% endfor %}{{ l | length }}",
    "{% set l = [1] %}{% set _ = l.append(l) %}{{ l }}",
    "{% set s = 'a' * 1000000 %}{% set l = [] %}{% for a in range(1000) %}{% set _ = l.append(s) %}{% endfor %}{{ l }}",
    "{{ ('a' * 1000000) | replace('a', 'b' * 1000) }}",
    "{{ ('a' * 1000000).replace('', 'b' * 1000) }}",
    "{{ ('a' * 1000000).join(range(1000)) }}",
    "{{ range(1000) | join('a' * 1000000) }}",
    "{{ '%1000000000d' | format(1) }}",
    "{{ '%(a)01000000000d' % {'a': 1} }}",
    "{{ '%*d' % (1000000000, 1) }}",
    "{{ ('%(a)s' * 1000) % {'a': 'b' * 1000000} }}",
    "{% set p = '%(a)999d' * 400000 %}{{ p % {'a': 1} }}",
    "{% set a = 'x' * 999998 %}{% set b = a ~ 'y' %}{% set c = a ~ 'z' %}"
    "{% for i in range(900000) %}{% if b == c or b is eq c %}1{% endif %}{% endfor %}",
    "{% set a %}{% for i in range(900000) %}" + "words " * 100 + "{% endfor %}{% endset %}{{ a }}",
    "{% set ns = namespace() %}{% set ns.a = ns %}{{ ns | string }}{{ 'x' ~ ns }}{% set l = [ns] %}",
    "{{ 'a'.center(10**9) }}",
    "{{ 'a'.zfill(10**9) }}",
    "{{ '{:1000000000}'.format(1) }}",
    "{{ 1.5 | round(10**9) }}",
    "{% macro m(n) %}{{ m(n - 1) }}{{ m(n - 1) }}{% endmacro %}{{ m(40) }}",
    "{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}",
    "{% set s = 'a' * 1000000 %}{% for a in range(1000) %}{{ s }}{% endfor %}",
    "{% set s = 'a' * 3000000 %}{% macro m() %}{% for a in range(999) %}{{ s }}{% endfor %}{% endmacro %}{{ m() }}",
    "{% for a in range(2000000) %}" + "words " * 2_000 + "{% endfor %}",
)


@pytest.mark.parametrize("text", BOMBS)
def test_what_would_take_all_time_or_memory_is_stopped(text: str):
    with pytest.raises(TemplateError, match=r"template|may"):
        render(text)


def test_long_texts_of_real_rows_are_no_bombs():
    words = "It rains. " * (MOST_CHARACTERS // 100)
    text = "{{ story }} {{ story | length }} {% for one in story.split('. ') %}{{ one }}{% endfor %}"
    assert len(render(text, story=words)) > 700_000


def test_what_cannot_be_read_is_told_with_its_line():
    with pytest.raises(TemplateError, match="line 2 is not Jinja"):
        read_jinja("one\n{% if %}")
    with pytest.raises(TemplateError, match="fails on this row: UndefinedError"):
        render("{{ missing.one.two }}")
