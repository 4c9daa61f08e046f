"""One side of ``preparation``: makes the same prompts into ids, and tells how long that took."""

from __future__ import annotations

import json
import sys
import time
from itertools import islice
from pathlib import Path
from typing import Any

from flantune.commands.plan import prepare_tasks
from flantune.commands.prepare import PrepareJob, make_block, open_fold
from flantune.packing.batches import Batches
from flantune.packing.blocks import BLOCK_DRAWS, block_path, read_block
from flantune.packing.prepared import PreparedStream
from flantune.packing.stream import PromptStream
from flantune.settings.config import PackingSettings
from flantune.settings.run_file import RunFile, load_run_file

TASKS = ("rte", "copa", "sst2", "mrpc", "arc_easy", "arc_challenge", "web_questions", "boolq", "wsc", "multi30k_de_en",
         "multi30k_fr_en", "scitldr", "cola", "trec", "gsm8k")  # fmt: skip
SEPARATOR = "\n"


def setup(settings: dict[str, Any]) -> dict[str, Any]:
    """Writes the run file, the tokenizer as a model's folder, and the prompts as text."""
    work = Path(settings["work"])
    work.mkdir(parents=True)
    (work / "run.toml").write_text(
        f'''
[data]
collection = ["flan2021", "more"]
include = {list(TASKS)}
mirror = "{settings["data"]}"
missing = "skip"
[model]
path = "model"
[packing]
max_input_tokens = 1024
max_target_tokens = 256
'''
    )
    from flantune.models.scratch import train_tokenizer

    mixture = trained_mixture(settings)
    texts = (mixture[at].inputs + "\n" + mixture[at].targets for at in range(20_000))
    architecture = settings["architecture"]
    write_model(architecture, _unigram(texts) if architecture == "t5" else train_tokenizer(texts, 24_000), work)
    write_prompts(settings)
    return {}


def write_model(architecture: str, tokenizer: Any, work: Path) -> None:
    """A tokenizer with a model of a few weights, as the folder that both sides load."""
    _model(architecture).save_pretrained(work / "model")
    tokenizer.save_pretrained(work / "model")


def write_prompts(settings: dict[str, Any]) -> None:
    """The prompts of the blocks as finished text."""
    from flantune.prompts.layout import Layout, inputs_text

    work, (_, stream) = Path(settings["work"]), _opened(settings)
    with (work / "prompts.jsonl").open("w", encoding="utf-8") as file:
        for at in range(settings["blocks"] * BLOCK_DRAWS):
            prompt = stream.mixture[at]
            row = {"inputs": inputs_text(prompt, Layout()), "targets": prompt.targets}
            file.write(json.dumps(row, ensure_ascii=False) + "\n")


def flantune(settings: dict[str, Any]) -> dict[str, Any]:
    """Makes blocks, from the draw to the file."""
    job, stream = _opened(settings)
    stream.draws(10**9, 512)  # what is found once: templates, tokenizer
    counts = settings["blocks"]
    began = time.process_time()
    receipts = [make_block(job, number) for number in range(counts)]
    cpu_s = time.process_time() - began
    prompts = counts * BLOCK_DRAWS
    tokens = sum(one.counts.input_tokens + one.counts.target_tokens for one in receipts)
    return {
        "prompts": prompts,
        "cpu_s": cpu_s,
        "mean_tokens": round(tokens / prompts, 1),
        "bytes_a_prompt": round(sum(one.bytes for one in receipts) / prompts, 1),
        "microseconds": {"made": round(1e6 * cpu_s / prompts, 1), **_parts(job, stream)},
    }


def _parts(job: PrepareJob, stream: PromptStream) -> dict[str, float]:
    """CPU time of a prompt: to draw and render it, to encode it; made ahead, to read it; live and so, to batch it."""
    prompts: list[Any] = []
    ahead = PreparedStream(stream, job.folder, identity=job.identity)

    def encode() -> None:
        for at in range(0, BLOCK_DRAWS, 512):
            stream.codec.encode_prompts(prompts[at : at + 512], continuations="target")

    works = {
        "render": lambda: prompts.extend(stream.mixture.block(0, BLOCK_DRAWS)),
        "encode": encode,
        "read": lambda: ahead.draws(0, BLOCK_DRAWS),
        "batch_live": lambda: _batches(stream),
        "batch_prepared": lambda: _batches(ahead),
    }
    spent = {}
    for name, work in works.items():
        began = time.process_time()
        made = work()
        count = made if isinstance(made, int) else BLOCK_DRAWS
        spent[name] = round(1e6 * (time.process_time() - began) / count, 1)
    return spent


def _batches(stream: Any) -> int:
    """Batches of about a block; how many draws they took."""
    batches, cursor = Batches(stream, PackingSettings()), 0
    while cursor < BLOCK_DRAWS // 2:
        cursor = batches.batch(cursor).next_cursor
    return cursor


def trl(settings: dict[str, Any]) -> dict[str, Any]:
    """``datasets.map`` to prompt and completion, then what ``SFTTrainer`` does to them before the first step."""
    from transformers import AutoModelForCausalLM
    from trl import SFTConfig, SFTTrainer

    work, rows, tokenizer = _loaded(settings)
    model = AutoModelForCausalLM.from_config(_model("gpt2").config)
    spent: list[float] = []
    prepare = SFTTrainer._prepare_dataset

    def timed(self: Any, *arguments: Any, **options: Any) -> Any:
        began = time.process_time()
        made = prepare(self, *arguments, **options)
        spent.append(time.process_time() - began)
        return made

    SFTTrainer._prepare_dataset = timed
    began = time.process_time()
    pairs = rows.map(
        lambda row: {"prompt": row["inputs"] + SEPARATOR, "completion": row["targets"]},
        remove_columns=rows.column_names,
    )
    mapped = time.process_time() - began
    config = SFTConfig(output_dir=str(work / "trl"), max_length=None, packing=False, use_cpu=True, report_to=[])
    trainer = SFTTrainer(model=model, args=config, train_dataset=pairs, processing_class=tokenizer)
    made = trainer.train_dataset
    return {"prompts": len(made), "cpu_s": mapped + sum(spent), "same_ids": _same_ids(settings, made)}


