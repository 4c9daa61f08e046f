"""The run file: read it, check it, say where each value came from, and name it by a fingerprint."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from flantune.errors import ConfigError
from flantune.settings.config import RunConfig
from flantune.settings.plain_words import problems_of
from flantune.settings.sections import Problems, keys_at, said, sections_in
from flantune.settings.toml_file import parse_toml, read_toml, toml_text

Tree = dict[str, Any]

_TABLE = re.compile(r"^\s*\[\s*([A-Za-z0-9_.\-]+)\s*\]")
_KEY = re.compile(r"^\s*([A-Za-z0-9_.\-]+)\s*=")


@dataclass(frozen=True, slots=True, kw_only=True)
class RunFile:
    """A checked run file.

    Attributes:
        config: Every setting, defaults filled in, paths absolute.
        origins: Dotted setting → origin of its value: ``run.toml:12``, ``--set`` or ``default``.
        root: The folder that relative paths in the file start from.
    """

    config: RunConfig
    origins: Mapping[str, str]
    root: Path


def load_run_file(path: Path, *, overrides: Sequence[str] = ()) -> RunFile:
    """Reads a run file and reports everything wrong with it at once.

    Args:
        path: The TOML file.
        overrides: ``dotted.key=value`` settings that win over the file; values are TOML, bare words are text.

    Raises:
        ConfigError: The file is missing, is not TOML, or holds unknown keys or wrong values (all are listed).
    """
    hint = "`flantune init` writes one; examples/ has more"
    text, tree = read_toml(path, error=ConfigError, what="run file", hint=hint)
    if "templates" in tree or "conversation" in tree:
        hint = f'name it in a run file: [data] tasks = ["{path.name}"]; `flantune templates lint` takes it as it is'
        raise ConfigError("this is a task file, not a run file", where=str(path), hint=hint)
    origins = {key: f"{path.name}:{line}" for key, line in _line_numbers(text).items()}
    for override in overrides:
        key, value = parse_override(override)
        _assign(tree, key, value)
        origins[key] = "--set"
    config = validated(tree, where=str(path), origins=origins)
    root = path.parent.resolve()
    return RunFile(config=_with_absolute_paths(config, root=root), origins=_all_origins(config, origins), root=root)


def run_file_of(config: RunConfig, *, root: Path, origin: str) -> RunFile:
    """Wraps a config made in Python, so that it can be run like a file."""
    absolute = _with_absolute_paths(config, root=root)
    return RunFile(config=absolute, origins={key: origin for key, _ in flatten(absolute)}, root=root)


def with_settings(file: RunFile, changes: Mapping[str, object], *, origin: str) -> RunFile:
    """The run file with some settings changed, checked like any run file.

    Args:
        file: The run file.
        changes: Dotted setting → its new value, as in a run file; paths are relative to the run file's folder.
        origin: Where the changes come from, for ``RunFile.origins`` and messages.

    Raises:
        ConfigError: Some are unknown or wrong, or do not go together; all are listed.
    """
    tree: Tree = {}
    given = {key: value for key, value in flatten(file.config) if file.origins.get(key, "default") != "default"}
    for key, value in given.items():
        _assign(tree, key, _plainly(value))
    for key, value in changes.items():
        _assign(tree, key, value)
    origins = {key: text for key, text in file.origins.items() if key in given} | dict.fromkeys(changes, origin)
    config = validated(tree, where=origin, origins=origins)
    return RunFile(
        config=_with_absolute_paths(config, root=file.root), origins=_all_origins(config, origins), root=file.root
    )


def _plainly(value: object) -> object:
    return str(value) if isinstance(value, Path) else value


def flatten(config: BaseModel, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Every setting as (dotted key, value), with sections flattened.

    >>> dict(flatten(RunConfig(seed=3)))["training.steps"]
    30000
    """
    for name in type(config).model_fields:
        value = getattr(config, name)
        if isinstance(value, BaseModel):
            yield from flatten(value, f"{prefix}{name}.")
        elif isinstance(value, dict) and value:  # tables with free names, such as [mixture.parts.NAME]
            yield f"{prefix}{name}", {key: _plain(one) for key, one in value.items()}
        else:
            yield f"{prefix}{name}", value


def _plain(value: object) -> object:
    return value.model_dump(mode="json", exclude_defaults=True) if isinstance(value, BaseModel) else value


def fingerprint(*parts: object) -> str:
    """The content's fingerprint: 32 hexadecimal digits of SHA-256 over canonical JSON.

    >>> fingerprint({"b": 1, "a": 2}) == fingerprint({"a": 2, "b": 1})
    True
    """
    text = json.dumps(parts, sort_keys=True, ensure_ascii=False, default=str)
    return hashlib.sha256(text.encode("utf-8")).hexdigest()[:32]


def to_toml(config: BaseModel) -> str:
    """The config as the text of an equivalent run file; settings that are None are left out.

    Raises:
        ConfigError: A path is not a text.
    """
    try:
        return toml_text(config.model_dump(mode="json", exclude_none=True))
    except ValueError as error:
        hint = "a folder or file is named in something else than UTF-8: rename it"
        raise ConfigError(f"the settings cannot be written down: {error}", hint=hint) from None


def explain(key: str) -> str:
    """A setting's docstring: its help.

    >>> explain("training.steps").startswith("Largest number of optimizer steps")
    True
    """
    model: type[BaseModel] = RunConfig
    *sections, name = key.split(".")
    for section in sections:
        model = next(sections_in(model.model_fields[section].annotation))
    return model.model_fields[name].description or ""


