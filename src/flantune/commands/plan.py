"""The steps from a config to a stream of batches, shared by everything that needs prompts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from flantune.contamination.clean import fold_of, leave_out, read_clean
from flantune.errors import ConfigError, SourceError
from flantune.mixture.benchmarks import without_benchmarks
from flantune.mixture.holdout import (
    Fold,
    FoldTasks,
    check_folds,
    check_task_names,
    folds_of,
    hold_out_fold,
    run_folds,
)
from flantune.mixture.mixture import Mixture
from flantune.mixture.parts import check_selectors
from flantune.mixture.taxonomy import load_taxonomy
from flantune.models.attention.lines import reads_lines
from flantune.models.checks.isolation import check_isolation
from flantune.models.embedding_noise import check_noise
from flantune.models.load import detect_family, load_config, load_tokenizer
from flantune.models.scratch import train_tokenizer
from flantune.packing.batches import Batches
from flantune.packing.chat import chat_tokens
from flantune.packing.codec_for import Reader, UnloadedReader, codec_for
from flantune.packing.encode import Codec
from flantune.packing.stream import PromptStream, Stream
from flantune.prompts.layout import EOS_WORD, Layout, inputs_text
from flantune.tasks.example_store import PreparedTask
from flantune.tasks.load import load_tasks
from flantune.tasks.naming import check_template_names
from flantune.tasks.prepare import prepare_task
from flantune.training.division import hidden_size
from flantune.training.whole_prompts import check_inputs_weight

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from transformers import PreTrainedTokenizerBase

    from flantune.models.language_model import LanguageModel
    from flantune.settings.config import DataSettings, PromptSettings, RunConfig
    from flantune.types import Family, Task

# Prompts that the tokenizer of a model built from scratch is trained on.
_TOKENIZER_PROMPTS = 20_000


def prepare_tasks(
    config: RunConfig,
    *,
    root: Path,
    cache: Path,
    on_task: Callable[[int, int, str], None] | None = None,
    note: Callable[[str], None] | None = None,
) -> tuple[list[PreparedTask], dict[str, str]]:
    """Reads every task's rows into stores of adapted examples.

    Returns:
        The prepared tasks, and the tasks skipped for lack of data, with the reason.

    Raises:
        ConfigError: What is to be held out does not exist.
        SourceError: A task's data is missing and ``data.missing`` is "error".
        flantune.errors.BadRowsError: Too many rows of a split are bad.
    """
    tasks = load_tasks(config.data, root=root)
    check_names(config, tasks, root=root)
    prepared: list[PreparedTask] = []
    skipped: dict[str, str] = {}
    for number, task in enumerate(tasks):
        told = _teller(on_task, number, len(tasks), task.name)
        told(0)
        try:
            found = prepare_task(
                task,
                cache=cache,
                max_bad_share=config.data.max_bad_share,
                skip_missing=config.data.missing == "skip",
                on_rows=told,
                **({"note": note} if note is not None else {}),
            )
        except SourceError as error:
            if config.data.missing == "error":
                raise
            skipped[task.name] = _why_skipped(task, error)
            continue
        prepared.append(with_present_splits(found))
    if not prepared:
        raise _no_data(config, skipped)
    if on_task is not None:
        on_task(len(tasks), len(tasks), f"{len(tasks):,} of {len(tasks):,}")
    return prepared, skipped


def _teller(
    on_task: Callable[[int, int, str], None] | None, number: int, tasks: int, name: str
) -> Callable[[int], None]:
    """Reports which task is being read, and how many of its rows."""

    def told(rows: int) -> None:
        if on_task is not None:
            read = f"{rows:,} rows of " if rows else ""
            on_task(number, tasks, f"{read}{name}, {number + 1:,} of {tasks:,}")

    return told


def check_names(config: RunConfig, tasks: Sequence[Task], *, root: Path) -> None:
    """Makes sure that the tasks, clusters and templates that a run file names exist.

    Raises:
        ConfigError: One does not.
    """
    for names in config.holdout.task_folds:
        check_task_names(tasks, names)
    if config.holdout.alone:
        check_task_names(tasks, config.holdout.alone, where="holdout.alone")
    check_selectors(config.mixture.parts, _with_those_not_permitted(tasks, config.data, root=root))
    check_folds(tasks, config.holdout.folds, taxonomy=load_taxonomy(config.holdout.taxonomy))
    for section in ("prompts", "evaluation"):
        named = getattr(config, section).template_names
        check_template_names(tasks, named, where=f"{section}.template_names")


def _with_those_not_permitted(tasks: Sequence[Task], settings: DataSettings, *, root: Path) -> Sequence[Task]:
    """The tasks, including those that a filter by licence or language leaves out: parts may still name these."""
    if settings.licences == "any" and not settings.languages:
        return tasks
    return load_tasks(settings.model_copy(update={"licences": "any", "languages": ()}), root=root)


def _no_data(config: RunConfig, skipped: Mapping[str, str]) -> ConfigError:
    """An error if all tasks are skipped, with each reason once."""
    reasons: dict[str, int] = {}
    for reason in skipped.values():
        reasons[reason] = reasons.get(reason, 0) + 1
    mirror = config.data.mirror
    if mirror is not None and not mirror.is_dir():
        hint = (
            "set data.mirror to a folder that mirrors the hub, fill it with `flantune fetch RUN_FILE --mirror FOLDER`,"
            " or leave the setting out to read from the hub"
        )
        message = f"the mirror folder does not exist, so none of the {len(skipped)} tasks has data"
        return ConfigError(message, where=f"data.mirror: {mirror}", hint=hint)
    lines = [f"  {count} × {reason}" for reason, count in list(reasons.items())[:5]]
    return ConfigError(
        "\n".join([f"no task has data; {len(skipped)} are skipped:", *lines]),
        where="data",
        hint='fix data.tasks or data.mirror; data.missing = "error" stops at the first such task',
    )


def _why_skipped(task: Task, error: SourceError) -> str:
    """One sentence for a list of skipped tasks, with how to get data that cannot be downloaded automatically."""
    reason = error.message.removeprefix(f"task {task.name}: ")
    manual = task.source.manual
    return f"{reason}. {manual}" if manual and manual not in reason else reason


def with_present_splits(prepared: PreparedTask) -> PreparedTask:
    """The task with only the splits that have data, so that holding out depends on what exists."""
    present = {role: text for role, text in prepared.task.splits.items() if role in prepared.stores}
    return replace(prepared, task=replace(prepared.task, splits=present))


def split_fold(config: RunConfig, tasks: Sequence[Task], fold: Fold | Sequence[str]) -> FoldTasks:
    """Divides tasks into trained, unseen and excluded ones, and checks that nothing leaks.

    Args:
        config: The run.
        tasks: The tasks with data.
        fold: What is held out; a plain sequence names clusters.
    """
    held = fold if isinstance(fold, Fold) else Fold(clusters=tuple(fold))
    names = {task.name for task in tasks}
    present = held
    if held.tasks and config.data.missing == "skip":
        present = Fold(tasks=tuple(name for name in held.tasks if name in names))
    taxonomy = load_taxonomy(config.holdout.taxonomy)
    split = hold_out_fold(tasks, present, taxonomy=taxonomy)
    split = without_benchmarks(split, config.holdout.benchmarks, taxonomy=taxonomy)
    # The fold keeps its name even if some of its tasks had to be left out.
    return replace(split, held_out=held.held_out) if held.tasks else split


def check_held_out(config: RunConfig) -> None:
    """Makes sure that a run of a study will have something unseen to measure.

    Raises:
        ConfigError: It will not.
    """
    if not folds_of(config.holdout):
        hint = (
            'hold at least one cluster out: [holdout] folds = [["natural language inference"]]; or name the benchmarks'
            ' that will measure the model: [holdout] benchmarks = ["mmlu"]'
        )
        raise ConfigError("nothing is held out, so nothing unseen could be measured", where="holdout.folds", hint=hint)


def numbered_fold(config: RunConfig, number: int) -> Fold:
    """The fold with this number, counted from 0.

    Raises:
        ConfigError: There is no such fold.
    """
    folds = run_folds(config.holdout)
    if number < len(folds):
        return folds[number]
    there = f"folds 0 to {len(folds) - 1}" if len(folds) > 1 else "fold 0 alone"
    raise ConfigError(f"there is no fold {number}", where="--fold", hint=f"the run file has {there}")


def numbered_split(config: RunConfig, tasks: Sequence[Task], number: int) -> FoldTasks:
    """The division of the tasks in the fold with this number; if nothing is held out, everything is trained on.

    Raises:
        ConfigError: There is no such fold.
    """
    return split_fold(config, tasks, numbered_fold(config, number))


def make_tokenizer(config: RunConfig, prepared: Sequence[PreparedTask]) -> tuple[PreTrainedTokenizerBase, Family]:
    """The model's own tokenizer, or one trained on training prompts when the model is built from scratch."""
    scratch = config.model.scratch
    if scratch is None:
        return load_tokenizer(config.model), config.family or detect_family(load_config(config.model))
    family: Family = "encoder-decoder" if scratch.architecture == "t5" else "decoder-only"
    return train_tokenizer(tokenizer_texts(config, prepared), vocabulary_size=scratch.vocabulary_size), family


