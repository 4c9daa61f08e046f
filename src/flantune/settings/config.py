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
    """"commercial": only tasks whose licence is known to allow commercial use; one that nobody states does not."""
    languages: Names = ()
    """Only tasks read and written in these languages alone, by name or code ("English", "de"); empty means all."""
    clusters: Place = ""
    """Another grouping into clusters: "flan2021_clusters17" (the public code's finer ones) or a TOML file."""
    natural_instructions: NaturalInstructionsSettings | None = None
    """Tasks of a folder of Natural-Instructions."""
    chain_of_thought: ChainOfThoughtSettings | None = None
    """Tasks of a folder of Flan 2022's chain-of-thought files, in place of the collection "cot"."""
    promptsource: PromptsourceSettings | None = None
    """Data sets in promptsource's templates: T0, T0+, T0++ by name, or any others."""
    mirror: AnyPath | None = None
    """Folder that mirrors the hub: <org>/<name>/<config>/<split>.jsonl.gz or .parquet. None: the Hugging Face hub."""
    cache: AnyPath | None = None
    """Where adapted examples are kept between runs. None: `data/` inside the run folder."""
    prepared: AnyPath | None = None
    """Folder of draws made ahead by `flantune prepare`. None: all are made while training. Changes no weight."""
    clean: AnyPath | None = None
    """Rows to leave out of training, as `flantune contamination --clean` writes them. None: all rows are used."""
    max_bad_share: Share = 0.01
    """The run stops when more than this share of a split's rows is bad."""
    missing: Literal["error", "skip"] = "error"
    """What to do when a task's data cannot be found: stop, or go on without the task and list it."""


