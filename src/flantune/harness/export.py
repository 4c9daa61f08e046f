"""Writes results and samples in lm-evaluation-harness's file formats, for programs that read these."""

from __future__ import annotations

import hashlib
import json
import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from flantune import __version__
from flantune.evaluation.statistics.means import resample
from flantune.evaluation.statistics.pairs import REPLICATES
from flantune.harness.code_grading import CodeMetric, HarnessCodeGrader
from flantune.harness.docs import target_of
from flantune.harness.grading import PERCENT, HarnessGrader, HarnessTextGrader
from flantune.harness.metric_list import name_of
from flantune.harness.read import HarnessExam, by_group
from flantune.harness.shots import SEED
from flantune.harness.task_code import Function
from flantune.prompts.layout import inputs_text
from flantune.settings.config import PromptSettings
from flantune.system.files import write_json, write_text
from flantune.system.keyed_random import stream_key

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from flantune.evaluation.metrics.graders import MetricColumn
    from flantune.evaluation.statistics.grades import GradeTable
    from flantune.models.language_model import LanguageModel
    from flantune.types import Prompt, Sample

Json = dict[str, Any]

_OF_CONFIG = ("device", "model_dtype", "model_num_parameters")


@dataclass(frozen=True, slots=True, kw_only=True)
class AskedModel:
    """A model and its evaluation settings as recorded in the files.

    Attributes:
        path: Its folder or hub id.
        limit: The evaluation's limit; 0: all.
        seconds: Time spent.
        batch_tokens: Array positions of a batch.
        prompts: Chat template and system message.
        facts: See ``model_facts``.
    """

    path: str
    limit: int = 0
    seconds: float = 0.0
    batch_tokens: int = 0
    prompts: PromptSettings = field(default_factory=PromptSettings)
    facts: Mapping[str, Any] = field(default_factory=dict)

    @property
    def slug(self) -> str:
        """The path as a folder name, formed as in the harness."""
        return re.sub(r'["<>:/|\\?*\[\]]+', "__", self.path)


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportedAnswers:
    """One model's answers to one task.

    Attributes:
        table: Their grades.
        samples: The answers.
    """

    table: GradeTable
    samples: Sequence[Sample]


def model_facts(lm: LanguageModel) -> Json:
    """Facts about a loaded model as recorded in the harness's results."""
    tokenizer, config = lm.tokenizer, lm.model.config.get_text_config()
    names = ("bos", "eos", "pad")
    tokens = {name: (getattr(tokenizer, f"{name}_token"), getattr(tokenizer, f"{name}_token_id")) for name in names}
    longest = (getattr(config, name, None) for name in ("n_positions", "max_position_embeddings", "n_ctx"))
    return {
        **{f"tokenizer_{name}_token": [text, str(number)] for name, (text, number) in tokens.items()},
        "eot_token_id": tokenizer.eos_token_id,
        "max_length": next((length for length in longest if length), None),
        "device": str(lm.device),
        "model_dtype": str(lm.compute_dtype),
        "model_num_parameters": sum(weights.numel() for weights in lm.model.parameters()),
        "transformers_version": version("transformers"),
    }


def write_export(
    out: Path,
    exams: Sequence[HarnessExam],
    answers: Mapping[str, ExportedAnswers],
    model: AskedModel,
    *,
    now: datetime,
) -> Path:
    """Writes ``<out>/<model>/results_<time>.json`` and one ``samples_<task>_<time>.jsonl`` per task.

    Args:
        out: The folder.
        exams: The tasks.
        answers: Key of an exam → its grades and samples.
        model: The evaluated model.
        now: The time in the files' names.

    Returns:
        The results file.
    """
    folder, stamp = out / model.slug, now.isoformat().replace(":", "-")
    hashes = {}
    for one in exams:
        lines = sample_lines(one, answers[one.exam.key])
        each = (line["doc_hash"] + line["prompt_hash"] + line["target_hash"] for line in lines)
        hashes[one.task.name] = _hash("".join(each))
        text = "\n".join([*(json.dumps(line, ensure_ascii=False, default=str) for line in lines), ""])
        write_text(folder / f"samples_{one.task.name}_{stamp}.jsonl", text)
    results = results_of(exams, answers, model) | {"task_hashes": hashes}
    return write_json(folder / f"results_{stamp}.json", results)


