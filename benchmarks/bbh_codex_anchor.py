"""BIG-Bench Hard as its authors scored it: the published answers of code-davinci-002, graded by flantune.

The authors' repository (suzgunmirac/BIG-Bench-Hard on GitHub) has 54 files of answers, 27 asked directly and 27 with a
chain of thought, and beside each the accuracy that they measured. flantune's own rules and grader have to come to the
same accuracy, file by file. Name the folder: ``FLANTUNE_BBH_OUTPUTS=…/code-davinci-002-outputs python -m benchmarks
bbh_codex_anchor``, or ``python -m benchmarks.bbh_codex_anchor FOLDER``; the exit code is 1 when any file differs.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

from flantune.evaluation.metrics.extraction import BBH_COT, BBH_DIRECT
from flantune.evaluation.metrics.graders import text_grader
from flantune.suites.flan2022 import BBH_CHANCE
from flantune.types import Sample

FOLDER = "FLANTUNE_BBH_OUTPUTS"
MODES = {"direct": BBH_DIRECT, "cot": BBH_COT}
FILES = len(MODES) * len(BBH_CHANCE)
_METRICS = "_eval_metrics.jsonl"
_NAME = "_few_shot_template_0-255000"


def measure(folder: Path | None = None) -> dict[str, Any] | None:
    """Accuracies by the authors and by flantune, and the files in which they differ."""
    named = os.environ.get(FOLDER, "")
    if folder is None and not named:
        print(f"skipped: {FOLDER} does not point to a folder (code-davinci-002-outputs of the authors' repository)")
        return None
    paths = sorted((folder or Path(named)).rglob(f"*{_METRICS}"))
    rows = [_row(path) for path in paths]
    different = [f"{row['mode']}/{row['task']}" for row in rows if row["flantune"] != row["authors"]]
    return {
        "files": len(rows),
        "answers": sum(row["answers"] for row in rows),
        "equal": len(rows) - len(different),
        "different": different,
        "is_right": not different and len(rows) == FILES,
        "mean_of_27": {mode: _mean([row["flantune"] for row in rows if row["mode"] == mode]) for mode in MODES},
        "rows": rows,
    }


def _row(metrics: Path) -> dict[str, Any]:
    mode = metrics.parent.name.rpartition("-")[2]
    outputs = json.loads((metrics.parent / metrics.name.replace(_METRICS, ".json")).read_text(encoding="utf-8"))[
        "outputs"
    ]
    authors = json.loads(metrics.read_text(encoding="utf-8").splitlines()[0])["accuracy"]
    right = sum(_is_right(output, at, mode) for at, output in enumerate(outputs))
    return {
        "mode": mode,
        "task": metrics.name.removesuffix(_NAME + _METRICS),
        "answers": len(outputs),
        "authors": round(authors, 6),
        "flantune": round(100 * right / len(outputs), 6),
    }


def _is_right(output: dict[str, str], at: int, mode: str) -> float:
    sample = Sample(
        task="bbh",
        split="test",
        row=at,
        template=mode,
        shots=3,
        inputs=output["input"],
        references=(output["target"],),
        prediction=output["prediction"],
    )
    return text_grader(MODES[mode]).grade(sample).notes[0][0]


def _mean(values: list[float]) -> float | None:
    return round(sum(values) / len(values), 2) if values else None


if __name__ == "__main__":
    found = measure(Path(sys.argv[1]) if len(sys.argv) > 1 else None)
    print(json.dumps(found, indent=1))
    sys.exit(0 if found is None or found["is_right"] else 1)
