"""Task files with functions, asked by flantune and by lm-evaluation-harness: prompts, scores and metrics are the same.

The files and their Python are the harness's own, unchanged; the rows are written for this comparison
(``harness_rows``), since most of the data cannot be had without a network, and the model is a small random one with a
tokenizer learned from those rows. What is compared: every prompt and continuation to the character, log-likelihoods
within 1e-4, written answers, each question's metrics and the task's.

Needs a checkout of the harness, which ``HARNESS_FOLDER`` names, and lm-eval in this environment or in another whose
interpreter ``FLANTUNE_PEERS_PYTHON`` names.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from benchmarks.harness_rows import CASES, Case, rows
from benchmarks.peers import ALONE, ROOT, python_with
from flantune.commands.evaluate import evaluate
from flantune.commands.evaluation_request import EvaluationRequest
from flantune.harness.harness_file import load_settings
from flantune.models.load import save_model
from flantune.models.scratch import build_model, train_tokenizer
from flantune.settings.config import ScratchSettings

ROWS = 6
_SPLITS = ("training_split", "validation_split", "test_split", "fewshot_split")


def measure(*, small: bool = False) -> dict[str, Any] | None:
    """Both sides on every file."""
    harness = Path(os.environ.get("HARNESS_FOLDER", "")) / "lm_eval" / "tasks"
    python = python_with("lm_eval")
    if not harness.is_dir() or python is None:
        print("passed over: needs HARNESS_FOLDER, and lm-eval (see benchmarks/peers.txt)")
        return None
    cases = list(CASES[: 4 if small else None])
    with tempfile.TemporaryDirectory() as name:
        work = Path(name)
        paths = {str(_written(case, number, harness, work)): case for number, case in enumerate(cases)}
        model = _model(cases, work / "model")
        theirs = _theirs(python, model, list(paths), work)
        ours = _ours(model, [Path(path) for path in paths], work)
        found = [
            _compared(case, theirs[path], ours[f"case_{at}"])
            for at, (path, case) in enumerate(paths.items())
            if path in theirs
        ]
    return {
        "files": len({one["file"] for one in found}),
        "cases": len(found),
        "files_equal": len({one["file"] for one in found} - {one["file"] for one in found if one["differences"]}),
        "equal": sum(not one["differences"] for one in found),
        "largest_difference_of_a_score": max(one["largest_difference"] for one in found),
        "rows": found,
    }


def _written(case: Case, number: int, harness: Path, work: Path) -> Path:
    """The task's folder copied, with a file beside the task's own that points it at the rows written for it."""
    top = case.file.split("/")[0]
    copy = work / "tasks" / top
    if not copy.exists():
        shutil.copytree(harness / top, copy)
    original = work / "tasks" / case.file
    values = load_settings(original)
    data = work / "data" / str(number)
    data.mkdir(parents=True)
    files = {}
    for at, split in enumerate(dict.fromkeys(values[key] for key in _SPLITS if values.get(key))):
        made = rows(case, 3 * ROWS if "train" in split and values.get("test_split") != split else ROWS, start=100 * at)
        files[split] = str(data / f"{split}.jsonl")
        Path(files[split]).write_text("".join(json.dumps(row) + "\n" for row in made), encoding="utf-8")
    settings: dict[str, Any] = {
        "include": original.name,
        "task": f"case_{number}",
        "dataset_path": "json",
        "dataset_name": None,
        "dataset_kwargs": {"data_files": files},
        **({} if case.shots is None else {"num_fewshot": case.shots}),
        **case.settings,
    }
    path = original.parent / f"case_{number}.yaml"
    path.write_text(yaml.safe_dump(settings, allow_unicode=True), encoding="utf-8")
    return path


def _model(cases: list[Case], folder: Path) -> str:
    texts = [json.dumps(row, ensure_ascii=False) for case in cases for row in rows(case, 20, start=0)]
    settings = ScratchSettings(architecture="llama", vocabulary_size=600, hidden_size=48, layers=2, heads=2)
    save_model(build_model(settings, train_tokenizer(texts, 600), seed=0), folder, card="random\n")
    return str(folder)


def _theirs(python: str, model: str, paths: list[str], work: Path) -> dict[str, Any]:
    (work / "cases.json").write_text(json.dumps(paths), encoding="utf-8")
    out = work / "theirs.json"
    command = [python, "-m", "benchmarks.harness_side", model, str(work / "cases.json"), str(out)]
    caches = {"HF_HOME": str(work / "hf"), "HF_DATASETS_CACHE": str(work / "hf/datasets")}
    subprocess.run(command, check=True, env=os.environ | ALONE | caches, cwd=ROOT, stdout=sys.stderr)
    found: dict[str, Any] = json.loads(out.read_text(encoding="utf-8"))
    return found


def _ours(model: str, paths: list[Path], work: Path) -> dict[str, Any]:
    """Each task's samples and results, as flantune writes them for what reads the harness's."""
    export = work / "export"
    request = EvaluationRequest(
        models=(model,), out=work / "out", harness=tuple(paths), harness_out=export, trust_task_code=True
    )
    evaluate(request)
    (results,) = export.rglob("results_*.json")
    stored = json.loads(results.read_text(encoding="utf-8"))["results"]
    samples: dict[str, list[Any]] = {}
    for path in export.rglob("samples_*.jsonl"):
        lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
        samples["_".join(path.name.split("_")[1:3])] = lines
    return {name: {"results": stored[name], "samples": samples[name]} for name in samples}


def _compared(case: Case, theirs: Mapping[str, Any], ours: Mapping[str, Any]) -> dict[str, Any]:
    said: list[str] = []
    gaps = [0.0]
    left = {(one["doc_id"], one["filter"]): one for one in theirs["samples"]}
    right = {(one["doc_id"], one["filter"]): one for one in ours["samples"]}
    if left.keys() != right.keys():
        said.append(f"questions: {len(left)} and {len(right)}")
    for key in sorted(left.keys() & right.keys()):
        said += _of_question(left[key], right[key], gaps, key)
    metrics = {name for name in theirs["results"] if "," in name and "_stderr" not in name}
    for name in sorted(metrics & ours["results"].keys()):
        if abs(float(theirs["results"][name]) - float(ours["results"][name])) > 1e-4:
            said.append(f"{name}: {theirs['results'][name]} and {ours['results'][name]}")
    return {
        "file": case.file,
        "shots": case.shots,
        "questions": len(left),
        "metrics": sorted(metrics & ours["results"].keys()),
        "not_computed": sorted(metrics - ours["results"].keys()),
        "largest_difference": max(gaps),
        "differences": said[:5],
    }


def _of_question(theirs: Mapping[str, Any], ours: Mapping[str, Any], gaps: list[float], key: object) -> list[str]:
    said = []
    asked = [tuple(one)[:2] for one in _listed(theirs["arguments"])], [tuple(one) for one in _listed(ours["arguments"])]
    texts = [[one[0] for one in side] for side in asked]
    if texts[0] != texts[1]:
        said.append(f"{key}: prompts {texts[0][0]!r} and {texts[1][0]!r}")
    if isinstance(asked[0][0][1], str) and asked[0] != asked[1]:
        said.append(f"{key}: continuations {asked[0]} and {asked[1]}"[:300])
    if str(theirs["target"]) != str(ours["target"]):
        said.append(f"{key}: targets {theirs['target']!r} and {ours['target']!r}")
    for one, other in zip(_answers(theirs["resps"]), _answers(ours["resps"]), strict=True):
        if isinstance(one, str):
            said += [f"{key}: wrote {one!r} and {other!r}"] if one != other else []
            continue
        gaps.append(abs(float(one[0]) - float(other[0])))
        if gaps[-1] > 1e-4 or str(one[1]) != str(other[1]):
            said.append(f"{key}: scores {one} and {other}")
    for name in ours["metrics"]:
        if isinstance(theirs.get(name), int | float) and abs(float(theirs[name]) - float(ours[name])) > 1e-4:
            said.append(f"{key}: {name} {theirs[name]} and {ours[name]}")
    return said


def _listed(arguments: Any) -> list[list[Any]]:
    if isinstance(arguments, Mapping):
        return [list(one.values()) for one in arguments.values()]
    return [list(one) for one in arguments]


def _answers(resps: Any) -> list[Any]:
    return [one[0] for one in resps]