def batches(settings: dict[str, Any]) -> dict[str, Any]:
    """The least that ``datasets`` can do: the tokenizer on batches of a thousand, inputs and targets apart."""
    _, rows, tokenizer = _loaded(settings)

    def encode(found: dict[str, list[str]]) -> dict[str, Any]:
        inputs = tokenizer([text + SEPARATOR for text in found["inputs"]], add_special_tokens=False)["input_ids"]
        targets = tokenizer([text + tokenizer.eos_token for text in found["targets"]], add_special_tokens=False)
        return {"input_ids": inputs, "labels": targets["input_ids"]}

    began = time.process_time()
    made = rows.map(encode, batched=True, remove_columns=rows.column_names)
    return {"prompts": len(made), "cpu_s": time.process_time() - began}


def _loaded(settings: dict[str, Any]) -> tuple[Path, Any, Any]:
    """The folder, the finished prompts in it as a dataset, and the tokenizer."""
    import datasets
    from transformers import AutoTokenizer

    datasets.disable_caching()
    datasets.disable_progress_bars()
    work = Path(settings["work"])
    files, cache = str(work / "prompts.jsonl"), str(work / "cache")
    rows = datasets.load_dataset("json", data_files=files, split="train", cache_dir=cache)
    return work, rows, AutoTokenizer.from_pretrained(work / "model")


def _same_ids(settings: dict[str, Any], made: Any) -> float:
    """Share of the first thousand prompts whose ids are the same on both sides; 0 for the other family."""
    path = block_path(Path(settings["work"]) / "prepared/all-tasks", 0)
    if not path.exists():
        return 0.0
    block, same, count = read_block(path), 0, 1000
    for at, row in enumerate(islice(made, count)):
        prompt = block.draw(at).prompt
        same += prompt is not None and [*prompt.inputs, *prompt.targets[0]] == list(row["input_ids"])
    return round(same / count, 3)


def _opened(settings: dict[str, Any]) -> tuple[PrepareJob, PromptStream]:
    work, file = Path(settings["work"]), _run_file(settings)
    prepared, _ = prepare_tasks(file.config, root=file.root, cache=work / "data")
    fold = open_fold(file, prepared, 0, out=work / "prepared", cache=work / "data")
    return fold.job, fold.stream


def _run_file(settings: dict[str, Any]) -> RunFile:
    return load_run_file(Path(settings["work"]) / "run.toml", overrides=settings["overrides"])


def _model(architecture: str) -> Any:
    """A model of a few weights, for those who want one."""
    from transformers import GPT2Config, GPT2LMHeadModel, T5Config, T5ForConditionalGeneration

    if architecture == "t5":
        config = T5Config(vocab_size=32_128, d_model=8, d_kv=4, d_ff=8, num_layers=1, num_heads=2)
        return T5ForConditionalGeneration(config)
    return GPT2LMHeadModel(GPT2Config(vocab_size=32_128, n_embd=8, n_layer=1, n_head=2))


def trained_mixture(settings: dict[str, Any]) -> Any:
    """The tasks' own prompts, to learn a vocabulary from."""
    from flantune.mixture.mixture import Mixture

    file = _run_file(settings)
    prepared, _ = prepare_tasks(file.config, root=file.root, cache=Path(settings["work"]) / "data")
    return Mixture([one for one in prepared if one.stores.get("train")], seed=1)


def _unigram(texts: Any) -> Any:
    """A vocabulary learned as T5's was."""
    from tokenizers import Tokenizer, models, normalizers, trainers

    made = t5_words(Tokenizer(models.Unigram()), normalizers.NFKC())
    special = ["<pad>", "</s>", "<unk>"]
    made.train_from_iterator(texts, trainers.UnigramTrainer(
        vocab_size=16_000, special_tokens=special, unk_token="<unk>", show_progress=False))  # fmt: skip
    return t5_tokenizer(made)


def t5_words(made: Any, normalizer: Any) -> Any:
    """As T5's: white space becomes blanks, and every word stands for itself."""
    from tokenizers import pre_tokenizers

    made.normalizer = normalizer
    mark = pre_tokenizers.Metaspace(replacement="\u2581", prepend_scheme="always")
    made.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.WhitespaceSplit(), mark])
    return made


def t5_tokenizer(made: Any) -> Any:
    """As transformers has it, with the end of sequence after every text."""
    from tokenizers import processors
    from transformers import PreTrainedTokenizerFast

    made.post_processor = processors.TemplateProcessing(single="$A </s>", special_tokens=[("</s>", 1)])
    named = {"pad_token": "<pad>", "eos_token": "</s>", "unk_token": "<unk>"}
    return PreTrainedTokenizerFast(tokenizer_object=made, clean_up_tokenization_spaces=False, **named)


if __name__ == "__main__":
    side = {"setup": setup, "flantune": flantune, "trl": trl, "batches": batches}[sys.argv[1]]
    told = side(json.loads(sys.argv[2]))
    print(json.dumps(told))
