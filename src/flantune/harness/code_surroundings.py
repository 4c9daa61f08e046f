"""The environment of the process that runs functions of task files."""

from __future__ import annotations

import os
from pathlib import Path

_KEPT = ("PATH", "LANG", "LC_ALL", "LC_CTYPE", "TZ", "VIRTUAL_ENV", "LD_LIBRARY_PATH", "SYSTEMROOT", "NLTK_DATA")
"""Environment variables that are passed on: no tokens, keys or proxies."""


def environment(own: Path) -> dict[str, str]:
    """The process's environment variables: no secrets, no hub, one folder for all files that it writes."""
    kept = {name: os.environ[name] for name in _KEPT if name in os.environ}
    home = os.environ.get("NLTK_DATA") or str(Path.home() / "nltk_data")
    source = str(Path(__file__).parents[2])
    paths = [source, *(path for path in os.environ.get("PYTHONPATH", "").split(os.pathsep) if path)]
    return {
        **kept,
        "NLTK_DATA": home,
        "PYTHONPATH": os.pathsep.join(str(Path(path).resolve()) for path in paths),
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONHASHSEED": "0",
        "PYTHONIOENCODING": "utf-8",
        **dict.fromkeys(("HOME", "TMPDIR", "TEMP", "TMP", "HF_HOME", "XDG_CACHE_HOME"), str(own)),
        **dict.fromkeys(("HF_HUB_OFFLINE", "HF_DATASETS_OFFLINE", "TRANSFORMERS_OFFLINE"), "1"),
        **dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1"),
        "TOKENIZERS_PARALLELISM": "false",
    }


def collection(folder: Path) -> str:
    """The folder of the harness's own collection of tasks, if the given folder is in it; else empty."""
    above = (one for one in (folder, *folder.parents) if one.name == "tasks" and one.parent.name == "lm_eval")
    return str(next(above, ""))
