"""Scores of answer options beside EleutherAI's lm-evaluation-harness: the same numbers, CPU time, memory, positions.

Both sides score the same options of the same prompts of real rows with the same random model, each in a process of its
own with one thread, one after the other. lm-eval gets the fastest of several batch sizes, found by trying in a process
before, and its cache for options of one token. What starts a program (imports, loading the model, rendering prompts)
does not count; tokenizing does. Memory is counted from when two prompts have been scored, on both sides.

Needs lm-eval: ``pip install -r benchmarks/peers.txt``, into this environment or into another with flantune whose
interpreter ``FLANTUNE_PEERS_PYTHON`` names; and data in the mirror's form under ``../shared/data/hub`` or
``FLANTUNE_DATA``.
"""

from __future__ import annotations

import json
import os
import pickle
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from benchmarks.peers import ALONE, ROOT, data_folder, python_with
from flantune.commands.plan import prepare_tasks
from flantune.evaluation.asking.task_questions import TaskQuestions, questions
from flantune.evaluation.metrics.rank_classification import best_options
from flantune.settings.config import DataSettings, EvaluationSettings, PromptSettings, RunConfig, ScratchSettings
from flantune.types import Prompt

TASKS = ("rte", "boolq", "arc_easy", "arc_challenge", "cosmos_qa", "copa", "piqa", "trec")
SHAPES = {"gpt2": (512, 6, 8), "llama": (512, 6, 8), "t5": (512, 6, 8)}
VOCABULARY = 12_288


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """What is scored: how many rows, exemplars and templates of each task."""

    name: str
    architecture: str
    rows: int
    shots: int = 0
    templates: int = 1


CASES = (
    Case(name="causal, zero-shot", architecture="gpt2", rows=20),
    Case(name="causal, five-shot", architecture="gpt2", rows=8, shots=5),
    Case(name="causal, ten templates", architecture="gpt2", rows=4, templates=10),
    Case(name="causal (llama), five-shot", architecture="llama", rows=5, shots=5),
    Case(name="T5-type, zero-shot", architecture="t5", rows=16),
    Case(name="T5-type, ten templates", architecture="t5", rows=2, templates=10),
)


def measure(*, small: bool = False) -> dict[str, Any] | None:
    """Both sides on every case."""
    data, python = data_folder(), python_with("lm_eval")
    if data is None or python is None:
        print("passed over: needs lm-eval (see benchmarks/peers.txt) and real rows (FLANTUNE_DATA)")
        return None
    with tempfile.TemporaryDirectory() as name:
        work = Path(name)
        prepared, _ = prepare_tasks(config_of(data), root=work, cache=work / "data")
        return {"rows": [_measure(case, prepared, work, python=python, share=6 if small else 1) for case in CASES]}


