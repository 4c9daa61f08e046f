from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flantune.errors import TemplateError
from flantune.prompts.slots import compile_slots

texts = st.text(max_size=40)


@given(words=st.lists(texts, min_size=1, max_size=5), data=st.data())
@settings(max_examples=50)
def test_escaped_words_and_any_values_come_out_as_they_went_in(words: list[str], data: st.DataObject) -> None:
    values = {f"s{number}": data.draw(texts) for number in range(len(words) - 1)}
    template = "".join(
        word.replace("{", "{{").replace("}", "}}") + (f"{{s{number}}}" if number < len(values) else "")
        for number, word in enumerate(words)
    )
    expected = "".join(word + values.get(f"s{number}", "") for number, word in enumerate(words))
    assert compile_slots(template).fill(values) == expected


def test_braces_in_values_are_never_read_as_slots() -> None:
    compiled = compile_slots("{a} and {b}")
    assert compiled.fill({"a": "{b} {{x}} {", "b": "}{a}"}) == "{b} {{x}} { and }{a}"


@pytest.mark.parametrize("text", ["an { alone", "a } too", "{a", "a}}}", "{{{a}} "])
def test_a_brace_without_partner_is_an_error_that_says_where(text: str) -> None:
    with pytest.raises(TemplateError, match=r"line 2"):
        compile_slots("first line\n" + text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("{a}\n\n{options}", "A"),
        ("{a}\n{options}\n\nAnswer:", "A\n\nAnswer:"),
        ("{options}\n\n{a}", "A"),
        ("{a} {options} then", "A then"),
        ("{a}: {options}", "A:"),
        ("{a}\n\n{options}\n{b}", "A\n\nB"),
        ("no slot at all", "no slot at all"),
    ],
)
def test_taking_the_options_out_leaves_no_hole(text: str, expected: str) -> None:
    assert compile_slots(text).without_options().fill({"a": "A", "b": "B"}) == expected