def tokenizer_texts(config: RunConfig, prepared: Sequence[PreparedTask]) -> Iterator[str]:
    """Text for a tokenizer: training prompts of the tasks that no fold holds out."""
    layout = Layout.from_settings(config.prompts)
    tasks = [p.task for p in prepared]
    splits = [split_fold(config, tasks, fold) for fold in run_folds(config.holdout)]
    trained = [{p.task.name: p for p in trained_tasks(config, prepared, split)} for split in splits]
    common = set.intersection(*(set(found) for found in trained)) if trained else set()
    chosen = [trained[0][name] for name in sorted(common)] or [p for p in prepared if len(p.stores.get("train", ()))]
    mixture = Mixture(
        chosen,
        seed=config.seed,
        settings=config.mixture,
        prompts=config.prompts.model_copy(update={"train_shots": (0,)}),
    )
    for index in range(min(_TOKENIZER_PROMPTS, 2 * mixture.cycle)):
        prompt = mixture[index]
        yield inputs_text(prompt, layout) + layout.target_separator.replace(EOS_WORD, "") + prompt.targets


def make_codec(config: RunConfig, reader: Reader) -> Codec:
    """Turns text into token ids, by the run's settings."""
    return codec_for(
        reader,
        layout=Layout.from_settings(config.prompts),
        max_input_tokens=config.packing.max_input_tokens,
        max_target_tokens=config.packing.max_target_tokens,
        chat=chat_tokens(reader.tokenizer, config.prompts),
    )


