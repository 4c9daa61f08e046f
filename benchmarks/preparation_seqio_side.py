"""FLAN's side of ``preparation_seqio``; runs in FLAN's own environment, so nothing of flantune is imported here.

``python preparation_seqio_side.py vocabulary|flan|seqio SETTINGS``: learns the vocabulary; makes rows into ids by the
tasks that FLAN's code registers; makes finished text into ids by seqio alone.
"""

from __future__ import annotations

import base64
import gzip
import json
import os
import sys
import time
from pathlib import Path
from typing import Any

WARM_UP = 1_024
"""Prompts before the clock starts: tracing, buffers to shuffle in."""
BATCH = 256
"""Prompts handed over together, so that Python's part is small."""
PROMPTS = {"zero": 8_192, "x": 1_024, "five": 1_024}
"""Prompts that the clock sees; FLAN's few-shot takes milliseconds for each."""
LENGTHS = {"inputs": 2_048, "targets": 512}
ROWS = {
    "rte": "aps/super_glue/rte",
    "copa": "aps/super_glue/copa",
    "wsc": "aps/super_glue/wsc",
    "bool_q": "aps/super_glue/boolq",
    "sst2": "nyu-mll/glue/sst2",
    "glue_mrpc": "nyu-mll/glue/mrpc",
    "cola": "nyu-mll/glue/cola",
    "trec": "CogComp/trec/default",
    "arc_easy": "allenai/ai2_arc/ARC-Easy",
    "arc_challenge": "allenai/ai2_arc/ARC-Challenge",
}
"""FLAN's name of a task → its rows in the mirror."""
KINDS = {"zero": "_template_0to10_non_deter_opt_zero_shot", "x": "_template_0to10_x_shot",
         "five": "_template_mix_five_shot"}  # fmt: skip


def vocabulary(settings: dict[str, Any]) -> dict[str, Any]:
    """A SentencePiece model as T5's, and what a tokenizer of the other side needs of it."""
    import sentencepiece
    from sentencepiece import sentencepiece_model_pb2

    work = Path(settings["work"])
    sentencepiece.SentencePieceTrainer.train(
        input=str(work / "texts.txt"), model_prefix=str(work / "pieces"), vocab_size=16_000, model_type="unigram",
        pad_id=0, eos_id=1, unk_id=2, bos_id=-1, max_sentence_length=100_000, num_threads=1, minloglevel=2,
        hard_vocab_limit=False,
    )  # fmt: skip
    model = sentencepiece_model_pb2.ModelProto()
    model.ParseFromString((work / "pieces.model").read_bytes())
    characters = base64.b64encode(model.normalizer_spec.precompiled_charsmap).decode()
    return {"pieces": [[piece.piece, piece.score] for piece in model.pieces], "characters": characters}


def flan(settings: dict[str, Any]) -> dict[str, Any]:
    """FLAN's own preprocessors, templates, exemplars and tokenizing over the mirror's rows, mixed by its rates."""
    sys.path.insert(0, settings["flan"])
    import seqio
    import t5.data

    words = seqio.SentencePieceVocabulary(str(Path(settings["work"]) / "pieces.model"))
    t5.data.get_default_vocabulary = lambda: words
    from flan.v2 import task_configs

    found = {name: _rows(name, Path(settings["data"]) / ROWS[name]) for name in ROWS}
    chosen = {name: task_configs.ALL_CANDIDATE_TASK_CONFIGS[name] for name in found}
    for name, rows in found.items():
        chosen[name].source = _source(rows)
    task_configs.ALL_CANDIDATE_TASK_CONFIGS, task_configs.NIV2_TASK_CONFIGS = chosen, {}  # the others need not register
    import flan.v2.tasks  # noqa: F401

    rates = [(name + KINDS[settings["kind"]], float(min(3_000, len(rows)))) for name, rows in found.items()]
    seqio.MixtureRegistry.add("all_of_them", rates)
    return _timed(seqio.get_mixture_or_task("all_of_them"), settings)


