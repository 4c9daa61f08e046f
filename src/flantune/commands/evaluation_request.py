"""The request of ``flantune evaluate``, and checks for contradictions."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from flantune.errors import ConfigError
from flantune.models.stored.gguf_reading import is_gguf
from flantune.models.stored.places import check_folder
from flantune.settings.config import DataSettings, EvaluationSettings, ModelSettings, PromptSettings
from flantune.settings.protocols import PRESETS, ProtocolName, ScoreNormalization, ScoringProtocol

if TYPE_CHECKING:
    from flantune.evaluation.asking.answers import Backend
    from flantune.evaluation.exams import Exam

_HUB_ID = re.compile(r"\w[\w.-]*(/[\w.-]+)?")
_SAMPLING_TEMPERATURE = 0.7
"""Paper: Wang et al. 2022, section 3.1, for models of that time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EvaluationRequest:
    """What to measure, on what, and how.

    Attributes:
        models: Folders, GGUF files or hub ids; the others are compared with the first.
        out: Folder for everything.
        suites: Benchmarks by name (``flantune.suites.catalog.names()``).
        harness: Task files of lm-evaluation-harness.
        trust_task_code: Run the Python functions that those files name, in a sandboxed process.
        harness_out: Also write results and samples as lm-evaluation-harness does, into this folder.
        data: Tasks in flantune's own format; None: none.
        protocol: The scoring protocol for all; None: each benchmark's own (flan2022, natural_instructions, lm_eval
            for harness files), and flan2021 for tasks.
        root: Folder of benchmarks' data; see ``SuiteData``.
        shots: Exemplars; None: as many as the papers show, none for tasks.
        limit: The largest number of questions for each part or task; 0 means all.
        budget: Ask only as many questions as are needed to detect a difference of this many points; None: all.
        skip_missing: Continue without parts whose data is missing.
        allow_seen: Also measure what a model was trained on, labeled as seen.
        seed: Draws exemplars, rows and sampled answers.
        answers_each: Answers sampled per question of a chain-of-thought benchmark; the most frequent is graded.
        temperature: Temperature of those answers; None: 0.7 for several, else greedy.
        normalization: What options are ranked by; None: as the protocol does. Harness files have metrics of their own.
        domain_premise: See ``ScoringProtocol``; None: as there.
        content_free: See ``ScoringProtocol``; none: as there.
        confidence: Level of the intervals.
        batch_tokens: Array positions of one forward pass.
        backend: What generates answers. Options are always ranked by flantune's own passes.
        device: "auto", "cpu", "cuda", …
        prompts: Chat template, system message and separators.
        trust_remote_code: Run Python code that comes with a model.
    """

    models: tuple[str, ...]
    out: Path
    suites: tuple[str, ...] = ()
    harness: tuple[Path, ...] = ()
    trust_task_code: bool = False
    harness_out: Path | None = None
    data: DataSettings | None = None
    protocol: ProtocolName | None = None
    root: Path | None = None
    shots: int | None = None
    limit: int = 0
    budget: float | None = None
    skip_missing: bool = False
    allow_seen: bool = False
    seed: int = 0
    answers_each: int = 1
    temperature: float | None = None
    normalization: ScoreNormalization | None = None
    domain_premise: str | None = None
    content_free: tuple[str, ...] = ()
    confidence: float = 0.95
    batch_tokens: int = 8_192
    backend: Backend = "transformers"
    dtype: str = "float32"
    device: str = "auto"
    prompts: PromptSettings = field(default_factory=PromptSettings)
    trust_remote_code: bool = False

    def model_settings(self, path: str) -> ModelSettings:
        """How a model is loaded."""
        values = {"dtype": self.dtype, "device": self.device, "trust_remote_code": self.trust_remote_code}
        return ModelSettings.model_validate({"path": path, **values})

    def protocol_of(self, own: ProtocolName) -> ScoringProtocol:
        """How a benchmark or task with this protocol is scored."""
        preset = PRESETS[self.protocol or own]
        return replace(
            preset,
            normalization=self.normalization or preset.normalization,
            domain_premise=preset.domain_premise if self.domain_premise is None else self.domain_premise,
            content_free=self.content_free or preset.content_free,
        )

    @property
    def harness_protocol(self) -> ScoringProtocol:
        """How harness files are scored; they define themselves what options are ranked by."""
        return PRESETS[self.protocol or "lm_eval"]

    @property
    def task_settings(self) -> EvaluationSettings:
        """How tasks in flantune's own format are asked."""
        own = self.protocol_of("flan2021")
        values = {
            "protocol": own.name,
            "normalization": own.normalization,
            "domain_premise": own.domain_premise,
            "content_free": own.content_free,
            "backend": self.backend,
            "max_examples": self.limit,
            "shots": (self.shots or 0,),
            "batch_tokens": self.batch_tokens,
            "confidence": self.confidence,
        }
        return EvaluationSettings.model_validate(values)

    @property
    def drawn(self) -> tuple[int, float]:
        """The number of sampled answers if they can be voted on, and the temperature."""
        default = _SAMPLING_TEMPERATURE if self.answers_each > 1 else 0.0
        return self.answers_each, default if self.temperature is None else self.temperature


