"""The rows of a harness task: read, and processed by the file's own functions if these are run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from flantune.errors import TaskError
from flantune.harness.docs import load_rows
from flantune.harness.refusals import not_run
from flantune.harness.task_code import Function

if TYPE_CHECKING:
    from flantune.harness.harness_file import HarnessTask
    from flantune.suites.suite import SuiteData
    from flantune.types import Row

_PASSAGES = ("passage", "context", "article", "story", "paragraph")
_IN_ORDER = ("training_split", "validation_split", "test_split")


@dataclass(slots=True)
class TaskRows:
    """The rows of one task, each split read once.

    Attributes:
        data: Where datasets are searched for.
        read: Split and the function that processed it → its rows.
    """

    task: HarnessTask
    data: SuiteData
    read: dict[tuple[str, str], list[Row]] = field(default_factory=dict, repr=False)

    @property
    def asked_split(self) -> str:
        """The split to evaluate on.

        Raises:
            TaskError: The file does not name one.
        """
        name = self.task.values.get("test_split") or self.task.values.get("validation_split")
        if not name:
            raise TaskError("test_split or validation_split: is missing", where=str(self.task.path))
        return str(name)

    def asked(self) -> list[Row]:
        """All rows of that split."""
        return self._split(self.asked_split, self.task.values.get("process_docs"))

    @property
    def pool_split(self) -> str:
        """The split that exemplars are drawn from; empty if the file lists them.

        Raises:
            TaskError: No split is named.
        """
        config, values = self._config, self.task.values
        split = config.get("split") or values.get("fewshot_split")
        if split is None and config.get("samples") is not None:
            return ""
        name = split or next((values[key] for key in _IN_ORDER if values.get(key)), None)
        if name is None:
            raise TaskError("no split to draw exemplars from", where=str(self.task.path), hint="set fewshot_split")
        return str(name)

    def pool(self) -> list[Row]:
        """All rows that exemplars are drawn from.

        Raises:
            TaskError: There are none, or they are generated in an unknown way.
        """
        if self.pool_split:
            is_named = self._config.get("split") or self.task.values.get("fewshot_split")
            own = self._config.get("process_docs") if is_named else None
            return self._split(self.pool_split, own or self.task.values.get("process_docs"))
        samples = self._config["samples"]
        if isinstance(samples, Function):
            if self.task.code is None:
                raise not_run({"fewshot_config": {"samples": samples}}, self.task.path)
            samples = self.task.code.rows(samples, {})
        if not isinstance(samples, list):
            raise TaskError(f"fewshot_config.samples: {samples!r} is not a list of rows", where=str(self.task.path))
        return samples

    @property
    def _config(self) -> Mapping[str, Any]:
        return self.task.values.get("fewshot_config") or {}

    def _split(self, split: str, process: object) -> list[Row]:
        key = (split, repr(process))
        if key not in self.read:
            rows = self._raw(split)
            if isinstance(process, Function) and self.task.code is not None:
                count, rows = len(rows), self.task.code.docs(process, rows)
                if count and not rows:
                    message = f"{process.name}: leaves none of the {count} rows of the split {split}"
                    raise TaskError(message, where=str(self.task.path))
            self.read[key] = rows
        return self.read[key]

    def _raw(self, split: str) -> list[Row]:
        if not (made := self.task.function("custom_dataset")):
            return load_rows(self.task, split, self.data)
        code, function = made
        given = {**(self.task.values.get("metadata") or {}), **(self.task.values.get("dataset_kwargs") or {})}
        return code.rows(function, given, split)


def passage_column(rows: Sequence[Row]) -> str:
    """The column with a text that several rows ask about, which are thus not independent; empty if there is none."""
    for name in _PASSAGES:
        texts = [row.get(name) for row in rows]
        if all(isinstance(text, str) for text in texts) and 1 < len(set(texts)) < len(texts):
            return name
    return ""
