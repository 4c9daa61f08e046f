"""What the demo shows, over seeds and with FLAN's ablations: ``python -m benchmarks.demo_study OUT [--seeds 3]``.

Three arms tune the same base on the same rows: with instructions, with the inputs alone, with the dataset's name in
front of them. All are asked with instructions (FLAN 2021, section 4.3) and all are shown the options. The table has a
row a held-out cluster: chance, the prompted base, and each arm, as mean over seeds with a t-interval over seeds.
"""

from __future__ import annotations

import argparse
import json
import math
from pathlib import Path
from typing import Any

from scipy import stats

from flantune.cli.console import Console, quiet_libraries
from flantune.demo.write import write_demo
from flantune.settings.run_file import load_run_file

ARMS = ("instruction", "inputs_only", "dataset_name")
FAMILIES = {"decoder-only": "decoder_only.toml", "encoder-decoder": "encoder_decoder.toml"}


def main() -> None:
    """Runs all arms and seeds (each can be resumed) and prints the tables as Markdown."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--family", choices=[*FAMILIES, "both"], default="both")
    parser.add_argument("--arms", nargs="+", choices=ARMS, default=list(ARMS))
    options = parser.parse_args()
    quiet_libraries()
    world = write_demo(options.out / "world", seed=0)
    for family in FAMILIES if options.family == "both" else [options.family]:
        results = {
            (arm, seed): run_arm(world / FAMILIES[family], options.out / family / f"{arm}-{seed}", arm, seed)
            for seed in range(options.seeds)
            for arm in options.arms
        }
        text = table(results, arms=options.arms, seeds=options.seeds)
        (options.out / f"{family}.md").write_text(text, encoding="utf-8")
        print(f"\n### {family}\n\n{text}")


def run_arm(run_file: Path, out: Path, arm: str, seed: int) -> dict[str, Any]:
    """One arm with one seed; read from disk when it is there."""
    from flantune.commands.run import run

    if (out / "manifest.json").exists():
        return dict(json.loads((out / "results.json").read_text(encoding="utf-8")))
    loaded = load_run_file(
        run_file,
        overrides=[f"seed={seed}", f"prompts.style={arm}", "evaluation.style=instruction", f"name={arm} {seed}"],
    )
    return dict(run(loaded, out=out, reporter=Console()).results)


def table(results: dict[tuple[str, int], dict[str, Any]], *, arms: list[str], seeds: int) -> str:
    """Held-out clusters as rows; chance, base and arms as columns."""
    first = next(iter(results.values()))
    lines = [
        "| held-out cluster | chance | prompted base | " + " | ".join(arms) + " |",
        "|---|---|---|" + "---|" * len(arms),
    ]
    shots = first["clusters"][0]["shots"]
    for cluster in [c["cluster"] for c in first["clusters"] if c["shots"] == shots]:
        cells = [
            _cell([_cluster(results[arm, s], cluster)["scores"]["tuned"]["value"] for s in range(seeds)])
            for arm in arms
        ]
        bases = _cell([_cluster(results[arms[0], s], cluster)["base"] for s in range(seeds)])
        chance = f"{100 * _cluster(first, cluster)['chance']:.1f}"
        lines.append(f"| {cluster} | {chance} | {bases} | " + " | ".join(cells) + " |")
    overall = [[_overall(results[arm, s])["scores"]["tuned"]["value"] for s in range(seeds)] for arm in arms]
    bases = _cell([_overall(results[arms[0], s])["scores"]["base"]["value"] for s in range(seeds)])
    chance = f"{100 * first['verdicts']['tuned']['chance']:.1f}"
    lines.append(
        f"| **mean of clusters** | {chance} | {bases} | " + " | ".join(_cell(values) for values in overall) + " |"
    )
    gains = [[_overall(results[arm, s])["differences"]["tuned"]["value"] for s in range(seeds)] for arm in arms]
    lines.append("| **change from base** |  |  | " + " | ".join(_cell(values, signed=True) for values in gains) + " |")
    return "\n".join(lines) + "\n"


def _cluster(results: dict[str, Any], name: str) -> dict[str, Any]:
    """What guessing and the two models score on a cluster."""
    found = next(c for c in results["clusters"] if c["cluster"] == name)
    return {"chance": found["chance"], **{model: one["value"] for model, one in found["raw"]["scores"].items()}}


def _overall(results: dict[str, Any]) -> dict[str, Any]:
    return dict(results["overall"][0]["raw"])


def _cell(values: list[float], *, signed: bool = False) -> str:
    """Mean and half-width of the 95% t-interval over seeds, in points."""
    mean = sum(values) / len(values)
    if len(values) < 2:
        return f"{100 * mean:+.1f}" if signed else f"{100 * mean:.1f}"
    spread = math.sqrt(sum((v - mean) ** 2 for v in values) / (len(values) - 1) / len(values))
    half = float(stats.t.ppf(0.975, len(values) - 1)) * spread
    return f"{100 * mean:+.1f} ± {100 * half:.1f}" if signed else f"{100 * mean:.1f} ± {100 * half:.1f}"


if __name__ == "__main__":
    main()
