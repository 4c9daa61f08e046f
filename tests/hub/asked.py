"""A process of its own that asks the hub, since its libraries read ``HF_ENDPOINT`` once: a line in, a line out."""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from flantune.errors import FlantuneError


def fetch(mirror: str, *wanted: str) -> Any:
    from flantune.tasks.sources.fetch import fetch_to_mirror

    return [[one.split, one.rows, one.revision] for one in fetch_to_mirror(wanted, Path(mirror))]


def rows(wanted: str, split: str) -> Any:
    from flantune.tasks.sources.fetch import parse_reference
    from flantune.tasks.sources.hub import HubSource

    found = parse_reference(wanted)
    return list(HubSource(id=found.id, config=found.config, revision=found.revision).rows(split))


def model(path: str, revision: str | None = None) -> Any:
    from flantune.models.load import load_model
    from flantune.settings.config import ModelSettings

    lm = load_model(ModelSettings(path=path, revision=revision, device="cpu"))
    return sum(float(weight.detach().double().sum()) for weight in lm.model.parameters())


def push(model: str, repo: str, token: str, is_public: bool = False, base_model: str = "") -> Any:
    from flantune.commands.push import parcel, send

    os.environ["HF_TOKEN"] = token
    try:
        sent = send(
            parcel(Path(model), repo, license_id="mit", base_model=base_model), is_public=is_public, message="First."
        )
    finally:
        del os.environ["HF_TOKEN"]
    return [sent.url, sent.commit, sent.is_private]


def main() -> None:
    from huggingface_hub.utils import _http

    # The pauses between its attempts are the library's own matter, and would be most of the time here.
    _http.time = SimpleNamespace(**{**vars(time), "sleep": lambda _: None})
    calls = {"fetch": fetch, "rows": rows, "model": model, "push": push}
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    for line in sys.stdin:
        name, *rest = json.loads(line)
        try:
            answer = {"gives": calls[name](*rest)}
        except FlantuneError as error:
            answer = {"error": type(error).__name__, "says": error.render()}
        print(json.dumps(answer), file=answers)


if __name__ == "__main__":
    main()
