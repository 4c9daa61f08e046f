"""What the measured models were trained on, checked before any of them is loaded."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from flantune.contamination.record_files import read_index, read_record
from flantune.contamination.training_record import Measured, RowIndex, Seen, TrainingRecord, check_seen, without_extras
from flantune.errors import LeakError
from flantune.mixture.taxonomy import load_taxonomy
from flantune.system.files import is_there, slug

if TYPE_CHECKING:
    from flantune.evaluation.exams import Exam
    from flantune.types import Prompt

_LABEL = re.compile(r"^\(?[^\W\d_]{1,20}(?: [^\W\d_]{1,20})?[:：.)]\s+")
_DULL_FOLDERS = frozenset({"model", "tuned", "folds", "/", "."})


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A model before it is loaded.

    Attributes:
        path: Its folder, GGUF file or hub id.
        name: Its unique name in tables.
        record: Its training record; None for a model that flantune did not tune.
        index: The index of its training rows.
        seen: Key of an exam → why it was not new to the model.
    """

    path: str
    name: str
    record: TrainingRecord | None
    index: RowIndex | None
    seen: Mapping[str, Seen] = field(default_factory=dict)

    def seen_of(self, key: str) -> Seen:
        """Why an exam was not new to the model."""
        return self.seen.get(key, Seen())


def candidates(paths: Sequence[str]) -> list[Candidate]:
    """The models by their folders, with unique names.

    Raises:
        flantune.errors.SourceError: A training record cannot be read.
    """
    found: list[Candidate] = []
    for path in paths:
        folder = Path(path)
        record = read_record(folder) if is_there(folder) else None
        name = _new_name(short_name(path), {slug(other.name) for other in found})
        found.append(Candidate(path=path, name=name, record=record, index=read_index(folder) if record else None))
    return found


def _new_name(name: str, taken: Collection[str]) -> str:
    """The name, numbered if another model has the same: each has a separate folder.

    >>> _new_name("Llama", {"llama", "llama-2"})
    'Llama (3)'
    """
    names = (name, *(f"{name} ({number})" for number in range(2, len(taken) + 2)))
    return next(one for one in names if slug(one) not in taken)


def short_name(path: str) -> str:
    """The last meaningful folder name.

    >>> short_name("runs/first/folds/nli/model"), short_name("org/name")
    ('nli', 'name')
    """
    names = [name for name in Path(path).parts if name not in _DULL_FOLDERS]
    return names[-1] if names else path


def check_candidates(models: Sequence[Candidate], exams: Sequence[Exam], *, allow_seen: bool) -> list[Candidate]:
    """The models, with what each has seen of the exams.

    Raises:
        LeakError: A model has seen some of it, and that is not allowed.
    """
    found = []
    for model in models:
        seen = _seen(model, exams)
        reasons = list(dict.fromkeys(reason for one in seen.values() for reason in one.reasons))
        if reasons and not allow_seen:
            raise LeakError(
                f"this model was trained on what it would be measured on:\n{without_extras(reasons)}",
                where=model.path,
                hint="measure it on something else; with --allow-seen it is measured and labeled as seen",
            )
        found.append(replace(model, seen=seen))
    return found


def _seen(model: Candidate, exams: Sequence[Exam]) -> dict[str, Seen]:
    if model.record is None or model.index is None:
        return {}
    taxonomy = load_taxonomy(None)
    return {exam.key: check_seen(model.record, model.index, _measured(exam), taxonomy) for exam in exams}


def _measured(exam: Exam) -> Measured:
    made = exam.made
    if made.rows is not None:
        return made

    def rows() -> Iterator[tuple[int, Sequence[str]]]:
        return ((prompt.row, question_texts(prompt)) for prompt in exam.prompts)

    return replace(made, name=exam.key, rows=rows)


def question_texts(prompt: Prompt) -> tuple[str, ...]:
    r"""The lines of a question without their labels, as they may occur in another dataset.

    >>> from flantune.types import Prompt
    >>> question_texts(Prompt(task="t", split="test", row=0, template="d", targets="",
    ...                       inputs="Question: How many?\nA. one\nAnswer:"))
    ('How many?', 'one')
    """
    lines = (_LABEL.sub("", line.strip()) for line in prompt.inputs.splitlines())
    return tuple(line for line in lines if line and not line.endswith((":", "：")))