def planned_reader(config: RunConfig, prepared: Sequence[PreparedTask]) -> UnloadedReader:
    """The reader of the prompts, before any model is loaded; its virtual tokens count too."""
    tokenizer, family = make_tokenizer(config, prepared)
    check_attention(config, family)
    check_loss(config, family)
    count = config.model.prompt.tokens if config.model.adapter == "prompt" else 0
    # The model puts them after its vocabulary, which may be a little larger than the tokenizer's.
    prefix = tuple(range(len(tokenizer), len(tokenizer) + count))
    return UnloadedReader(tokenizer=tokenizer, family=family, prefix_tokens=prefix)


def check_attention(config: RunConfig, family: Family) -> None:
    """Raises ConfigError for prefix attention with an encoder-decoder; other models are tested when loaded."""
    if config.model.attention == "prefix" and family == "encoder-decoder":
        hint = 'set model.attention = "auto": an encoder reads its inputs both ways as it is'
        raise ConfigError("prefix attention is for decoder-only models", where="model.attention", hint=hint)


def check_loss(config: RunConfig, family: Family) -> None:
    """Raises ConfigError for loss on inputs, or noise, with a model that does not support it."""
    check_noise(config.training.neftune_alpha, family)
    check_inputs_weight(
        config.training,
        family=family,
        reads_both_ways=config.model.attention == "prefix",
        has_virtual_tokens=config.model.adapter == "prompt",
    )


