"""Template files of promptsource: one YAML file per dataset or configuration, read on demand."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import yaml

from flantune.errors import MissingDataError, SourceError, did_you_mean

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

FILE = "templates.yaml"


@dataclass(frozen=True, slots=True, kw_only=True)
class PromptsourceTemplate:
    """A template as in its file.

    Attributes:
        name: Unique in its file.
        jinja: Its text: inputs, three bars, targets.
        answer_choices: The text of the choices; empty if the answer is open.
        is_original: It asks the dataset's original task.
        shows_choices: Its text shows the choices.
        metrics: As its authors name them.
        languages: Codes of the languages of its texts.
    """

    name: str
    jinja: str
    answer_choices: str = ""
    is_original: bool = False
    shows_choices: bool = False
    metrics: tuple[str, ...] = ()
    languages: tuple[str, ...] = ()


def find_datasets(folder: Path, patterns: tuple[str, ...]) -> tuple[str, ...]:
    """The datasets of a folder that match some names or patterns, in that order, each once.

    Raises:
        SourceError: A name matches none.
    """
    return tuple(dict.fromkeys(name for pattern in patterns for name in _matching(folder, pattern)))


def _matching(folder: Path, pattern: str) -> Iterator[str]:
    if (folder / pattern / FILE).is_file():
        yield pattern
        return
    known = _datasets(folder)
    found = [name for name in known if fnmatchcase(name, pattern)]
    if not found:
        if not known:
            hint = "name the folder that holds <dataset>/templates.yaml, as in promptsource's own repository"
            raise SourceError("has no templates of promptsource", where=str(folder), hint=hint)
        near = did_you_mean(pattern, known) or f"it has {len(known)} others"
        raise SourceError(f'has no templates of "{pattern}"', where=str(folder), hint=near)
    yield from found


def _datasets(folder: Path) -> list[str]:
    """All datasets of a folder, such as "glue/mrpc" and "xsum"."""
    return sorted(path.parent.relative_to(folder).as_posix() for path in folder.rglob(FILE))


def read_template_file(path: Path) -> tuple[PromptsourceTemplate, ...]:
    """The templates of a file, by name.

    Raises:
        MissingDataError: There is no such file.
        SourceError: It is not a template file.
    """
    try:
        state = path.stat()
        return _read(path, state.st_size, state.st_mtime_ns)
    except FileNotFoundError:
        raise MissingDataError("no such file", where=str(path)) from None
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f":{mark.line + 1}" if mark else ""
        problem = getattr(error, "problem", None) or str(error).partition("\n")[0]
        raise SourceError(f"is not YAML: {problem}", where=f"{path}{line}") from None
    except (OSError, UnicodeError) as error:
        raise SourceError(f"cannot be read: {error}", where=str(path)) from None


@lru_cache(maxsize=1_024)
def _read(path: Path, size: int, changed: int) -> tuple[PromptsourceTemplate, ...]:  # noqa: ARG001 - what is kept is of then
    tree = yaml.load(path.read_bytes(), _Loader)
    tables = tree.get("templates") if isinstance(tree, Mapping) else None
    if not isinstance(tables, Mapping) or not tables:
        raise SourceError('is not a file of promptsource: it has no "templates"', where=str(path))
    found = [_template(key, table, path) for key, table in tables.items()]
    names = [one.name for one in found]
    for name in names:
        if names.count(name) > 1:
            raise SourceError(f'has two templates named "{name}"', where=str(path), hint="rename one of them")
    return tuple(sorted(found, key=lambda one: one.name))


class _Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
    """Reads plain values, and the two kinds of objects in these files as mappings."""


for _tag in ("!Template", "!TemplateMetadata"):
    _Loader.add_constructor(_tag, lambda loader, node: loader.construct_mapping(node, deep=True))


def _template(key: object, table: Any, path: Path) -> PromptsourceTemplate:
    def wrong(what: str) -> SourceError:
        return SourceError(f"the template {key} {what}", where=str(path))

    if not isinstance(table, Mapping):
        raise wrong("is not a mapping")
    facts = table.get("metadata") or {}
    if not isinstance(facts, Mapping):
        raise wrong("has metadata that is not a mapping")
    name, jinja, choices = table.get("name"), table.get("jinja"), table.get("answer_choices") or ""
    if not isinstance(name, str) or not name.strip():
        raise wrong("has no name")
    if not isinstance(jinja, str) or not isinstance(choices, str):
        raise wrong(f'("{name}") should have texts as jinja and answer_choices')
    return PromptsourceTemplate(
        name=name,
        jinja=jinja,
        answer_choices=choices,
        is_original=bool(facts.get("original_task")),
        shows_choices=bool(facts.get("choices_in_prompt")),
        metrics=_texts(facts.get("metrics")),
        languages=_texts(facts.get("languages")),
    )


def _texts(value: object) -> tuple[str, ...]:
    return tuple(str(one) for one in value) if isinstance(value, list | tuple) else ()
