"""Slips of the pen in run files: the line is shown, and the hint says what to write."""

from __future__ import annotations

import pytest

from flantune.errors import ConfigError
from flantune.settings.run_file import load_run_file, validated


def fault(tmp_path, text: str, *overrides: str) -> ConfigError:
    path = tmp_path / "run.toml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError) as caught:
        load_run_file(path, overrides=overrides)
    return caught.value


@pytest.mark.parametrize(
    ("text", "line", "hint"),
    [
        ("name = my run\n", "line 1, column 8: name = my run", 'text goes in quotes: "my run"'),
        ("[training]\nfreeze = True\n", "line 2, column 10: freeze = True", "write true"),
        ("seed = None # later\n", "seed = None", "a key that is left out has its default"),
        ("seed =\n", "line 1", "a key that is left out has its default"),
        ("name = “a run”\n", "name = “a run”", "straight quotes"),
        ("name = «a run»\n", "name = «a run»", "straight quotes"),
        ('[data]\nmirror = "C:\\Users\\me"\n', "C:\\Users\\me", "write paths with /"),
        ('[data]\nmirror = "D:\\data"\n', "D:\\data", "write paths with /"),
        ("training:\n  steps: 3\n", "line 1, column 9: training:", "looks like YAML"),
        ('{"seed": 1}\n', '{"seed": 1}', "looks like JSON"),
        ("seed\u00a0= 3\n", "line 1", "U+00A0"),
        ("\u200bseed = 3\n", "line 1", "U+200B"),
        ("seed = 3\nseed = 4\n", "the key occurs twice in line 2", "keep one"),
        ("[model]\n[data]\n[model]\n", 'the table "model" occurs twice in line 3', "keep one"),
        ("[data]\ntasks = [\n", "at the end of the file", "close what is open"),
    ],
)
def test_what_is_no_toml_is_shown_with_what_mends_it(tmp_path, text, line, hint):
    error = fault(tmp_path, text)
    assert "is not valid TOML" in error.message
    assert line in error.message
    assert hint in error.hint


@pytest.mark.parametrize(
    ("text", "near"),
    [
        ("steps = 3\n", 'steps (run.toml:1): unknown key; did you mean "training.steps"?'),
        ("[training]\nadapter = 'lora'\n", 'did you mean "model.adapter"?'),
        ("[training.evaluation]\nshots = [0]\n", 'did you mean "evaluation"?'),
        ("[model]\nshots = [0]\n", 'did you mean "evaluation.shots"?'),
        ("batch_tokens = 512\n", 'did you mean "packing.batch_tokens" or "evaluation.batch_tokens"?'),
    ],
)
def test_a_setting_in_the_wrong_section_is_shown_the_right_one(tmp_path, text, near):
    assert near in fault(tmp_path, text).message


@pytest.mark.parametrize("section", ["training", "model", "data"])
def test_a_section_in_double_brackets_is_told_so(tmp_path, section):
    error = fault(tmp_path, f"[[{section}]]\n")
    assert f"single ones: [{section}]" in error.message


@pytest.mark.parametrize("override", ["training..steps=3", ".=3", "=3", ".steps=3", "training.=3", " =1", "steps"])
def test_an_override_without_a_whole_key_is_refused(tmp_path, override):
    assert "is not dotted.key=value" in fault(tmp_path, "seed = 1\n", override).message


@pytest.mark.parametrize(
    ("tree", "bound"),
    [
        ({"seed": 2**64}, "should be less than 9223372036854775808, got 18446744073709551616"),
        ({"training": {"steps": -1}}, "should be at least 0, got -1"),
        ({"evaluation": {"confidence": 95}}, "should be at most 0.999, got 95"),
        ({"packing": {"row_tokens": 0}}, "should be greater than 0, got 0"),
    ],
)
def test_bounds_are_told_to_the_digit(tree, bound):
    with pytest.raises(ConfigError) as caught:
        validated(tree, where="run.toml")
    assert bound in caught.value.message


@pytest.mark.parametrize(
    "given", [{"system": "Be brief."}, {"chat_template": "a"}, {"chat_thinking": False}, {"chat_exemplars": "turns"}]
)
def test_what_says_nothing_without_a_chat_is_refused(given):
    with pytest.raises(ConfigError, match="has no effect without chat = true"):
        validated({"prompts": given}, where="run.toml")
    assert validated({"prompts": {"chat": True, **given}}, where="run.toml").prompts.chat
