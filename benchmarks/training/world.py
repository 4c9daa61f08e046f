"""The work of the training benchmarks: real rows under flantune's templates, the same token ids for every side."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flantune.commands.plan import make_codec, make_tokenizer, prepare_tasks
from flantune.mixture.mixture import Mixture
from flantune.models.arithmetic import arithmetic
from flantune.models.language_model import LanguageModel
from flantune.models.scratch import build_model
from flantune.packing.encode import Codec
from flantune.settings.config import ScratchSettings
from flantune.settings.run_file import load_run_file

if TYPE_CHECKING:
    from flantune.packing.packs import EncodedPrompt

ROOT = Path(__file__).parents[2]
MAX_INPUT_TOKENS, MAX_TARGET_TOKENS, ROW_TOKENS = 448, 256, 512
# Short and long inputs and targets: 145 tokens a prompt on average, 14% of them targets, at most 512.
TASKS = ("boolq", "rte", "scitldr", "gsm8k", "multi30k_de_en")


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """What every side gets.

    Attributes:
        mixture: Draw → prompt.
        codec: Prompt → token ids.
        lm: The model, with fresh weights from a fixed seed.
    """

    mixture: Mixture
    codec: Codec
    lm: LanguageModel

    def encoded(self, count: int) -> list[EncodedPrompt]:
        """Token ids of the first draws whose target is not too long."""
        prompts = [self.mixture[index] for index in range(count)]
        return [found for found in self.codec.encode_prompts(prompts, continuations="target").prompts if found]


def has_data() -> bool:
    """Whether the real files lie beside the repository."""
    return (ROOT / "../shared/data/hub").is_dir()


def build_world(cache: Path, *, scratch: dict[str, Any], device: str = "cpu") -> World:
    """The workload; what takes long (adapted rows, the tokenizer) is kept in a folder between processes.

    The arithmetic is bfloat16 on devices that have it, elsewhere float32.
    """
    import torch
    from transformers import PreTrainedTokenizerFast

    file = load_run_file(ROOT / "examples/real_files.toml")
    config = file.config.model_copy(
        update={
            "data": file.config.data.model_copy(update={"include": TASKS}),
            "holdout": file.config.holdout.model_copy(update={"folds": ()}),
            "model": file.config.model.model_copy(update={"scratch": ScratchSettings.model_validate(scratch)}),
            "packing": file.config.packing.model_copy(
                update={"max_input_tokens": MAX_INPUT_TOKENS, "max_target_tokens": MAX_TARGET_TOKENS}
            ),
        }
    )
    prepared, _ = prepare_tasks(config, root=file.root, cache=cache / "rows")
    kept = cache / f"tokenizer-{scratch['vocabulary_size']}"
    if not kept.exists():
        make_tokenizer(config, prepared)[0].save_pretrained(kept)
    tokenizer: Any = PreTrainedTokenizerFast.from_pretrained(kept)
    place = torch.device(device)
    lm = build_model(
        config.model.scratch, tokenizer, seed=0, compute_dtype=arithmetic("auto", place), device=place
    )  # fmt: skip
    return World(
        mixture=Mixture(prepared, seed=config.seed, settings=config.mixture, prompts=config.prompts),
        codec=replace(make_codec(config, lm), max_row_tokens=ROW_TOKENS),
        lm=lm,
    )
