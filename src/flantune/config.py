"""The run file's settings. Each docstring is the setting's help, its docs entry and its error text."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from flantune.types import Family

Positive = Annotated[int, Field(gt=0)]
Natural = Annotated[int, Field(ge=0)]
Share = Annotated[float, Field(ge=0.0, le=1.0)]


def _as_tuple(value: object) -> object:
    """A single name as a tuple of one; an empty one as none."""
    return ((value,) if value else ()) if isinstance(value, str) else value


class Settings(BaseModel):
    """A frozen section of the run file: unknown keys are errors."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


class DataSettings(Settings):
    """Which tasks, and where their rows lie."""

    tasks: tuple[str, ...] = ()
    """Task files: TOML files, Python files with a `tasks()` function, or globs of them, relative to the run file."""
    collection: Annotated[tuple[str, ...], BeforeValidator(_as_tuple)] = ()
    """Shipped collections of tasks, one name or a list: "flan2021" (the paper's), "more"."""
    include: tuple[str, ...] = ()
    """Only these tasks by name; empty means all."""
    exclude: tuple[str, ...] = ()
    """Never these tasks, by name."""
    clusters: str = ""
    """Another grouping into clusters: "flan2021_clusters17" (the public code's finer ones) or a TOML file."""
    mirror: Path | None = None
    """Folder that mirrors the hub: <org>/<name>/<config>/<split>.jsonl.gz or .parquet. None: the Hugging Face hub."""
    cache: Path | None = None
    """Where adapted examples are kept between runs. None: `data/` inside the run folder."""
    clean: Path | None = None
    """Rows to leave out of training, as `flantune contamination --clean` writes them. None: all rows are used."""
    max_bad_share: Share = 0.01
    """The run stops when more than this share of a split's rows is bad."""
    missing: Literal["error", "skip"] = "error"
    """What to do when a task's data cannot be found: stop, or go on without the task and list it."""


class HoldoutSettings(Settings):
    """Which clusters are never trained on, and so measure the model on the unseen."""

    folds: tuple[tuple[str, ...], ...] = ()
    """Clusters held out whole, one model a fold. Paper: FLAN 2021, section 2.2 (leave one cluster out)."""
    taxonomy: Path | None = None
    """TOML file of overlap rules and kin families. None: the one shipped with flantune."""


class PromptSettings(Settings):
    """How examples become text."""

    style: Literal["instruction", "inputs_only", "dataset_name"] = "instruction"
    """The template's instruction, the inputs alone, or the dataset's name before them. Paper: FLAN 2021, 4.3."""
    show_options: bool = True
    """List the answer options of classification tasks in the prompt."""
    options_layout: Literal["listed", "lettered"] = "listed"
    """ "listed": "- yes", the answer is the option's text. "lettered": "(A) yes", the answer is the letter, "(A)"."""
    shuffle_options: bool = False
    """Show the options in a seeded random order: anew at each visit in training, one a row when measuring."""
    include_inverted: bool = True
    """Train on inverted templates too. They are never scored."""
    max_templates: Natural = 0
    """Use only the first so many templates of each task; 0 means all."""
    train_shots: tuple[Natural, ...] = (0,)
    """Exemplars before a training prompt; one of these numbers is drawn for each prompt."""
    target_separator: str = "\n"
    """Between a query and its answer. The word "<eos>" stands for the end-of-sequence token."""
    exemplar_separator: str = "\n\n"
    """Between one exemplar and the next."""


class MixtureSettings(Settings):
    """How much of each task."""

    max_examples: Natural = 30_000
    """At most this many training examples a task; 0 means no cap. Paper: FLAN 2021, section 2.4."""
    max_rate: Natural = 3_000
    """Examples-proportional mixing counts no task as larger than this; 0 means no maximum."""
    rates: Literal["examples-proportional", "equal"] = "examples-proportional"
    """Shares in proportion to the number of examples (up to the maximum), or the same for every task."""


class PackingSettings(Settings):
    """How text becomes arrays."""

    max_input_tokens: Positive = 1_024
    """Inputs longer than this lose exemplars first, then are shortened; targets never are."""
    max_target_tokens: Positive = 256
    """A prompt whose target is longer is left out and counted."""
    row_tokens: Positive = 1_280
    """Length of a packed row. Decoder-only: inputs and targets together; encoder-decoder: the encoder's row."""
    batch_tokens: Positive = 8_192
    """Tokens of one optimizer step."""
    enabled: bool = True
    """False lays one prompt in a row: slower, same gradients."""


