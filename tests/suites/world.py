"""Hand-written benchmark data in the layout that users have it in."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from flantune.commands import evaluation_exams
from flantune.evaluation.exams import Exam
from flantune.models.language_model import LanguageModel
from flantune.models.load import save_model
from flantune.models.scratch import build_model, train_tokenizer
from flantune.settings.config import ScratchSettings
from flantune.suites.bbh import TASKS
from flantune.suites.catalog import choose_exams
from flantune.suites.mmlu import SUBJECTS
from flantune.suites.tydiqa import LANGUAGES

COT = "note to readers\n-----\nDecide which is heavier.\n\n" + "\n\n".join(
    f"Q: Is item {n} heavier than item {n + 1}?\nA: Let's think. Item {n} weighs {n} pounds. So the answer is {a}."
    for n, a in ((1, "No"), (2, "(A)"), (3, "] )"))
)


@contextmanager
def short_answers(tokens: int, is_asked: Callable[[Exam], bool] = lambda _: True) -> Iterator[None]:
    """A random model never comes to an end of its own: a few tokens of it say as much as five hundred."""

    def chosen(*args, **values):
        found = choose_exams(*args, **values)
        kept = (one for one in found.exams if is_asked(one))
        return replace(
            found, exams=tuple(replace(one, writing=replace(one.writing, max_new_tokens=tokens)) for one in kept)
        )

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(evaluation_exams, "choose_exams", chosen)
        yield


def write_rows(folder: Path, split: str, rows) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    with gzip.open(folder / f"{split}.jsonl.gz", "wt", encoding="utf-8") as handle:
        handle.writelines(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


def mmlu_row(subject: str, number: int) -> dict:
    choices = [f"{subject} {number + k} stones" for k in range(4)]
    return {"question": f"How many stones lie in pile {number}?", "choices": choices, "answer": number % 4}


def write_world(root: Path, *, mmlu_cot=True, mgsm_exemplars=True) -> Path:
    """All benchmarks, two or three questions a part."""
    hub, files = root / "hub", root / "files"
    for subject in SUBJECTS:
        folder = hub / "cais/mmlu" / subject
        write_rows(folder, "dev", [mmlu_row(subject, n) for n in range(5)])
        write_rows(folder, "test", [mmlu_row(subject, n) for n in range(5, 7)])
    for task in TASKS:
        rows = [{"input": f"Is stone {n} of {task} heavy?", "target": ("Yes", "(B)", "> ]")[n]} for n in range(3)]
        write_rows(hub / "lukaemon/bbh" / task, "test", rows)
        (files / "bbh_cot_prompts").mkdir(parents=True, exist_ok=True)
        (files / "bbh_cot_prompts" / f"{task}.txt").write_text(COT)
    for language in LANGUAGES:
        rows = [
            {
                "id": f"{language}-{n}",
                "title": "Rivers",
                "context": f"The river number {n // 2} is {n // 2}0 miles long.",
                "question": f"How long is river {n // 2}, asked {n}?",
                "answers": {"text": [f"{n // 2}0 miles"], "answer_start": [0]},
            }
            for n in range(6)
        ]
        write_rows(hub / "google-research-datasets/tydiqa" / f"secondary_task-{language}", "validation", rows)
    problems = [
        {
            "question": f"Tom has {n} hats and buys 2. How many?",
            "answer": f"{n} + 2 = <<{n}+2={n + 2}>>{n + 2} hats.\n#### {n + 2}",
        }
        for n in range(12)
    ]
    write_rows(hub / "openai/gsm8k/main", "train", problems)
    write_rows(hub / "openai/gsm8k/main", "test", problems[:3])
    (files / "mgsm").mkdir()
    for language in ("bn", "de", "en", "es", "fr", "ja", "ru", "sw", "te", "th", "zh"):
        (files / "mgsm" / f"mgsm_{language}.tsv").write_text("Wie viele Hüte?\t1,018\nUnd nun?\t3\n")
    if mgsm_exemplars:
        shown = {
            str(n): {"q": f"Frage: Was ist {n} + 1?", "a": f"Antwort: Eins mehr. Es sind {n + 1}."} for n in range(1, 9)
        }
        table = dict.fromkeys(("bn", "de", "en", "es", "fr", "ja", "ru", "sw", "te", "th", "zh"), shown)
        (files / "mgsm" / "exemplars.py").write_text(f"raise SystemExit('must not run')\nMGSM_EXEMPLARS = {table!r}\n")
    if mmlu_cot:
        prompts = {
            subject: f"Questions about {subject}.\n\nQ: 1+1?\n(A) 1 (B) 2 (C) 3 (D) 4\nA: One more. The answer is (B)."
            for subject in SUBJECTS
        }
        (files / "mmlu-cot.json").write_text(json.dumps(prompts))
    _write_instructions(files / "natural_instructions")
    return root


def _write_instructions(folder: Path) -> None:
    (folder / "tasks").mkdir(parents=True)
    (folder / "splits/default").mkdir(parents=True)
    names = ("task1_colors", "task2_titles", "task3_absent")
    (folder / "splits/default/test_tasks.txt").write_text("\n".join(names) + "\n")
    for at, name in enumerate(names[:2]):
        tree = {
            "Definition": ["Name the color", "unused"],
            "Categories": [("Answerability Classification", "Title Generation")[at]],
            "Positive Examples": [{"input": f"sky {n}", "output": "blue", "explanation": ""} for n in range(3)],
            "Instances": [{"id": str(n), "input": f"grass {n}", "output": ["green", "the green"]} for n in range(120)],
        }
        (folder / "tasks" / f"{name}.json").write_text(json.dumps(tree))


def make_model(folder: Path, architecture="llama", *, seed=0, hidden_size=32) -> Path:
    texts = [f"How many stones lie in pile {n}? A. {n} B. two Answer: Q: Passage: Frage:" for n in range(30)]
    tokenizer = train_tokenizer([*texts, COT], 320)
    settings = ScratchSettings(
        architecture=architecture, vocabulary_size=320, hidden_size=hidden_size, layers=2, heads=2
    )
    lm: LanguageModel = build_model(settings, tokenizer, seed=seed)
    return save_model(lm, folder, card="a small random model\n")


def shortened(exam, tokens: int):
    """The exam with answers of a few tokens: a random model never comes to an end of its own."""
    return replace(exam, writing=replace(exam.writing, max_new_tokens=tokens))
