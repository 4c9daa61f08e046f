"""Pretrains the demo's base models from scratch: ``python -m flantune.demo.pretrain --family decoder-only --out …``.

The decoder-only model learns to continue the world's texts; the encoder-decoder model learns to write the rest of a
text whose beginning its encoder reads. It is a recipe: a model, a tokenizer, a stream of text and the settings of one
call of ``tune``. Called again, it goes on where it was.
"""

from __future__ import annotations

import argparse
import copy
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from transformers import AutoTokenizer, LlamaConfig, LlamaForCausalLM, T5Config, T5ForConditionalGeneration

from flantune.demo import probes
from flantune.demo.rest_of_text import RestOfText
from flantune.demo.text import DemoText
from flantune.demo.tokenizer import train_tokenizer
from flantune.errors import FlantuneError
from flantune.models.attention.lines import reads_lines
from flantune.models.language_model import LanguageModel
from flantune.models.load import resolve_device
from flantune.models.stored.quiet import quiet_library
from flantune.packing.batches import Batches
from flantune.pretraining.corpus import Corpus, read_corpus
from flantune.pretraining.objectives import Causal
from flantune.pretraining.text_stream import TextStream
from flantune.runs.identity import content_digest
from flantune.settings.config import PackingSettings, TrainingSettings
from flantune.settings.optimizer_settings import AdamSettings
from flantune.settings.run_file import fingerprint
from flantune.system.files import whole_folder
from flantune.system.locking import locked
from flantune.training.division import hidden_size
from flantune.training.loop import tune
from flantune.types import Family

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

    from flantune.training.tuning_summary import TuningSummary

