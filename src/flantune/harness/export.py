"""Results and samples in the files lm-evaluation-harness writes, for everything that reads those."""

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
from flantune.evaluation.statistics.pairs import REPLICATES
from flantune.harness.code_grading import CodeMetric, HarnessCodeGrader
from flantune.harness.docs import target_of
from flantune.harness.grading import PERCENT, HarnessTextGrader
from flantune.harness.metric_list import name_of
from flantune.harness.read import HarnessPart, by_group
from flantune.harness.shots import SEED
from flantune.harness.task_code import Function
from flantune.prompts.layout import inputs_text
from flantune.settings.config import PromptSettings
from flantune.system.files import write_json, write_text

if TYPE_CHECKING:
    from flantune.models.language_model import LanguageModel
    from flantune.suites.scores import PartScores
    from flantune.suites.suite import Part
    from flantune.types import Sample

Json = dict[str, Any]

_OF_CONFIG = ("device", "model_dtype", "model_num_parameters")


@dataclass(frozen=True, slots=True, kw_only=True)
class AskedModel:
    """What the files say of a model and of how it was asked.

    Attributes:
        path: Its folder or hub id.
        limit: As the evaluation was asked for; 0: all.
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
        """The path as the harness makes a folder's name of it."""
        return re.sub(r'["<>:/|\\?*\[\]]+', "__", self.path)


def model_facts(lm: LanguageModel) -> Json:
    """What the harness's results say of a loaded model."""
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
    parts: Sequence[HarnessPart],
    answers: Mapping[str, tuple[PartScores, Sequence[Sample]]],
    model: AskedModel,
    *,
    now: datetime,
) -> Path:
    """Writes ``<out>/<model>/results_<time>.json`` and one ``samples_<task>_<time>.jsonl`` a task; returns the former.

    Args:
        out: The folder.
        parts: The tasks.
        answers: Key of a part → its grades and samples.
        model: Who answered.
        now: The time in the files' names.
    """
    folder, stamp = out / model.slug, now.isoformat().replace(":", "-")
    hashes = {}
    for one in parts:
        lines = sample_lines(one, *answers[one.part.key])
        each = (line["doc_hash"] + line["prompt_hash"] + line["target_hash"] for line in lines)
        hashes[one.task.name] = _hash("".join(each))
        text = "\n".join([*(json.dumps(line, ensure_ascii=False, default=str) for line in lines), ""])
        write_text(folder / f"samples_{one.task.name}_{stamp}.jsonl", text)
    results = results_of(parts, answers, model) | {"task_hashes": hashes}
    return write_json(folder / f"results_{stamp}.json", results)


