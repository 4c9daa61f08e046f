"""Task files of lm-evaluation-harness that cannot be read: one line says what and where."""

from __future__ import annotations

import pytest

from flantune.errors import TaskError
from flantune.harness.harness_file import load_settings


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"task: [a\n", "in line 2, column 1"),
        (b"task: a: b\n", "in line 1, column 8"),
        (b"task: 'a\nmore: 1\n", "is not valid YAML"),
        (b"\ttask: a\n", "in line 1, column 1"),
        (b"task: \x00\n", "is not valid YAML"),
        (b"task: " + b"[" * 5000, "nested too deeply"),
        (b"when: 2020-13-45\n", "is not valid YAML"),
        (b"", "holds nothing; expected settings"),
        (b"# nothing\n", "holds nothing; expected settings"),
        (b"- a\n- b\n", "holds a list; expected settings"),
        (b"just words\n", "holds one value; expected settings"),
        ("task: é\n".encode("latin-1"), "byte 0xe9 in line 1"),
    ],
)
def test_a_broken_file_is_told_in_a_line(tmp_path, content, said):
    (tmp_path / "task.yaml").write_bytes(content)
    with pytest.raises(TaskError) as caught:
        load_settings(tmp_path / "task.yaml")
    assert said in caught.value.message
    assert "\n" not in caught.value.message
    assert "unicode string" not in caught.value.message


def test_a_byte_order_mark_and_line_ends_of_windows_are_read(tmp_path):
    (tmp_path / "task.yaml").write_bytes(b"\xef\xbb\xbftask: a\r\ngroup: b\r\n")
    assert load_settings(tmp_path / "task.yaml") == {"task": "a", "group": "b"}


def test_a_missing_file_has_near_ones(tmp_path):
    (tmp_path / "boolq.yaml").write_text("task: a\n")
    with pytest.raises(TaskError) as caught:
        load_settings(tmp_path / "bolq.yaml")
    assert "no such task file" in caught.value.message and 'did you mean "boolq.yaml"' in caught.value.hint