def _line_numbers(text: str) -> dict[str, int]:
    """Dotted key → line, for tables and plain keys; keys inside inline tables count as their table's line."""
    found: dict[str, int] = {}
    table = ""
    for number, line in enumerate(text.split("\n"), start=1):
        if match := _TABLE.match(line):
            table = match[1] + "."
            found[match[1]] = number
        elif match := _KEY.match(line):
            found[table + match[1]] = number
    return found


def parse_override(text: str, *, where: str = "--set") -> tuple[str, Any]:
    """Key and value of ``dotted.key=value``; the value is TOML, or text if it is not valid TOML.

    >>> parse_override("training.steps=100"), parse_override("name=a run")
    (('training.steps', 100), ('name', 'a run'))

    Raises:
        ConfigError: There is no key, or no "=".
    """
    key, separator, raw = text.partition("=")
    if not separator or not all(part.strip() for part in key.split(".")):
        example = "--set training.steps=100" if where == "--set" else f"{where} key=value"
        raise ConfigError(f'"{text}" is not dotted.key=value', where=where, hint=f"for example {example}")
    try:
        found = parse_toml(f"value = {raw}")
    except ValueError:
        return key.strip(), raw
    # What brings further lines is text, not settings of its own.
    return key.strip(), found["value"] if len(found) == 1 else raw


def _assign(tree: Tree, key: str, value: object) -> None:
    *sections, name = key.split(".")
    for section in sections:
        tree = tree.setdefault(section, {})
        if not isinstance(tree, dict):
            hint = "`flantune config show` lists every setting with its section"
            raise ConfigError(f'"{section}" is not a section', where=f"--set {key}", hint=hint)
    tree[name] = value


def validated(values: object, *, where: str, origins: Mapping[str, str] | None = None, hint: str = "") -> RunConfig:
    """The config from plain values, as in a run file or a run folder.

    Raises:
        ConfigError: Some are unknown or wrong; all are listed.
    """
    try:
        return RunConfig.model_validate(values)
    except ValidationError as error:
        problems = Problems()
        for problem in problems_of(error):
            location = [str(part) for part in problem.place]
            place = next((f" ({origins[k]})" for k in _ancestors(location) if origins and k in origins), "")
            known = keys_at(RunConfig, problem.place[:-1])
            problems.add(f"{problem.path}{place}", said(problem, known=known, near=_elsewhere(location[-1])))
        raise problems.error(ConfigError, where=where, hint=hint or _EVERY_SETTING) from None


_EVERY_SETTING = "`flantune config show` lists every setting with its meaning"


def _ancestors(location: Sequence[str]) -> Iterator[str]:
    for end in range(len(location), 0, -1):
        yield ".".join(location[:end])


def _elsewhere(name: str) -> str:
    """The right section for a key in the wrong section; empty if there is none."""
    keys = [key for key, _ in flatten(RunConfig())]
    keys += sorted({key.rpartition(".")[0] for key in keys} - {""})
    found = [key for key in keys if key.rpartition(".")[2] == name]
    names = " or ".join(f'"{key}"' for key in found[:3])
    return f"did you mean {names}?" if found else ""


def _with_absolute_paths(config: RunConfig, *, root: Path) -> RunConfig:
    data, holdout, model, prompts = config.data, config.holdout, config.model, config.prompts
    tasks = tuple(str(root / pattern) for pattern in data.tasks)
    folders = {
        key: section.model_copy(update={"folder": _under(root, section.folder)})
        for key in ("natural_instructions", "promptsource", "chain_of_thought")
        if (section := getattr(data, key)) is not None
    }
    pretraining = config.pretraining
    texts = tuple(str(root / pattern) for pattern in pretraining.files) if pretraining else ()
    local = root / model.path if model.path else None
    return config.model_copy(
        update={
            "data": data.model_copy(
                update={
                    "tasks": tasks,
                    **folders,
                    "clusters": str(root / data.clusters) if data.clusters.endswith(".toml") else data.clusters,
                    **{key: _under(root, getattr(data, key)) for key in ("mirror", "cache", "clean", "prepared")},
                }
            ),
            "prompts": prompts.model_copy(update={"chat_template": _under(root, prompts.chat_template)}),
            "holdout": holdout.model_copy(update={"taxonomy": _under(root, holdout.taxonomy)}),
            "evaluation": config.evaluation.model_copy(update={"store": _under(root, config.evaluation.store)}),
            "pretraining": pretraining.model_copy(update={"files": texts}) if pretraining else None,
            "model": model.model_copy(update={"path": str(local)}) if local and local.exists() else model,
        }
    )


def _under(root: Path, path: Path | None) -> Path | None:
    if path is None:
        return None
    # An absolute path on the right of "/" wins, so absolute settings stay as they are.
    whole = (root / path).absolute()
    try:
        return whole.resolve()
    except (OSError, RuntimeError):  # a link to itself: opening it will raise the error
        return whole


def _all_origins(config: RunConfig, origins: Mapping[str, str]) -> dict[str, str]:
    found = {}
    for key, _ in flatten(config):
        inner = (origins[k] for k in origins if k.startswith(key + "."))  # tables with free names
        whole = (origins[k] for k in _ancestors(key.split(".")) if _names_value(k, key, origins))
        found[key] = next(whole, next(inner, "default"))
    return found


def _names_value(candidate: str, key: str, origins: Mapping[str, str]) -> bool:
    # A table header by itself sets nothing; an inline table (`packing = {…}`) sets all its keys.
    if candidate not in origins:
        return False
    return candidate == key or not any(known.startswith(candidate + ".") for known in origins)