PEAK_RATES: dict[Family, float] = {"decoder-only": 3e-3, "encoder-decoder": 2e-2}
"""AdamW's rate for the decoder, Adafactor's for T5: relative to each weight's size, which T5's small query weights
need (with AdamW at either 3e-3 or 6e-4 the loss fell more slowly from the first million tokens on)."""
DRAW_TOKENS = (128,) * 6 + (256,)
"""A quarter of the tokens are in draws of the longer length."""
ENCODER_TOKENS, DECODER_TOKENS = 128, 112
BATCH_TOKENS = 4_096


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """What a pretraining run depends on.

    Attributes:
        steps: Optimizer steps; the learning rate falls along a cosine until then.
        text: Files and folders to read; none: the demo's own text.
        batch_tokens: Tokens of one optimizer step, about.
        learning_rate: Peak rate; None: the family's in ``PEAK_RATES``.
        tokenizer_documents: Documents that the tokenizer is trained on.
    """

    family: Family
    steps: int
    text: tuple[Path, ...] = ()
    seed: int = 0
    hidden_size: int = 128
    layers: int = 5
    learning_rate: float | None = None
    warmup_steps: int = 200
    batch_tokens: int = BATCH_TOKENS
    weight_decay: float = 0.05
    tokenizer_documents: int = 30_000

    def packing(self) -> PackingSettings:
        """Rows of a step."""
        if self.family == "decoder-only":
            row = max(DRAW_TOKENS)
            return PackingSettings(row_tokens=row, batch_tokens=max(row, self.batch_tokens))
        rows = max(1, self.batch_tokens // (ENCODER_TOKENS + DECODER_TOKENS))
        return PackingSettings(row_tokens=ENCODER_TOKENS, batch_tokens=rows * ENCODER_TOKENS)

    def training(self, *, checkpoint_every: int, probe_every: int, log_every: int) -> TrainingSettings:
        """Optimizer and schedule, and how often to keep and tell."""
        return TrainingSettings(
            steps=self.steps,
            optimizer="adamw" if self.family == "decoder-only" else "adafactor",
            adam=AdamSettings(betas=(0.9, 0.98)),
            weight_decay=self.weight_decay if self.family == "decoder-only" else 0.0,
            no_decay=(),
            learning_rate=self.learning_rate or PEAK_RATES[self.family],
            schedule="cosine",
            warmup_steps=self.warmup_steps,
            dropout=0.0,
            checkpoint_every=checkpoint_every,
            log_every=log_every,
            measure_every=probe_every,
        )


def build_model(recipe: Recipe, *, vocabulary_size: int) -> LlamaForCausalLM | T5ForConditionalGeneration:
    """A model with random weights, of about 1.2 million (decoder-only) or 1.6 million (encoder-decoder) parameters."""
    torch.manual_seed(recipe.seed)
    if recipe.family == "decoder-only":
        return LlamaForCausalLM(
            LlamaConfig(
                vocab_size=vocabulary_size,
                hidden_size=recipe.hidden_size,
                intermediate_size=recipe.hidden_size * 11 // 4,
                num_hidden_layers=recipe.layers,
                num_attention_heads=4,
                max_position_embeddings=1_024,
                tie_word_embeddings=True,
                bos_token_id=None,
                eos_token_id=1,
                pad_token_id=0,
            )
        )
    model = T5ForConditionalGeneration(
        T5Config(
            vocab_size=vocabulary_size,
            d_model=recipe.hidden_size,
            d_kv=recipe.hidden_size // 4,
            d_ff=recipe.hidden_size * 2,
            num_layers=recipe.layers - 1,
            num_decoder_layers=recipe.layers - 2,
            num_heads=4,
            feed_forward_proj="gated-gelu",
            dropout_rate=0.0,
            tie_word_embeddings=False,  # type: ignore[call-arg]  # tied still; but the logits are not scaled down
            decoder_start_token_id=0,
            eos_token_id=1,
            pad_token_id=0,
        )
    )
    # T5 draws embeddings with a deviation of 1, which suits Adafactor's relative steps; with AdamW's absolute ones
    # words would stay where they were drawn for thousands of steps.
    with torch.no_grad():
        model.shared.weight.normal_(std=0.02)
    return model


def make_stream(recipe: Recipe, corpus: Corpus, tokenizer: PreTrainedTokenizerBase) -> TextStream:
    """Text with what the family learns from it."""
    objective = (
        Causal(lengths=DRAW_TOKENS, begins_documents=not recipe.text)
        if recipe.family == "decoder-only"
        else RestOfText(max_input_tokens=ENCODER_TOKENS, max_target_tokens=DECODER_TOKENS)
    )
    return TextStream(corpus, tokenizer, objective, row_tokens=recipe.packing().row_tokens, seed=recipe.seed)


def pretrain(
    recipe: Recipe,
    *,
    out: Path,
    checkpoint_every: int = 500,
    probe_every: int = 1_000,
    log_every: int = 100,
    probe_items: int = 200,
) -> TuningSummary:
    """Runs or goes on with a pretraining run; the folder ``out/model`` is the model in Hugging Face form.

    Args:
        recipe: What to do.
        out: Folder of the run; ``metrics.jsonl`` in it gets losses and probe scores.
        checkpoint_every: Steps between checkpoints.
        probe_every: Steps between probes.
        log_every: Steps between lines of the log.
        probe_items: Items a skill.

    Raises:
        FlantuneError: The folder is of another run, or cannot be written; or the text cannot be read.
    """
    with locked(out):
        corpus = _corpus(recipe, out / "text")
        tokenizer = _tokenizer(recipe, corpus, out / "tokenizer")
        device = resolve_device("auto")
        model: Any = build_model(recipe, vocabulary_size=len(tokenizer))
        lm = LanguageModel(
            model=model.to(device).eval(),
            tokenizer=tokenizer,
            family=recipe.family,
            device=device,
            compute_dtype=torch.bfloat16,
        )
        stream, packing = make_stream(recipe, corpus, tokenizer), recipe.packing()
        summary = tune(
            lm,
            Batches(stream, packing, hidden_size=hidden_size(lm.model), is_padded=not reads_lines(lm)),
            recipe.training(checkpoint_every=checkpoint_every, probe_every=probe_every, log_every=log_every),
            folder=out,
            seed=recipe.seed,
            fingerprint=_identity(recipe, stream, out / "tokenizer"),
            progress=lambda now: _tell(str(now)) if now.step % log_every == 0 else None,
            measure=lambda _: _probed(lm, probe_items),
            note=_tell,
        )
        export(lm, out / "model")
    return summary


def _corpus(recipe: Recipe, cache: Path) -> Corpus:
    return read_corpus(recipe.text, cache=cache, seed=recipe.seed) if recipe.text else DemoText(seed=recipe.seed)


def _tokenizer(recipe: Recipe, corpus: Corpus, folder: Path) -> PreTrainedTokenizerBase:
    """The run's tokenizer: trained once, then read."""
    if not folder.exists():
        count = min(recipe.tokenizer_documents, corpus.size or recipe.tokenizer_documents)
        made = train_tokenizer(corpus[number] for number in range(count))
        with whole_folder(folder) as draft:
            made.save_pretrained(draft)
    return AutoTokenizer.from_pretrained(folder)


def _identity(recipe: Recipe, stream: TextStream, tokenizer: Path) -> str:
    """Fingerprint of what shapes the weights and is not a training setting."""
    shape = (recipe.family, recipe.hidden_size, recipe.layers)
    return fingerprint(stream.identity, content_digest(tokenizer), shape, recipe.packing().model_dump())


def _probed(lm: LanguageModel, count: int) -> dict[str, float]:
    found = probes.score_all(lm, count=count)
    _tell(", ".join(f"{skill} {share:.0%}" for skill, share in found.items()))
    return found


def export(lm: LanguageModel, folder: Path) -> None:
    """Writes the model in Hugging Face form with bfloat16 weights, leaving the live model as it is."""
    model: Any = copy.deepcopy(lm.model)
    with whole_folder(folder) as draft, quiet_library():
        model.to(torch.bfloat16).save_pretrained(draft)
        lm.tokenizer.save_pretrained(draft)


def _tell(message: str) -> None:
    print(message, file=sys.stderr, flush=True)  # noqa: T201


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line of the program."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--family", choices=tuple(PEAK_RATES), required=True)
    parser.add_argument("--out", type=Path, required=True, help="folder of the run")
    parser.add_argument(
        "--text", type=Path, nargs="+", default=(), help="files and folders to read instead of the demo's text"
    )
    parser.add_argument("--tokens", type=int, default=24_000_000, help="tokens to read, about")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--hidden-size", type=int, default=128)
    parser.add_argument("--layers", type=int, default=5)
    parser.add_argument("--learning-rate", type=float, help="peak rate; default by family")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--checkpoint-every", type=int, default=500, help="steps between checkpoints")
    given = parser.parse_args(arguments)
    torch.set_num_threads(given.threads)
    recipe = Recipe(
        family=given.family,
        steps=max(1, given.tokens // BATCH_TOKENS),
        text=tuple(given.text),
        seed=given.seed,
        hidden_size=given.hidden_size,
        layers=given.layers,
        learning_rate=given.learning_rate,
    )
    pretrain(recipe, out=given.out, checkpoint_every=given.checkpoint_every)
    return 0


if __name__ == "__main__":
    try:
        raise SystemExit(main())
    except FlantuneError as error:
        raise SystemExit(f"error: {error.render()}") from None