def make_mixture(config: RunConfig, prepared: Sequence[PreparedTask], split: FoldTasks) -> Mixture:
    """The endless stream of a fold's training prompts; packing enforces the token budget and counts what it costs."""
    chosen = trained_tasks(config, prepared, split)
    if not chosen:
        raise ConfigError("no task is left to train on", where="holdout.folds", hint="hold out less, or add tasks")
    return Mixture(chosen, seed=config.seed, settings=config.mixture, prompts=config.prompts)


def make_stream(config: RunConfig, mixture: Mixture, lm: Reader) -> PromptStream:
    """A mixture's prompts as ids for a model."""
    return PromptStream(mixture, make_codec(config, lm), row_tokens=config.packing.row_tokens)


def make_batches(
    config: RunConfig,
    stream: Stream,
    lm: LanguageModel,
    *,
    micro_batch_tokens: int = 0,
    processes: int = 1,
    note: Callable[[str], None] = lambda _: None,
) -> Batches:
    """Batches of a stream for a model; one prompt per row if the model would let packed ones see each other.

    Args:
        config: The run.
        stream: Yields draw i as ids.
        lm: The model.
        micro_batch_tokens: Largest number of array positions of one forward pass; 0: the whole batch at once.
        processes: Number of processes that share a batch.
        note: Called if prompts cannot be packed.
    """
    packing = config.packing
    isolation = check_isolation(lm)
    if packing.enabled and not isolation.is_isolated:
        note(
            "this model lets packed prompts see each other (largest difference "
            f"{isolation.max_difference:.2g}): it is tuned with one prompt a row"
        )
        packing = packing.model_copy(update={"enabled": False})
    return Batches(
        stream,
        packing,
        micro_batch_tokens=micro_batch_tokens,
        processes=processes,
        hidden_size=hidden_size(lm.model),
        is_padded=not reads_lines(lm),
    )


def pack(mixture: Mixture, lm: LanguageModel, config: RunConfig) -> Batches:
    """A mixture's prompts, tokenized and packed for a model, in batches for ``tune``.

    Args:
        mixture: The prompts.
        lm: The model, for its tokenizer and for what its attention supports.
        config: Its sections ``prompts`` and ``packing`` are used.
    """
    return make_batches(config, make_stream(config, mixture, lm), lm)


def trained_tasks(config: RunConfig, prepared: Sequence[PreparedTask], split: FoldTasks) -> list[PreparedTask]:
    """The tasks a fold trains on, without the rows that ``data.clean`` leaves out."""
    names = {task.name for task in split.train}
    chosen = [p for p in prepared if p.task.name in names]
    if config.data.clean is not None:
        fold = fold_of(read_clean(config.data.clean), split.held_out, where="data.clean")
        chosen = leave_out(chosen, fold.train)
    return [p for p in chosen if len(p.stores.get("train", ()))]


def measured_tasks(
    config: RunConfig, prepared: Sequence[PreparedTask], folds: Sequence[FoldTasks]
) -> list[PreparedTask]:
    """The tasks these folds are measured on: unseen ones and, if requested, seen ones; for a single task, itself."""
    names = {task.name for split in folds for task in split.measured}
    if config.evaluation.seen_tasks:
        names |= {task.name for split in folds for task in split.train}
    return [p for p in prepared if p.task.name in names and len(p.stores.get("test", ()))]


def asked_prompts(config: RunConfig) -> PromptSettings:
    """How prompts are made in evaluation."""
    names = ("style", "options_layout", "shuffle_options", "trigger")
    own = {name: value for name in names if (value := getattr(config.evaluation, name)) is not None}
    return config.prompts.model_copy(update=own)
