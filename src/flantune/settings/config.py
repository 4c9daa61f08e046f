"""The run file's settings. Each docstring is the setting's help, its docs entry and its error text."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Annotated, Literal

from pydantic import Field, model_validator

from flantune.settings import protocols
from flantune.settings.adapter_settings import LoraSettings, PromptTuningSettings
from flantune.settings.chain_of_thought import ChainOfThoughtSettings
from flantune.settings.mixture_settings import MixtureSettings
from flantune.settings.natural_instructions import NaturalInstructionsSettings
from flantune.settings.optimizer_settings import AdafactorSettings, AdamSettings
from flantune.settings.packing_settings import PackingSettings as PackingSettings
from flantune.settings.pretraining import PretrainingSettings
from flantune.settings.prompt_settings import PromptSettings as PromptSettings
from flantune.settings.promptsource import PromptsourceSettings
from flantune.settings.sections import Section
from flantune.settings.setting_types import (
    AnyPath,
    Counts,
    Factor,
    Folds,
    NameOrNames,
    Names,
    Natural,
    Number,
    Once,
    Place,
    Positive,
    Rate,
    Seed,
    Share,
    Size,
    Switch,
    Text,
    Weight,
    distinct_folds,
)
from flantune.settings.tracking import TrackingSettings
from flantune.types import Family


class DataSettings(Section):
    """Which tasks, and where their rows are."""

    tasks: Annotated[tuple[Place, ...], Once] = ()
    """Task files: TOML files, Python files with a `tasks()` function, or globs of them, relative to the run file."""
    collection: NameOrNames = ()
    """Shipped collections of tasks, one name or a list: "flan2021" (the paper's), "cot", "dialogue", "programs",
    "more"."""
    include: Names = ()
    """Only these tasks by name; a star stands for any letters ("wmt16_*"); empty means all."""
    exclude: Names = ()
    """Never these tasks, by name or star."""
    licences: Literal["any", "commercial"] = "any"
    """"commercial": only tasks whose licence is known to allow commercial use; an unstated licence does not."""
    languages: Names = ()
    """Only tasks whose languages are all among these, by name or code ("English", "de"); empty means all."""
    clusters: Place = ""
    """Another grouping into clusters: "flan2021_clusters17" (the public code's finer ones) or a TOML file."""
    natural_instructions: NaturalInstructionsSettings | None = None
    """Tasks of a folder of Natural-Instructions."""
    chain_of_thought: ChainOfThoughtSettings | None = None
    """Tasks from a folder of Flan 2022's chain-of-thought files, instead of the collection "cot"."""
    promptsource: PromptsourceSettings | None = None
    """Datasets in promptsource's templates: T0, T0+, T0++ by name, or any others."""
    mirror: AnyPath | None = None
    """Folder that mirrors the hub: <org>/<name>/<config>/<split>.jsonl.gz or .parquet. None: the Hugging Face hub."""
    cache: AnyPath | None = None
    """Where adapted examples are kept between runs. None: `data/` inside the run folder."""
    prepared: AnyPath | None = None
    """Folder of draws made by `flantune prepare`. None: they are made during training. Does not change the weights."""
    clean: AnyPath | None = None
    """Rows to leave out of training, as `flantune contamination --clean` writes them. None: all rows are used."""
    max_bad_share: Share = 0.01
    """The run stops when more than this share of a split's rows is bad."""
    missing: Literal["error", "skip"] = "error"
    """What to do when a task's data cannot be found: stop, or continue without the task and list it."""


class HoldoutSettings(Section):
    """Which clusters are never trained on, so that the model can be measured on unseen tasks."""

    folds: Folds = ()
    """Clusters held out whole, one model per fold. Paper: FLAN 2021, section 2.2 (leave one cluster out)."""
    task_folds: Folds = ()
    """Single tasks held out, one model per fold. Other tasks of their clusters are trained on; kin is not."""
    alone: Names = ()
    """Tasks that each get a model of their own, tuned on that task alone (on `mixture.max_examples` rows) and
    measured on its test rows, reported as seen. Paper: FLAN 2021, figure 2 (pretrain, then finetune)."""
    benchmarks: Names = ()
    """Benchmarks that the model will be measured with, such as "mmlu", "bbh", "gsm8k": tasks made from them, and
    their kin, are not trained on. With benchmarks and no folds, one model is tuned on all other tasks."""
    taxonomy: AnyPath | None = None
    """TOML file of overlap rules and kin families. None: the one shipped with flantune."""

    @model_validator(mode="after")
    def _agrees_with_itself(self) -> HoldoutSettings:
        alone = ([f"all but {name}"] for name in self.alone)
        distinct_folds([*self.folds, *([f"task {name}" for name in names] for names in self.task_folds), *alone])
        return self


class ScratchSettings(Section):
    """A small model built from scratch, with a tokenizer trained on the training prompts."""

    architecture: Literal["llama", "gpt_neox", "gpt2", "t5"] = "llama"
    """The transformers class to build."""
    vocabulary_size: Annotated[Positive, Field(le=4_000_000)] = 8_192
    """Size of the byte-level BPE vocabulary."""
    hidden_size: Size = 256
    """Width of the model."""
    layers: Size = 4
    """Number of layers (for t5, in the encoder and in the decoder each)."""
    heads: Size = 4
    """Attention heads."""


class ModelSettings(Section):
    """The pretrained model to tune."""

    path: Place = ""
    """A folder in Hugging Face form, a GGUF file (`pip install -e '.[gguf]'`) or a hub id."""
    revision: Text | None = None
    """Commit of the hub model; pin it to make a run repeatable."""
    scratch: ScratchSettings | None = None
    """Build a small random model instead of loading one."""
    dtype: Literal["auto", "float32", "bfloat16"] = "float32"
    """Arithmetic of the forward and backward pass; "auto": bfloat16 on devices that have it, elsewhere float32. Weights
    and optimizer stay float32; float16 is never used."""
    attention: Literal["auto", "causal", "prefix"] = "auto"
    """How a decoder-only model attends to its inputs: only backwards ("causal") or in both directions ("prefix", a
    prefix LM). "auto": as the model's folder says, otherwise causal."""
    device: Text = "auto"
    """"auto", "cpu", "cuda", "cuda:1" …"""
    trust_remote_code: Switch = False
    """Run Python code that comes with the model. Turn it on only if you trust its authors."""
    adapter: Literal["none", "lora", "prompt"] = "none"
    """Train all weights, low-rank adapters ("lora") or virtual tokens ("prompt"); `pip install -e '.[peft]'`."""
    lora: LoraSettings = LoraSettings()
    """Size and location of low-rank adapters."""
    prompt: PromptTuningSettings = PromptTuningSettings()
    """Virtual tokens."""
    quantize: Literal["none", "4bit"] = "none"
    """"4bit": hold the frozen weights in 4 bits (QLoRA). Needs an adapter, a GPU and `pip install -e '.[lean]'`."""
    merge_adapter: Switch = False
    """Merge low-rank adapters into the weights at the end: `model/` is then a whole model, `adapter/` has the
    adapters."""

    @model_validator(mode="after")
    def _agrees_with_itself(self) -> ModelSettings:
        if self.path and self.scratch is not None:
            raise ValueError(
                f'path = "{self.path}" and [model.scratch] cannot be used together: one loads a model, the other makes'
                " one from scratch; remove one of them"
            )
        if self.quantize != "none" and self.adapter == "none":
            raise ValueError('weights in 4 bits cannot be trained: set adapter = "lora", or quantize = "none"')
        if self.merge_adapter and self.adapter != "lora":
            raise ValueError('only low-rank adapters can be merged: set adapter = "lora", or merge_adapter = false')
        return self


class TrainingSettings(Section):
    """How the model is tuned."""

    steps: Natural = 30_000
    """Largest number of optimizer steps. No checkpoint is ever chosen by looking at held-out tasks; see `keep`."""
    epochs: Weight = 0.0
    """Tuning ends after this many prompts per training row in use, unless `steps` ends it sooner; 0: only `steps`
    counts. How often one task's rows are seen follows from its share of the mixture."""
    optimizer: Literal["adafactor", "adamw", "adamw8bit", "adamw8bit-bnb"] = "adafactor"
    """Adafactor as T5X has it, AdamW, or AdamW with 8-bit moments: flantune's own, or that of bitsandbytes
    (`flantune[lean]`, whole models only). Paper: FLAN 2021, section 2.4."""
    adafactor: AdafactorSettings = AdafactorSettings()
    """Adafactor's own settings."""
    adam: AdamSettings = AdamSettings()
    """AdamW's own settings."""
    weighting: Literal["token", "example", "task"] = "token"
    """What has equal weight in a step's loss: every target token, every example, or every task of the step."""
    inputs_weight: Share = 0.0
    """Weight of a token of the inputs in the loss, relative to a target token: 0 for none, 1 for the same (TRL's
    `completion_only_loss = False`, axolotl's `train_on_inputs`). For decoder-only models with causal attention."""
    label_smoothing: Rate = 0.0
    """Share of a token's probability that is spread over the vocabulary. Paper: Szegedy et al. 2016, section 7."""
    neftune_alpha: Weight = 0.0
    """Size of the noise on embeddings of decoder-only models, 5 to 15 in the paper: Jain et al. 2023, algorithm 1."""
    z_loss: Weight = 0.0
    """Adds this times log²Z per target token, which keeps the logits from drifting. T5X pretrains with 1e-4."""
    freeze: Names = ()
    """Weights that are not trained: "embeddings", "head", "norms", "encoder", "layers.0-5", or name patterns with
    `*`."""
    skip_nonfinite: Natural = 0
    """Skip at most this many steps whose loss or gradient is not a number; the next one stops the run."""
    learning_rate: Annotated[Factor, Field(le=1_000)] = 3e-5
    """Peak learning rate."""
    schedule: Literal["constant", "linear", "cosine", "inverse_sqrt"] = "constant"
    """How the rate changes after the warm-up."""
    inverse_sqrt_after: Positive = 10_000
    """"inverse_sqrt" keeps the peak up to this step, then falls as 1/√step. With a rate of 0.01 it is T5's schedule."""
    warmup_steps: Natural = 0
    """Steps over which the rate rises from zero."""
    warmup_share: Share = 0.0
    """The warm-up as a share of all steps, instead of `warmup_steps`."""
    weight_decay: Weight = 0.0
    """Decoupled weight decay (AdamW only)."""
    no_decay: Annotated[tuple[Literal["norms", "biases", "embeddings"], ...], Once] = ("norms", "biases", "embeddings")
    """Weights exempt from weight decay."""
    max_grad_norm: Weight = 1.0
    """Gradients are scaled down to this norm; 0 turns clipping off."""
    dropout: Rate | None = None
    """Overrides the model's dropout; 0 turns off all randomness, including layer dropout and jitter; None keeps it."""
    parallel: Literal["data", "sharded"] = "data"
    """Under `torchrun`: each process has the whole model ("data"), or a share of every tensor ("sharded", FSDP2)."""
    micro_batch_tokens: Natural | Literal["auto"] = "auto"
    """Largest number of array positions in one forward pass; 0: the whole batch at once; "auto": what fits and is fast
    on the device. Changes memory and speed, never the gradient."""
    compile: Switch = False
    """Compile the model's layers with PyTorch: faster steps after half a minute. Needs a C++ compiler."""
    activation_checkpointing: Switch = False
    """Keep only each layer's input and recompute the rest in the backward pass: less memory, a third slower."""
    checkpoint_every: Positive = 500
    """Steps between checkpoints."""
    keep_checkpoints: Positive = 2
    """How many of the latest checkpoints stay on disk; older ones are the fallback if the newest is damaged."""
    log_every: Positive = 10
    """Steps between progress lines."""
    measure_every: Natural = 0
    """Steps between measurements on dev questions of the tasks trained on; 0: never. Does not change the weights."""
    measure_examples: Positive = 16
    """Number of dev questions asked each time, for each task trained on."""
    keep: Literal["last", "best-dev"] = "last"
    """The result: the last step's weights, or those with the lowest loss on dev questions of tasks trained on (never
    held-out ones), measured every `measure_every` steps. Paper: Sanh et al. 2021, section 5."""
    patience: Natural = 0
    """Tuning ends when this many measurements in a row found no lower loss on those dev questions; 0: never."""

    @model_validator(mode="after")
    def _agrees_with_itself(self) -> TrainingSettings:
        for name in ("keep", "patience"):
            if getattr(self, name) not in ("last", 0) and not self.measure_every:
                raise ValueError(f"{name} needs dev scores: set measure_every, to 100 for example")
        if self.warmup_steps and self.warmup_share:
            raise ValueError("warmup_steps and warmup_share say the same thing: leave one of them out")
        return self


FREE_TRAINING_SETTINGS = (
    "checkpoint_every",
    "keep_checkpoints",
    "log_every",
    "micro_batch_tokens",
    "compile",
    "activation_checkpointing",
    "skip_nonfinite",
    "parallel",
    "measure_every",
    "measure_examples",
)
"""Settings of ``[training]`` that may change between two starts of one run: they affect what is kept and logged, and
how much memory is used, never the gradient. (A step that is skipped would have ended the run without the setting.)"""


def free_training_settings(training: Mapping[str, object]) -> tuple[str, ...]:
    """The settings that may change in such a run: how dev questions are asked may not, if they decide something.

    >>> "measure_every" in free_training_settings({"keep": "last"})
    True
    >>> "measure_every" in free_training_settings({"keep": "best-dev"})
    False
    """
    decides = training.get("keep") == "best-dev" or bool(training.get("patience"))
    return tuple(name for name in FREE_TRAINING_SETTINGS if not (decides and name.startswith("measure_")))


class EvaluationSettings(Section):
    """How the base model and the tuned model are measured."""

    @model_validator(mode="before")
    @classmethod
    def _fill_in_protocol(cls, given: object) -> object:
        """Fills in the protocol's values for settings that were not given."""
        return protocols.preset_settings(given) if isinstance(given, Mapping) else given

    max_examples: Natural = 200
    """At most this many test examples per task, drawn by seed; 0 means all."""
    dev_examples: Natural = 50
    """At most this many dev examples, for choosing the best template; 0 means none. Paper: at most 200."""
    shots: Counts = (0,)
    """Numbers of exemplars to measure with: 0 is zero-shot."""
    exemplar_pool: Natural = 0
    """Exemplars come from only this many training rows of a task, drawn by seed: the rows that `mixture.max_examples`
    with the same number would tune on. 0 means all."""
    max_templates: Natural = 0
    """Use only this many forward templates of each task, the first ones; 0 means all."""
    template_names: Names = ()
    """Measure only with templates with these names, `*` for any letters; a task that has none of them keeps all its
    own."""
    templates: Literal["all", "direct", "reasoned"] = "all"
    """Measure with templates that ask for the answer alone ("direct"), or for reasoning before it ("reasoned"); a task
    that has none of these keeps all its own. Paper: Flan 2022, section 4."""
    style: Literal["instruction", "inputs_only", "dataset_name"] | None = None
    """Prompt style in evaluation; None: as in training. FLAN's ablations train without instructions and evaluate with
    them."""
    options_layout: Literal["listed", "lettered", "varied"] | None = None
    """How options are written in evaluation; None: as in training (`prompts.options_layout`)."""
    shuffle_options: Switch | None = None
    """Whether options are shown in a random order in evaluation, one per row; None: as in training."""
    trigger: Text | None = None
    """Text that ends zero-shot evaluation prompts whose target has reasoning; None: as in training
    (`prompts.trigger`)."""
    seen_tasks: Switch = False
    """Also measure tasks that were trained on; they are reported separately."""
    max_new_tokens: Positive = 64
    """Length of the longest answer that the model may write, in tokens."""
    max_reasoning_tokens: Positive = 256
    """The same for templates that ask for reasoning before the answer."""
    batch_tokens: Positive = 8_192
    """Largest number of array positions in one forward pass; halved if memory runs out."""
    backend: Literal["transformers", "vllm"] = "transformers"
    """What generates answers: flantune's own loop, or vLLM (needs `pip install -e '.[vllm]'` and a GPU)."""
    store: AnyPath | None = None
    """Folder where scores and answers are stored by content, to be shared by runs. None: beside each model's
    samples."""
    protocol: protocols.ProtocolName = "flan2021"
    """The scoring protocol: it decides what the settings below leave open. `docs/protocols.md` has every choice."""
    score_end_of_sequence: Switch = True
    """Count the end-of-sequence token in each option's log-likelihood, as T0 and FLAN do."""
    normalization: protocols.ScoreNormalization = "sum"
    """What an option's log-likelihood is divided by for the headline score (the first four are always reported), or
    what is subtracted: its log-likelihood without the question (mutual_information), after `domain_premise`, or after
    `content_free` texts."""
    domain_premise: Text = "Answer:"
    """Text that replaces the whole prompt for `normalization = "domain"`."""
    content_free: Annotated[Names, Field(min_length=1)] = ("N/A", "", "[MASK]")
    """Texts that replace every field for `normalization = "contextual"`. Paper: Zhao et al. 2021, section 5."""
    tokenization: protocols.Tokenization | None = None
    """Tokenize inputs and option separately or together (decoder-only models); None: as the protocol does."""
    truncation: protocols.Truncation | None = None
    """What is cut from an overlong prompt after its exemplars: the middle, the left end or all; None: the protocol's
    way."""
    ties: protocols.Ties | None = None
    """With tied options, the first is taken or each counts for its share; None: as the protocol does."""
    answer_parsing: Literal["none", "flan2021"] = "none"
    """"flan2021": cut written answers as FLAN's code does (at "Q:", "Concepts:", "Data:"; from the first letter on)."""
    confidence: Annotated[Number, Field(ge=0.5, le=0.999)] = 0.95
    """Level of the intervals."""
    suites: Names = ()
    """Benchmarks that the base and every tuned model are also measured on, such as "winobias" or "mmlu_direct", asked
    and scored as by `flantune evaluate --suite`."""
    suite_data: AnyPath | None = None
    """Folder of the benchmarks' data (`--data` of `flantune evaluate`). None: `data.mirror`, or else the hub."""
    suite_limit: Natural = 0
    """Only this many questions of each part of a benchmark, the first ones; 0 means all."""

    @property
    def scoring(self) -> protocols.ScoringProtocol:
        """The protocol's choices, overridden by the settings that were given.

        >>> EvaluationSettings(protocol="lm_eval", normalization="byte").scoring.normalization
        'byte'
        """
        names = {"normalization", "tokenization", "truncation", "ties", "domain_premise", "content_free"}
        given = self.model_dump(include=names, exclude_none=True)
        return replace(protocols.PRESETS[self.protocol], score_eos=self.score_end_of_sequence, **given)


class RunConfig(Section):
    """One run: what is tuned on what, and what it is measured on."""

    name: Text = "run"
    """Title of the report."""
    seed: Seed = 0
    """Seed of all random choices."""
    family: Family | None = None
    """"decoder-only" or "encoder-decoder"; needed only if the model's config does not tell."""
    data: DataSettings = DataSettings()
    """Which tasks, and where their rows are."""
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
    tracking: TrackingSettings = TrackingSettings()
    """Experiment trackers that follow the run."""
    pretraining: PretrainingSettings | None = None
    """What `flantune pretrain` reads and learns from; other commands ignore it."""
