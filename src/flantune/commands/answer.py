"""Open-ended answers: prompts are answered by one model after another, and stored on disk."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from flantune.errors import EvaluationError
from flantune.judging.answers import Answering, answer_prompts, read_answers, read_prompts
from flantune.system.locking import locked

if TYPE_CHECKING:
    from flantune.evaluation.asking.answers import Backend
    from flantune.settings.config import ModelSettings
    from flantune.system.progress import Reporter


def answer_with_models(
    prompts: Path,
    models: Sequence[tuple[str, ModelSettings]],
    *,
    out: Path,
    answering: Answering,
    batch_tokens: int,
    backend: Backend,
    reporter: Reporter,
) -> dict[str, int]:
    """Loads each model in turn and appends its answers to a file.

    Args:
        prompts: A text file, one prompt per line, or JSON lines.
        models: Each with the name that its answers get.
        out: The answers file.
        answering: How answers are written.
        batch_tokens: Array positions of a batch.
        backend: What generates answers.
        reporter: Gets the progress.

    Returns:
        Model → how many of the prompts are answered now.

    Raises:
        FlantuneError: A file or model cannot be read, two models have one name, or another command writes the file.
    """
    from flantune.evaluation.asking.answers import writer_for
    from flantune.models.arithmetic import slow_arithmetic
    from flantune.models.load import load_model

    read = read_prompts(prompts)
    if len(dict(models)) < len(models):
        where = ", ".join(settings.path for _, settings in models)
        hint = "give each model its own name: NAME=PATH"
        raise EvaluationError(f"{len(models)} models have {len(dict(models))} names", where=where, hint=hint)
    answered = {}
    with locked(out.parent, name=f".{out.name}.lock", protects=out):
        for name, settings in models:
            reporter.stage(f"{name}: load the model")
            lm = load_model(settings)
            if slow := slow_arithmetic(lm.compute_dtype, lm.device):
                reporter.note(slow)
            writer = writer_for(lm, backend)
            reporter.stage(f"{name}: {len(read)} prompts")
            reporter.step(0, len(read), f"0 of {len(read)} answers")
            written = answer_prompts(
                lm, read, model=name, answering=answering, out=out, batch_tokens=batch_tokens, writer=writer,
                progress=lambda done, total: reporter.step(done, total, f"{done} of {total} answers"),
                note=reporter.note,
            )  # fmt: skip
            ids = {prompt.id for prompt in read}
            there = sum(answer.model == name and answer.id in ids for answer in read_answers(out))
            reporter.note(f"{written} answers written, {there - written} were there")
            answered[name] = there
    return answered
