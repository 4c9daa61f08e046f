"""What a model card says of the tuning itself, and how to load what came of it."""

from __future__ import annotations

from collections.abc import Iterator

from flantune.report.numbers import count
from flantune.runs.untrusted_json import Json, mapping

_OPTIMIZERS = {
    "adafactor": "Adafactor as T5X has it",
    "adamw": "AdamW",
    "adamw8bit": "AdamW with 8-bit moments",
}
_WEIGHTINGS = {
    "token": "every target token counts the same",
    "example": "every example counts the same",
    "task": "every task of a step counts the same",
}


def is_adapter(config: Json) -> bool:
    """Whether the model's folder holds an adapter alone, which needs its base model."""
    model = mapping(config.get("model"))
    return model.get("adapter", "none") != "none" and not model.get("merge_adapter")


def tuning_lines(config: Json) -> Iterator[str]:
    """How it was tuned, a sentence a line.

    >>> list(tuning_lines({"training": {"optimizer": "adamw", "learning_rate": 1e-4}}))
    ['AdamW, constant learning rate with a peak of 0.0001.', 'In the loss, every target token counts the same.']
    """
    training, model = mapping(config.get("training")), mapping(config.get("model"))
    adapter = model.get("adapter", "none")
    if adapter == "lora":
        how = ", merged into the weights afterwards" if model.get("merge_adapter") else ""
        rank = mapping(model.get("lora")).get("rank")
        yield f"Low-rank adapters{f' of rank {count(float(rank))}' if isinstance(rank, int) else ''}{how}."
    if adapter == "prompt":
        tokens = mapping(model.get("prompt")).get("tokens")
        yield f"Prompt tuning: only {tokens} virtual tokens in front of every prompt were trained."
    if model.get("quantize", "none") != "none":
        yield "The frozen weights were held in 4 bits while it was tuned."
    name = _OPTIMIZERS.get(str(training.get("optimizer", "adafactor")), str(training.get("optimizer")))
    schedule = str(training.get("schedule", "constant")).replace("_", " ")
    yield f"{name}, {schedule} learning rate with a peak of {training.get('learning_rate')}."
    weighting = _WEIGHTINGS.get(str(training.get("weighting", "token")), str(training.get("weighting")))
    z_loss = training.get("z_loss") or 0.0
    yield f"In the loss, {weighting}{f'; z-loss {z_loss}' if z_loss else ''}."
    if frozen := training.get("freeze"):
        yield f"Kept as they were: {', '.join(f'`{one}`' for one in frozen)}."


def loading(config: Json) -> str:
    """How to load the folder, in a sentence.

    >>> loading({"model": {"adapter": "lora"}}).split(":")[0]
    'The folder holds the adapter alone'
    """
    if is_adapter(config):
        return (
            "The folder holds the adapter alone: `AutoPeftModelForCausalLM.from_pretrained` (of an encoder-decoder, "
            "`AutoPeftModelForSeq2SeqLM`) of the `peft` library loads it with the base model named in "
            "`adapter_config.json`."
        )
    return (
        "`AutoModelForCausalLM.from_pretrained` (of an encoder-decoder, `AutoModelForSeq2SeqLM`) and "
        "`AutoTokenizer.from_pretrained` of the `transformers` library load the folder; flantune is not needed."
    )
