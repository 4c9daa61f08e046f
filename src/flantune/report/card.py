"""The README of a tuned model, in the Hugging Face hub's format."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence

from flantune.evaluation.estimates import Estimate
from flantune.evaluation.results import Results
from flantune.mixture.tree import MixedCluster, MixedPart
from flantune.report.numbers import count, interval, plural, points, share, shots_label, signed
from flantune.report.run_details import model_label
from flantune.report.score_tables import level
from flantune.report.sentences import headline, note_sentences
from flantune.report.sides import (
    ComparedPair,
    ShownTask,
    Sides,
    compared_means,
    compared_task,
    heading,
    shown_tasks,
    sides_of,
)
from flantune.runs.products import FoldMixture
from flantune.settings.config import PromptSettings, RunConfig
from flantune.types import Attention

_STYLES = {
    "instruction": "Each example in one of its task's instruction templates.",
    "inputs_only": "The inputs alone, without an instruction.",
    "dataset_name": "The dataset's name before the inputs, without an instruction.",
}
_OPTIMIZERS = {
    "adafactor": "Adafactor as T5X has it",
    "adamw": "AdamW",
    "adamw8bit": "AdamW with 8-bit moments",
    "adamw8bit-bnb": "AdamW with 8-bit moments (bitsandbytes)",
}
_WEIGHTINGS = {
    "token": "every target token has equal weight",
    "example": "every example has equal weight",
    "task": "every task of a step has equal weight",
}
_ATTENTION: dict[Attention, tuple[str, ...]] = {
    "causal": (),
    "prefix": ("Prefix LM: the tokens of the inputs see each other, in both directions.",),
}
PREFIX_WARNING = (
    "It is a prefix LM: by itself transformers reads the inputs causally, which is another model. Give its forward an "
    "`attention_mask` of four dimensions in which the tokens of the inputs see each other; flantune does so by itself."
)
"""Warning about loading a prefix LM with other programs."""
_MARKDOWN = str.maketrans({c: f"\\{c}" for c in "\\`*_[]<>|#"})


def model_card(
    config: RunConfig,
    results: Results | None,
    mixture: FoldMixture,
    fold: str,
    *,
    origin: str = "",
    attention: Attention = "causal",
) -> str:
    """A tuned model's description, training data, scores and limits, as Markdown after YAML front matter.

    Args:
        config: The settings of its run.
        results: The run's scores; None before evaluation.
        mixture: The fold's training mixture.
        fold: Name of the fold's folder.
        origin: The base model's file, if it was a single one; see ``flantune.models.stored.gguf``.
        attention: How the model reads its inputs.

    The license is left to the user: it depends on the base model and on every dataset.
    """
    parts = [
        _front_matter(config, mixture.tree.clusters),
        f"# {_text(model_label(config).rstrip('/').rsplit('/', 1)[-1])}, instruction-tuned",
        _summary(config, mixture),
        "## Trained on",
        _trained_on(mixture.tree.clusters),
        _parts(mixture.tree.parts),
        "## Held out",
        _held_out(mixture),
        "## Results on tasks never trained on" if _has_unseen(results, fold) else "## Results on tasks trained on",
        _results(results, fold),
        "## How it was tuned",
        "\n".join(f"- {line}" for line in (*_origin_lines(origin), *_tuning_lines(config), *_ATTENTION[attention])),
        "## How it was prompted",
        "\n".join(f"- {line}" for line in _prompt_lines(config)),
        "## Limits",
        _limits(config, results),
        "## To load it",
        _loading(config, attention),
        "## To reproduce it",
        "```sh\nflantune run config.toml --out run\n```",
        f"`config.toml` is in the run folder; this model is its `folds/{fold}/model`.",
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _text(value: object) -> str:
    r"""Text escaped for Markdown, on one line.

    >>> _text("a_b | <c>")
    'a\\_b \\| \\<c\\>'
    """
    return " ".join(str(value).split()).translate(_MARKDOWN)


def _is_adapter(config: RunConfig) -> bool:
    """Whether the model's folder has only an adapter, which needs its base model."""
    return config.model.adapter != "none" and not config.model.merge_adapter


