"""One process of ``benchmarks.beside``: tunes the demo's model for some steps; prints seconds of wall and CPU time."""

from __future__ import annotations

import json
import os
import sys
import tempfile
import time
from itertools import pairwise
from pathlib import Path
from statistics import median


def main(world: Path, steps: int) -> None:
    """Prints a JSON line."""
    from flantune.system.waiting import wait_by_load

    if os.environ.get("FLANTUNE_WAIT") == "by load":
        wait_by_load()  # as the command does, before PyTorch is imported

    from flantune.commands.plan import make_batches, make_mixture, make_stream, prepare_tasks, split_fold
    from flantune.mixture.holdout import folds_of
    from flantune.models.load import load_model
    from flantune.settings.run_file import load_run_file
    from flantune.training.loop import tune

    file = load_run_file(world / "decoder_only.toml")
    config = file.config
    prepared, _ = prepare_tasks(config, root=file.root, cache=world / "cache")
    split = split_fold(config, [one.task for one in prepared], folds_of(config.holdout)[0])
    lm = load_model(config.model)
    batches = make_batches(
        config, make_stream(config, make_mixture(config, prepared, split), lm), lm, micro_batch_tokens=2_048
    )
    settings = config.training.model_copy(update={"steps": steps, "checkpoint_every": steps})
    times = [(time.perf_counter(), time.process_time())]
    with tempfile.TemporaryDirectory() as folder:
        tune(
            lm,
            batches,
            settings,
            folder=Path(folder),
            seed=0,
            fingerprint="beside",
            progress=lambda _: times.append((time.perf_counter(), time.process_time())),
        )
    walls, cpus = ([later[at] - earlier[at] for earlier, later in pairwise(times)] for at in (0, 1))
    print(
        json.dumps({"wall": median(walls[1:]), "cpu": median(cpus[1:]), "first_wall": walls[0], "first_cpu": cpus[0]})
    )


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
