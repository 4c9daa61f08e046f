"""The README of a tuned model, in the form the Hugging Face hub reads."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence

from flantune.report.card_model import is_adapter, loading, tuning_lines
from flantune.report.numbers import count, plural, points, share, shots_label
from flantune.report.results import Pair, Results, parse_results
from flantune.report.run_details import MixedCluster, mixed_clusters, model_label
from flantune.report.verdict import headline, note_sentences
from flantune.runs.untrusted_json import Json, mapping, objects

_STYLES = {
    "instruction": "Each example in one of its task's instruction templates.",
    "inputs_only": "The inputs alone, without an instruction.",
    "dataset_name": "The data set's name before the inputs, without an instruction.",
}
_MARKDOWN = str.maketrans({c: f"\\{c}" for c in "\\`*_[]<>|#"})


def model_card(config: Json, results: Json | None, mixture: Json, fold: str, *, origin: str = "") -> str:
    """What a tuned model is, was tuned on, scores and cannot do, as Markdown behind YAML front matter.

    Args:
        config: The resolved run file, as ``config.toml`` has it.
        results: What ``results.json`` holds; None before the model was measured.
        mixture: What the fold's ``mixture.json`` holds.
        fold: Name of the fold's folder.
        origin: The file that the base model was read from, where one file was; see ``flantune.models.stored.gguf``.

    The license is left to the user: it depends on the base model and on every data set.
    """
    parsed = None if results is None else parse_results(results)
    clusters = mixed_clusters(mixture)
    parts = [
        _front_matter(config, clusters),
        f"# {_text(model_label(config).rstrip('/').rsplit('/', 1)[-1])}, instruction-tuned",
        _summary(config, mixture, clusters),
        "## Trained on",
        _trained_on(clusters),
        "## Held out",
        _held_out(mixture),
        "## Results on tasks never trained on",
        _results(parsed, fold),
        "## How it was tuned",
        "\n".join(f"- {line}" for line in (*_origin_lines(origin), *tuning_lines(config))),
        "## How it was prompted",
        _prompted(config),
        "## Limits",
        _limits(parsed),
        "## To load it",
        loading(config),
        "## To make it again",
        "```sh\nflantune run config.toml --out run\n```",
        f"`config.toml` lies in the run folder; this model is its `folds/{fold}/model`.",
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _text(value: object) -> str:
    r"""Text that Markdown shows as it is, on one line.

    >>> _text("a_b | <c>")
    'a\\_b \\| \\<c\\>'
    """
    return " ".join(str(value).split()).translate(_MARKDOWN)


def _front_matter(config: Json, clusters: Sequence[MixedCluster]) -> str:
    """YAML; every value is written as JSON, which YAML reads, so that no text can break out of it."""
    model = mapping(config.get("model"))
    lines = ["---", f"library_name: {'peft' if is_adapter(config) else 'transformers'}"]
    if model.get("path") and not mapping(model.get("scratch")):
        lines.append(f"base_model: {json.dumps(str(model['path']), ensure_ascii=False)}")
    hub = sorted({task.dataset for cluster in clusters for task in cluster.tasks if task.dataset})
    if hub:
        lines += ["datasets:", *(f"- {json.dumps(name)}" for name in hub)]
    lines += ["tags:", "- instruction-tuning", "- flan", "- flantune"]
    return "\n".join([*lines, "# license: yours to state; it depends on the base model and on every data set", "---"])


def _summary(config: Json, mixture: Json, clusters: Sequence[MixedCluster]) -> str:
    tasks = sum(len(cluster.tasks) for cluster in clusters)
    steps = mapping(config.get("training")).get("steps")
    how = f" for {count(float(steps))} steps" if isinstance(steps, int | float) else ""
    held = ", ".join(map(_text, mixture.get("held_out") or ())) or "nothing"
    return (
        f"{_text(model_label(config))}, tuned on {plural(tasks, 'task')} of {plural(len(clusters), 'cluster')} phrased "
        f"as instructions{how}, with {held} held out. Made with flantune, which follows "
        "“Finetuned Language Models Are Zero-Shot Learners” (Wei et al., 2021)."
    )


def _origin_lines(origin: str) -> Iterator[str]:
    if origin:
        yield f"Its base model was read from a GGUF file and dequantized to float32: {_text(origin)}."


def _trained_on(clusters: Sequence[MixedCluster]) -> str:
    if not clusters:
        return "Not recorded."
    rows = [
        (_text(cluster.cluster), _text(task.task), count(task.examples), count(task.used), share(task.rate))
        for cluster in clusters
        for task in cluster.tasks
    ]
    return _table(("Cluster", "Task", "Examples", "Used", "Share of draws"), rows, numbers=3)


def _held_out(mixture: Json) -> str:
    lines = [
        f"- Clusters: {', '.join(map(_text, mixture.get('held_out') or ())) or 'none'}",
        f"- Measured as unseen: {', '.join(map(_text, mixture.get('unseen') or ())) or 'none'}",
    ]
    lines += [
        f"- Neither trained on nor measured: {_text(entry.get('task'))} ({_text(entry.get('reason') or 'no reason')})"
        for entry in objects(mixture.get("excluded"))
    ]
    return "\n".join(lines)


def _results(results: Results | None, fold: str) -> str:
    if results is None:
        return "Not measured yet."
    pairs = [(p, "cluster") for p in results.clusters.get("raw", ()) if p.fold == fold]
    pairs += [(t.pair(), "task") for t in results.tasks if t.fold == fold and not t.is_seen]
    if not pairs:
        return "Nothing was measured for this fold."
    rows = [_result_row(pair, what) for pair, what in pairs]
    heading = ("", "Unseen", "Exemplars", "Chance", "Base", "Tuned", "Difference", f"{results.level} interval")
    note = (
        "Points on a scale of 0 to 100, mean over templates; base and tuned answered the same prompts. "
        f"Over all folds of the run: {_text(headline(results))}"
    )
    return "\n\n".join([_table(heading, rows, numbers=5), note, *_skill(results, fold)])


def _skill(results: Results, fold: str) -> Iterator[str]:
    """Skill apart from a preference for an answer: a table of the fold's ranked tasks, and what the verdict notes."""
    tasks = [t for t in results.tasks if t.fold == fold and not t.is_seen and t.skill is not None]
    if not tasks:
        return
    rows = [
        (
            _text(t.label),
            shots_label(t.shots),
            f"{skill.base.discrimination.score()} → {skill.tuned.discrimination.score()}",
            f"{skill.base.calibrated.score()} → {skill.tuned.calibrated.score()}",
            f"{_text(skill.tuned.answer)} {share(skill.tuned.share)}",
            share(skill.tuned.gold),
        )
        for t in tasks
        for skill in [t.skill]
        if skill is not None
    ]
    heading = ("Task", "Exemplars", "Discrimination", "Calibrated accuracy", "Commonest answer", "Right")
    yield (
        "Skill apart from a preference for an answer, base → tuned, in points: discrimination is the area under the "
        "ROC curve (50 is guessing), calibrated accuracy the accuracy after batch calibration."
    )
    yield _table(heading, rows, numbers=4)
    notes = note_sentences(results.verdict) if results.verdict else ()
    if notes:
        yield f"Over all folds of the run: {' '.join(map(_text, notes))}"