def check_request(request: EvaluationRequest) -> None:
    """Raises an error for settings that contradict each other, before anything is read.

    Raises:
        FlantuneError: A model does not exist, or settings contradict each other.
    """
    for path in request.models:
        _check_model(path)
    samples, temperature = request.drawn
    if samples > 1 and temperature == 0.0:
        hint = "give --temperature 0.7, say, or leave --samples out"
        raise ConfigError("without temperature all answers to a question are the same", where="--samples", hint=hint)
    if request.budget is not None and (request.limit or request.harness_out is not None):
        other = "--limit" if request.limit else "--harness-out"
        raise ConfigError(f"cannot be combined with {other}", where="--budget", hint=f"leave {other} or --budget out")
    unused = {
        "--domain-premise": ("domain", request.domain_premise),
        "--content-free": ("contextual", request.content_free),
    }
    for option, (normalization, given) in unused.items():
        if given and request.normalization != normalization:
            hint = f"give --normalization {normalization} with it"
            raise ConfigError("has no effect without its normalization", where=option, hint=hint)
    if request.harness_out is not None and not request.harness:
        raise ConfigError(
            "has no effect without --harness", where="--harness-out", hint="name a --harness file with it"
        )
    if request.trust_task_code and not request.harness:
        hint = "it is for the functions of --harness files"
        raise ConfigError("has no effect without --harness", where="--trust-task-code", hint=hint)
    if request.normalization is not None and request.harness and not (request.suites or request.data):
        hint = "name the metric in the file's metric_list: acc, acc_norm, acc_bytes"
        raise ConfigError("harness files say themselves how options are ranked", where="--normalization", hint=hint)


def _check_model(path: str) -> None:
    """Detects a wrong path before an hour is spent on an earlier model."""
    folder = Path(path)
    if is_gguf(path):
        check_folder(path)
    elif folder.is_dir():
        if not any((folder / name).is_file() for name in ("config.json", "adapter_config.json")):
            hint = "name the folder that holds config.json or adapter_config.json (of a run: folds/<fold>/model)"
            raise ConfigError("no model in this folder", where=path, hint=hint)
    elif folder.exists() or not _HUB_ID.fullmatch(path):
        hint = "a model is a folder, a .gguf file, or a hub id such as google/flan-t5-small"
        raise ConfigError("is a file" if folder.exists() else "no such folder", where=path, hint=hint)


def check_drawn(request: EvaluationRequest, exams: Sequence[Exam]) -> None:
    """Makes sure that there is something to sample answers for.

    Raises:
        ConfigError: Nothing can be voted on.
    """
    if request.drawn[1] > 0.0 and not any(exam.is_voted for exam in exams):
        hint = "they are for chains of thought: mgsm, gsm8k, bbh_cot, mmlu_cot"
        raise ConfigError("nothing here is answered by sampling", where="--samples, --temperature", hint=hint)
