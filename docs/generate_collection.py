"""Writes docs/collection-flan2021.md from the task files: run `python docs/generate_collection.py`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from flantune.settings.config import DataSettings
from flantune.tasks.catalog import hub_id
from flantune.tasks.load import load_tasks
from flantune.types import Task

_STD = ("train[:30000]", "validation[:200]", "test")
_TV = ("train[:-200]", "train[-200:]", "validation")
_TV30 = ("train[:30000]", "train[-200:]", "validation")
_TT = ("train[:-200]", "train[-200:]", "test")
_TT30 = ("train[:30000]", "train[-200:]", "test")


def _tail(rows: int, test: str = "validation") -> tuple[str, str, str]:
    return (f"train[:-{rows}]", f"train[-{rows}:]", test)


FLAN: dict[str, tuple[str, str, str]] = {
    **dict.fromkeys(("rte", "boolq", "mrpc", "multirc", "cosmos_qa", "wic", "cola"), _TV),
    **dict.fromkeys(("cb", "copa", "wsc"), _tail(50)),
    "wnli": _tail(30),
    **{f"anli_r{k}": (f"train_r{k}[:30000]", f"dev_r{k}[:200]", f"test_r{k}") for k in (1, 2, 3)},
    "mnli": (*_TV30[:2], "validation_matched"),
    "mnli_mismatched": (*_TV30[:2], "validation_mismatched"),
    **dict.fromkeys(
        [
            "qnli",
            "hellaswag",
            "sst2",
            "qqp",
            "natural_questions",
            "trivia_qa",
            "common_gen",
            "dart",
            "e2e_nlg",
            "web_nlg",
            "squad_v1",
            "squad_v2",
            "record",
            "quac",
            "drop",
            "winogrande",
        ],
        _TV30,
    ),
    **dict.fromkeys(("snli", "paws", "openbookqa", "wmt14_enfr", "cnn_dailymail", "gigaword", "multi_news"), _STD),
    **dict.fromkeys((f"wmt16_{pair}en" for pair in ("cs", "de", "fi", "ro", "ru", "tr")), _STD),
    **dict.fromkeys(("newsroom", "wiki_lingua", "xsum"), _STD),
    "samsum": ("train", "validation[:200]", "test"),
    "aeslc": ("train", "validation[-200:]", "test"),
    **dict.fromkeys(("piqa", "stsb"), _tail(100)),
    "coqa": _tail(100, "test"),
    "story_cloze": ("validation[:-200]", "validation[-200:]", "test"),
    **dict.fromkeys(("imdb", "arc_easy", "arc_challenge", "dpr", "trec"), _TT),
    **dict.fromkeys(("sentiment140", "yelp", "ag_news", "math_dataset"), _TT30),
    "wsc273": ("–", "–", "test"),
    "para_crawl_enes": ("train[:30000]", "train[-1200:-1000]", "train[-1000:]"),
    **dict.fromkeys(
        ("opinion_abstracts_idebate", "opinion_abstracts_rotten_tomatoes"),
        ("train[:-600]", "train[-600:-500]", "train[-500:]"),
    ),
    **dict.fromkeys(("fix_punct", "true_case", "word_segment"), ("30,000 rows", "–", "train[-3000:]")),
}
"""The slices of FLAN's public code (flan/tasks.py at e9e4ec6), as train, dev and test."""

_CAP = "cap"
_FRONT = "front"
_HALVES = "sorted"
WHY: dict[str, str] = {
    "mrpc": "the hub's test rows have labels, and there are four times as many",
    "coqa": "the hub has no test split",
    "trivia_qa": f"{_CAP}; and another configuration, which has each question once",
    "imdb": _HALVES,
    "sentiment140": _HALVES,
    "gigaword": "rows with masked words are dropped, so more are read",
    "math_dataset": _FRONT,
    "para_crawl_enes": _FRONT,
    "fix_punct": _FRONT,
    "true_case": _FRONT,
    "word_segment": _FRONT,
    "samsum": "",
    "anli_r1": _CAP,
    "anli_r2": _CAP,
    "anli_r3": _CAP,
    "openbookqa": "there are fewer than 30,000",
}

_HEAD = """# The FLAN 2021 collection

`[data] collection = "flan2021"` takes the 62 datasets of FLAN 2021 (Wei et al.; figure 3), as {tasks} task files in
the paper's 12 clusters: ANLI's rounds, ARC's two parts, SQuAD's two versions and MultiNLI's two test sets are
separate files that the paper counts once. The paper's public code also has true_case and word_segment (a thirteenth
cluster, text formatting) and SuperGLUE's WSC. `clusters = "flan2021_clusters17"` regroups them into the
code's 17 finer clusters. Every file has ten templates of our own, at most three of them inverted, and three
hand-written rows in the dataset's own columns. Rows are [tidied](tasks.md#tidied-texts); FLAN shows them as they are.

The templates of a task are more varied than FLAN's: the mean ROUGE-L between two templates is 0.14, FLAN's is 0.29. No
sequence of eight words is shared with the templates of FLAN, promptsource or lm-evaluation-harness
(`python -m benchmarks template_variety`).

```sh
flantune tasks list --collection flan2021 --json   # the facts on this page, and those of each template
flantune tasks show rte
flantune templates preview rte --options lettered --shuffle 1
flantune tasks browse                              # one searchable page
```

This page is generated from the task files by `docs/generate_collection.py`; a test keeps it current.

## Datasets

*options*: the number of forward templates that list the answer options.

| task | cluster | kind | hub id | licence | metrics | inverted | options |
|---|---|---|---|---|---|---|---|
"""