def results_of(exams: Sequence[HarnessExam], answers: Mapping[str, ExportedAnswers], model: AskedModel) -> Json:
    """The results file as a value; fields without an equivalent in flantune are null."""
    tasks = {one.task.name: _task_results(one, answers[one.exam.key].table) for one in exams}
    members = dict(by_group(exams))
    groups = {name: _group_results(name, each, answers) for name, each in members.items()}
    better = {one.task.name: _is_higher_better(one) for one in exams}
    of_groups = {
        name: {metric: is_so for one in each for metric, is_so in better[one.task.name].items()}
        for name, each in members.items()
    }
    return {
        "results": tasks | groups,
        **({"groups": groups} if groups else {}),
        "group_subtasks": {name: [one.task.name for one in each] for name, each in members.items()},
        "configs": {one.task.name: _config(one) for one in exams},
        "versions": {one.task.name: (one.task.values.get("metadata") or {}).get("version", "Yaml") for one in exams},
        "n-shot": {one.task.name: one.shots for one in exams},
        "higher_is_better": better | of_groups,
        "n-samples": {one.task.name: {"original": one.total, "effective": len(one.rows)} for one in exams},
        "config": _run_config(model),
        "date": time.time(),
        "flantune_version": __version__,
        **dict.fromkeys(("git_hash", "upper_git_hash", "pretty_env_info", "lm_eval_version")),
        **{key: value for key, value in model.facts.items() if key not in _OF_CONFIG},
        **_chat(model.prompts),
        "model_source": "flantune",
        "model_name": model.path,
        "model_name_sanitized": model.slug,
        "total_evaluation_time_seconds": str(model.seconds),
    }


def _is_higher_better(one: HarnessExam) -> dict[str, bool]:
    """Metric → whether higher is better: according to the file, by default yes."""
    said = {name_of(entry): entry.get("higher_is_better", True) for entry in one.task.values.get("metric_list") or ()}
    return {_name(metric): bool(said.get(_name(metric), True)) for metric in one.grader.metrics}


def _name(metric: str) -> str:
    return metric.partition(",")[0]


def _run_config(model: AskedModel) -> Json:
    return {
        "model": "flantune",
        "model_args": {"pretrained": model.path},
        **{key: model.facts.get(key) for key in _OF_CONFIG},
        "batch_size": f"{model.batch_tokens} positions",
        "batch_sizes": [],
        "use_cache": None,
        "limit": model.limit or None,
        "bootstrap_iters": REPLICATES,
        "gen_kwargs": None,
        **dict.fromkeys(("random_seed", "numpy_seed", "torch_seed")),
        "fewshot_seed": SEED,
    }


def _chat(prompts: PromptSettings) -> Json:
    """The given template; the tokenizer's own is marked as such."""
    template = None
    if prompts.chat:
        template = prompts.chat_template.read_text(encoding="utf-8") if prompts.chat_template else "the tokenizer's own"
    system = prompts.system or None
    return {
        "chat_template": template,
        "chat_template_sha": template and _hash(template),
        "system_instruction": system,
        "system_instruction_sha": system and _hash(system),
        "fewshot_as_multiturn": prompts.chat_exemplars == "turns",
    }


def _task_results(one: HarnessExam, table: GradeTable) -> Json:
    found: Json = {"name": one.task.name, "alias": one.task.name, "sample_len": len(table.rows)}
    for metric in one.grader.metrics:
        name, _, chain = metric.partition(",")
        found[metric] = _scale(one, metric) * _point(table, metric)
        found[f"{name}_stderr,{chain}"] = _scale(one, metric) * _stderr(one, table, metric)
    return found


def _scale(one: HarnessExam, metric: str) -> float:
    return 100.0 if _name(metric) in PERCENT and _made(one.grader, metric) is None else 1.0


def _made(grader: HarnessGrader, metric: str) -> CodeMetric | None:
    """A metric computed by the file's own functions."""
    return grader.made.get(_name(metric)) if isinstance(grader, HarnessCodeGrader) else None


def _column(table: GradeTable, metric: str) -> MetricColumn:
    return next(column for column in table.columns.all if column.metric.name == metric)


def _notes(table: GradeTable, metric: str) -> NDArray[np.float64]:
    """A metric's values for each question, [questions, k]."""
    return table.cells(_column(table, metric))[:, 0]


def _point(table: GradeTable, metric: str) -> float:
    score, notes = _column(table, metric).metric.score, _notes(table, metric)
    return float(notes.mean() if score is None else score(notes, np.ones((1, len(notes))))[0])


def _stderr(one: HarnessExam, table: GradeTable, metric: str) -> float:
    """The standard error as the harness reports it: of a mean, else from bootstrap replicates."""
    if len(table.rows) < 2:
        return 0.0
    notes, score, made = _notes(table, metric), _column(table, metric).metric.score, _made(one.grader, metric)
    values = notes[:, 0] if score is None else np.empty(0)
    if isinstance(one.grader, HarnessCodeGrader) and made is not None and made.aggregation == "mean":
        items = [one.grader.item(note) for note in notes[:, 0]]
        values = np.array([float(item) for item in items if item is not None])
    if len(values) > 1 or score is None:
        return float(values.std(ddof=1) / np.sqrt(len(values)))
    redrawn = resample(
        lambda weights: score(notes, weights),
        examples=len(notes),
        replicates=_column(table, metric).metric.replicates or REPLICATES,
        seed=stream_key(0, "bootstrap", one.exam.key),
    )
    return float(redrawn[1:].std(ddof=1))


