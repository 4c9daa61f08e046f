"""TOML as it is written: the same values when it is read, and a line for each array."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from flantune.settings.toml_file import parse_toml, toml_text

# Whatever could be taken for the end of a line inside an array.
TEXT = st.text(alphabet="[],\n ='\"{}a#\\", max_size=8)
VALUE = st.recursive(
    st.integers(-9, 9) | TEXT | st.booleans(),
    lambda parts: st.lists(parts, max_size=3) | st.dictionaries(TEXT, parts, max_size=3),
    max_leaves=12,
)


@given(st.dictionaries(TEXT, VALUE, max_size=4))
def test_what_is_written_is_read_again(values: dict[str, Any]) -> None:
    assert parse_toml(toml_text(values)) == values


def test_an_array_is_one_line() -> None:
    written = toml_text({"include": ["a, [", "b"], "holdout": {"folds": [["x"], ["y", "z"]], "none": []}})
    assert written == 'include = ["a, [", "b"]\n\n[holdout]\nfolds = [["x"], ["y", "z"]]\nnone = []\n'
