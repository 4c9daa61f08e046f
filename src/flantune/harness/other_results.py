"""Results of other tools: files of lm-evaluation-harness, lighteval and inspect_ai, as benchmarks by name.

Reads only what is needed to decide whether a model has seen a benchmark: its name, its dataset, its score, and the
questions if they are in the file or beside it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from glob import escape
from pathlib import Path
from typing import Any, Literal

from flantune.errors import SourceError
from flantune.system.files import read_json

Tool = Literal["lm-evaluation-harness", "lighteval", "inspect_ai"]
Texts = tuple[str, ...]

_RUN = re.compile(r"\d{4}(-\d\d){2}T\d\d[-:]\d\d[-:]\d\d(\.\d+)?")
"""When a run ended, in the names of its files."""
_IN_FOLDERS = ("results_*.json", "????-??-??T*_*.json", "*.eval")
"""Names of results files in folders: of lm-evaluation-harness and lighteval, and logs of inspect_ai."""
_MOST_TEXTS = 5_000
"""Largest number of a benchmark's questions that are searched for in training rows."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportedBenchmark:
    """One benchmark in a results file.

    Attributes:
        tool: The tool that wrote the file.
        name: Its name in the tool.
        hub: Hub dataset and configuration ("super_glue:rte"); empty if the file does not name it.
        metric: Its first metric.
        score: The model's score by this metric; None if the file has no number.
        texts: The texts of each question; empty if the file has no questions.
    """

    tool: Tool
    name: str
    hub: str
    metric: str
    score: float | None
    texts: tuple[Texts, ...] = ()


def read_reported(path: Path) -> tuple[ReportedBenchmark, ...]:
    """The benchmarks of a results file, in its order.

    Raises:
        SourceError: It cannot be read, is in none of the three formats, or no benchmark is found in it.
    """
    found = tuple(_read(path))
    if not found:
        hint = (
            'an entry of "results" counts if "configs" (lm-evaluation-harness) or "config_tasks" (lighteval) has one '
            "of the same name; a log of inspect_ai, if it names its task or dataset"
        )
        raise SourceError("no benchmark found", where=str(path), hint=hint)
    return found


def result_files(path: Path) -> tuple[Path, ...]:
    """A results file itself, or all those in a folder and below it, by name.

    Raises:
        SourceError: There is none in the folder.
    """
    if not path.is_dir():
        return (path,)
    found = tuple(sorted({one for pattern in _IN_FOLDERS for one in path.rglob(pattern) if one.is_file()}))
    if not found:
        looked = ", ".join(_IN_FOLDERS)
        raise SourceError(f"no results file below this folder ({looked})", where=str(path), hint="name the files")
    return found


def _read(path: Path) -> Iterable[ReportedBenchmark]:
    hint = "a results_*.json of lm-evaluation-harness or lighteval, or a log of inspect_ai in JSON"
    if path.suffix == ".eval":
        hint = "write it as JSON first: inspect log convert --to json"
        raise SourceError("is a packed log of inspect_ai", where=str(path), hint=hint)
    found = read_json(path, mends=hint, error=SourceError)
    if not isinstance(found, dict):
        raise SourceError("is not a results file", where=str(path), hint=hint)
    if isinstance(found.get("eval"), dict):
        one = _of_inspect(found)
        return (one,) if one.name or one.hub else ()
    results = found.get("results")
    if isinstance(results, dict) and isinstance(found.get("config_tasks"), dict):
        return _of_lighteval(results, found["config_tasks"])
    if isinstance(results, dict) and results and isinstance(found.get("configs"), dict):
        return _of_harness(results, found["configs"], path)
    raise SourceError("is not a results file", where=str(path), hint=hint)


# --- lm-evaluation-harness ------------------------------------------------------------------------------------------


def _of_harness(results: Mapping[str, Any], configs: Mapping[str, Any], path: Path) -> Iterator[ReportedBenchmark]:
    """Tasks only; groups, which have no configuration, are means of tasks."""
    for name, scores in results.items():
        config = configs.get(name)
        if isinstance(config, dict):
            metric, score = _first_score(scores)
            yield ReportedBenchmark(
                tool="lm-evaluation-harness",
                name=str(name),
                hub=_hub(config.get("dataset_path"), config.get("dataset_name")),
                metric=metric.partition(",")[0],
                score=score,
                texts=_logged(path, str(name)),
            )


def _logged(path: Path, name: str) -> tuple[Texts, ...]:
    """The questions of a task, from the file that ``--log_samples`` wrote beside the results."""
    files = _logs(path, name)
    if not files:
        return ()
    found: list[Texts] = []
    try:
        with files[-1].open(encoding="utf-8") as lines:
            for line in lines:
                doc = json.loads(line).get("doc")
                found.append(tuple(_strings(doc)))
                if len(found) == _MOST_TEXTS:
                    break
    except (OSError, ValueError, AttributeError) as error:
        raise SourceError(f"cannot be read: {error}", where=str(files[-1]), hint="remove it, or log it again") from None
    return tuple(found)


