"""Prompts made ahead beside FLAN's own code of 2022, which runs on seqio: prompts a second of one core.

Ten tasks of FLAN on the same rows, mixed by rows up to 3,000; some ten templates a task and, without exemplars, options
laid out in many ways; the same SentencePiece vocabulary and lengths (2,048 and 512). Without exemplars, with as many
as FLAN's "x-shot" leaves of the 25 that it renders, and with five. Each side has its own templates, so tokens a second
are told beside prompts a second. flantune reads rows from its store and writes blocks; FLAN's side has its rows in
memory and writes nothing. seqio alone is given flantune's prompts as finished text. Each side runs in a process of its
own, in turn, FLAN's on one core; what starts a program (imports, tracing, buffers to fill) does not count; CPU time of
all its threads does.

FLAN's code is no package; it is taken from where ``FLANTUNE_FLAN`` says, in an environment of its own::

    git clone https://github.com/google-research/FLAN flan-code
    cd flan-code/flan/v2/niv2_few_shot_data
    for part in 0 1 2 3 4 5 6 7 8 9; do
        echo '{"task": "none", "sample": []}' > niv2_exemplars.jsonl-0000$part-of-00010
    done
    cd -
    python3.10 -m venv flan-python
    flan-python/bin/pip install -r benchmarks/peers_seqio.txt
    flan-python/bin/pip install --no-deps t5==0.9.4
    FLANTUNE_FLAN=flan-code FLANTUNE_FLAN_PYTHON=flan-python/bin/python python -m benchmarks preparation_seqio

(The ten files hold exemplars of Natural-Instructions, which are not used here; FLAN's code opens them at its start.)
"""

from __future__ import annotations

import base64
import json
import os
import statistics
import sys
import tempfile
from pathlib import Path
from typing import Any

from benchmarks.peers import ALONE, data_folder, told_by
from benchmarks.preparation import _run
from benchmarks.preparation_side import t5_tokenizer, t5_words, trained_mixture, write_model, write_prompts
from flantune.packing.blocks import block_path, read_block

TASKS = ("rte", "copa", "wsc", "boolq", "sst2", "mrpc", "cola", "trec", "arc_easy", "arc_challenge")
CASES = {
    "no exemplars": ("zero", ()),
    "x-shot": ("x", ("prompts.train_shots=[1,2,3,4]", 'prompts.exemplar_format="varied"')),
    "five exemplars": ("five", ("prompts.train_shots=[5]", 'prompts.exemplar_format="varied"')),
}
SIDES = ("flantune", "flan", "seqio")
ROUNDS = 3
RUN_FILE = """
[data]
collection = "flan2021"
include = {tasks}
mirror = "{data}"
[model]
path = "model"
[mixture]
max_rate = 3000
[prompts]
include_inverted = false
options_layout = "varied"
[packing]
max_input_tokens = 2048
max_target_tokens = 512
"""


def measure(*, small: bool = False) -> dict[str, Any] | None:
    """All cases, each side in turn, medians of rounds."""
    data, code, python = data_folder(), os.environ.get("FLANTUNE_FLAN"), os.environ.get("FLANTUNE_FLAN_PYTHON")
    if data is None or code is None or python is None:
        print("skipped: needs FLAN's code and its Python (see the top of this file), and real rows (FLANTUNE_DATA)")
        return None
    with tempfile.TemporaryDirectory() as scratch:
        both = {
            "data": str(data),
            "flan": str(Path(code).resolve()),
            "python": os.path.abspath(python),  # noqa: PTH100 - a link into the environment is not followed
            "architecture": "t5",
            "blocks": 1,
        }
        return {
            "rows": [
                _measure(name, both | {"work": f"{scratch}/{kind}"}, rounds=1 if small else ROUNDS)
                for name, (kind, _) in CASES.items()
            ]
        }


def _measure(name: str, both: dict[str, Any], *, rounds: int) -> dict[str, Any]:
    kind, overrides = CASES[name]
    settings = both | {"kind": kind, "overrides": list(overrides)}
    _set_up(settings)
    found: dict[str, list[dict[str, Any]]] = {side: [] for side in SIDES}
    for _ in range(rounds):
        for side in SIDES:
            is_ours = side == "flantune"
            found[side].append(_run(sys.executable, side, settings) if is_ours else _their(side, settings))
    speeds = {side: statistics.median(one["prompts"] / one["cpu_s"] for one in found[side]) for side in SIDES}
    lengths = {side: found[side][0]["mean_tokens"] for side in SIDES}
    return {
        "case": name,
        "prompts": {side: found[side][0]["prompts"] for side in SIDES},
        "mean_tokens": lengths,
        "prompts_per_cpu_second": {side: round(speed) for side, speed in speeds.items()},
        "tokens_per_cpu_second": {side: round(speed * lengths[side]) for side, speed in speeds.items()},
        "times_flan": round(speeds["flantune"] / speeds["flan"], 2),
        "times_flan_by_tokens": round(speeds["flantune"] * lengths["flantune"] / speeds["flan"] / lengths["flan"], 2),
        "times_seqio": round(speeds["flantune"] / speeds["seqio"], 2),
        "share_of_same_inputs": _same(settings, found["seqio"][0]["first_inputs"]),
    }


def _set_up(settings: dict[str, Any]) -> None:
    """The run file; a vocabulary that both sides use, learned from the prompts; the prompts as text."""
    work = Path(settings["work"])
    work.mkdir(parents=True)
    (work / "run.toml").write_text(RUN_FILE.format(tasks=list(TASKS), data=settings["data"]))
    mixture = trained_mixture(settings)
    texts = (mixture[at] for at in range(20_000))
    (work / "texts.txt").write_text("\n".join(f"{one.inputs}\n{one.targets}" for one in texts), encoding="utf-8")
    write_model("t5", _tokenizer(_their("vocabulary", settings)), work)
    write_prompts(settings)


def _tokenizer(told: dict[str, Any]) -> Any:
    """The SentencePiece vocabulary as T5's fast tokenizer has it."""
    from tokenizers import Tokenizer, models, normalizers

    pieces = [(piece, score) for piece, score in told["pieces"]]
    made = Tokenizer(models.Unigram(pieces, unk_id=2, byte_fallback=False))
    return t5_tokenizer(t5_words(made, normalizers.Precompiled(base64.b64decode(told["characters"]))))


def _their(side: str, settings: dict[str, Any]) -> dict[str, Any]:
    """Runs a side in FLAN's environment."""
    command = [settings["python"], "benchmarks/preparation_seqio_side.py", side, json.dumps(settings)]
    quiet = {"CUDA_VISIBLE_DEVICES": "-1", "TF_CPP_MIN_LOG_LEVEL": "3", "PYTHONPATH": ""}
    told: dict[str, Any] = told_by(*command, environment=ALONE | quiet)
    return told


def _same(settings: dict[str, Any], theirs: list[list[int]]) -> float:
    """Share of the first prompts whose input ids seqio makes too."""
    block, same = read_block(block_path(Path(settings["work"]) / "prepared/all-tasks", 0)), 0
    for at, ids in enumerate(theirs):
        prompt = block.draw(at).prompt
        same += prompt is not None and list(prompt.inputs) == ids
    return round(same / len(theirs), 3)
