"""Natural-Instructions' test tasks: a definition and positive examples, ROUGE-L and exact match by category.

Paper: Wang et al. 2022, section 4.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from flantune.errors import SourceError
from flantune.evaluation.exams import Exam, MissingExam, Writing
from flantune.evaluation.metrics.extraction import ExtractionRule
from flantune.evaluation.metrics.graders import text_grader
from flantune.evaluation.metrics.readable import reading_notes
from flantune.evaluation.statistics.averages import by_group
from flantune.suites.suite import Exams, Suite, SuiteData, written_prompt
from flantune.tasks.sources.natural_instructions import InstructionFile, outputs_of, read_instruction_file
from flantune.types import Exemplar, Prompt

SHOTS = 2
MAX_INSTANCES = 100
FOLDERS = ("natural_instructions", "natural-instructions")
_CATEGORY_PREFIX = "category: "
_WHOLE = ExtractionRule(name="whole", pattern=r"\A\s*(?P<answer>(?:.|\n)*\S)\s*\Z")


def parts(data: SuiteData) -> Exams:
    """One part per task of the test split: its first hundred instances, which are balanced by label.

    Raises:
        SourceError: A task file exists but is invalid.
    """
    folder = data.find(*FOLDERS)
    names = _test_tasks(folder) if folder else None
    if folder is None or names is None:
        needs = "natural_instructions/splits/default/test_tasks.txt and natural_instructions/tasks/task*.json"
        yield MissingExam(score="natural_instructions_direct", name="", needs=needs)
        return
    for name in names:
        path = folder / "tasks" / f"{name}.json"
        if path.is_file():
            yield _part(data, name, read_instruction_file(path), path)
        else:
            needs = f"natural_instructions/tasks/{name}.json"
            yield MissingExam(score="natural_instructions_direct", name=name, needs=needs)


def _test_tasks(folder: Path) -> list[str] | None:
    path = folder / "splits" / "default" / "test_tasks.txt"
    if not path.is_file():
        return None
    return [line.strip() for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]


def _part(data: SuiteData, name: str, task: InstructionFile, path: Path) -> Exam:
    shots = SHOTS if data.shots is None else data.shots
    definition = task.definitions[0] if task.definitions else ""
    exemplars = tuple(
        Exemplar(row=-1 - at, inputs=_question(example.inputs), targets=f" {example.targets.strip()}")
        for at, example in enumerate([one for one in task.examples if one.is_right][:shots])
    )
    try:
        prompts = [
            _prompt(instance, at, name, ending_in_stop(definition), exemplars)
            for at, instance in enumerate(task.instances[:MAX_INSTANCES])
        ]
    except (KeyError, TypeError, IndexError) as error:
        raise SourceError(f"an instance is broken: {error!r}", where=str(path)) from None
    return Exam(
        score="natural_instructions_direct",
        name=name,
        groups=tuple(_CATEGORY_PREFIX + category for category in task.categories),
        questions=data.asked(prompts, shots=len(exemplars)),
        answering="text",
        grader=text_grader((_WHOLE,), "natural_instructions"),
        protocol=data.protocol,
        chance=0.0,
        writing=Writing(stop=("\n\n", "\nInput:"), max_new_tokens=128),
        notes=tuple(reading_notes("instruction_rougeL", prompts)),
    )


def ending_in_stop(text: str) -> str:
    """The text, with a full stop added if it lacks one.

    >>> ending_in_stop("Name the color"), ending_in_stop("Is it red?")
    ('Name the color.', 'Is it red?')
    """
    text = text.strip()
    return text if not text or text[-1] in ".!?。" else f"{text}."


def _question(text: str) -> str:
    return f"Input: {text.strip()}\nOutput:"


def _prompt(
    instance: Mapping[str, Any], at: int, name: str, definition: str, exemplars: tuple[Exemplar, ...]
) -> Prompt:
    return written_prompt(
        f"natural_instructions_direct/{name}",
        at,
        template="definition",
        inputs=_question(str(instance["input"])),
        references=outputs_of(instance),
        exemplars=exemplars,
        preamble=f"{definition}\n\n",
    )


SUITE = Suite(
    name="natural_instructions",
    modes=("direct",),
    parts=parts,
    averages=by_group("tasks"),
    protocol="natural_instructions",
    help="Natural-Instructions' test tasks: a definition and two examples, by ROUGE-L",
)