def _group_results(name: str, members: Sequence[HarnessExam], answers: Mapping[str, ExportedAnswers]) -> Json:
    """All questions of the group's tasks pooled, the harness's default for groups."""
    tables = [answers[one.exam.key].table for one in members]
    sizes = [len(table.rows) for table in tables]
    total = sum(sizes)
    found: Json = {"name": name, "alias": name, "sample_len": total, "sample_count": {}}
    for metric in members[0].grader.metrics:
        if not all(metric in one.grader.metrics for one in members):
            continue
        kind, _, chain = metric.partition(",")
        scales = [_scale(one, metric) for one in members]
        means = [scale * _point(table, metric) for scale, table in zip(scales, tables, strict=True)]
        each = zip(scales, members, tables, strict=True)
        errors = [scale * _stderr(one, table, metric) for scale, one, table in each]
        found[metric] = sum(mean * n for mean, n in zip(means, sizes, strict=True)) / total
        found["sample_count"][metric] = total
        # The harness's pooling of variances: within tasks, not between them.
        within = sum((n - 1) * error**2 * n for error, n in zip(errors, sizes, strict=True))
        spread = within / (total - len(sizes)) / total if total > len(sizes) else 0.0
        found[f"{kind}_stderr,{chain}"] = float(np.sqrt(spread))
    return found


def _config(one: HarnessExam) -> dict[str, Any]:
    """The file's settings, with defaults filled in."""
    values: dict[str, Any] = {k: _sayable(value) for k, value in one.task.values.items() if k != "group"}
    return {
        "description": "",
        "target_delimiter": " ",
        "fewshot_delimiter": "\n\n",
        "repeats": 1,
        "should_decontaminate": False,
        "unsafe_code": False,
        **values,
        "fewshot_config": {"sampler": "default", **(values.get("fewshot_config") or {})},
        "num_fewshot": one.shots,
        "metadata": {**(values.get("metadata") or {}), "config_source": str(one.task.path)},
    }


def _sayable(value: object) -> object:
    if isinstance(value, Function):
        return repr(value)
    if isinstance(value, Mapping):
        return {str(key): _sayable(item) for key, item in value.items()}
    return [_sayable(item) for item in value] if isinstance(value, list) else value


def sample_lines(one: HarnessExam, answers: ExportedAnswers) -> list[Json]:
    """The lines of a task's samples file: one per question, or per question and filter."""
    places = {row: at for at, row in enumerate(answers.table.rows)}
    prompts = tuple(one.exam.prompts)
    grader = one.grader
    found = []
    for name in dict.fromkeys(metric.partition(",")[2] for metric in grader.metrics):
        metrics = [metric.partition(",")[0] for metric in grader.metrics if metric.partition(",")[2] == name]
        for sample in answers.samples:
            line = _sample_line(one, prompts[sample.row], sample, metrics, name)
            if isinstance(grader, HarnessTextGrader | HarnessCodeGrader) and one.exam.answering == "text":
                line["filtered_resps"] = [grader.read(sample)[name]]
            line |= {m: _value(one, answers.table, places[sample.row], f"{m},{name}", line) for m in metrics}
            found.append(line)
    return found


def _value(one: HarnessExam, table: GradeTable, at: int, metric: str, line: Json) -> object:
    """A question's score; if there is none, the values from which the total score is computed."""
    notes = _notes(table, metric)[at]
    if _column(table, metric).metric.score is None:
        return float(notes[0])
    if isinstance(one.grader, HarnessCodeGrader) and _made(one.grader, metric) is not None:
        return one.grader.item(notes[0])
    if one.exam.answering == "options":
        return [int(number) for number in notes[:2]]  # truth and choice
    return [line["target"], line["filtered_resps"][0]]


def _sample_line(one: HarnessExam, prompt: Prompt, sample: Sample, metrics: Sequence[str], chain: str) -> Json:
    row = one.rows[sample.row]
    context = inputs_text(prompt, one.exam.layout)
    target = one.task.values["doc_to_target"]
    shown = str(row[target] if isinstance(target, str) and target in row else target_of(one.task, row))
    if sample.options:
        delimiter = one.exam.layout.target_separator
        arguments: list[Json] = [{"arg_0": context, "arg_1": delimiter + option} for option in sample.options]
        greedy = sample.greedy or (False,) * len(sample.options)
        answers: list[Any] = [[str(s), str(g)] for s, g in zip(sample.scores, greedy, strict=True)]
    else:
        given = one.task.values.get("generation_kwargs") or {}
        until = {"until": list(one.exam.writing.stop), **(given or {"do_sample": False})}
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