def _front_matter(config: RunConfig, clusters: Sequence[MixedCluster]) -> str:
    """YAML front matter; every value is written as JSON, which is valid YAML, so that no text can break out of it."""
    lines = ["---", f"library_name: {'peft' if _is_adapter(config) else 'transformers'}"]
    if config.model.path and not config.model.scratch:
        lines.append(f"base_model: {json.dumps(config.model.path, ensure_ascii=False)}")
    hub = sorted({task.dataset for cluster in clusters for task in cluster.tasks if task.dataset})
    if hub:
        lines += ["datasets:", *(f"- {json.dumps(name)}" for name in hub)]
    lines += ["tags:", "- instruction-tuning", "- flan", "- flantune"]
    return "\n".join([*lines, "# license: yours to state; it depends on the base model and on every dataset", "---"])


def _summary(config: RunConfig, mixture: FoldMixture) -> str:
    clusters = mixture.tree.clusters
    held = ", ".join(map(_text, mixture.held_out)) or "nothing"
    chooses = config.training.keep == "best-dev"
    kept = ", of which the one best on dev rows of these tasks was kept" if chooses else ""
    return (
        f"{_text(model_label(config))}, tuned on {plural(sum(len(cluster.tasks) for cluster in clusters), 'task')} of "
        f"{plural(len(clusters), 'cluster')} phrased as instructions for {count(config.training.steps)} steps{kept}, "
        f"with {held} held out. Made with flantune, which follows “Finetuned Language Models Are Zero-Shot Learners” "
        "(Wei et al., 2021)."
    )


def _origin_lines(origin: str) -> Iterator[str]:
    if origin:
        yield f"Its base model was read from a GGUF file and dequantized to float32: {_text(origin)}."


def _trained_on(clusters: Sequence[MixedCluster]) -> str:
    if not clusters:
        return "Not recorded."
    rows = [
        (_text(cluster.name), _text(task.name), count(task.examples), count(task.capped), share(task.rate))
        for cluster in clusters
        for task in cluster.tasks
    ]
    return _table(("Cluster", "Task", "Examples", "Used", "Share of draws"), rows, numbers=3)


def _parts(parts: Sequence[MixedPart]) -> str:
    """The parts of the mixture, each followed by its inner ones; empty if there are none."""
    rows = [(_text(part.path), count(len(part.tasks)), share(part.rate)) for part in _flat(parts)]
    return _table(("Part", "Tasks", "Share of draws"), rows, numbers=2) if rows else ""


def _flat(parts: Sequence[MixedPart]) -> Iterator[MixedPart]:
    for part in parts:
        yield part
        yield from _flat(part.parts)


def _held_out(mixture: FoldMixture) -> str:
    lines = [
        f"- Clusters: {', '.join(map(_text, mixture.held_out)) or 'none'}",
        f"- Measured as unseen: {', '.join(map(_text, mixture.unseen)) or 'none'}",
    ]
    lines += [
        f"- Neither trained on nor measured: {_text(one.task)} ({_text(one.reason or 'no reason')})"
        for one in mixture.excluded
    ]
    return "\n".join(lines)


def _has_unseen(results: Results | None, fold: str) -> bool:
    """Whether the fold's model was measured on a task it was not trained on; true before evaluation."""
    measured = [one for one in results.tasks if one.fold == fold] if results else []
    return not measured or any(not one.is_seen for one in measured)


