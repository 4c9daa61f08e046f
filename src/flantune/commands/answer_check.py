"""Whether a tokenizer can write a task's answers: found before anything is trained or measured, and said."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

from flantune.errors import FlantuneError, ModelError
from flantune.evaluation.metrics.by_name import find_metric
from flantune.packing.tokenize import decode
from flantune.packing.unwritable import alike, unknown_token
from flantune.prompts.render import render
from flantune.prompts.styles import Style, usable_templates
from flantune.tasks.load import load_tasks
from flantune.tasks.prepare import prepare_task
from flantune.types import Prompt, Sample, SplitRole, Task, Template

if TYPE_CHECKING:
    from pathlib import Path

    from flantune.packing.encode import Codec
    from flantune.settings.run_file import RunFile
    from flantune.tasks.example_store import PreparedTask

Reason = Literal["same tokens", "unknown token", "changed text"]

MOST_LOOKED_AT = 200
"""Rows of a split that are looked at, from all over it."""
MOST_ALIKE = 0.01
"""With a larger share of rows whose options cannot be told apart a task is refused."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AnswerFault:
    """Answers of one split that a tokenizer cannot write.

    Attributes:
        task: The task's name.
        split: Which split.
        reason: Two options have the same tokens; the unknown token is in an answer; or tokenizing an answer and
            decoding it again gives another text, to which the task's own metric does not give full marks.
        rows: How many rows it has.
        looked_at: Rows that were looked at.
        row: The first such row.
        text: Its answer, or the first of the two options.
        becomes: What the answer becomes, or the other option.
        metric: The metric that is not content.
    """

    task: str
    split: SplitRole
    reason: Reason
    rows: int
    looked_at: int
    row: int
    text: str
    becomes: str
    metric: str = ""

    @property
    def is_refused(self) -> bool:
        """Whether the task cannot be used with this tokenizer: its options would tie, whatever the model says."""
        return self.reason == "same tokens" and self.rows > MOST_ALIKE * self.looked_at

    def __str__(self) -> str:
        rows = f"{self.rows:,} of {self.looked_at:,} rows checked in {self.split} (first in row {self.row})"
        if self.reason == "same tokens":
            said = f"the options {self.text!r} and {self.becomes!r} have the same tokens, so that they always tie"
        elif self.reason == "unknown token":
            said = (
                f"the tokenizer cannot write {self.text!r}: it becomes {self.becomes!r}, with the unknown token in it"
            )
        else:
            said = (
                f"the tokenizer cannot write {self.text!r}: it becomes {self.becomes!r}, to which {self.metric} does "
                "not give full marks"
            )
        return f"{self.task}: {said}; {rows}"


def check_answers(
    prepared: Sequence[PreparedTask],
    codec: Codec,
    *,
    style: Style,
    note: Callable[[str], None],
    teaches_inverted: bool = False,
) -> tuple[AnswerFault, ...]:
    """Notes which answers of some tasks cannot be written, and refuses tasks whose options cannot be told apart.

    Args:
        prepared: The tasks.
        codec: Turns prompts into tokens.
        style: How prompts are made.
        note: Called with one sentence per fault.
        teaches_inverted: What inverted templates teach is looked at, too.

    Raises:
        ModelError: The options of a task have the same tokens.
    """
    faults = tuple(
        fault
        for entry in prepared
        for fault in answer_faults(entry, codec, style=style, teaches_inverted=teaches_inverted)
    )
    for fault in faults:
        if not fault.is_refused:
            note(str(fault))
    refused = [fault for fault in faults if fault.is_refused]
    if refused:
        hint = "give the options other words, leave the task out with data.exclude, or take another model"
        said = "\n".join(map(str, refused))
        raise ModelError(said, where=str(codec.tokenizer.name_or_path or "tokenizer"), hint=hint)
    return faults


def run_faults(file: RunFile, *, cache: Path) -> Iterator[AnswerFault]:
    """What the tokenizer of a run file's model cannot write of its tasks; nothing where no model is named."""
    config = file.config
    if not config.model.path or config.model.scratch is not None:
        return
    # Seconds of imports: not for those who name no model.
    from flantune.commands.plan import make_codec
    from flantune.models.load import detect_family, load_config, load_tokenizer
    from flantune.packing.codec_for import UnloadedReader

    family = config.family or detect_family(load_config(config.model))
    codec = make_codec(config, UnloadedReader(tokenizer=load_tokenizer(config.model), family=family))
    for task in load_tasks(config.data, root=file.root):
        try:
            prepared = prepare_task(task, cache=cache, max_bad_share=1.0)
        except FlantuneError:
            continue  # said by who reads the rows
        style, inverted = Style.from_settings(config.prompts), config.prompts.include_inverted
        yield from answer_faults(prepared, codec, style=style, teaches_inverted=inverted)


