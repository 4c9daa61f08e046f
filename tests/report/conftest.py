"""A synthetic but complete run folder: two folds, six unseen tasks, both kinds, few-shot, hostile dataset text."""

from __future__ import annotations

import json
import math
import random
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from flantune.evaluation import samples as samples_on_disk
from flantune.packing.packs import Counts
from flantune.runs.folder import SCHEMA
from flantune.settings.json_file import plain
from flantune.training.state import Window
from flantune.types import Sample

HOSTILE = "</script><img src=x onerror=alert(1)>"
HOSTILE_COMMENT = "<!--<script>document.title='owned'</script>"
EXPRESSION = "{{7*7}} {% raw %} ${7*7}"
RTL = "مرحبا بالعالم שלום עולם"
TASKS = {
    "verse_entailment": (
        "Natural language inference",
        "classification",
        "accuracy",
        1 / 3,
        ("yes", "no", "it cannot be said"),
    ),
    "claim_pairs": ("Natural language inference", "classification", "accuracy", 0.5, ("yes", "no")),
    "everyday_causes": (
        "Commonsense",
        "classification",
        "accuracy",
        0.5,
        ("He ran home.", "The kettle boiled over, and the whole kitchen filled with steam."),
    ),
    "who_is_it": ("Coreference", "classification", "accuracy", 0.5, ("the gardener", "the mayor")),
    "short_facts": ("Closed-book QA", "generation", "exact_match", 0.0, ()),
    "a_task_with_a_rather_long_name_that_must_not_break_the_page": (
        "Commonsense",
        "classification",
        "accuracy",
        0.25,
        ("A", "B", "C", "D"),
    ),
}
FOLDS = {
    "natural-language-inference": ("Natural language inference",),
    "commonsense-coreference-closed-book-qa": ("Commonsense", "Coreference", "Closed-book QA"),
}
TRAINED = {
    "Sentiment": (("film_reviews", 67_349), ("shop_reviews", 25_000), ("short_posts", 1_600)),
    "Paraphrase": (("question_pairs", 363_846), ("news_pairs", 3_668)),
    "Summarization": (("mail_subjects", 14_436), ("chat_summaries", 14_732), ("headlines", 120_000)),
    "Translation": (("english_french", 1_000_000), ("english_turkish", 205_756)),
    "Struct-to-text": (("concept_sentences", 67_389),),
}
DRAWS = 61_204
TEMPLATES = tuple(f"{verb}_{noun}" for verb in ("ask", "state", "list") for noun in ("plain", "formal", "short"))


def estimate(value: float, half: float) -> dict[str, float]:
    return {"value": value, "low": value - half, "high": value + half, "se": half / 1.96}


def fold_of(cluster: str) -> str:
    return next(name for name, clusters in FOLDS.items() if cluster in clusters)


def write(path: Path, value: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value, ensure_ascii=False), encoding="utf-8")


def make_sample(task: str, row: int, template: str, shots: int, skill: float, chance: random.Random) -> dict[str, Any]:
    _, kind, _, _, options = TASKS[task]
    words = f"Premise {row}: the river froze in {1800 + row}, wrote the clerk.\n\nTemplate {template}."
    inputs = {
        0: f"{HOSTILE}\n{words}",
        1: f"{EXPRESSION}\n{words}",
        2: f"{RTL}\n{words}",
        3: "A long passage about rivers and mills. " * 77 + words,
        4: f"{HOSTILE_COMMENT}\n{words}",
    }.get(row, words)
    if options:
        inputs += "\n\nOPTIONS:\n" + "\n".join(f"- {option}" for option in options)
    if shots:
        inputs = "Question: is ice cold?\nyes\n\n" * shots + inputs
    sample = {
        "task": task,
        "split": "test",
        "row": row,
        "template": template,
        "shots": shots,
        "inputs": inputs,
        "options": list(options),
        "answer": None,
        "references": [],
        "scores": [],
        "lengths": [],
        "prediction": "",
        "exemplar_rows": list(range(shots)),
    }
    gold = row % max(len(options), 1)
    is_right = chance.random() < skill
    if kind == "generation":
        sample["references"] = ["the Nile", f"the river Nile & {HOSTILE}"]
        sample["prediction"] = "The Nile." if is_right else f"the Danube {'of ' * (row % 9)}\u2028or so"
        return sample
    picked = gold if is_right else (gold + 1) % len(options)
    scores = [
        -6.0 + (2.0 * chance.random() + 0.5 if k == picked else -1.5 * chance.random()) for k in range(len(options))
    ]
    sample |= {
        "answer": gold,
        "references": [options[gold]],
        "scores": scores,
        "lengths": [len(o.split()) + 1 for o in options],
    }
    return sample