class HoldoutSettings(Section):
    """Which clusters are never trained on, and so measure the model on the unseen."""

    folds: Folds = ()
    """Clusters held out whole, one model per fold. Paper: FLAN 2021, section 2.2 (leave one cluster out)."""
    task_folds: Folds = ()
    """Single tasks held out, one model per fold: others of their clusters are trained on, on purpose; kin is not."""
    alone: Names = ()
    """Tasks of which each gets a model of its own, tuned on that task alone and measured on its test rows, as seen.
    With `mixture.max_examples` on so many labeled rows. Paper: FLAN 2021, figure 2 (pretrain, then finetune)."""
    benchmarks: Names = ()
    """Benchmarks that the model is to be measured with, say "mmlu", "bbh", "gsm8k": no task made from them, or kin to
    one, is trained on. With benchmarks and no folds, one model is tuned on all else."""
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
    """Layers (of the encoder and of the decoder each, for t5)."""
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
    dtype: Literal["float32", "bfloat16"] = "float32"
    """Arithmetic of the forward and backward pass. Weights and optimizer stay float32; float16 is never used."""
    attention: Literal["auto", "causal", "prefix"] = "auto"
    """How a decoder-only model reads its inputs: each token from those before it ("causal") or in both directions
    ("prefix", a prefix LM). "auto": as its folder says, else causal."""
    device: Text = "auto"
    """"auto", "cpu", "cuda", "cuda:1" …"""
    trust_remote_code: Switch = False
    """Run Python code that comes with the model. Off unless you trust its authors."""
    adapter: Literal["none", "lora", "prompt"] = "none"
    """Train all weights, low-rank adapters ("lora") or virtual tokens ("prompt"); `pip install -e '.[peft]'`."""
    lora: LoraSettings = LoraSettings()
    """Size and place of low-rank adapters."""
    prompt: PromptTuningSettings = PromptTuningSettings()
    """Virtual tokens."""
    quantize: Literal["none", "4bit"] = "none"
    """"4bit": hold the frozen weights in 4 bits (QLoRA). Needs an adapter, a GPU and `pip install -e '.[lean]'`."""
    merge_adapter: Switch = False
    """Add low-rank adapters to the weights at the end: `model/` is a whole model, `adapter/` the adapters apart."""

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
    """Optimizer steps, at most. No checkpoint is ever chosen by looking at held-out tasks; see `keep`."""
    epochs: Weight = 0.0
    """Tuning ends after this many prompts for each training row in use, where `steps` do not end it sooner; 0: `steps`
    alone count. How often the rows of one task are seen follows from its share of the mixture."""
    optimizer: Literal["adafactor", "adamw", "adamw8bit", "adamw8bit-bnb"] = "adafactor"
    """Adafactor as T5X has it, AdamW, or AdamW with 8-bit moments: flantune's own, or that of bitsandbytes
    (`flantune[lean]`, whole models only). Paper: FLAN 2021, section 2.4."""
    adafactor: AdafactorSettings = AdafactorSettings()
    """Adafactor's own settings."""
    adam: AdamSettings = AdamSettings()
    """AdamW's own settings."""
    weighting: Literal["token", "example", "task"] = "token"
    """What counts the same in a step's loss: every target token, every example, or every task of the step."""
    inputs_weight: Share = 0.0
    """What a token of the inputs weighs in the loss beside one of the targets: 0 nothing, 1 as much (what TRL calls
    `completion_only_loss = False`, axolotl `train_on_inputs`). Decoder-only models with causal attention."""
    label_smoothing: Rate = 0.0
    """Teaches each token with this share of the probability spread over the whole vocabulary; 0 turns it off.
    Paper: Szegedy et al. 2016, section 7."""
    neftune_alpha: Weight = 0.0
    """Adds uniform noise of this size to the embeddings of prompts while a decoder-only model is tuned (the paper: 5 to
    15); 0 turns it off. Paper: Jain et al. 2023, algorithm 1."""
    z_loss: Weight = 0.0
    """Adds this times log²Z per target token, which keeps the logits from drifting. T5X pretrains with 1e-4."""
    freeze: Names = ()
    """Weights kept as they are: "embeddings", "head", "norms", "encoder", "layers.0-5", or name patterns with `*`."""
    skip_nonfinite: Natural = 0
    """Leave out at most this many steps whose loss or gradient is not a number; the next one stops the run."""
    learning_rate: Annotated[Factor, Field(le=1_000)] = 3e-5
    """Peak learning rate."""
    schedule: Literal["constant", "linear", "cosine", "inverse_sqrt"] = "constant"
    """How the rate changes after the warm-up."""
    inverse_sqrt_after: Positive = 10_000
    """"inverse_sqrt" keeps the peak up to this step, then falls as 1/√step. With a rate of 0.01: T5's own."""
    warmup_steps: Natural = 0
    """Steps over which the rate rises from zero."""
    warmup_share: Share = 0.0
    """The same as a share of all steps, in place of `warmup_steps`."""
    weight_decay: Weight = 0.0
    """Decoupled weight decay (AdamW only)."""
    no_decay: Annotated[tuple[Literal["norms", "biases", "embeddings"], ...], Once] = ("norms", "biases", "embeddings")
    """Weights exempt from weight decay."""
    max_grad_norm: Weight = 1.0
    """Gradients are scaled down to this norm; 0 turns clipping off."""
    dropout: Rate | None = None
    """Overrides the model's dropout; 0 turns off all that is random, layer dropout and jitter too; None keeps it."""
    parallel: Literal["data", "sharded"] = "data"
    """Under `torchrun`: each process has the whole model ("data"), or a share of every tensor ("sharded", FSDP2)."""
    micro_batch_tokens: Natural | Literal["auto"] = "auto"
    """Most array positions of one forward pass; 0: the whole batch at once; "auto": what fits and is fast on the
    device. Changes memory and speed, never the gradient."""
    compile: Switch = False
    """Let PyTorch write a program for the model's layers: faster steps after half a minute. Needs a C++ compiler."""
    activation_checkpointing: Switch = False
    """Keep only each layer's input and compute the rest again in the backward pass: less memory, a third slower."""
    checkpoint_every: Positive = 500
    """Steps between checkpoints."""
    keep_checkpoints: Positive = 2
    """How many of the latest checkpoints stay on disk; the older ones are for when the newest is damaged."""
    log_every: Positive = 10
    """Steps between progress lines."""
    measure_every: Natural = 0
    """Steps between scorings of dev questions of the tasks trained on; 0: never. Never changes the weights."""
    measure_examples: Positive = 16
    """Dev questions of each task trained on that are asked each time."""
    keep: Literal["last", "best-dev"] = "last"
    """The result: the last step's weights, or, looking every `measure_every` steps, those with the lowest loss on dev
    questions of tasks trained on, never of held-out ones. Paper: Sanh et al. 2021, section 5."""
    patience: Natural = 0
    """Tuning ends when this many looks in a row found no lower loss on those dev questions; 0: it goes on."""

    @model_validator(mode="after")
    def _agrees_with_itself(self) -> TrainingSettings:
        for name in ("keep", "patience"):
            if getattr(self, name) not in ("last", 0) and not self.measure_every:
                raise ValueError(f"{name} goes by looks at dev questions: set measure_every, say to 100")
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
"""Settings of ``[training]`` that may change between two starts of one run: they change what is kept and told and how
much memory it takes, never the gradient. (A step that is left out would have ended the run without the setting.)"""