def answer_faults(
    prepared: PreparedTask, codec: Codec, *, style: Style, teaches_inverted: bool = False
) -> Iterator[AnswerFault]:
    """What of a task's answers the tokenizer cannot write, one entry per split and reason."""
    for split, store in prepared.stores.items():
        templates = usable_templates(prepared.task, style=style, include_inverted=teaches_inverted and split == "train")
        # Those that make the same target of an answer say the same of it.
        distinct = {template.targets: template for template in reversed(templates)}
        prompts = [prompt for one in reversed(distinct.values()) for prompt in _prompts(prepared, split, one, style)]
        found = [*_alike(prompts, codec), *_unwritten(prepared.task, prompts, codec)]
        for reason in dict.fromkeys(one.reason for one in found):
            own = [one for one in found if one.reason == reason]
            yield replace(own[0], rows=len({one.row for one in own}), looked_at=min(len(store), MOST_LOOKED_AT))


def _prompts(prepared: PreparedTask, split: SplitRole, template: Template, style: Style) -> Iterator[Prompt]:
    """Some rows in a template; what cannot be rendered is said elsewhere."""
    store = prepared.stores[split]
    count = min(len(store), MOST_LOOKED_AT)
    for number in range(count):
        example = store[number * len(store) // count]
        try:
            prompt = render(prepared.task, example, template, split=split, style=style)
        except FlantuneError:
            continue
        yield replace(prompt, inputs="", preamble="")


def _alike(prompts: Sequence[Prompt], codec: Codec) -> Iterator[AnswerFault]:
    choices = [prompt for prompt in prompts if len(prompt.options) > 1]
    distinct = {prompt.options: prompt for prompt in choices}
    encoded = codec.encode_prompts(list(distinct.values()), continuations="options")
    pairs = {
        options: alike(tokens, options) if tokens is not None else None
        for options, tokens in zip(distinct, encoded, strict=True)
    }
    for prompt in choices:
        pair = pairs[prompt.options]
        if pair is not None:
            yield _fault(prompt, "same tokens", *pair)


def _unwritten(task: Task, prompts: Sequence[Prompt], codec: Codec) -> Iterator[AnswerFault]:
    texts = list(dict.fromkeys(text for prompt in prompts for text in (*_answers(prompt), *prompt.references[:1])))
    unknown = unknown_token(codec.tokenizer)
    inverted = {template.name for template in task.templates if template.is_inverted}
    ids = dict(zip(texts, codec.framing.text_ids(texts), strict=True))
    for prompt in prompts:
        lost = [text for text in _answers(prompt) if unknown is not None and unknown in ids[text]]
        # One answer that can be written is enough to be right.
        if lost and len(lost) == len(_answers(prompt)):
            yield _fault(prompt, "unknown token", lost[0], decode(codec.tokenizer, ids[lost[0]], shows_special=True))
        elif task.kind == "generation" and not lost and prompt.template not in inverted:
            text = prompt.references[0] if prompt.references else prompt.targets
            becomes = decode(codec.tokenizer, ids[text])
            if metric := _discontent(task, prompt, becomes):
                yield replace(_fault(prompt, "changed text", text, becomes), metric=metric)


def _answers(prompt: Prompt) -> tuple[str, ...]:
    """What may be taught or given: the gold option, or any reference; or the target, where it holds more than that."""
    is_answer = prompt.targets in prompt.references and not prompt.options
    return prompt.references if is_answer else (prompt.targets,)


def _discontent(task: Task, prompt: Prompt, becomes: str) -> str:
    """The task's headline metric where it does not take a right answer, as it is decoded, for the answer itself."""
    metric = find_metric(task.metrics[0], task.kind) if task.metrics else None
    if metric is None or not prompt.references or becomes.strip() == prompt.references[0].strip():
        return ""
    said = [replace(_sample(prompt), prediction=text.strip()) for text in (prompt.references[0], becomes)]
    notes = [metric.noted(sample, "sum", "first") for sample in said]
    return metric.name if notes[0] != notes[1] else ""


def _sample(prompt: Prompt) -> Sample:
    return Sample(
        task=prompt.task, split=prompt.split, row=prompt.row, template=prompt.template, shots=0, inputs="",
        references=prompt.references,
    )  # fmt: skip


def _fault(prompt: Prompt, reason: Reason, text: str, becomes: str) -> AnswerFault:
    return AnswerFault(
        task=prompt.task, split=prompt.split, reason=reason, rows=1, looked_at=1, row=prompt.row, text=text,
        becomes=becomes,
    )  # fmt: skip
