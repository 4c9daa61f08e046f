"""Task files of Natural-Instructions: one JSON object per task, read when its rows are used."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flantune.errors import MissingDataError, SourceError
from flantune.system.files import file_sha256, is_file
from flantune.tasks.sources.mistaken_files import check_is_data
from flantune.types import Exemplar, Source

if TYPE_CHECKING:
    from collections.abc import Iterator

    from flantune.types import Row

INSTANCES = "instances"
"""The one split of a task file."""


@dataclass(frozen=True, slots=True, kw_only=True)
class InstructionFile:
    """The content of a task file.

    Attributes:
        definitions: Descriptions of the task; nearly always one.
        categories: Its kinds of task; nearly always one.
        sources: The data it was made from; nearly always one.
        input_languages, output_languages: Languages of its texts.
        licence: The licence of the instances, as stated by the authors.
        examples: Solved examples, the right ones first.
        instances: The raw rows.
    """

    definitions: tuple[str, ...]
    categories: tuple[str, ...]
    sources: tuple[str, ...]
    input_languages: tuple[str, ...]
    output_languages: tuple[str, ...]
    licence: str
    examples: tuple[Exemplar, ...]
    instances: Sequence[Mapping[str, Any]]


def read_instruction_file(path: Path) -> InstructionFile:
    """A task file.

    Raises:
        MissingDataError: There is no such file.
        SourceError: It is not a task file.
    """
    try:
        check_is_data(path)
        tree = json.loads(path.read_text(encoding="utf-8"))
        examples = [_example(one, is_right=True) for one in tree["Positive Examples"]]
        examples += [_example(one, is_right=False) for one in tree.get("Negative Examples", ())]
        instances = tree["Instances"]
        if not isinstance(instances, list) or not all(isinstance(one, dict) for one in instances):
            raise TypeError("Instances should be a list of objects")
        return InstructionFile(
            definitions=_texts(tree["Definition"]),
            categories=_texts(tree.get("Categories", ())),
            sources=_texts(tree.get("Source", ())),
            input_languages=_texts(tree.get("Input_language", ())),
            output_languages=_texts(tree.get("Output_language", ())),
            licence=", ".join(_texts(tree.get("Instance License", ()))),
            examples=tuple(examples),
            instances=instances,
        )
    except FileNotFoundError:
        raise MissingDataError("no such file", where=str(path)) from None
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise SourceError(f"is not a Natural-Instructions task: {error!r}", where=str(path)) from None


def outputs_of(instance: Mapping[str, Any]) -> tuple[str, ...]:
    """All references of an instance or example; older files have them as a single text.

    Raises:
        KeyError, TypeError: It has no reference that is text.
    """
    return _texts(instance["output"])


def _texts(value: object) -> tuple[str, ...]:
    values = [value] if isinstance(value, str) else value
    if not isinstance(values, list | tuple) or not all(isinstance(one, str) for one in values):
        raise TypeError(f"should be text or a list of it, got {type(value).__name__}")
    return tuple(values)


def _example(one: Mapping[str, Any], *, is_right: bool) -> Exemplar:
    outputs = outputs_of(one)
    return Exemplar(
        row=-1,
        inputs=str(one["input"]),
        targets=outputs[0] if outputs else "",
        explanation=str(one.get("explanation", "")),
        is_right=is_right,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class InstructionSource(Source):
    """The instances of one task file.

    Attributes:
        path: The file.
    """

    path: Path

    def rows(self, split: str) -> Iterator[Row]:
        """All instances in order: ``input``, ``output`` (a list) and, in most files, ``id``.

        Raises:
            SourceError: The file cannot be read.
        """
        self._check(split)
        yield from read_instruction_file(self.path).instances

    def fingerprint(self, split: str) -> str:
        """SHA-256 of the file's content.

        Raises:
            SourceError: The file cannot be read.
        """
        self._check(split)
        try:
            return file_sha256(self.path)
        except FileNotFoundError:
            raise MissingDataError("no such file", where=str(self.path)) from None
        except OSError as error:
            raise SourceError(f"cannot be read: {error}", where=str(self.path)) from error

    def describe(self, split: str, row: int | None = None) -> str:  # noqa: ARG002 - one file, one split
        """The file."""
        return str(self.path)

    def files_here(self) -> frozenset[Path]:
        """The file, if it is there."""
        return _resolved(str(self.path))

    def places(self) -> tuple[tuple[str, str, str], ...]:
        """The file's name."""
        return (("Natural-Instructions", self.path.name, ""),)

    def _check(self, split: str) -> None:
        if split != INSTANCES:
            raise MissingDataError(f'no split "{split}"; there is "{INSTANCES}"', where=str(self.path))


@lru_cache(maxsize=65_536)
def _resolved(path: str) -> frozenset[Path]:
    """The file with links resolved, if it exists; needed for every pair of tasks."""
    return frozenset({Path(path).resolve()} if is_file(Path(path)) else ())
