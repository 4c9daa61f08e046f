"""The whole job, from the first command to the last number, beside the tools that users would chain for it.

The job: tune a model on the tasks of ``whole_job.toml``, then score it and the model it came from on the tasks of
three clusters that tuning never saw, with every template. flantune does it with one command, ``flantune run``. The
other side is given finished text, so that templates cost it nothing: the very prompts that flantune's run drew, and
the very prompts that it asked, as task files of lm-evaluation-harness. It trains with ``SFTTrainer`` (encoder-decoders:
with ``Seq2SeqTrainer``), each at the settings that were fastest here, and asks with ``lm_eval run``, once for each
model, at the fastest of several batch sizes, which a process before finds out.

Every command is a process of one thread, one after the other: CPU time of its whole tree, wall time, and the peak
memory of its largest process. Making the random model and its tokenizer, and writing the other side's text, does not
count; all else does, imports included. Both sides train on the same prompts and answer the same questions.

Needs TRL and lm-eval: ``pip install -r benchmarks/peers.txt``, into this environment or into another whose interpreter
``FLANTUNE_PEERS_PYTHON`` names; and data in the mirror's form under ``../shared/data/hub`` or ``FLANTUNE_DATA``. One
family at a time: ``python -m benchmarks.whole_job --only decoder-only``.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from benchmarks.clock import Spent, timed, together
from benchmarks.peers import ALONE, ROOT, data_folder, python_with, told_by
from benchmarks.whole_job_files import TAG, Question, asked, make_model, write_questions, write_training_text
from flantune.models.arithmetic import has_bfloat16

RUN_FILE = ROOT / "benchmarks/whole_job.toml"
LENGTHS = {"max_length": 2_048}


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    """How much is trained and asked.

    Attributes:
        steps: Optimizer steps of 8,192 tokens.
        rows: Test rows of each of the three tasks, each in every template.
        scratch: The random model of each family.
        dtype: Arithmetic of all sides; in float32 their scores are the same; "auto": as the processor.
        batch_size: lm-eval's; 0: the fastest, which is tried.
        settings: Over those of the run file.
    """

    steps: int
    rows: int
    scratch: dict[str, dict[str, Any]]
    dtype: str = "auto"
    batch_size: int = 0
    settings: tuple[str, ...] = ()


SHAPES = {
    "decoder-only": {"architecture": "llama", "vocabulary_size": 8192, "hidden_size": 384, "layers": 6, "heads": 6},
    "encoder-decoder": {"architecture": "t5", "vocabulary_size": 8192, "hidden_size": 384, "layers": 4, "heads": 6},
}
_TINY = {"vocabulary_size": 1024, "hidden_size": 64, "layers": 2, "heads": 2}
WHOLE = Size(steps=16, rows=24, scratch=SHAPES)
SMALL = Size(
    steps=2,
    rows=2,
    dtype="float32",
    scratch={name: {**shape, **_TINY} for name, shape in SHAPES.items()},
    batch_size=8,
    settings=(
        'data.include=["rte", "copa", "cola", "trec", "arc_easy"]',
        'holdout.folds=[["natural language inference", "commonsense"]]',
    ),
)


def measure(*, small: bool = False, only: Sequence[str] = tuple(SHAPES)) -> dict[str, Any] | None:
    """Both sides on the job, for a decoder-only and an encoder-decoder model."""
    data, python = data_folder(), python_with("trl", "lm_eval")
    if data is None or python is None:
        print("passed over: needs TRL and lm-eval (see benchmarks/peers.txt) and real rows (FLANTUNE_DATA)")
        return None
    size = SMALL if small else WHOLE
    if size.dtype == "auto":
        size = replace(size, dtype="bfloat16" if has_bfloat16(torch.device("cpu")) else "float32")
    found: dict[str, Any] = {"threads": 1, "steps": size.steps, "dtype": size.dtype}
    for family in only:
        with tempfile.TemporaryDirectory() as name:
            found[family] = _job(family, size, Path(name), data=data, python=python)
    return found


def _job(family: str, size: Size, work: Path, *, data: Path, python: str) -> dict[str, Any]:
    settings = [f"data.mirror={data}", *size.settings]
    model = make_model(RUN_FILE, size.scratch[family], work / "model", settings=settings)
    ours = flantune_side(model, size, work, settings=settings)
    questions = asked(work / "run")
    theirs = peers_side(family, model, size, work, questions=questions, settings=settings, python=python)
    return {
        "weights": theirs.pop("weights"),
        "prompts_trained_on": theirs.pop("prompts"),
        "prompts_asked_of_each_model": len(questions),
        "flantune": ours,
        "others": theirs,
        "times_less_cpu": round(theirs["all"]["cpu_s"] / ours["all"]["cpu_s"], 2),
        "times_less_wall": round(theirs["all"]["wall_s"] / ours["all"]["wall_s"], 2),
        "share_of_peak_memory": round(ours["all"]["peak_mib"] / theirs["all"]["peak_mib"], 2),
        "accuracy": accuracies(questions, work),
    }


def flantune_side(model: Path, size: Size, work: Path, *, settings: Sequence[str]) -> dict[str, Any]:
    """``flantune run``: what it spent, and what its own stages took of it."""
    told = [
        *settings,
        f"model.path={model}",
        f"model.dtype={size.dtype}",
        f"training.steps={size.steps}",
        f"evaluation.max_examples={size.rows}",
    ]
    words = [word for one in told for word in ("--set", one)]
    run = [sys.executable, "-m", "flantune", "run", str(RUN_FILE), "--out", str(work / "run"), *words]
    spent = timed(run, log=work / "run.log", environment=os.environ | ALONE)
    return {"all": spent.to_json(), **_told(work / "run")}


def _told(out: Path) -> dict[str, Any]:
    """What a run measured of itself: wall seconds of its stages, and how the tuning went."""
    manifest = json.loads((out / "manifest.json").read_text(encoding="utf-8"))
    (training,) = (json.loads(path.read_text(encoding="utf-8")) for path in out.glob("folds/*/training.json"))
    counts, seconds = training["counts"], training["seconds"]
    return {
        "wall_s_of_stages": manifest["seconds"],
        "steps": training["steps"],
        "prompts": counts["prompts"],
        "tokens_per_s": round(training["tokens_per_s"]),
        "target_tokens_per_s": round(counts["target_tokens"] / seconds),
        "fill": round(training["fill"], 4),
        "share_of_time_waiting_for_data": round(training["data_wait_seconds"] / seconds, 4),
        "inputs_shortened": counts["inputs_shortened"],
        "prompts_dropped": counts["prompts_dropped"],
        "border_mismatch_share": training["border_mismatch_share"],
        "final_loss": round(training["final_loss"], 3),
    }


def peers_side(
    family: str,
    model: Path,
    size: Size,
    work: Path,
    *,
    questions: Sequence[Question],
    settings: Sequence[str],
    python: str,
) -> dict[str, Any]:
    """A trainer of transformers, then lm-eval on the model before and after: what each command spent."""
    text, tuned = work / "prompts.jsonl", work / "tuned"
    prompts = write_training_text(RUN_FILE, work / "run", text, settings=settings)
    tasks = work / "tasks"
    write_questions(questions, tasks)
    told = {
        "family": family,
        "model": str(model),
        "text": str(text),
        "out": str(tuned),
        "bf16": size.dtype == "bfloat16",
        "prompts_a_step": prompts / size.steps,
    }
    environment = os.environ | ALONE | {"HF_HOME": str(work / "hf"), "HF_DATASETS_CACHE": str(work / "hf/datasets")}
    train = timed(
        [python, "-m", "benchmarks.whole_job_trainer", json.dumps(told)],
        log=work / "trainer.log",
        environment=environment,
    )
    batch_size = size.batch_size or _batch_size(python, model, tasks, size, environment)
    spent: dict[str, Spent] = {"train": train}
    for name, folder in (("score the base", model), ("score the tuned", tuned)):
        spent[name] = timed(
            _lm_eval(python, folder, tasks, size, batch_size, out=work / name.split()[-1]),
            log=work / "lm_eval.log",
            environment=environment,
        )
    trained = json.loads((tuned / "trained.json").read_text(encoding="utf-8"))
    return {
        "all": together(spent.values()).to_json(),
        **{name: one.to_json() for name, one in spent.items()},
        "lm_eval_batch_size": batch_size,
        **trained,
        "prompts": prompts,
    }


def _lm_eval(python: str, model: Path, tasks: Path, size: Size, batch_size: int, *, out: Path) -> list[str]:
    arguments = {"pretrained": model, "dtype": size.dtype, **LENGTHS}
    told = {
        "model": "hf",
        "model_args": ",".join(f"{name}={value}" for name, value in arguments.items()),
        "tasks": TAG,
        "include_path": tasks,
        "batch_size": batch_size,
        "device": "cpu",
        "output_path": out,
    }
    return [
        python,
        "-m",
        "lm_eval",
        "run",
        *(word for name, value in told.items() for word in (f"--{name}", str(value))),
    ]


def _batch_size(python: str, model: Path, tasks: Path, size: Size, environment: dict[str, str]) -> int:
    """lm-eval's fastest batch size on a few rows."""
    asked_for = json.dumps({"model": str(model), "tasks": str(tasks), "dtype": size.dtype, **LENGTHS})
    return int(told_by(python, "-m", "benchmarks.whole_job_trainer", asked_for, environment=environment))