def results_of(
    parts: Sequence[HarnessPart], answers: Mapping[str, tuple[PartScores, Sequence[Sample]]], model: AskedModel
) -> Json:
    """The results file as a value; what flantune has no like of is null."""
    tasks = {one.task.name: _task_results(one, answers[one.part.key][0]) for one in parts}
    members = dict(by_group(parts))
    groups = {name: _group_results(name, each, answers) for name, each in members.items()}
    better = {one.task.name: _is_higher_better(one) for one in parts}
    of_groups = {
        name: {metric: is_so for one in each for metric, is_so in better[one.task.name].items()}
        for name, each in members.items()
    }
    return {
        "results": tasks | groups,
        **({"groups": groups} if groups else {}),
        "group_subtasks": {name: [one.task.name for one in each] for name, each in members.items()},
        "configs": {one.task.name: _config(one) for one in parts},
        "versions": {one.task.name: (one.task.values.get("metadata") or {}).get("version", "Yaml") for one in parts},
        "n-shot": {one.task.name: one.part.shots for one in parts},
        "higher_is_better": better | of_groups,
        "n-samples": {one.task.name: {"original": one.total, "effective": len(one.rows)} for one in parts},
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


def _is_higher_better(one: HarnessPart) -> dict[str, bool]:
    """Metric → whether more of it is better: as the file says, else it is."""
    said = {name_of(entry): entry.get("higher_is_better", True) for entry in one.task.values.get("metric_list") or ()}
    return {_name(metric): bool(said.get(_name(metric), True)) for metric in one.part.grader.metrics}


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
    """The template as it was given; one that came with the tokenizer is named as such."""
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


def _task_results(one: HarnessPart, scores: PartScores) -> Json:
    found: Json = {"name": one.task.name, "alias": one.task.name, "sample_len": len(scores.rows)}
    for metric in one.part.grader.metrics:
        name, _, chain = metric.partition(",")
        found[metric] = _scale(one, metric) * scores.point(metric)
        found[f"{name}_stderr,{chain}"] = _scale(one, metric) * _stderr(scores, metric)
    return found


def _scale(one: HarnessPart, metric: str) -> float:
    return 100.0 if _name(metric) in PERCENT and _made(one.part, metric) is None else 1.0


def _made(part: Part, metric: str) -> CodeMetric | None:
    """A metric that the file's own functions make."""
    return part.grader.made.get(_name(metric)) if isinstance(part.grader, HarnessCodeGrader) else None


def _stderr(scores: PartScores, metric: str) -> float:
    """As the harness has it: that of a mean, else the spread of bootstrap replicates."""
    if len(scores.rows) < 2:
        return 0.0
    values = scores.values.get(metric, np.empty(0))
    grader, made = scores.part.grader, _made(scores.part, metric)
    if isinstance(grader, HarnessCodeGrader) and made is not None and made.aggregation == "mean":
        items = [grader.item(note) for note in scores.notes[metric][:, 0]]
        values = np.array([float(item) for item in items if item is not None])
    if len(values) > 1:
        return float(values.std(ddof=1) / np.sqrt(len(values)))
    return float(scores.resampled(metric)[1:].std(ddof=1))


def _group_results(
    name: str, members: Sequence[HarnessPart], answers: Mapping[str, tuple[PartScores, Sequence[Sample]]]
) -> Json:
    """All questions of the group's tasks pooled, as the harness's groups are by default."""
    scores = [answers[one.part.key][0] for one in members]
    sizes = [len(one.rows) for one in scores]
    total = sum(sizes)
    found: Json = {"name": name, "alias": name, "sample_len": total, "sample_count": {}}
    for metric in members[0].part.grader.metrics:
        if not all(metric in one.part.grader.metrics for one in members):
            continue
        kind, _, chain = metric.partition(",")
        scales = [_scale(one, metric) for one in members]
        means = [scale * one.point(metric) for scale, one in zip(scales, scores, strict=True)]
        errors = [scale * _stderr(one, metric) for scale, one in zip(scales, scores, strict=True)]
        found[metric] = sum(mean * n for mean, n in zip(means, sizes, strict=True)) / total
        found["sample_count"][metric] = total
        # The harness's own pooling of variances: within tasks, never between them.
        within = sum((n - 1) * error**2 * n for error, n in zip(errors, sizes, strict=True))
        spread = within / (total - len(sizes)) / total if total > len(sizes) else 0.0
        found[f"{kind}_stderr,{chain}"] = float(np.sqrt(spread))
    return found


def _config(one: HarnessPart) -> dict[str, Any]:
    """The file's settings, and those that hold where it has none."""
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
        "num_fewshot": one.part.shots,
        "metadata": {**(values.get("metadata") or {}), "config_source": str(one.task.path)},
    }


def _sayable(value: object) -> object:
    if isinstance(value, Function):
        return repr(value)
    if isinstance(value, Mapping):
        return {str(key): _sayable(item) for key, item in value.items()}
    return [_sayable(item) for item in value] if isinstance(value, list) else value


def sample_lines(one: HarnessPart, scores: PartScores, samples: Sequence[Sample]) -> list[Json]:
    """The lines of a task's samples file: one a question, or one a question and filter."""
    places = {row: at for at, row in enumerate(scores.rows)}
    grader = one.part.grader
    found = []
    for name in dict.fromkeys(metric.partition(",")[2] for metric in grader.metrics):
        metrics = [metric.partition(",")[0] for metric in grader.metrics if metric.partition(",")[2] == name]
        for sample in samples:
            line = _sample_line(one, sample, metrics, name)
            if isinstance(grader, HarnessTextGrader | HarnessCodeGrader) and one.part.answering == "text":
                line["filtered_resps"] = [grader.read(sample)[name]]
            line |= {m: _value(one, scores, places[sample.row], f"{m},{name}", line) for m in metrics}
            found.append(line)
    return found


def _value(one: HarnessPart, scores: PartScores, at: int, metric: str, line: Json) -> object:
    """A question's own score; where there is none, what the score of all questions is made from."""
    if metric in scores.values:
        return float(scores.values[metric][at])
    grader = one.part.grader
    if isinstance(grader, HarnessCodeGrader) and _made(one.part, metric) is not None:
        return grader.item(scores.notes[metric][at][0])
    if one.part.answering == "options":
        return [int(number) for number in scores.notes[metric][at][:2]]  # truth and choice
    return [line["target"], line["filtered_resps"][0]]


def _sample_line(one: HarnessPart, sample: Sample, metrics: Sequence[str], chain: str) -> Json:
    prompt, row = one.part.prompts[sample.row], one.rows[sample.row]
    context = inputs_text(prompt, one.part.layout)
    target = one.task.values["doc_to_target"]
    shown = str(row[target] if isinstance(target, str) and target in row else target_of(one.task, row))
    if sample.options:
        delimiter = one.part.layout.target_separator
        arguments: list[Json] = [{"arg_0": context, "arg_1": delimiter + option} for option in sample.options]
        greedy = sample.greedy or (False,) * len(sample.options)
        answers: list[Any] = [[str(s), str(g)] for s, g in zip(sample.scores, greedy, strict=True)]
    else:
        given = one.task.values.get("generation_kwargs") or {}
        until = {"until": list(one.part.stop), **(given or {"do_sample": False})}
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