def _results(results: Results | None, fold: str) -> str:
    if results is None:
        return "Not measured yet."
    sides = sides_of(results)[0]
    means = [compared_means(one.cluster, one.shots, one, sides) for one in results.clusters if one.fold == fold]
    measured = [one for one in shown_tasks(results) if one.exam.fold == fold]
    unseen = [one for one in measured if not one.exam.is_seen]
    tasks = [ShownTask(one.exam.name, one.exam) for one in unseen or measured]
    rows = [_result_row(row, "cluster") for row in means if row is not None]
    rows += [_result_row(compared_task(results, one, sides), "task") for one in tasks]
    if not rows:
        return "Nothing was measured for this fold."
    models = [heading(name, results) for name in sides.both]
    columns = (
        "",
        "Unseen" if unseen or means else "Trained on, new rows",
        "Exemplars",
        "Chance",
        *models,
        "Difference",
        f"{level(results)} interval",
    )
    note = (
        f"Points on a scale of 0 to 100, mean over templates; {' and '.join(sides.both)} answered the same prompts. "
        f"Over all folds of the run: {_text(headline(results))}"
    )
    return "\n\n".join([_table(columns, rows, numbers=5), note, *_skill(results, tasks, sides)])


def _result_row(row: ComparedPair, what: str) -> tuple[str, ...]:
    difference = row.difference
    return (
        what,
        _text(row.name),
        shots_label(row.shots),
        points(row.chance),
        _score(row.first),
        _score(row.second),
        signed(difference.value if difference else None),
        interval(difference.low, difference.high) if difference else "",
    )


def _score(found: Estimate | None) -> str:
    return points(found.value if found else None)


def _skill(results: Results, tasks: Sequence[ShownTask], sides: Sides) -> Iterator[str]:
    """Skill separated from a preference for an answer: a table of the fold's ranked tasks, and the verdict's notes."""
    rows = [row for one in tasks for row in _skill_row(one, sides)]
    if not rows:
        return
    columns = ("Task", "Exemplars", "Discrimination", "Calibrated accuracy", "Commonest answer", "Right")
    yield (
        f"Skill apart from a preference for an answer, {' → '.join(sides.both)}, in points: discrimination is the area "
        "under the ROC curve (50 is guessing), calibrated accuracy the accuracy after batch calibration."
    )
    yield _table(columns, rows, numbers=4)
    if results.verdict and results.verdict.notes:
        yield f"Over all folds of the run: {' '.join(map(_text, note_sentences(results.verdict)))}"


def _skill_row(one: ShownTask, sides: Sides) -> Iterator[tuple[str, ...]]:
    skills = [skill for model in sides.both if (skill := one.exam.scores[model].skill) is not None]
    if len(skills) == len(sides.both):
        areas = [_score(skill.discrimination) for skill in skills]
        calibrated = [_score(skill.calibrated_accuracy) for skill in skills]
        answers = skills[-1].answers
        commonest = f"{_text(answers.answer)} {share(answers.share)}"
        means = (" → ".join(areas), " → ".join(calibrated))
        yield (_text(one.label), shots_label(one.exam.shots), *means, commonest, share(answers.gold))


def _table(heading: Sequence[str], rows: Sequence[Sequence[str]], *, numbers: int) -> str:
    """A Markdown table whose last columns are numbers."""
    rule = ["---"] * (len(heading) - numbers) + ["---:"] * numbers
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (heading, rule, *rows))


def _tuning_lines(config: RunConfig) -> Iterator[str]:
    """How it was tuned, one sentence per line.

    >>> list(_tuning_lines(RunConfig()))[-1]
    'In the loss, every target token has equal weight.'
    """
    training, model = config.training, config.model
    if model.adapter == "lora":
        how = ", merged into the weights afterwards" if model.merge_adapter else ""
        yield f"Low-rank adapters of rank {count(model.lora.rank)}{how}."
    if model.adapter == "prompt":
        yield f"Prompt tuning: only {model.prompt.tokens} virtual tokens in front of every prompt were trained."
    if model.quantize != "none":
        yield "The frozen weights were held in 4 bits while it was tuned."
    schedule = training.schedule.replace("_", " ")
    yield f"{_OPTIMIZERS[training.optimizer]}, {schedule} learning rate with a peak of {training.learning_rate}."
    z_loss = f"; z-loss {training.z_loss}" if training.z_loss else ""
    inputs = f"; one of the inputs {training.inputs_weight:g} of that" if training.inputs_weight else ""
    smoothed = f"; labels smoothed by {training.label_smoothing:g}" if training.label_smoothing else ""
    yield f"In the loss, {_WEIGHTINGS[training.weighting]}{inputs}{smoothed}{z_loss}."
    if training.neftune_alpha:
        yield f"Noise on the embeddings of prompts (NEFTune) with an alpha of {training.neftune_alpha:g}."
    if training.freeze:
        yield f"Kept as they were: {', '.join(f'`{one}`' for one in training.freeze)}."


