"""A folder of Natural-Instructions as tasks, on one of its two tracks. Paper: Wang et al. 2022, sections 3 and 4."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from flantune.errors import ConfigError, SourceError, TaskError, TemplateError
from flantune.prompts.instructions import read_encoding
from flantune.system.files import read_text
from flantune.tasks.instruction_index import IndexedTask, read_index
from flantune.tasks.rows import EMPTY_TARGET, MISSING_COLUMN, NOT_TEXT, BadRow, short
from flantune.tasks.sources.natural_instructions import INSTANCES, InstructionSource, outputs_of
from flantune.types import Example, Task, Template

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from flantune.settings.natural_instructions import NaturalInstructionsSettings
    from flantune.types import Row, SplitRole

ENGLISH = "English"
TEST_CATEGORIES = (
    *("Textual Entailment", "Cause Effect Classification", "Coreference Resolution", "Dialogue Act Recognition"),
    *("Answerability Classification", "Word Analogy", "Overlap Extraction", "Keyword Tagging", "Question Rewriting"),
    *("Title Generation", "Data to Text", "Grammar Error Correction"),
)
"""The categories that are measured and never trained on."""
LEFT_OUT = ("task1415_youtube_caption_corrections_grammar_correction",)
"""Excluded by name from the default track."""
MMLU = frozenset({*range(664, 668), *range(685, 738)})
"""Numbers of the tasks that consist of MMLU's questions."""
ADAPTER = "natural_instructions 1"
"""Changes when the adapter below does."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Track:
    """Which tasks are trained on and which are measured.

    Attributes:
        train: Names of the tasks trained on.
        test: Names of those measured as unseen.
        excluded: Names of the remaining tasks.
    """

    train: frozenset[str]
    test: frozenset[str]
    excluded: frozenset[str]


def read_track(folder: Path, name: str) -> Track:
    """The lists of a track, as its authors published them.

    Raises:
        SourceError: They do not exist.
    """
    places = [folder / "splits" / name / f"{part}_tasks.txt" for part in ("train", "test", "excluded")]
    lists = [read_text(place, error=SourceError, what="list of tasks").split() for place in places[:2]]
    excluded = places[2].read_text(encoding="utf-8").split() if places[2].is_file() else ()
    return Track(train=frozenset(lists[0]), test=frozenset(lists[1]), excluded=frozenset(excluded))


def split_track(index: Mapping[str, IndexedTask], name: str) -> Track:
    """The rule behind the published lists, applied to the tasks that exist.

    Tasks of a test category are measured: those only in English on the default track, the others on "xlingual". Tasks
    that share data with any task of a test category are excluded, and on the default track also those not only in
    English. Names of data are compared exactly.

    >>> one = dict(input_languages=("English",), output_languages=("English",), licence="", definition="", examples=(),
    ...            instances=1, faults=())
    >>> tasks = [IndexedTask(name="a", category="Word Analogy", source="s", **one),
    ...          IndexedTask(name="b", category="Translation", source="s", **one),
    ...          IndexedTask(name="c", category="Translation", source="t", **one)]
    >>> track = split_track({task.name: task for task in tasks}, "default")
    >>> [*track.test, *track.excluded, *track.train]
    ['a', 'b', 'c']
    """
    is_default = name == "default"
    held = {task.name for task in index.values() if task.category in TEST_CATEGORIES}
    held_sources = {index[name].source for name in held}
    test = {name for name in held if is_english(index[name]) == is_default and name not in LEFT_OUT}
    train = {
        task.name
        for task in index.values()
        if task.name not in held and task.source not in held_sources and (not is_default or is_english(task))
    } - {*LEFT_OUT}
    return Track(train=frozenset(train), test=frozenset(test), excluded=frozenset(index.keys() - train - test))


def is_english(task: IndexedTask) -> bool:
    """Whether all its texts are in English."""
    return {*task.input_languages, *task.output_languages} <= {ENGLISH}


def is_mmlu(name: str) -> bool:
    """Whether a task consists of MMLU's questions, by its number.

    >>> is_mmlu("task685_mmmlu_answer_generation_clinical_knowledge"), is_mmlu("task684_online_privacy_policy")
    (True, False)
    """
    found = re.match(r"task(\d+)_", name)
    return found is not None and int(found[1]) in MMLU


def load_natural_instructions(
    settings: NaturalInstructionsSettings, *, root: Path, cache: Path | None = None
) -> tuple[Task, ...]:
    """The tasks of a folder that its track trains on or measures, by name; their instances are read when prepared.

    Args:
        settings: The run file's ``[data.natural_instructions]``.
        root: The folder that relative paths are relative to.
        cache: Where the index of the folder is stored.

    Raises:
        ConfigError: An encoding is invalid.
        SourceError: The folder has different contents.
        TaskError: No task of the track exists.
    """
    templates = _templates(settings.encodings)
    folder = root / settings.folder.expanduser()
    index = read_index(folder, cache=cache)
    track = read_track(folder, settings.track) if settings.track != "none" else None
    tasks = tuple(_tasks(index, track, folder, settings, templates))
    if not tasks:
        raise TaskError(f'no task of the track "{settings.track}" is there', where=str(folder / "tasks"))
    return tasks


def _templates(encodings: tuple[str, ...]) -> tuple[Template, ...]:
    for encoding in encodings:
        try:
            read_encoding(encoding)
        except TemplateError as error:
            where = "data.natural_instructions.encodings"
            raise ConfigError(error.message, where=where, hint=error.hint) from None
    return tuple(Template(name=encoding, inputs="{input}", encoding=encoding) for encoding in encodings)


def _tasks(
    index: Mapping[str, IndexedTask],
    track: Track | None,
    folder: Path,
    settings: NaturalInstructionsSettings,
    templates: tuple[Template, ...],
) -> Iterator[Task]:
    for name, task in index.items():
        splits = _splits(name, task.instances, track, settings)
        if splits and (settings.mmlu or not is_mmlu(name)):
            path = folder / "tasks" / f"{name}.json"
            yield Task(
                name=_plain(name),
                clusters=(task.category or "no category",),
                source_family=task.source or name,
                kind="generation",
                source=InstructionSource(path=path),
                adapter=adapt_instance,
                splits=splits,
                templates=templates,
                metrics=_metrics(task),
                licence=task.licence,
                description=task.definition,
                origin=str(path),
                adapter_fingerprint=ADAPTER,
                definition=task.definition,
                exemplars=task.examples,
                languages=tuple(dict.fromkeys((*task.input_languages, *task.output_languages))),
                collection="natural_instructions",
            )


def _splits(
    name: str, instances: int, track: Track | None, settings: NaturalInstructionsSettings
) -> dict[SplitRole, str]:
    measured = settings.test_instances
    both: dict[SplitRole, str] = {"test": f"{INSTANCES}[:{measured}]", "train": f"{INSTANCES}[{measured}:]"}
    if track is None:
        return both if instances > measured else {"train": INSTANCES}
    if name in track.test:
        return both if settings.train == "all" and instances > measured else {"test": both["test"]}
    return {"train": INSTANCES} if name in track.train else {}


def _metrics(task: IndexedTask) -> tuple[str, ...]:
    """ROUGE-L over words, as by its authors; over characters if the answers are not in English."""
    rouge = "instruction_rougeL" if {*task.output_languages} <= {ENGLISH} else "instruction_rougeL_xlingual"
    return (rouge, "instruction_exact_match")


def _plain(name: str) -> str:
    """The complete name, with dots and dashes, as a task name."""
    return re.sub(r"[^A-Za-z0-9_.+-]", "_", name)


def adapt_instance(row: Row) -> Example | None:
    """An instance as an example, without its blank references; an instance without any other is dropped.

    Raises:
        BadRow: It is not a valid instance.
    """
    if "input" not in row or "output" not in row:
        raise BadRow(MISSING_COLUMN, f"got {', '.join(map(str, row))}; expected input and output")
    text = row["input"]
    if not isinstance(text, str):
        raise BadRow(NOT_TEXT, f"got {short(text)} as input")
    try:
        outputs = outputs_of(row)
    except TypeError:
        raise BadRow(NOT_TEXT, f"got {short(row['output'])} as output") from None
    if not outputs:
        raise BadRow(EMPTY_TARGET, "the list of references is empty")
    references = tuple(dict.fromkeys(one for one in outputs if one.strip()))
    return Example(row=0, fields={"input": text}, references=references) if references else None
