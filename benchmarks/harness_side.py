"""One side of ``harness_equality``: lm-eval's own answers to task files, in the Python that has lm-eval."""

from __future__ import annotations

import json
import random
import sys
from pathlib import Path
from typing import Any


def main(model: str, cases: str, out: str) -> None:
    """Asks a model every task file of a list with lm-eval, and writes its samples and results."""
    import numpy as np
    from lm_eval import simple_evaluate
    from lm_eval.api.task import ConfigurableTask
    from lm_eval.models.huggingface import HFLM
    from lm_eval.tasks._yaml_loader import load_yaml

    lm = HFLM(pretrained=model, batch_size=4, device="cpu", dtype="float32")
    tasks: dict[str, Any] = {}
    for path in json.loads(Path(cases).read_text(encoding="utf-8")):
        # As the harness does before it reads the tasks it is asked for: what a file draws at random follows from this.
        random.seed(0)
        np.random.seed(1234)
        task = ConfigurableTask(config=load_yaml(path))
        try:
            task.set_fewshot_seed(1234)
            task.build_all_requests()
        except Exception as error:
            # Some of the harness's own files cannot be asked by it with exemplars.
            print(f"lm-eval cannot ask {path}: {error}", file=sys.stderr)
            continue
        tasks[path] = task
    results = simple_evaluate(model=lm, tasks=list(tasks.values()), bootstrap_iters=0, log_samples=True)
    names = {path: task.config.task for path, task in tasks.items()}
    found = {
        path: {"results": results["results"][name], "samples": results["samples"][name]} for path, name in names.items()
    }
    Path(out).write_text(json.dumps(found, default=str), encoding="utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])