def _result_row(pair: Pair, what: str) -> tuple[str, ...]:
    scores = (points(pair.chance), pair.base.score(), pair.tuned.score())
    change = (pair.difference.signed(), pair.difference.interval())
    return (what, _text(pair.name), shots_label(pair.shots), *scores, *change)


def _table(heading: Sequence[str], rows: Sequence[Sequence[str]], *, numbers: int) -> str:
    """A Markdown table whose last so many columns are numbers."""
    rule = ["---"] * (len(heading) - numbers) + ["---:"] * numbers
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (heading, rule, *rows))


def _prompted(config: Json) -> str:
    lines = _prompt_lines(mapping(config.get("prompts")), mapping(config.get("evaluation")))
    return "\n".join(f"- {line}" for line in lines)


def _prompt_lines(prompts: Json, evaluation: Json) -> Iterator[str]:
    style = str(prompts.get("style", "instruction"))
    yield _STYLES.get(style, f"Style: {_text(style)}.")
    are_shown = prompts.get("show_options", True)
    words = _options_words(prompts) if are_shown else "not listed in the prompt"
    yield f"Answer options of classification tasks are {words}."
    asked = {name: evaluation.get(name) for name in ("options_layout", "shuffle_options")}
    own = {**prompts, **{name: value for name, value in asked.items() if value is not None}}
    if are_shown and _options_words(own) != words:
        yield f"When measured they were {_options_words(own)}."
    target, exemplar = (_code(prompts.get(f"{name}_separator", "")) for name in ("target", "exemplar"))
    yield f"Between prompt and answer: {target}; between exemplars: {exemplar}."
    if prompts.get("chat"):
        yield "Each prompt was a user's turn in the tokenizer's chat template; only the reply was trained on."
    yield f"Exemplars before a training prompt: {', '.join(map(str, prompts.get('train_shots') or (0,)))}."
    yield (
        "Classification is scored by the log-likelihood of each option, "
        f"length normalization “{_text(evaluation.get('normalization', 'sum'))}”."
    )


def _options_words(prompts: Json) -> str:
    """How options are laid out.

    >>> _options_words({})
    'listed in the prompt by a dash each, in the order of the task; the answer is the text of one'
    """
    is_lettered = prompts.get("options_layout") == "lettered"
    marks = "behind letters; the answer is a letter, as in (A)" if is_lettered else "the answer is the text of one"
    place = "in a random order" if prompts.get("shuffle_options") else "in the order of the task"
    if is_lettered:
        return f"listed in the prompt {marks}, {place}"
    return f"listed in the prompt by a dash each, {place}; {marks}"


def _code(value: object) -> str:
    """Text as a JSON string in code type, so that line breaks can be seen."""
    return f"`{json.dumps(str(value), ensure_ascii=False)}`"


def _limits(results: Results | None) -> str:
    lines = [
        "- Tuned to follow short instructions of the kinds listed above; not to converse, and not for safety.",
        "- It may repeat what is wrong or unfair in its base model and its data.",
        "- Scores hold for the rows and templates measured; another wording can score differently.",
    ]
    direction = results.verdict.direction if results and results.verdict else "better"
    if direction == "worse":
        lines.append("- On tasks never trained on, it is worse than the model it was made from.")
    if direction == "undecided":
        lines.append("- Whether tuning helped on tasks never trained on is undecided.")
    return "\n".join(lines)
