"""What determines the answers to an exam: its prompts as asked, its codec, and its name by content.

So a changed template, adapter, row, seed or separator never matches samples of the old one.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from flantune.evaluation.asking.option_scores import scoring_codec, within_positions
from flantune.evaluation.exams import Exam, Question
from flantune.evaluation.metrics.rank_classification import BASELINES
from flantune.evaluation.samples import samples_path
from flantune.packing.codec_for import codec_for

if TYPE_CHECKING:
    from flantune.evaluation.asking.session import Session
    from flantune.packing.encode import Codec
    from flantune.types import Prompt

# Part of every fingerprint: increase it when the same prompts and weights would give different samples.
_VERSION = 6

# The choices of a codec that affect samples.
_KNOBS = (
    "max_input_tokens",
    "max_target_tokens",
    "max_row_tokens",
    "score_eos",
    "inputs_eos",
    "drops_exemplars",
    "truncation",
    "tokenization",
    "joint_cut",
    "prefix",
)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Work:
    """One exam to ask.

    Attributes:
        codec: Turns its prompts into tokens.
        path: The path of its samples.
        kind: Everything that determines answers except the questions: exams of one kind are asked together.
        fingerprint: The same including the questions, word for word.
    """

    exam: Exam
    codec: Codec
    path: Path
    kind: str
    fingerprint: str


def work_of(session: Session, exam: Exam) -> Work:
    """An exam with its name by content."""
    codec = _codec(session, exam)
    kind = json.dumps(_choices(session, exam, codec), sort_keys=True)
    digest = hashlib.sha256(kind.encode())
    digest.update(json.dumps(_own_choices(session, exam), sort_keys=True).encode())
    for question in questions_of(session, exam):
        digest.update(json.dumps(asdict(question), sort_keys=True).encode())
    path = samples_path(session.folder, exam.key)
    return Work(exam=exam, codec=codec, path=path, kind=kind, fingerprint=digest.hexdigest())


def _codec(session: Session, exam: Exam) -> Codec:
    """How an exam's prompts become tokens, within the positions that the model supports.

    Exams have their own delimiters, so those of the protocol do not apply.
    """
    layout, own = exam.layout, replace(exam.protocol, target_delimiter=None, exemplar_separator=None)
    is_written = exam.answering == "text"
    if session.chat is not None or (is_written and not layout.target_separator):
        # The inputs are followed by the template's own tokens or by nothing: there is no border for joint tokenization.
        own = replace(own, tokenization="separate")
    if session.chat is not None:
        layout = replace(layout, target_separator=layout.target_separator or " ")
    codec = codec_for(
        session.lm,
        layout=layout,
        max_input_tokens=exam.max_input_tokens,
        max_target_tokens=exam.max_target_tokens,
        chat=session.chat,
    )
    room = exam.writing.max_new_tokens if is_written else 0
    return within_positions(scoring_codec(codec, own), session.lm, room=room)


def questions_of(session: Session, exam: Exam) -> Iterator[Question]:
    """An exam's questions for this model.

    In a chat a reply starts with its first word, without a leading space.
    """
    if session.chat is None or exam.layout.target_separator:
        return iter(exam.questions)
    return (replace(question, prompt=_as_turn(question.prompt)) for question in exam.questions)


def _as_turn(prompt: Prompt) -> Prompt:
    exemplars = tuple(replace(one, targets=one.targets.strip()) for one in prompt.exemplars)
    return replace(prompt, options=tuple(option.strip() for option in prompt.options), exemplars=exemplars)


def _choices(session: Session, exam: Exam, codec: Codec) -> dict[str, object]:
    """Everything an answer depends on besides the question."""
    chosen: dict[str, object] = {
        "version": _VERSION,
        "answering": exam.answering,
        "layout": asdict(codec.layout),
        "codec": {name: getattr(codec, name) for name in _KNOBS},
        "chat": session.chat.identity if session.chat is not None else None,
    }
    if exam.answering == "text":
        return {
            **chosen,
            "model": session.written_by,
            "writing": asdict(exam.writing),
            "drawn": [*session.drawn(exam), session.seed] if session.drawn(exam)[1] > 0.0 else None,
        }
    protocol = exam.protocol
    has_baselines = protocol.normalization in BASELINES
    asked = [protocol.normalization, protocol.domain_premise, protocol.content_free] if has_baselines else None
    return {**chosen, "model": session.fingerprint, "baselines": asked}


def _own_choices(session: Session, exam: Exam) -> dict[str, object]:
    """What else the answers to an exam depend on."""
    rules = exam.grader.rules if session.drawn(exam)[0] > 1 else ()
    return {
        "code": sorted(exam.code.values()),
        "rules": [(rule.name, rule.pattern, rule.form) for rule in rules],
    }