class ScratchSettings(Settings):
    """A small model made from nothing, with a tokenizer trained on the training prompts."""

    architecture: Literal["llama", "gpt_neox", "gpt2", "t5"] = "llama"
    """The transformers class to build."""
    vocabulary_size: Positive = 8_192
    """Size of the byte-level BPE vocabulary."""
    hidden_size: Positive = 256
    """Width of the model."""
    layers: Positive = 4
    """Layers (of the encoder and of the decoder each, for t5)."""
    heads: Positive = 4
    """Attention heads."""


class ModelSettings(Settings):
    """The pretrained model to tune."""

    path: str = ""
    """A folder in Hugging Face form or a hub id."""
    revision: str | None = None
    """Commit of the hub model; pin it to make a run repeatable."""
    scratch: ScratchSettings | None = None
    """Build a small random model instead of loading one."""
    dtype: Literal["float32", "bfloat16"] = "float32"
    """Arithmetic of the forward and backward pass. Weights and optimizer stay float32; float16 is never used."""
    device: str = "auto"
    """"auto", "cpu", "cuda", "cuda:1" …"""
    trust_remote_code: bool = False
    """Run Python code that comes with the model. Off unless you trust its authors."""


class TrainingSettings(Settings):
    """How the model is tuned."""

    steps: Natural = 30_000
    """Optimizer steps. The last checkpoint is the result: none is chosen by looking at held-out tasks."""
    optimizer: Literal["adafactor", "adamw"] = "adafactor"
    """Adafactor as T5X has it, or AdamW. Paper: FLAN 2021, section 2.4."""
    learning_rate: Annotated[float, Field(gt=0)] = 3e-5
    """Peak learning rate."""
    schedule: Literal["constant", "linear", "cosine"] = "constant"
    """How the rate changes after the warm-up."""
    warmup_steps: Natural = 0
    """Steps over which the rate rises from zero."""
    weight_decay: Annotated[float, Field(ge=0)] = 0.0
    """Decoupled weight decay (AdamW only)."""
    max_grad_norm: Annotated[float, Field(ge=0)] = 1.0
    """Gradients are scaled down to this norm; 0 turns clipping off."""
    dropout: Share | None = None
    """Overrides the model's dropout; None keeps it."""
    micro_batch_tokens: Natural = 0
    """Most array positions of one forward pass; 0 sets no limit. Changes memory and speed, never the gradient."""
    checkpoint_every: Positive = 500
    """Steps between checkpoints."""
    keep_checkpoints: Positive = 1
    """How many of the latest checkpoints stay on disk."""
    log_every: Positive = 10
    """Steps between progress lines."""


class EvaluationSettings(Settings):
    """How the base model and the tuned model are measured."""

    max_examples: Natural = 200
    """At most this many test examples a task, drawn by seed; 0 means all."""
    dev_examples: Natural = 50
    """At most this many dev examples, by which the best template is picked; 0 means none. Paper: at most 200."""
    shots: tuple[Natural, ...] = (0,)
    """Numbers of exemplars to measure with: 0 is zero-shot."""
    max_templates: Natural = 0
    """Use only the first so many forward templates of each task; 0 means all."""
    style: Literal["instruction", "inputs_only", "dataset_name"] | None = None
    """How to ask when measuring; None asks as in training. FLAN's ablations train without and ask with instructions."""
    seen_tasks: bool = False
    """Also measure tasks that were trained on, reported apart."""
    max_new_tokens: Positive = 64
    """Longest answer the model may write."""
    batch_tokens: Positive = 8_192
    """Array positions of one forward pass."""
    score_end_of_sequence: bool = True
    """Count the end-of-sequence token in each option's log-likelihood, as T0 and FLAN do."""
    normalization: Literal["sum", "token", "character", "byte"] = "sum"
    """By what an option's log-likelihood is divided for the headline; all four are always reported."""
    confidence: Annotated[float, Field(gt=0, lt=1)] = 0.95
    """Level of the intervals."""


class RunConfig(Settings):
    """One run: what is tuned on what, and what it is measured on."""

    name: str = "run"
    """Title of the report."""
    seed: Natural = 0
    """Everything random derives from it."""
    family: Family | None = None
    """Only needed when the model's own config does not tell."""
    data: DataSettings = DataSettings()
    """Which tasks, and where their rows lie."""
    holdout: HoldoutSettings = HoldoutSettings()
    """Which clusters are never trained on."""
    prompts: PromptSettings = PromptSettings()
    """How examples become text."""
    mixture: MixtureSettings = MixtureSettings()
    """How much of each task."""
    packing: PackingSettings = PackingSettings()
    """How text becomes arrays."""
    model: ModelSettings = ModelSettings()
    """The pretrained model to tune."""
    training: TrainingSettings = TrainingSettings()
    """How the model is tuned."""
    evaluation: EvaluationSettings = EvaluationSettings()
    """How the models are measured."""
