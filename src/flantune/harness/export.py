"""Results and samples in the files lm-evaluation-harness writes, for everything that reads those."""

from __future__ import annotations

import hashlib
import json
import re
import time
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from flantune import __version__
from flantune.files import write_json, write_text
from flantune.harness.grading import HarnessTextGrader
from flantune.harness.read import HarnessPart, by_group
from flantune.harness.taskfile import PythonName
from flantune.prompts.layout import inputs_text

if TYPE_CHECKING:
    from flantune.suites.scores import PartScores
    from flantune.types import Sample

Json = dict[str, Any]


def write_export(
    out: Path,
    parts: Sequence[HarnessPart],
    answers: Mapping[str, tuple[PartScores, Sequence[Sample]]],
    *,
    model: str,
    limit: int,
    seconds: float,
    now: datetime,
) -> Path:
    """Writes ``<out>/<model>/results_<time>.json`` and one ``samples_<task>_<time>.jsonl`` a task; returns the former.

    Args:
        out: The folder.
        parts: The tasks.
        answers: Key of a part → its grades and samples.
        model: Path or hub id of the model.
        limit: As the evaluation was asked for.
        seconds: Time spent.
        now: The time in the files' names.
    """
    folder = out / re.sub(r'["<>:/|\\?*\[\]]+', "__", model)
    stamp = now.isoformat().replace(":", "-")
    for one in parts:
        scores, samples = answers[one.part.key]
        lines = [json.dumps(line, ensure_ascii=False) for line in sample_lines(one, scores, samples)]
        write_text(folder / f"samples_{one.task.name}_{stamp}.jsonl", "\n".join([*lines, ""]))
    results = results_of(parts, answers, model=model, limit=limit, seconds=seconds)
    return write_json(folder / f"results_{stamp}.json", results)


def results_of(
    parts: Sequence[HarnessPart],
    answers: Mapping[str, tuple[PartScores, Sequence[Sample]]],
    *,
    model: str,
    limit: int,
    seconds: float,
) -> Json:
    """The results file as a value."""
    tasks = {one.task.name: _task_results(one, answers[one.part.key][0]) for one in parts}
    groups = {name: _group_results(name, members, answers) for name, members in by_group(parts)}
    return {
        "results": tasks | groups,
        **({"groups": groups} if groups else {}),
        "group_subtasks": {name: [one.task.name for one in members] for name, members in by_group(parts)},
        "configs": {one.task.name: _config(one) for one in parts},
        "versions": {one.task.name: (one.task.values.get("metadata") or {}).get("version", "Yaml") for one in parts},
        "n-shot": {one.task.name: one.part.shots for one in parts},
        "higher_is_better": {
            one.task.name: {metric.partition(",")[0]: True for metric in one.part.grader.metrics} for one in parts
        },
        "n-samples": {one.task.name: {"original": one.total, "effective": len(one.rows)} for one in parts},
        "config": {
            "model": "flantune",
            "model_args": {"pretrained": model},
            "limit": limit or None,
            "fewshot_seed": 1234,
        },
        "git_hash": None,
        "date": time.time(),
        "flantune_version": __version__,
        "model_source": "flantune",
        "model_name": model,
        "model_name_sanitized": re.sub(r'["<>:/|\\?*\[\]]+', "__", model),
        "total_evaluation_time_seconds": str(seconds),
    }


def _task_results(one: HarnessPart, scores: PartScores) -> Json:
    found: Json = {"name": one.task.name, "alias": one.task.name, "sample_len": len(scores.rows)}
    for metric, values in scores.values.items():
        name, _, chain = metric.partition(",")
        found[metric] = float(values.mean())
        found[f"{name}_stderr,{chain}"] = _stderr(values)
    return found


def _stderr(values: np.ndarray[tuple[int, ...], np.dtype[np.float64]]) -> float:
    return float(values.std(ddof=1) / np.sqrt(len(values))) if len(values) > 1 else 0.0


