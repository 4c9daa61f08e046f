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
    found: dict[str, Any] = {}
    for path in json.loads(Path(cases).read_text(encoding="utf-8")):
        random.seed(0)
        np.random.seed(1234)
        task = ConfigurableTask(config=load_yaml(path))
        results = simple_evaluate(model=lm, tasks=[task], bootstrap_iters=0, log_samples=True)
        name = task.config.task
        found[path] = {"results": results["results"][name], "samples": results["samples"][name]}
    Path(out).write_text(json.dumps(found, default=str), encoding="utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])