def _prompt_lines(config: RunConfig) -> Iterator[str]:
    prompts, evaluation = config.prompts, config.evaluation
    yield _STYLES[prompts.style]
    yield f"Answer options of classification tasks are {_options_words(prompts)}."
    names = ("options_layout", "shuffle_options")
    asked = {name: value for name in names if (value := getattr(evaluation, name)) is not None}
    measured = _options_words(prompts.model_copy(update=asked))
    if measured != _options_words(prompts):
        yield f"When measured they were {measured}."
    target, exemplar = map(_code, (prompts.target_separator, prompts.exemplar_separator))
    yield f"Between prompt and answer: {target}; between exemplars: {exemplar}."
    if prompts.chat:
        yield "Each prompt was a user's turn in the tokenizer's chat template; only the reply was trained on."
    has_parts = config.mixture.parts or config.mixture.proportions
    exceptions = " Parts of the mixture have their own prompt settings." if has_parts else ""
    yield f"Exemplars before a training prompt: {', '.join(map(str, prompts.train_shots))}.{exceptions}"
    yield (
        "Classification is scored by the log-likelihood of each option, "
        f"length normalization “{evaluation.normalization}”."
    )


def _options_words(prompts: PromptSettings) -> str:
    """How options are shown.

    >>> _options_words(PromptSettings())
    'listed in the prompt by a dash each, in the order of the task; the answer is the text of one'
    """
    if not prompts.show_options:
        return "not listed in the prompt"
    place = "in a random order" if prompts.shuffle_options else "in the order of the task"
    if prompts.options_layout == "varied":
        return f"listed in the prompt in varied words and marks, {place}; the answer is the text of one, or its mark"
    if prompts.options_layout == "lettered":
        return f"listed in the prompt after letters; the answer is a letter, as in (A), {place}"
    return f"listed in the prompt by a dash each, {place}; the answer is the text of one"


def _code(value: str) -> str:
    """Text as a JSON string in code type, with visible line breaks."""
    return f"`{json.dumps(value, ensure_ascii=False)}`"


def _limits(config: RunConfig, results: Results | None) -> str:
    """Its limits, and what is unknown."""
    converses = "" if config.prompts.chat else "not to converse, and "
    lines = [
        f"- Tuned to follow short instructions of the kinds listed above; {converses}not for safety.",
        "- It may repeat what is wrong or unfair in its base model and its data.",
        "- Scores hold for the rows and templates measured; another wording can score differently.",
    ]
    verdict = results.verdict if results else None
    direction = verdict.direction if verdict else "better"
    if verdict is not None and verdict.difference is None:
        lines.append("- It was not measured on tasks that it was never trained on.")
    elif direction == "worse":
        lines.append("- On tasks never trained on, it is worse than the model it was made from.")
    elif direction == "undecided":
        lines.append("- Whether tuning helped on tasks never trained on is undecided.")
    return "\n".join(lines)


def _loading(config: RunConfig, attention: Attention) -> str:
    """How to load the folder, in a sentence or two."""
    if _is_adapter(config):
        how = (
            "The folder contains only the adapter: `AutoPeftModelForCausalLM.from_pretrained` (of an encoder-decoder, "
            "`AutoPeftModelForSeq2SeqLM`) of the `peft` library loads it with the base model named in "
            "`adapter_config.json`."
        )
    else:
        how = (
            "`AutoModelForCausalLM.from_pretrained` (of an encoder-decoder, `AutoModelForSeq2SeqLM`) and "
            "`AutoTokenizer.from_pretrained` of the `transformers` library load the folder"
        )
        how += "; flantune is not needed." if attention == "causal" else "."
    return how if attention == "causal" else f"{how} {PREFIX_WARNING}"