def _group_results(
    name: str, members: Sequence[HarnessPart], answers: Mapping[str, tuple[PartScores, Sequence[Sample]]]
) -> Json:
    """All questions of the group's tasks pooled, as the harness's groups are by default."""
    scores = [answers[one.part.key][0] for one in members]
    found: Json = {"name": name, "alias": name, "sample_len": sum(len(one.rows) for one in scores)}
    common = [metric for metric in scores[0].values if all(metric in one.values for one in scores)]
    for metric in common:
        kind, _, chain = metric.partition(",")
        each, sizes = [one.values[metric] for one in scores], [len(one.rows) for one in scores]
        total = sum(sizes)
        found[metric] = sum(float(v.mean()) * n for v, n in zip(each, sizes, strict=True)) / total
        # The harness's own pooling of variances: within tasks, never between them.
        within = sum((n - 1) * _stderr(v) ** 2 * n for v, n in zip(each, sizes, strict=True))
        spread = within / (total - len(sizes)) / total if total > len(sizes) else 0.0
        found[f"{kind}_stderr,{chain}"] = float(np.sqrt(spread))
    return found


def _config(one: HarnessPart) -> Json:
    return {key: _sayable(value) for key, value in one.task.values.items()} | {"num_fewshot": one.part.shots}


def _sayable(value: object) -> object:
    if isinstance(value, PythonName):  # pragma: no cover - refused before
        return f"!function {value.name}"
    if isinstance(value, Mapping):
        return {str(key): _sayable(item) for key, item in value.items()}
    return [_sayable(item) for item in value] if isinstance(value, list) else value


def sample_lines(one: HarnessPart, scores: PartScores, samples: Sequence[Sample]) -> list[Json]:
    """The lines of a task's samples file: one a question, or one a question and filter."""
    places = {row: at for at, row in enumerate(scores.rows)}
    found = []
    filters = one.part.grader.filters if isinstance(one.part.grader, HarnessTextGrader) else (None,)
    for chain in filters:
        for sample in samples:
            name = chain.name if chain else "none"
            own = {m: v for m, v in scores.values.items() if m.partition(",")[2] == name}
            line = _sample_line(one, sample, [m.partition(",")[0] for m in own], name)
            line |= {m.partition(",")[0]: float(v[places[sample.row]]) for m, v in own.items()}
            if chain is not None:
                line["filtered_resps"] = [chain.apply(sample.prediction)]
            found.append(line)
    return found


def _sample_line(one: HarnessPart, sample: Sample, metrics: Sequence[str], chain: str) -> Json:
    prompt, row = one.part.prompts[sample.row], one.rows[sample.row]
    context = inputs_text(prompt, one.part.layout)
    target = one.task.values["doc_to_target"]
    shown = str(row[target]) if isinstance(target, str) and target in row else prompt.targets
    if sample.options:
        delimiter = one.part.layout.target_separator
        arguments: list[Json] = [{"arg_0": context, "arg_1": delimiter + option} for option in sample.options]
        greedy = sample.greedy or (False,) * len(sample.options)
        answers: list[Any] = [[str(s), str(g)] for s, g in zip(sample.scores, greedy, strict=True)]
    else:
        until = {"until": list(one.part.stop), "max_gen_toks": one.part.max_new_tokens}
        arguments, answers = [{"arg_0": context, "arg_1": until}], [sample.prediction]
    return {
        "doc_id": sample.row,
        "doc": dict(row),
        "target": shown,
        "arguments": {f"gen_args_{at}": entry for at, entry in enumerate(arguments)},
        "resps": [[answer] for answer in answers],
        "filtered_resps": answers,
        "filter": chain,
        "metrics": list(metrics),
        "doc_hash": _hash(json.dumps(dict(row), indent=2, ensure_ascii=False, default=str)),
        "prompt_hash": _hash(str(arguments[0]["arg_0"])),
        "target_hash": _hash(shown),
    }


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8")).hexdigest()