def seqio(settings: dict[str, Any]) -> dict[str, Any]:
    """Text that is finished into ids: what seqio itself does to it, tokenizing, end of sequence and trimming."""
    import seqio
    import tensorflow as tf

    words = seqio.SentencePieceVocabulary(str(Path(settings["work"]) / "pieces.model"))
    lines = [json.loads(line) for line in (Path(settings["work"]) / "prompts.jsonl").open(encoding="utf-8")]
    rows = {key: tf.constant([line[key] for line in lines]) for key in LENGTHS}

    def read(split: str, shuffle_files: bool, seed: int | None = None) -> Any:  # noqa: ARG001
        return tf.data.Dataset.from_tensor_slices(rows)

    seqio.TaskRegistry.add(
        "finished",
        source=seqio.FunctionDataSource(read, splits=["train"]),
        preprocessors=[seqio.preprocessors.tokenize, seqio.preprocessors.append_eos_after_trim],
        output_features={key: seqio.Feature(vocabulary=words, add_eos=True) for key in rows},
    )
    return _timed(seqio.get_mixture_or_task("finished"), settings, is_finished=True)


def _timed(task: Any, settings: dict[str, Any], *, is_finished: bool = False) -> dict[str, Any]:
    prompts = task.get_dataset(LENGTHS, split="train", shuffle=not is_finished, seed=1, num_epochs=None,
                               **({} if is_finished else {"copy_pretokenized": False}))  # fmt: skip
    prompts = prompts.map(lambda prompt: {key: prompt[key] for key in LENGTHS})
    batches = iter(prompts.ragged_batch(BATCH))
    first = [batch["inputs"].to_list() for batch in (next(batches) for _ in range(WARM_UP // BATCH))]
    count, tokens, began = 0, 0, time.process_time()
    while count < PROMPTS[settings["kind"]]:
        batch = next(batches)
        tokens += sum(int(batch[key].flat_values.shape[0]) for key in LENGTHS)
        count += BATCH
    cpu_s = time.process_time() - began
    told: dict[str, Any] = {"prompts": count, "cpu_s": cpu_s, "mean_tokens": round(tokens / count, 1)}
    if is_finished:
        told["first_inputs"] = [ids for batch in first for ids in batch][:1_000]
    return told


def _source(rows: list[dict[str, Any]]) -> Any:
    """Rows in memory as seqio's source; columns keep their types, and lists may differ in length."""
    import seqio
    import tensorflow as tf

    choices = [row.pop("choices", None) for row in rows]
    columns: dict[str, Any] = {key: tf.constant([row[key] for row in rows]) for key in rows[0]}
    if choices[0] is not None:
        columns["choices"] = {"text": tf.ragged.constant(choices)}

    def read(split: str, shuffle_files: bool, seed: int | None = None) -> Any:  # noqa: ARG001
        made = tf.data.Dataset.from_tensor_slices(columns)
        return made.shuffle(len(rows), seed=seed) if shuffle_files else made

    return seqio.FunctionDataSource(read, splits=["train"], num_input_examples={"train": len(rows)})


def _rows(name: str, folder: Path) -> list[dict[str, Any]]:
    """The mirror's training rows with the columns that FLAN's preprocessors look at."""
    with gzip.open(folder / "train.jsonl.gz", "rt", encoding="utf-8") as file:
        rows = [json.loads(line) for line in file]
    if name.startswith("arc_"):
        return [
            {
                "question": row["question"],
                "choices": row["choices"]["text"],
                "answerKey": row["choices"]["label"].index(row["answerKey"]),
            }
            for row in rows
        ]
    if name == "bool_q":
        return [
            {
                "title": row["passage"].partition(" -- ")[0],
                "passage": row["passage"].partition(" -- ")[2],
                "question": row["question"],
                "answer": row["label"],
            }
            for row in rows
        ]
    renamed = {"coarse_label": "label-coarse"} if name == "trec" else {}
    return [{renamed.get(key, key): value for key, value in row.items()} for row in rows]


if __name__ == "__main__":
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    side = {"vocabulary": vocabulary, "flan": flan, "seqio": seqio}[sys.argv[1]]
    print(json.dumps(side(json.loads(sys.argv[2]))))