def difference(value: float, half: float) -> dict[str, float]:
    p = min(1.0, 0.5 * abs(half / value) ** 3) if value else 1.0
    return {**estimate(value, half), "p": p, "detectable": 1.4 * half}


PAIRED = {"bootstrap": None, "mcnemar_p": None, "q": None, "rows_sha256": "5a", "skill": None, "clean": None}
UNSEEN = {
    "unparsed": 0.0, "rules": {}, "vote_confidence": None, "exemplars_dropped": 0, "inputs_shortened": 0,
    "prompts_dropped": 0, "seen": [], "seen_examples": 0, "clean": None, "skill": None,
}  # fmt: skip
PROTOCOL = "f21c0ffee"


def scores(center: float, spread: float, chance: random.Random, kind: str) -> dict[str, Any]:
    values = [min(max(center + chance.gauss(0, spread), 0.02), 0.98) for _ in TEMPLATES]
    ordered = sorted(values)
    mean = sum(values) / len(values)
    rules = ("sum", "token", "character", "byte")
    return {
        "mean": estimate(mean, 0.035),
        "std": math.sqrt(sum((v - mean) ** 2 for v in values) / (len(values) - 1)),
        "median": ordered[len(ordered) // 2],
        "iqr": ordered[6] - ordered[2],
        "range": ordered[-1] - ordered[0],
        "worst_template": TEMPLATES[values.index(ordered[0])],
        "worst": ordered[0],
        "agreement": 0.8,
        "best_dev_template": TEMPLATES[3],
        "best_dev_test": values[3],
        "examples": 200,
        "ties": 2,
        "normalizations": {} if kind == "generation" else {rule: mean - 0.01 * k for k, rule in enumerate(rules)},
        "tie_rules": {} if kind == "generation" else {"first": mean, "expected": mean},
        "templates": [
            {
                "template": name, "value": value, "low": value - 0.06, "high": value + 0.06, "dev": value + 0.02,
                "metrics": {"accuracy": value}, "discrimination": None, "calibrated_accuracy": None,
            }
            for name, value in zip(TEMPLATES, values, strict=True)
        ],
        "metrics": {"exact_match": mean, "f1": mean + 0.1} if kind == "generation" else {"accuracy": mean},
        **UNSEEN,
    }  # fmt: skip


def make_task(name: str, fold: str, shots: int, models: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """A task's results for any number of models, each later one with its difference from the first."""
    cluster, kind, metric, guess, _ = TASKS[name]
    first, *later = models
    changes = {model: models[model]["mean"]["value"] - models[first]["mean"]["value"] for model in later}
    return {
        "name": name, "fold": fold, "clusters": [cluster], "kind": kind, "metric": metric, "protocol": PROTOCOL,
        "shots": shots, "answers_each": 1, "temperature": 0.0, "chance": guess, "groups": 200, "signatures": {},
        "notes": [], "scores": models,
        "differences": {
            model: {
                **difference(change, 0.042), **PAIRED, "examples": 200, "q": 0.03,
                "mcnemar_p": 0.0004 if abs(change) > 0.06 else 0.21,
            }
            for model, change in changes.items()
        },
    }  # fmt: skip


def contrast(each: list[dict[str, Any]], names: list[str], half: float, scale: Callable[..., float]) -> dict[str, Any]:
    """A mean over tasks, in one measure."""
    means = {
        model: sum(scale(one["scores"][model]["mean"]["value"], one["chance"]) for one in each) / len(each)
        for model in names
    }
    return {
        "exams": [one["name"] for one in each],
        "scores": {model: estimate(value, half) for model, value in means.items()},
        "differences": {model: difference(means[model] - means[names[0]], 1.2 * half) for model in names[1:]},
    }


def mean_of(each: list[dict[str, Any]], half: float) -> dict[str, Any]:
    names = list(each[0]["scores"])
    return {
        "chance": sum(one["chance"] for one in each) / len(each),
        "raw": contrast(each, names, half, lambda value, _: value),
        "normalized": contrast(each, names, 1.6 * half, lambda value, guess: (value - guess) / (1 - guess)),
        "discrimination": None,
        "calibrated_accuracy": None,
    }


def make_verdict(overall: dict[str, Any], model: str, *, first: str = "base") -> dict[str, Any]:
    change = overall["raw"]["differences"][model]
    direction = "better" if change["low"] > 0 else "worse" if change["high"] < 0 else "undecided"
    before, after = (overall["raw"]["scores"][name]["value"] for name in (first, model))
    text = (
        f"On {len(TASKS)} tasks of 4 clusters it never trained on, tuning changed the score from {100 * before:.1f} to "
        f"{100 * after:.1f} ({100 * change['value']:+.1f} points; chance 36.0): {direction}."
    )
    return {
        "text": text, "direction": direction, "first": before, "second": after, "difference": change, "chance": 0.36,
        "tasks": len(TASKS), "clusters": 4, "notes": [],
    }  # fmt: skip


def results_of(
    kind: str, names: list[str], tasks: list[dict[str, Any]], shots: tuple[int, ...], **more: Any
) -> dict[str, Any]:
    """All of ``results.json`` from tasks."""
    clusters = [
        {"cluster": cluster, "fold": fold_of(cluster) if kind == "run" else "", "shots": k, **mean_of(ours, 0.03)}
        for cluster in dict.fromkeys(c for c, *_ in TASKS.values())
        for k in shots
        for ours in [[t for t in tasks if t["clusters"] == [cluster] and t["shots"] == k]]
    ]
    overall = [{"shots": k, **mean_of([t for t in tasks if t["shots"] == k], 0.026)} for k in shots]
    models = [
        {"name": name, "fold": fold, "path": f"m/{name}", "fingerprint": "1c" * 16, "trained_by_flantune": at > 0}
        for at, name in enumerate(names)
        for fold in (FOLDS if kind == "run" and at else ("",))
    ]
    choices = {"name": "flan2021", "normalization": "sum", "ties": "first"}
    return {
        "schema": 4, "kind": kind, "name": "Synthetic run" if kind == "run" else "", "confidence": 0.95, "seed": 7,
        "limit": 0, "answer_parsing": "none", "is_reportable": True, "protocols": {PROTOCOL: choices},
        "models": models,
        "verdicts": {name: make_verdict(overall[0], name, first=names[0]) for name in names[1:]},
        "overall": overall, "clusters": clusters, "tasks": tasks, "benchmarks": [], "normalized_averages": [],
        "missing": [], "trusted_code": [], "seconds": 0.0, **more,
    }  # fmt: skip


def make_tasks(names: list[str], gains: list[float], shots: tuple[int, ...], chance: random.Random, *, is_run: bool):
    """Every task for every model; the later ones gain so much, some tasks more and some less."""
    tasks = []
    for number, (task, (cluster, kind, _, guess, _)) in enumerate(TASKS.items()):
        for k in shots:
            start = max(guess, 0.12) + 0.04 + 0.03 * number + (0.05 if k else 0.0)
            models = {}
            for at, (name, gain) in enumerate(zip(names, gains, strict=True)):
                lift = gain * (1.8 - 0.55 * number) + (0.02 if k else 0.0) if at else 0.0
                models[name] = scores(start + lift, 0.055 if at else 0.03, chance, kind)
            tasks.append(make_task(task, fold_of(cluster) if is_run else "", k, models))
    return tasks


def make_results(gain: float, shots: tuple[int, ...], chance: random.Random) -> dict[str, Any]:
    tasks = make_tasks(["base", "tuned"], [0.0, gain], shots, chance, is_run=True)
    return results_of("run", ["base", "tuned"], tasks, shots)


def make_benchmark(names: list[str], gains: list[float], chance: random.Random) -> dict[str, Any]:
    """A benchmark of three parts and four ways to average them, one of which a model has seen."""
    parts = []
    for at, part in enumerate(("anatomy", "virology", "world_religions")):
        models = {
            name: {**scores(0.4 + 0.1 * at + gain, 0.0, chance, "classification"), "rules": {"likeliest": 200}}
            for name, gain in zip(names, gains, strict=True)
        }
        one = make_task("verse_entailment", "", 5, models)
        parts.append({**one, "name": part, "clusters": ["stem"], "groups": 200})
    whole = mean_of(parts, 0.02)
    ways = ("mean of 3 subjects", "stem", "other", "all questions")
    return {
        "name": "mmlu_direct", "metric": "accuracy", "protocol": PROTOCOL, "shots": 5, "answers_each": 1,
        "temperature": 0.0,
        "averages": [
            {"name": name, "examples": 600, **whole} for name in ways
        ],
        "scores": {
            name: {
                "examples": 600, "unparsed": 0.0, "vote_confidence": None, "is_complete": True,
                "seen": ["it was trained on <b>it</b>"] if name == "seen" else [], "clean": None, "other_metrics": {},
                "ranked": 3, "collapsed": ["anatomy"],
            }
            for name in names
        },
        "differences": {
            name: {**whole["raw"]["differences"][name], **PAIRED, "examples": 600, "q": 0.02} for name in names[1:]
        },
        "parts": parts,
    }  # fmt: skip


def make_evaluation(gains: dict[str, float], *, shots: tuple[int, ...] = (0,), limit: int = 0) -> dict[str, Any]:
    """An evaluation of any number of models, on tasks and a benchmark."""
    names, lifts, chance = list(gains), list(gains.values()), random.Random(5)
    tasks = make_tasks(names, lifts, shots, chance, is_run=False)
    benchmark = make_benchmark(names, lifts, chance)
    average = {
        "name": "Flan 2022 normalized average",
        "benchmarks": ["mmlu_direct"],
        "scores": {name: estimate(0.2 + lift, 0.03) for name, lift in gains.items()},
        "reasons": dict.fromkeys(names, "not on all questions of mmlu_direct"),
        "differences": {
            name: {**difference(lift, 0.03), **PAIRED, "examples": 600} for name, lift in list(gains.items())[1:]
        },
    }
    missing = [{"score": "bbh_cot", "name": "", "needs": "prompts of <i>bbh</i>"}]
    return results_of(
        "evaluation", names, tasks, shots, benchmarks=[benchmark], normalized_averages=[average], limit=limit,
        missing=missing, is_reportable=False,
    )  # fmt: skip


def make_mixture(fold: str) -> dict[str, Any]:
    trained = dict(TRAINED)
    for cluster in dict.fromkeys(c for c, *_ in TASKS.values()):
        if fold_of(cluster) != fold:
            trained[cluster] = tuple((t, 9_000) for t, entry in TASKS.items() if entry[0] == cluster)
    excluded = [{"task": "river_stories", "reason": "cluster overlap: Reading comprehension with commonsense"}]
    if fold == "natural-language-inference":
        trained.pop("Paraphrase")
        excluded = [
            {
                "task": name,
                "reason": "cluster overlap: Paraphrase is left out when Natural language inference is held out",
            }
            for name, _ in TRAINED["Paraphrase"]
        ] + [{"task": "explained_pairs", "reason": "kin family: snli"}]
    quotas = sum(min(n, 3_000) for tasks in trained.values() for _, n in tasks)
    leaves = {
        cluster: [
            {
                "name": task,
                "clusters": [cluster],
                "family": task,
                "kind": "generation",
                "dataset": None,
                "examples": n,
                "capped": min(n, 30_000),
                "quota": min(n, 3_000),
                "rate": min(n, 3_000) / quotas,
                "templates": 9,
                "inverted_templates": 2,
                "draws": DRAWS * min(n, 3_000) / quotas,
                "epochs": DRAWS * min(n, 3_000) / quotas / min(n, 30_000),
            }
            for task, n in tasks
        ]
        for cluster, tasks in trained.items()
    }
    sums = ("examples", "capped", "quota", "rate", "draws")
    return {
        "held_out": list(FOLDS[fold]),
        "clusters": list(FOLDS[fold]),
        "breaks": [],
        "train": [leaf["name"] for each in leaves.values() for leaf in each],
        "unseen": [t for t, entry in TASKS.items() if fold_of(entry[0]) == fold],
        "measured_seen": [],
        "excluded": excluded,
        "draws": DRAWS,
        "tree": {
            "seed": 7,
            "cycle": quotas,
            "clusters": [
                {"name": c, "tasks": each, **{key: sum(leaf[key] for leaf in each) for key in sums}}
                for c, each in leaves.items()
            ],
        },
    }


def write_fold(folder: Path, fold: str, chance: random.Random) -> None:
    write(folder / "mixture.json", make_mixture(fold))
    whole = plain(Window(steps=1).line(step=1, cursor=1, seconds=1.0))
    lines = [
        whole
        | {
            "step": step,
            "loss": 0.55 + 2.4 * math.exp(-step / 160) + chance.gauss(0, 0.05),
            "grad_norm": 0.9 + 3 * math.exp(-step / 90) + chance.random() * 0.4,
            "learning_rate": 3e-5,
            "tokens_per_s": 3480 + chance.gauss(0, 90),
            "seconds": step * 2.3,
            "fill": 0.97,
        }
        for step in range(5, 1_201, 5)
    ]
    (folder / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines) + '{"step": 1205, "lo')
    counts = {
        "prompts": DRAWS,
        "input_tokens": 8_460_112,
        "target_tokens": 902_311,
        "positions": 9_620_480,
        "exemplars_dropped": 0,
        "inputs_shortened": 812,
        "prompts_dropped": 3,
        "fill": 0.973,
    }
    write(
        folder / "training.json",
        {
            "steps": 1_200,
            "cursor": DRAWS,
            "counts": counts,
            "seconds": 2_760.0,
            "data_wait_seconds": 3.0,
            "tokens_per_s": 3_480.0,
            "peak_memory_bytes": 2_411_000_000,
            "first_loss": 2.9,
            "last_loss": 0.56,
            "final_loss": 0.58,
            "fill": 0.973,
            "border_mismatch_share": 0.031,
        },
    )
    write(folder / "model" / "config.json", {"is_encoder_decoder": False})


def write_samples(folder: Path, shots: tuple[int, ...], rows: int, gain: float) -> None:
    for task, (cluster, *_) in TASKS.items():
        for home, skill in ((folder / "base", 0.45), (folder / "folds" / fold_of(cluster) / "tuned", 0.45 + gain)):
            path = home / "samples" / f"{task}.parquet"
            chance = random.Random(f"{task}{home.name}")
            cells = [(row, template, k) for row in range(rows) for k in shots for template in TEMPLATES]
            samples_on_disk.write_samples(
                path, [to_sample(make_sample(task, row, template, k, skill, chance)) for row, template, k in cells]
            )
            counts = Counts(prompts=720, inputs_shortened=4, exemplars_dropped=9, prompts_dropped=1)
            digest = samples_on_disk.file_sha256(path)
            origin = samples_on_disk.Origin(fingerprint="f", samples=1, sha256=digest, counts=counts, seconds=1.0)
            samples_on_disk.write_origin(path, origin)


def to_sample(raw: dict[str, Any]) -> Sample:
    return Sample(**{name: tuple(value) if isinstance(value, list) else value for name, value in raw.items()})


def make_config() -> dict[str, Any]:
    values = {
        "name": "Synthetic run",
        "seed": 7,
        "family": "decoder-only",
        "data": {"tasks": ["tasks/*.toml"], "max_bad_share": 0.01},
        "holdout": {"folds": [list(clusters) for clusters in FOLDS.values()], "taxonomy": None},
        "model": {"path": "/models/little-llama-110m", "dtype": "bfloat16", "scratch": None},
        "training": {"steps": 1_200, "learning_rate": 3e-5, "optimizer": "adafactor"},
        "evaluation": {"shots": [0, 5], "confidence": 0.95},
    }
    origins = {
        "name": "run.toml:1",
        "seed": "--set",
        "holdout.folds": "run.toml:9",
        "model.path": "run.toml:12",
        "training.steps": "run.toml:20",
    }
    return {"values": values, "origins": origins, "contents": {}, "identity": "9f", "schema": SCHEMA}


def make_data() -> dict[str, Any]:
    def report(role: str, raw: int, bad: dict[str, int]) -> dict[str, Any]:
        notes = [
            {"reason": r, "row": 17 + k, "detail": f"label is 7, known are 0–2 {HOSTILE}"}
            for r in bad
            for k in range(2)
        ]
        kept = raw - sum(bad.values()) - (41 if bad else 0)
        return {
            "split": role,
            "source": f"rows/{role}.jsonl",
            "raw_rows": raw,
            "kept": kept,
            "dropped": 41 if bad else 0,
            "bad": bad,
            "first_bad": notes,
        }

    tasks = []
    for number, (task, (cluster, kind, *_)) in enumerate(TASKS.items()):
        bad = {"unknown label": 12, "empty text": 2} if number % 3 == 0 else {}
        tasks.append(
            {
                "name": task,
                "clusters": [cluster],
                "kind": kind,
                "family": task,
                "metrics": ["accuracy"],
                "licence": "CC BY 4.0",
                "citation": "",
                "description": "",
                "origin": "tasks.toml",
                "fingerprint": "9f",
                "splits": {"train": report("train", 9_055, bad), "test": report("test", 812, {})},
                "templates": [
                    {"name": t, "inputs": "{premise}", "targets": "{answer}", "is_inverted": False} for t in TEMPLATES
                ],
                "missing": {"dev": "no such split"} if number == 4 else {},
            }
        )
    return {"identity": "9f", "skipped": {"old_news": "no such file: rows/old_news.jsonl"}, "tasks": tasks}


def make_manifest() -> dict[str, Any]:
    return {
        "schema": 1,
        "versions": {"python": "3.12.1", "flantune": "0.1.0", "torch": "2.10.0", "transformers": "5.0.0"},
        "fingerprints": {"config": "9f" * 16, "data": "0b" * 16},
        "seconds": {"prepare": 31.5, "evaluate base": 402.0, "tune": 5_520.0, "evaluate tuned": 411.0, "report": 0.8},
        "peak_memory_mib": 2_299.5,
        "files": [
            {"path": "results.json", "bytes": 88_120},
            {"path": "folds/x/model/model.safetensors", "bytes": 442_000_000},
        ],
    }


def build_run(folder: Path, *, gain: float = 0.11, shots: tuple[int, ...] = (0, 5), rows: int = 12) -> Path:
    """Writes the run folder of a run that gained about so much."""
    chance = random.Random(11)
    folder.mkdir(parents=True, exist_ok=True)
    write(folder / "results.json", make_results(gain, shots, chance))
    write(folder / "config.json", make_config())
    write(folder / "data.json", make_data())
    write(folder / "manifest.json", make_manifest())
    for fold in FOLDS:
        (folder / "folds" / fold).mkdir(parents=True)
        write_fold(folder / "folds" / fold, fold, chance)
    write_samples(folder, shots, rows, gain)
    return folder


def poison(folder: Path) -> Path:
    """Puts hostile text into every string of a run folder: names, reasons, prompts, options, settings, paths."""
    kept = {
        *("fold", "direction", "kind", "split", "normalization", "ties", "held_out", "schema", "protocol", "family"),
        *("dtype", "optimizer", "sha256"),
    }
    models = {"base", "tuned"}

    def spoil(value: Any, key: str = "") -> Any:
        if isinstance(value, dict):
            return {(k if k.isidentifier() else k + HOSTILE): spoil(v, k) for k, v in value.items()}
        if isinstance(value, list):
            return [spoil(v, key) for v in value]
        is_left = not isinstance(value, str) or key in kept or value in models
        return value if is_left else value + HOSTILE + HOSTILE_COMMENT + EXPRESSION

    for path in folder.rglob("*.json"):
        write(path, spoil(json.loads(path.read_text(encoding="utf-8"))))
    for path in folder.rglob("samples/*.parquet"):
        # Templates keep their names, by which base and tuned samples are matched.
        raw = [json.loads(json.dumps(asdict(sample))) for sample in samples_on_disk.read_samples(path)]
        samples_on_disk.write_samples(path, [to_sample(spoil(row)) for row in raw])
    return folder


@pytest.fixture(scope="session")
def run_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A complete run that got better; not to be changed."""
    return build_run(tmp_path_factory.mktemp("run") / "synthetic-run")


@pytest.fixture
def make_run(tmp_path: Path) -> Callable[..., Path]:
    """Builds a run folder of one's own."""
    return lambda **settings: build_run(tmp_path / "run", **settings)


@pytest.fixture(scope="session")
def hostile_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run whose every string tries to become HTML or a template; not to be changed."""
    return poison(build_run(tmp_path_factory.mktemp("hostile") / "run", rows=6, shots=(0,)))
