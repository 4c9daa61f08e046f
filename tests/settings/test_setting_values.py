"""What a setting may be: every one of every section, tried with values that no setting means."""

from __future__ import annotations

import math
import types
import typing
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import BaseModel

from flantune.errors import ConfigError
from flantune.settings.config import RunConfig
from flantune.settings.run_file import load_run_file, to_toml, validated

Setting = tuple[str, object, object]


def settings(model: type[BaseModel] = RunConfig, prefix: str = "") -> Iterator[Setting]:
    """Dotted key, type and default of every setting, sections that are left out by default among them."""
    hints = typing.get_type_hints(model)
    for name, field in model.model_fields.items():
        sections = [one for one in (hints[name], *typing.get_args(hints[name])) if isinstance(one, type)]
        section = next((one for one in sections if issubclass(one, BaseModel)), None)
        if section is model:
            continue  # a part's parts, which are as it is
        if section is not None:
            named = "some." if typing.get_origin(hints[name]) is dict else ""
            yield from settings(section, f"{prefix}{name}.{named}")
        else:
            yield f"{prefix}{name}", hints[name], field.default


ALL = list(settings())


def kinds(hint: object) -> set[type]:
    parts = typing.get_args(hint) if typing.get_origin(hint) in (typing.Union, types.UnionType) else (hint,)
    return {part for part in parts if isinstance(part, type)}


def of_kind(kind: type) -> list[str]:
    return [key for key, hint, _ in ALL if kind in kinds(hint)]


def tree(key: str, value: object) -> dict[str, object]:
    *sections, name = key.split(".")
    found: dict[str, object] = {name: value}
    for section in reversed(sections):
        found = {section: found}
    return found


def refused(key: str, value: object) -> str:
    with pytest.raises(ConfigError) as caught:
        validated(tree(key, value), where="run.toml")
    text = str(caught.value)
    assert key.rpartition(".")[0] in text
    assert not any(word in text for word in ("Input should", "input should", "pydantic", "Value error", "function-"))
    return text


def test_there_are_settings_of_every_kind():
    assert min(len(of_kind(kind)) for kind in (int, float, bool)) > 10


@pytest.mark.parametrize("key", of_kind(int))
@pytest.mark.parametrize("value", [True, False, 1.0, 1.5, "3", math.inf, math.nan, 10**26, -(10**26)])
def test_a_whole_number_is_nothing_else(key, value):
    refused(key, value)


@pytest.mark.parametrize("key", of_kind(float))
@pytest.mark.parametrize("value", [True, "0.1", math.inf, -math.inf, math.nan, 1e39, 10**400, -1])
def test_a_number_is_finite_and_fits_into_float32(key, value):
    if (key, value) != ("evaluation.confidence", True):
        refused(key, value)


@pytest.mark.parametrize("key", of_kind(bool))
@pytest.mark.parametrize("value", [0, 1, 1.0, "true", "yes", []])
def test_a_switch_is_true_or_false(key, value):
    assert "should be true or false" in refused(key, value)


@pytest.mark.parametrize("key", [key for key in of_kind(float) if key != "evaluation.confidence"])
def test_zero_has_no_sign(key):
    try:
        config = validated(tree(key, -0.0), where="run.toml")
    except ConfigError:
        return  # must be above zero
    value: object = config
    for part in key.split("."):
        value = getattr(value, part)
    assert math.copysign(1.0, value) == 1.0
    assert validated(tree(key, 0.0), where="run.toml") == config


@pytest.mark.parametrize("key", of_kind(Path))
@pytest.mark.parametrize("value", ["", "a\0b", 3, True, "\ud800"])
def test_a_path_names_something(key, value):
    refused(key, value)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("data.include", ["rte", "copa", "rte"]),
        ("data.tasks", ["a.toml", "a.toml"]),
        ("data.collection", ["more", "more"]),
        ("evaluation.shots", [0, 5, 0]),
        ("evaluation.content_free", ["N/A", "N/A"]),
        ("training.no_decay", ["norms", "norms"]),
        ("holdout.folds", [["nli"], ["sentiment"], ["nli"]]),
        ("holdout.folds", [["nli", "sentiment"], ["Sentiment", "NLI"]]),
        ("holdout.folds", [["nli", "NLI"]]),
        ("holdout.task_folds", [["rte", "cb"], ["cb", "rte"]]),
    ],
)
def test_nothing_stands_twice(key, value):
    assert "twice" in refused(key, value)