def _logs(path: Path, name: str) -> list[Path]:
    """The files with a task's samples: of the same run as the results, or else of any, oldest first.

    "samples_gsm8k_*" would also be those of the task "gsm8k_cot".
    """
    run = path.stem.removeprefix("results_")
    if (own := path.with_name(f"samples_{name}_{run}.jsonl")).is_file():
        return [own]
    start = f"samples_{name}_"
    found = path.parent.glob(f"{escape(start)}*.jsonl")
    return sorted(one for one in found if _RUN.fullmatch(one.stem.removeprefix(start)))


# --- lighteval ------------------------------------------------------------------------------------------------------


def _of_lighteval(results: Mapping[str, Any], configs: Mapping[str, Any]) -> Iterator[ReportedBenchmark]:
    """Tasks only; "all" and "…:_average" are means of tasks. One without a configuration is known by its name alone."""
    tasks = {str(name): scores for name, scores in results.items() if name != "all" and ":_average" not in str(name)}
    found = {name: _config_of(name, configs) for name in tasks}
    if any(config is not None for config in found.values()):
        for name, scores in tasks.items():
            config = found[name] or {}
            metric, score = _first_score(scores)
            yield ReportedBenchmark(
                tool="lighteval",
                name=str(config.get("name") or _bare_name(name)),
                hub=_hub(config.get("hf_repo"), config.get("hf_subset")),
                metric=metric,
                score=score,
            )


def _config_of(name: str, configs: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """Versions differ in whether a configuration's name ends in the number of exemplars."""
    parts = name.split("|")
    tries = ("|".join(parts[:count]) for count in range(len(parts), 0, -1))
    return next((configs[one] for one in tries if isinstance(configs.get(one), dict)), None)


def _bare_name(name: str) -> str:
    """A task's name without suite and number of exemplars.

    >>> _bare_name("leaderboard|hellaswag|10"), _bare_name("hellaswag|10")
    ('hellaswag', 'hellaswag')
    """
    return next((part for part in reversed(name.split("|")) if part and not part.isdigit()), name)


# --- inspect_ai -----------------------------------------------------------------------------------------------------


def _of_inspect(log: Mapping[str, Any]) -> ReportedBenchmark:
    about = log["eval"]
    data = about.get("dataset") if isinstance(about.get("dataset"), dict) else {}
    place = str(data.get("location") or "")
    metric, score = _inspect_score(log.get("results"))
    found = log.get("samples")
    samples: list[object] = found if isinstance(found, list) else []
    return ReportedBenchmark(
        tool="inspect_ai",
        name=str(about.get("task") or data.get("name") or "").rpartition("/")[2],
        # A hub dataset is an organization and a name; anything else is a file.
        hub=place if place.count("/") == 1 and "." not in place.rpartition("/")[2] and place[0] not in "./" else "",
        metric=metric,
        score=score,
        texts=tuple(tuple(_inspect_texts(one)) for one in samples[:_MOST_TEXTS] if isinstance(one, dict)),
    )


def _inspect_score(results: object) -> tuple[str, float | None]:
    scores = results.get("scores") if isinstance(results, dict) else None
    for score in scores if isinstance(scores, list) else ():
        for name, metric in (score.get("metrics") or {}).items() if isinstance(score, dict) else ():
            value = metric.get("value") if isinstance(metric, dict) else None
            if isinstance(value, int | float):
                return str(name), float(value)
    return "", None


def _inspect_texts(sample: Mapping[str, Any]) -> Iterator[str]:
    asked = sample.get("input")
    if isinstance(asked, str):
        yield asked
    for message in asked if isinstance(asked, list) else ():
        if isinstance(message, dict) and message.get("role") == "user" and isinstance(message.get("content"), str):
            yield message["content"]
    yield from _strings(sample.get("choices"))


# --- common functions ------------------------------------------------------------------------------------------------


def _first_score(scores: object) -> tuple[str, float | None]:
    for name, value in scores.items() if isinstance(scores, dict) else ():
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        if is_number and "stderr" not in str(name) and name != "sample_len":
            return str(name), float(value)
    return "", None


def _hub(name: object, config: object) -> str:
    """Loaders of local files are named like datasets of the hub."""
    if not isinstance(name, str) or not name or name in {"json", "csv", "parquet", "text", "arrow"} or name[0] in "./":
        return ""
    return f"{name}:{config}" if isinstance(config, str) and config and config != "default" else name


def _strings(value: object) -> Iterator[str]:
    """All texts in a nested value."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for inner in value.values():
            yield from _strings(inner)
    elif isinstance(value, Sequence):
        for inner in value:
            yield from _strings(inner)