_SPLITS = """
## Splits, and where they differ from FLAN's

FLAN's slices are those of its public code. The paper says: at most 30,000 training rows per dataset, and a dev set of
at most 200 rows for choosing the best template. All differences are intended, and of these kinds:

- **cap**: FLAN trains on the *first* 30,000 rows. Here the task has all rows except the dev rows, and the mixture's
  cap (`mixture.max_examples`, 30,000) takes a sample by seed: the number is the same, the rows are not the head of a
  possibly sorted file, and training and dev rows stay apart however short the split is (FLAN's
  `train[:30000]` and `train[-200:]` would overlap in a split of fewer rows). `mixture.max_examples = 0` lifts the cap.
- **sorted**: the hub's copy has all rows of one class first. FLAN's slices were cut from a shuffled copy; the same
  slices here would have only one class, so dev (and, if not all are read, training) rows are taken from both halves.
  Slices can be joined: `"train[:12400] + train[12600:]"`.
- **front**: slices are at the front of a split with millions of rows, so that it need not be read to the end.

| task | train | dev | test | FLAN's | why |
|---|---|---|---|---|---|
"""

_CONFIRMED = """
## Sources of these facts

Nothing was downloaded from the hub to write these files: ids, columns, splits and licences were looked up in public
sources. `tests/shipped` checks that the shipped rows have these columns; real rows of {real} of the tasks were read
([real rows](real-rows.md)).

| task | checked against |
|---|---|
"""

_MANUAL = """
## Data that you must obtain yourself

`flantune fetch` skips these and says so. With `[data] missing = "skip"` a run continues without the missing ones, and
lists them with the text below.

| task | how |
|---|---|
"""

# Tasks whose rows were read in docs/real-rows.md.
_READ_FOR_REAL = 14


def collection_page() -> str:
    """The page's text."""
    tasks = load_tasks(DataSettings(collection=("flan2021",)), root=Path())
    tasks = tuple(sorted(tasks, key=lambda task: (task.clusters, task.name)))
    lines = [_HEAD.format(tasks=len(tasks)).rstrip("\n"), *_datasets(tasks)]
    lines += [_SPLITS.rstrip("\n"), *(_split_row(task) for task in tasks)]
    lines += [_CONFIRMED.format(real=_READ_FOR_REAL).rstrip("\n")]
    lines += [f"| {task.name} | {_cell(task.confirmed)} |" for task in tasks]
    lines += [_MANUAL.rstrip("\n")]
    lines += [f"| {task.name} | {_cell(how)} |" for task in tasks if (how := getattr(task.source, "manual", ""))]
    return "\n".join(lines) + "\n"


def _datasets(tasks: Sequence[Task]) -> Iterator[str]:
    from flantune.prompts.template_facts import options_shown

    for task in tasks:
        inverted = sum(one.is_inverted for one in task.templates)
        shown = str(options_shown(task)) if task.kind == "classification" else "–"
        cells = (
            task.name,
            task.clusters[0],
            task.kind,
            f"`{hub_id(task)}`",
            _cell(task.licence),
            ", ".join(task.metrics),
            str(inverted),
            shown,
        )
        yield f"| {' | '.join(cells)} |"


def _split_row(task: Task) -> str:
    own = tuple(task.splits.get(role, "–") for role in ("train", "dev", "test"))  # type: ignore[call-overload]
    flan = FLAN[task.name]
    why = _why(task.name, own, flan)
    shown = "the same" if own == flan else ", ".join(f"`{text}`" for text in flan)
    return f"| {task.name} | {' | '.join(f'`{text}`' if text != '–' else text for text in own)} | {shown} | {why} |"


def _why(name: str, own: tuple[str, ...], flan: tuple[str, ...]) -> str:
    """Why slices differ. All that is not named is the cap: all rows but the dev rows in place of the first 30,000."""
    if own == flan:
        return ""
    if name in WHY:
        return WHY[name]
    capped = (flan[0].replace("[:30000]", "[:-200]"), *flan[1:])
    if own != capped:
        raise SystemExit(f"{name}: say in WHY why {own} differs from {flan}")
    return _CAP


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("<", "&lt;")


if __name__ == "__main__":
    Path(__file__).with_name("collection-flan2021.md").write_text(collection_page(), encoding="utf-8")
