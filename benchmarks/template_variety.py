"""How different a task's templates are from each other, beside FLAN's, and whether any wording is shared with others.

Variety: the mean ROUGE-L of every pair of a task's inputs, of the words alone (slots taken out), and the mean of that
over tasks. Originality: every run of eight words of ours that also stands in other projects' templates.

Needs checkouts: ``FLAN_FOLDER`` names google-research/FLAN, and ``TEMPLATE_FOLDERS`` further folders, separated by
colons (promptsource, lm-evaluation-harness …), whose .py, .yaml and .json files are searched.
"""

from __future__ import annotations

import ast
import os
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations
from pathlib import Path
from statistics import mean
from typing import Any

from flantune.evaluation.metrics.rouge import rouge
from flantune.tasks.shipped_files import SHIPPED
from flantune.tasks.taskfile import load_task_file
from flantune.types import Template

WORDS = 8
"""A run of so many words in common is taken for the same wording."""


def measure(*, small: bool = False) -> dict[str, Any] | None:
    """The mean likeness of a task's templates, ours by collection and FLAN's, and the wordings that are shared."""
    flan = Path(os.environ.get("FLAN_FOLDER", "")) / "flan" / "templates.py"
    if not flan.is_file():
        print("skipped: FLAN_FOLDER does not point to a checkout of google-research/FLAN")
        return None
    ours = _ours()
    likeness = {
        name: _likeness({task: [one.inputs for one in templates] for task, templates in tasks.items()}, small=small)
        for name, tasks in ours.items()
    }
    others = [flan.parent, *map(Path, filter(None, os.environ.get("TEMPLATE_FOLDERS", "").split(":")))]
    return {
        "mean_rouge_l": likeness | {"FLAN's own": _likeness(_flan(flan), small=small)},
        "templates": {name: sum(map(len, tasks.values())) for name, tasks in ours.items()},
        "searched": {folder.name: len(_files(folder)) for folder in others},
        f"shared_{WORDS}_grams": sorted(_shared(ours, others[: 1 if small else None])),
    }


def _ours() -> dict[str, dict[str, Sequence[Template]]]:
    found: dict[str, dict[str, Sequence[Template]]] = defaultdict(dict)
    for path in sorted(SHIPPED.glob("*/*.toml")):
        found[path.parent.name][path.stem] = load_task_file(path).templates
    return dict(found)


def _flan(path: Path) -> dict[str, list[str]]:
    """FLAN's inputs by task; its table is read as data, never run."""
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == "PATTERNS":
            return {name: [inputs for inputs, _ in pairs] for name, pairs in ast.literal_eval(node.value).items()}
    raise ValueError(f"{path}: no table PATTERNS")


def _likeness(tasks: Mapping[str, Sequence[str]], *, small: bool) -> float:
    names = list(tasks)[: 3 if small else None]
    return round(mean(_pairs([_bare(text) for text in tasks[name]]) for name in names), 3)


def _pairs(texts: Sequence[str]) -> float:
    return mean(rouge(one, [other])["rougeL"] for one, other in combinations(texts, 2))


def _bare(text: str) -> str:
    return re.sub(r"\{[^{}]*\}", " ", text)


def _shared(ours: Mapping[str, Mapping[str, Sequence[Template]]], folders: Sequence[Path]) -> Iterator[str]:
    places = defaultdict(set)
    for collection, tasks in ours.items():
        for task, templates in tasks.items():
            for one in templates:
                for part in re.split(r"\{[^{}]*\}", f"{one.inputs} {{}} {one.targets}"):
                    for run in _runs(part):
                        places[run].add(f"{collection}/{task}/{one.name}")
    for folder in folders:
        for path in _files(folder):
            for run in _runs(path.read_text(encoding="utf-8", errors="replace")) & places.keys():
                yield f"{' '.join(run)}: {', '.join(sorted(places[run]))}; {folder.name}"


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.suffix in {".py", ".yaml", ".json"} and path.is_file())


def _runs(text: str) -> set[tuple[str, ...]]:
    words = re.findall(r"\w+", text.lower())
    return {tuple(words[start : start + WORDS]) for start in range(len(words) - WORDS + 1)}