def accuracies(questions: Sequence[Question], work: Path) -> dict[str, Any]:
    """Accuracy over all templates of both models on both sides, and the largest gap of a template's of the base."""
    theirs = {name: _results(work / name) for name in ("base", "tuned")}
    ours: dict[str, dict[str, list[float]]] = {"base": {}, "tuned": {}}
    for question in questions:
        for name, right in (("base", question.base_is_right), ("tuned", question.tuned_is_right)):
            ours[name].setdefault(question.name, []).append(right)
    means = {model: {name: sum(found) / len(found) for name, found in all_.items()} for model, all_ in ours.items()}
    gaps = [abs(theirs["base"][name] - mean) for name, mean in means["base"].items()]
    return {
        "templates": len(gaps),
        "flantune": {name: round(sum(all_.values()) / len(all_), 4) for name, all_ in means.items()},
        "others": {name: round(sum(all_.values()) / len(all_), 4) for name, all_ in theirs.items()},
        "largest_gap_of_a_template_of_the_base": round(max(gaps), 4),
    }


def _results(folder: Path) -> dict[str, float]:
    (path,) = folder.rglob("results_*.json")
    results = json.loads(path.read_text(encoding="utf-8"))["results"]
    return {name: found["acc,none"] for name, found in results.items() if name != TAG}


def main() -> None:
    """Measures one family, and puts it beside what is kept of the other."""
    from benchmarks.__main__ import write_record

    parser = argparse.ArgumentParser(description="The whole job beside the tools that users would chain for it.")
    parser.add_argument("--small", action="store_true", help="little data, and nothing is kept")
    parser.add_argument("--only", choices=tuple(SHAPES), required=True, help="the family of models")
    given = parser.parse_args()
    began = time.perf_counter()
    found = measure(small=given.small, only=[given.only])
    print(json.dumps(found, indent=1))
    if found is None or given.small:
        return
    kept = ROOT / "benchmarks/results/whole_job.json"
    earlier = json.loads(kept.read_text(encoding="utf-8")) if kept.exists() else {}
    both = {family: earlier[family] for family in SHAPES if family in earlier} | found
    print(f"written: {write_record('whole_job', both, seconds=time.perf_counter() - began)}")


if __name__ == "__main__":
    main()