def _measure(case: Case, prepared: Any, work: Path, *, python: str, share: int) -> dict[str, Any]:
    prompts = _prompts(case, prepared, rows=max(2, case.rows // share))
    folder = _model(case.architecture, prepared, work)
    (work / "prompts.pickle").write_bytes(pickle.dumps(prompts))
    size = _run(python, ["batch_size"], folder, work)["batch_size"]
    theirs, ours = (_run(python, side, folder, work) for side in (["lm_eval", str(size)], ["flantune"]))
    return {"case": case.name, "prompts": len(prompts), **compared(theirs, ours, prompts), "by_task": _by_task(
        theirs, ours, prompts)}  # fmt: skip


def compared(theirs: dict[str, Any], ours: dict[str, Any], prompts: list[Prompt]) -> dict[str, Any]:
    """The figures of one case."""
    gaps = [
        (abs(a - b), abs(a))
        for left, right in zip(theirs["scores"], ours["scores"], strict=True)
        for a, b in zip(left, right, strict=True)
    ]
    return {
        "cpu_s": {"lm_eval": round(theirs["cpu_s"], 2), "flantune": round(ours["cpu_s"], 2)},
        "times_less_cpu": round(theirs["cpu_s"] / ours["cpu_s"], 2),
        "floor_cpu_s": round(ours["floor_cpu_s"], 2),
        "share_of_floor": round(ours["floor_cpu_s"] / ours["cpu_s"], 3),
        "positions": {"lm_eval": theirs["positions"], "flantune": ours["positions"], "floor": ours["floor_positions"]},
        "peak_mib_above_start": {"lm_eval": theirs["peak_mib"], "flantune": ours["peak_mib"]},
        "lm_eval_batch_size": theirs["batch_size"],
        "largest_difference": max(gap for gap, _ in gaps),
        "beyond_1e-4_and_1e-6": sum(gap > 1e-4 and gap > 1e-6 * size for gap, size in gaps),
        "same_tokens": theirs["tokens"] == ours["tokens"],
        "greedy_that_differ": sum(a != b for a, b in zip(theirs["greedy"], ours["greedy"], strict=True)),
        "accuracy": {
            "lm_eval": _accuracy(theirs["scores"], prompts),
            "flantune": _accuracy(ours["scores"], prompts),
        },
        "choices_that_differ": sum(
            best_options(a)[0] != best_options(b)[0] for a, b in zip(theirs["scores"], ours["scores"], strict=True)
        ),
    }  # fmt: skip


def _by_task(theirs: dict[str, Any], ours: dict[str, Any], prompts: list[Prompt]) -> dict[str, float]:
    """How many times less CPU time, task by task."""
    return {task: round(theirs["seconds"][task] / ours["seconds"][task], 2) for task in dict.fromkeys(
        prompt.task for prompt in prompts)}  # fmt: skip


def _accuracy(scores: list[list[float]], prompts: list[Prompt]) -> dict[str, float]:
    """``acc`` of sums and ``acc_norm`` of sums a character."""
    plain = [best_options(found)[0] for found in scores]
    norm = [
        best_options([score / max(1, len(option)) for score, option in zip(found, prompt.options, strict=True)])[0]
        for found, prompt in zip(scores, prompts, strict=True)
    ]
    right = [prompt.answer for prompt in prompts]
    return {
        name: round(sum(a == b for a, b in zip(chosen, right, strict=True)) / len(right), 6)
        for name, chosen in (("acc", plain), ("acc_norm", norm))
    }


def _run(python: str, side: list[str], folder: Path, work: Path) -> dict[str, Any]:
    out = work / f"{side[0]}.json"
    files = [str(folder), str(work / "prompts.pickle"), str(out)]
    command = [python, "-m", "benchmarks.scoring_side", *files, *side]
    subprocess.run(command, check=True, env=os.environ | ALONE, cwd=ROOT, stdout=sys.stderr)
    found: dict[str, Any] = json.loads(out.read_text(encoding="utf-8"))
    return found


def _prompts(case: Case, prepared: Any, *, rows: int) -> list[Prompt]:
    settings = EvaluationSettings(
        protocol="lm_eval", max_examples=rows, dev_examples=0, shots=(case.shots,), max_templates=case.templates
    )
    protocol = TaskQuestions(evaluation=settings, prompts=PromptSettings(target_separator=" "), seed=0)
    return [question.prompt for entry in prepared for question in questions(entry, protocol)]


def _model(architecture: str, prepared: Any, work: Path) -> Path:
    """A random model of some 25 million weights with a tokenizer learned from the tasks' rows, as a folder."""
    from tokenizers.processors import TemplateProcessing

    from flantune.models.load import save_model
    from flantune.models.scratch import build_model, train_tokenizer

    folder = work / architecture
    if folder.exists():
        return folder
    rows = [example for entry in prepared for example in islice(entry.stores["test"], 2_000)]
    texts = [" ".join([*example.fields.values(), *example.options]) for example in rows]
    tokenizer = train_tokenizer(texts, VOCABULARY)
    width, layers, heads = SHAPES[architecture]
    if architecture == "t5":
        # As T5's own tokenizer does: the end of sequence comes by itself.
        tokenizer.backend_tokenizer.post_processor = TemplateProcessing(
            single="$A </s>", special_tokens=[("</s>", tokenizer.eos_token_id)]
        )
    settings = ScratchSettings(
        architecture=architecture, vocabulary_size=VOCABULARY, hidden_size=width, layers=layers, heads=heads  # type: ignore[arg-type]
    )  # fmt: skip
    lm = build_model(settings, tokenizer, seed=0)
    save_model(lm, folder, card="random\n")
    return folder


def config_of(data: Path) -> RunConfig:
    """The tasks that are scored."""
    return RunConfig(data=DataSettings(collection=("flan2021",), include=TASKS, mirror=data, missing="skip"))
