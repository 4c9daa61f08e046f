"""Tasks, models and samples made by hand for these tests."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from flantune.evaluation.asking.ask import Answered, ask
from flantune.evaluation.asking.score_store import ScoreStore
from flantune.evaluation.asking.session import Session
from flantune.evaluation.asking.task_questions import TaskQuestions
from flantune.evaluation.run_samples import TaskInfo, score_samples
from flantune.evaluation.samples import samples_path, write_samples
from flantune.evaluation.task_exams import task_exam
from flantune.models.language_model import LanguageModel
from flantune.models.scratch import build_model, train_tokenizer
from flantune.models.writing.decoding import Continuation, cut_at_stop
from flantune.packing.chat import chat_tokens
from flantune.settings.config import EvaluationSettings, PackingSettings, PromptSettings, ScratchSettings
from flantune.settings.json_file import plain
from flantune.tasks.example_store import PreparedTask
from flantune.types import Example, Sample, Task, Template
from tests.no_source import NoSource

COLORS = ("red", "green", "blue", "pale yellow")
ANIMALS = ("cat", "dog", "horse", "mouse", "goose", "beetle", "whale")


def make_task(
    examples: dict[str, Sequence[Example]], *, name="colors", kind="classification", metrics=None, templates=None,
    clusters=("color naming",),
) -> PreparedTask:  # fmt: skip
    default = (
        Template(name="ask", inputs="{text}\nWhich color?\n\n{options}"),
        Template(name="tell", inputs="Name the color of this: {text}\n\n{options}"),
        Template(name="invert", inputs="Describe something {answer}.", targets="{text}", is_inverted=True),
    )
    if kind == "generation":
        default = (Template(name="say", inputs="{text} It is"), Template(name="finish", inputs="Finish: {text}"))
    task = Task(
        name=name,
        clusters=clusters,
        source_family=name,
        kind=kind,
        source=NoSource(),
        adapter=lambda row: None,
        splits={role: role for role in examples},
        templates=templates or default,
        metrics=metrics or (("accuracy",) if kind == "classification" else ("exact_match", "rougeL", "bleu")),
    )
    return PreparedTask(task=task, stores=dict(examples), reports={})


def color_examples(count: int, *, start: int = 0, options: int | None = None) -> tuple[Example, ...]:
    """Rows whose numbers of options differ from one to the next, unless told."""
    made = []
    for row in range(start, start + count):
        shown = COLORS[: options or 2 + row % 3]
        made.append(
            Example(
                row=row,
                fields={"text": f"The {ANIMALS[row % 7]} number {row} has a {shown[row % len(shown)]} coat."},
                options=shown,
                answer=row % len(shown),
                references=(shown[row % len(shown)],),
            )
        )
    return tuple(made)


def generation_examples(count: int, *, start: int = 0) -> tuple[Example, ...]:
    return tuple(
        Example(
            row=row,
            fields={"text": f"Animal {row} is the {ANIMALS[row % 7]}."},
            references=(f"a {ANIMALS[row % 7]}", ANIMALS[row % 7]),
        )
        for row in range(start, start + count)
    )


def make_model(architecture="llama", *, seed=0) -> LanguageModel:
    texts = [example.fields["text"] + " " + " ".join(COLORS) for example in color_examples(40)]
    tokenizer = train_tokenizer(texts, 330)
    settings = ScratchSettings(architecture=architecture, vocabulary_size=330, hidden_size=32, layers=2, heads=2)
    return build_model(settings, tokenizer, seed=seed)


def make_talkative(architecture: str, *, seed=0) -> LanguageModel:
    """A random model that writes other tokens than the one it has just read, as tied embeddings would have it."""
    lm = make_model(architecture, seed=seed)
    generator = torch.Generator().manual_seed(seed)
    head = lm.model.lm_head
    head.weight = torch.nn.Parameter(torch.randn(head.weight.shape, generator=generator))
    return lm


def exams_of(prepared, *, seed=0, prompts=None, packing=None, **settings):
    how = TaskQuestions(
        evaluation=EvaluationSettings(**{"max_new_tokens": 8, **settings}),
        prompts=prompts or PromptSettings(),
        seed=seed,
    )
    tasks = [prepared] if isinstance(prepared, PreparedTask) else prepared
    return [task_exam(task, how, packing or PackingSettings()) for task in tasks]


def saying(*texts: str):
    """An engine that writes these texts in turn, and minds what it is told about ends."""

    def write(lm, inputs, decoding, *, samples, batch_tokens):
        for index in range(len(inputs)):
            said = cut_at_stop(texts[index % len(texts)], decoding.stop, spared=decoding.spared)
            yield Continuation(index=index, sample=0, tokens=(), text=said, finish="length")

    return write


def run(
    lm, prepared, folder: Path, *, seed=0, prompts=None, progress=None, packing=None, engine=None, **settings
) -> list[Answered]:
    """Asks a model tasks, as a run does."""
    exams = exams_of(prepared, seed=seed, prompts=prompts, packing=packing, **settings)
    own = EvaluationSettings(**settings)
    session = Session(
        lm=lm, folder=folder, store=ScoreStore(own.store or folder / "store"), batch_tokens=own.batch_tokens,
        chat=chat_tokens(lm.tokenizer, prompts or PromptSettings()), backend=own.backend, engine=engine,
    )  # fmt: skip
    return ask(session, exams, progress=progress)


def choice_sample(
    row: int, *, right: bool, template="a", task="t", split="test", shots=0, options=("no", "yes")
) -> Sample:
    """A classification sample that is answered right or wrong; the gold option is the second."""
    scores = tuple(-1.0 if (index == 1) == right else -2.0 for index in range(len(options)))
    return Sample(
        task=task,
        split=split,
        row=row,
        template=template,
        shots=shots,
        inputs="x",
        options=options,
        answer=1,
        references=(options[1],),
        scores=scores,
        lengths=(2,) * len(options),
    )


def write_run(folder: Path, base: dict[str, list[Sample]], tuned: dict[str, list[Sample]], *, fold="f") -> None:
    for task, samples in base.items():
        write_samples(samples_path(folder / "base", task), samples)
    for task, samples in tuned.items():
        write_samples(samples_path(folder / "folds" / fold / "tuned", task), samples)


def info(name="t", *, clusters=("c",), kind="classification", metrics=("accuracy",)) -> TaskInfo:
    return TaskInfo(name=name, clusters=clusters, kind=kind, metrics=metrics)


def summarize(folder: Path, *, folds, tasks, seed=0, name="made", settings=None, **changes) -> dict[str, Any]:
    """What ``results.json`` holds of the samples in a folder."""
    settings = settings or EvaluationSettings(**changes)
    return plain(score_samples(folder, folds=folds, tasks=tasks, settings=settings, name=name, seed=seed))


def noted(grader, sample: Sample) -> dict[str, float]:
    """What a grader notes of one answer, metric by metric."""
    found: dict[str, float] = {}
    for column, note in zip(grader.columns.all, grader.grade(sample).notes, strict=True):
        found.setdefault(column.metric.name, note[0])
    return found