def free_training_settings(training: Mapping[str, object]) -> tuple[str, ...]:
    """Those that are free in a run of these settings: where dev questions decide something, which ones is not free.

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
    """At most this many dev examples, by which the best template is picked; 0 means none. Paper: at most 200."""
    shots: Counts = (0,)
    """Numbers of exemplars to measure with: 0 is zero-shot."""
    exemplar_pool: Natural = 0
    """Exemplars come from only so many training rows of a task, drawn by seed: those that `mixture.max_examples` of the
    same number would tune on. 0 means all."""
    max_templates: Natural = 0
    """Use only the first forward templates of each task, as many as this; 0 means all."""
    template_names: Names = ()
    """Measure with templates of these names alone, `*` for any letters; a task without any keeps all of its own."""
    templates: Literal["all", "direct", "reasoned"] = "all"
    """Measure with templates that want the answer alone ("direct"), or reasons before it ("reasoned"); a task without
    any keeps all of its own. Paper: Flan 2022, section 4."""
    style: Literal["instruction", "inputs_only", "dataset_name"] | None = None
    """How to ask when measuring; None asks as in training. FLAN's ablations train without and ask with instructions."""
    options_layout: Literal["listed", "lettered", "varied"] | None = None
    """How options are written when measuring; None: as in training (`prompts.options_layout`)."""
    shuffle_options: Switch | None = None
    """Whether options are shown in a random order when measuring, one per row; None: as in training."""
    trigger: Text | None = None
    """Ends prompts whose target reasons, when measuring without exemplars; None: as in training (`prompts.trigger`)."""
    seen_tasks: Switch = False
    """Also measure tasks that were trained on, reported apart."""
    max_new_tokens: Positive = 64
    """Longest answer the model may write."""
    max_reasoning_tokens: Positive = 256
    """The same where a template wants reasons before the answer."""
    batch_tokens: Positive = 8_192
    """Most array positions of one forward pass; halved where memory runs out."""
    backend: Literal["transformers", "vllm"] = "transformers"
    """What writes answers: flantune's own loop over the model, or vLLM (`pip install -e '.[vllm]'`; a GPU)."""
    store: AnyPath | None = None
    """Where scores and answers are kept by content, to be shared by runs. None: beside each model's samples."""
    protocol: protocols.ProtocolName = "flan2021"
    """The way of scoring: it sets what the settings below leave open. `docs/protocols.md` has every choice."""
    score_end_of_sequence: Switch = True
    """Count the end-of-sequence token in each option's log-likelihood, as T0 and FLAN do."""
    normalization: protocols.ScoreNormalization = "sum"
    """By what an option's log-likelihood is divided for the headline (the first four are always reported), or what is
    subtracted: its own after no question (mutual_information), after `domain_premise`, or after `content_free` ones."""
    domain_premise: Text = "Answer:"
    """What takes the place of the whole prompt for `normalization = "domain"`."""
    content_free: Annotated[Names, Field(min_length=1)] = ("N/A", "", "[MASK]")
    """Texts in place of every field for `normalization = "contextual"`. Paper: Zhao et al. 2021, section 5."""
    tokenization: protocols.Tokenization | None = None
    """Tokenize inputs and option apart or together (decoder-only models); None: as the protocol does."""
    truncation: protocols.Truncation | None = None
    """What is cut of a prompt that is too long, after exemplars: its middle, left end or all; None: the protocol's."""
    ties: protocols.Ties | None = None
    """Of options scoring the same, the first is taken, or each counts for its share; None: as the protocol does."""
    answer_parsing: Literal["none", "flan2021"] = "none"
    """"flan2021": cut written answers as FLAN's code does (at "Q:", "Concepts:", "Data:"; from the first letter on)."""
    confidence: Annotated[Number, Field(ge=0.5, le=0.999)] = 0.95
    """Level of the intervals."""
    suites: Names = ()
    """Benchmarks that the base and every tuned model are measured on as well, such as "winobias" or "mmlu_direct"; each
    is asked and scored in its own way, as by `flantune evaluate --suite`."""
    suite_data: AnyPath | None = None
    """Folder of the benchmarks' data (`--data` of `flantune evaluate`). None: `data.mirror`, or else the hub."""
    suite_limit: Natural = 0
    """Only the first so many questions of each part of a benchmark; 0 means all."""

    @property
    def scoring(self) -> protocols.ScoringProtocol:
        """The protocol's choices, with the settings that were given in their place.

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
    """Everything random derives from it."""
    family: Family | None = None
    """Only needed when the model's own config does not tell."""
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
    """Programs that are told how the run goes."""
    pretraining: PretrainingSettings | None = None
    """What `flantune pretrain` reads and learns; other commands ignore it."""
