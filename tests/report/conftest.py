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


def scores(center: float, spread: float, chance: random.Random, kind: str) -> dict[str, Any]:
    values = [min(max(center + chance.gauss(0, spread), 0.02), 0.98) for _ in TEMPLATES]
    ordered = sorted(values)
    mean = sum(values) / len(values)
    return {
        "mean": estimate(mean, 0.035),
        "std": math.sqrt(sum((v - mean) ** 2 for v in values) / (len(values) - 1)),
        "median": ordered[len(ordered) // 2],
        "iqr": ordered[6] - ordered[2],
        "best_dev_template": TEMPLATES[3],
        "best_dev_test": values[3],
        "ties": 2,
        "normalizations": {}
        if kind == "generation"
        else {"sum": mean, "token": mean - 0.02, "character": mean + 0.01, "byte": mean + 0.01},
        "templates": [
            {"template": name, "value": value, "dev": value + 0.02, "metrics": {"accuracy": value}}
            for name, value in zip(TEMPLATES, values, strict=True)
        ],
        "metrics": {"exact_match": mean, "f1": mean + 0.1} if kind == "generation" else {"accuracy": mean},
    }


def make_results(gain: float, shots: tuple[int, ...], chance: random.Random) -> dict[str, Any]:
    tasks, clusters = [], []
    for number, (task, (cluster, kind, metric, guess, _)) in enumerate(TASKS.items()):
        for k in shots:
            start = max(guess, 0.12) + 0.04 + 0.03 * number + (0.05 if k else 0.0)
            lift = gain * (1.8 - 0.55 * number) + (0.02 if k else 0.0)
            base, tuned = scores(start, 0.03, chance, kind), scores(start + lift, 0.055, chance, kind)
            difference = tuned["mean"]["value"] - base["mean"]["value"]
            tasks.append(
                {
                    "task": task,
                    "clusters": [cluster],
                    "fold": fold_of(cluster),
                    "kind": kind,
                    "metric": metric,
                    "shots": k,
                    "chance": guess,
                    "examples": 200,
                    "models": {"base": base, "tuned": tuned},
                    "is_seen": False,
                    "difference": estimate(difference, 0.042),
                    "mcnemar_p": 0.0004 if abs(difference) > 0.06 else 0.21,
                    "ties": 3,
                }
            )
    for cluster in dict.fromkeys(c for c, *_ in TASKS.values()):
        for k in shots:
            ours = [t for t in tasks if t["clusters"] == [cluster] and t["shots"] == k]
            base, tuned = (sum(t["models"][m]["mean"]["value"] for t in ours) / len(ours) for m in ("base", "tuned"))
            guess = sum(t["chance"] for t in ours) / len(ours)
            clusters.append(
                {
                    "cluster": cluster,
                    "fold": fold_of(cluster),
                    "shots": k,
                    "base": estimate(base, 0.03),
                    "tuned": estimate(tuned, 0.033),
                    "difference": estimate(tuned - base, 0.036),
                    "base_normalized": estimate((base - guess) / (1 - guess), 0.05),
                    "tuned_normalized": estimate((tuned - guess) / (1 - guess), 0.055),
                    "difference_normalized": estimate((tuned - base) / (1 - guess), 0.06),
                    "chance": guess,
                    "tasks": [t["task"] for t in ours],
                }
            )
    overall = []
    for k in shots:
        for measure, key in (("raw", ""), ("normalized", "_normalized")):
            ours = [c for c in clusters if c["shots"] == k]
            base, tuned = (sum(c[f"{m}{key}"]["value"] for c in ours) / len(ours) for m in ("base", "tuned"))
            overall.append(
                {
                    "shots": k,
                    "measure": measure,
                    "base": estimate(base, 0.02),
                    "tuned": estimate(tuned, 0.02),
                    "difference": estimate(tuned - base, 0.031),
                }
            )
    first = overall[0]
    low, high = first["difference"]["low"], first["difference"]["high"]
    return {
        "schema": 1,
        "name": "Synthetic run",
        "confidence": 0.95,
        "normalization": "sum",
        "seed": 7,
        "verdict": {
            "text": "",
            "direction": "better" if low > 0 else "worse" if high < 0 else "undecided",
            "base": first["base"]["value"],
            "tuned": first["tuned"]["value"],
            "difference": first["difference"]["value"],
            "interval": [low, high],
            "chance": 0.36,
            "tasks": len(TASKS),
            "clusters": 4,
        },
        "overall": overall,
        "clusters": clusters,
        "tasks": tasks,
    }


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
    return {
        "held_out": list(FOLDS[fold]),
        "train": [leaf["name"] for each in leaves.values() for leaf in each],
        "unseen": [t for t, entry in TASKS.items() if fold_of(entry[0]) == fold],
        "measured_seen": [],
        "excluded": excluded,
        "draws": DRAWS,
        "tree": {
            "name": "mixture",
            "seed": 7,
            "cycle": quotas,
            "children": [{"name": c, "children": each} for c, each in leaves.items()],
        },
    }


def write_fold(folder: Path, fold: str, chance: random.Random) -> None:
    write(folder / "mixture.json", make_mixture(fold))
    lines = [
        {
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
            write(
                path.with_name(f"{task}.json"),
                {
                    "samples": 1,
                    "counts": {"prompts": 720, "inputs_shortened": 4, "exemplars_dropped": 9, "prompts_dropped": 1},
                },
            )
            chance = random.Random(f"{task}{home.name}")
            cells = [(row, template, k) for row in range(rows) for k in shots for template in TEMPLATES]
            samples_on_disk.write_samples(
                path, [to_sample(make_sample(task, row, template, k, skill, chance)) for row, template, k in cells]
            )


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
    return {"values": values, "origins": origins}


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
                "licence": "CC BY 4.0",
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
        "flantune": "0.1.0",
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
    kept = {"fold", "direction", "kind", "split", "measure", "normalization", "held_out", "schema"}

    def spoil(value: Any, key: str = "") -> Any:
        if isinstance(value, dict):
            return {(k if k.isidentifier() else k + HOSTILE): spoil(v, k) for k, v in value.items()}
        if isinstance(value, list):
            return [spoil(v, key) for v in value]
        return value + HOSTILE + HOSTILE_COMMENT + EXPRESSION if isinstance(value, str) and key not in kept else value

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
