"""Makes both base models of the demo from nothing: ``python -m benchmarks.demo_bases OUT [--ship]``.

Text, untrained models, ``flantune pretrain`` of both families side by side with a thread each, first on the world's
text and then on questions about it, and the probes. Repeat the command to resume. ``OUT/skills.json`` gets what the
models have learned and which clusters of the demo rest on skills that they lack; with ``--ship`` both models become
those that the package carries.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path

from flantune.demo.write import RUN_NAMES, base_folder

FLANTUNE = (sys.executable, "-m", "flantune")
DOCUMENTS = 300_000
STAGES = {"pretrain": "base", "questions": "asked"}
"""Run files of both stages → the folder of their runs. The second stage starts from the first one's models."""


def main() -> int:
    """Makes what is missing, and prints the skills of both models."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path)
    parser.add_argument("--documents", type=int, default=DOCUMENTS, help="short documents of text")
    parser.add_argument("--items", type=int, default=200, help="probe items a skill")
    parser.add_argument("--set", dest="overrides", action="append", default=[], metavar="KEY=VALUE")
    parser.add_argument("--ship", action="store_true", help="put both models into the package")
    options = parser.parse_args()
    if not (options.out / "start").exists():
        run("demo", "text", str(options.out), "--documents", str(options.documents))
    changed = [word for override in options.overrides for word in ("--set", override)]
    for stage in STAGES:
        learning = [
            subprocess.Popen(
                [*FLANTUNE, "pretrain", str(options.out / f"{stage}_{name}.toml"), "--out", str(folder), *changed]
            )
            for name in RUN_NAMES.values()
            for folder in [options.out / STAGES[stage] / name]
        ]
        if any([one.wait() for one in learning]):  # noqa: C419 - wait for both, also where the first one failed
            return 1
    models = {family: options.out / STAGES["questions"] / name / "model" for family, name in RUN_NAMES.items()}
    found = {RUN_NAMES[family]: probed(model, options.items) for family, model in models.items()}
    (options.out / "skills.json").write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    for family, model in models.items():
        print(f"\n### {family}\n\n{table(found[RUN_NAMES[family]])}")
        if options.ship:
            from flantune.demo.start import ship

            ship(model, base_folder(family))
    return 0


def run(*words: str) -> str:
    """A command of flantune, and what it printed.

    Raises:
        subprocess.CalledProcessError: It failed.
    """
    return subprocess.run([*FLANTUNE, *words], check=True, stdout=subprocess.PIPE, text=True).stdout


def probed(model: Path, items: int) -> dict[str, object]:
    """What the model can do."""
    return dict(json.loads(run("demo", "probe", str(model), "--items", str(items), "--json")))


def table(found: dict[str, object]) -> str:
    """The skills as a table in Markdown, and the clusters that rest on missing ones."""
    skills, lacking = found["skills"], found["lacking"]
    assert isinstance(skills, list) and isinstance(lacking, dict)
    lines = ["| skill | chance | right |", "|---|---|---|"]
    lines += [f"| {one['name']} | {100 * one['chance']:.0f} | {100 * one['right']:.0f} |" for one in skills]
    lines += [f"\n{cluster}: {' and '.join(names)} is lacking" for cluster, names in lacking.items()]
    return "\n".join(lines)


if __name__ == "__main__":
    raise SystemExit(main())