@pytest.mark.parametrize("key", ["evaluation.shots", "prompts.train_shots", "evaluation.content_free"])
def test_what_is_needed_is_not_empty(key):
    assert "should have at least 1 entry" in refused(key, [])


def test_a_number_of_exemplars_may_be_given_more_weight():
    assert validated(tree("prompts.train_shots", [0, 0, 5]), where="").prompts.train_shots == (0, 0, 5)


def test_an_empty_fold_holds_nothing_out():
    assert "holdout.folds[1]" in refused("holdout.folds", [["nli"], []])


def test_a_model_is_loaded_or_made_and_not_both():
    text = refused("model", {"path": "org/model", "scratch": {"layers": 2}})
    assert 'path = "org/model"' in text
    assert "[model.scratch]" in text


def test_a_step_holds_a_row():
    text = refused("packing", {"row_tokens": 512, "batch_tokens": 511})
    assert "batch_tokens = 511" in text
    assert "row_tokens = 512" in text


@pytest.mark.parametrize("seed", [2**63, 2**64, -1])
def test_a_seed_is_one_that_every_generator_takes(seed):
    refused("seed", seed)
    assert validated({"seed": 2**63 - 1}, where="").seed == 2**63 - 1


@pytest.mark.parametrize(
    "character", [*map(chr, range(1, 32)), "\x7f", "\x80", "\x85", "\u2028", "\ufeff", "\U0010ffff"]
)
def test_every_character_is_read_back(tmp_path, character):
    config = validated({"name": f"a{character}b", "prompts": {"target_separator": character}}, where="")
    path = tmp_path / "run.toml"
    path.write_bytes(to_toml(config).encode("utf-8"))
    assert load_run_file(path).config == config


@pytest.mark.parametrize("half", ["\ud800", "\udfff", "a\udc80b"])
@pytest.mark.parametrize("key", ["name", "prompts.system", "data.include"])
def test_half_a_character_is_refused(key, half):
    value = [half] if key == "data.include" else half
    assert "half of a surrogate pair" in refused(key, value)


def test_a_path_that_is_no_text_cannot_be_written_down(tmp_path):
    config = validated({"data": {"cache": Path("a\udc80b")}}, where="")
    with pytest.raises(ConfigError, match="rename it"):
        to_toml(config)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("seed = " + "9" * 5000, "not valid TOML"),
        ("a = " + "[" * 100_000, "nested too deeply"),
        ("a" + ".a" * 100_000 + " = 1", "more than 200 parts"),
        ("[" + '"a".' * 100_000 + "a]", "more than 200 parts"),
        ("seed = 1\nseed = 2", "not valid TOML"),
        ("when = 1979-13-40", "not valid TOML"),
        ("\x00", "not valid TOML"),
        ('name = "\x1b"', "not valid TOML"),
    ],
)
def test_whatever_stands_in_a_run_file_is_said_in_a_sentence(tmp_path, text, said):
    (tmp_path / "run.toml").write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError, match=said):
        load_run_file(tmp_path / "run.toml")


def test_bytes_that_are_no_text_have_a_line(tmp_path):
    (tmp_path / "run.toml").write_bytes(b'name = "a"\nseed = "\xff"\n')
    with pytest.raises(ConfigError, match="0xff in line 2"):
        load_run_file(tmp_path / "run.toml")


def test_a_folder_a_loop_and_a_pipe_are_no_run_files(tmp_path):
    import os

    (tmp_path / "folder.toml").mkdir()
    (tmp_path / "loop.toml").symlink_to("loop.toml")
    os.mkfifo(tmp_path / "pipe.toml")
    for name, said in (("folder", "is a folder"), ("loop", "cannot be read"), ("pipe", "is a device or a pipe")):
        with pytest.raises(ConfigError, match=said):
            load_run_file(tmp_path / f"{name}.toml")
    with pytest.raises(ConfigError, match=r"no such run file|cannot be read"):
        load_run_file(tmp_path / ("n" * 400))


def test_an_override_sets_one_thing():
    from flantune.settings.run_file import parse_override

    assert parse_override("name=a\nseed = 3") == ("name", "a\nseed = 3")
    assert parse_override("training.steps=true") == ("training.steps", True)
