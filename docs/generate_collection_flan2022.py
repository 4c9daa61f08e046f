"""Writes docs/collection-flan2022.md from the list of tasks: run `python docs/generate_collection_flan2022.py`."""

from __future__ import annotations

import re
import textwrap
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from flantune.mixture.benchmarks import made_from
from flantune.mixture.leaks import kin_groups
from flantune.mixture.taxonomy import load_taxonomy
from flantune.tasks.listed_tasks import COUNTED, ListedTask, as_task, flan2022_tasks

_NAMES = {
    "muffin": "Muffin",
    "t0_sf": "T0-SF",
    "niv2": "Natural-Instructions v2",
    "cot": "Chain of thought",
}
_HEAD = """# The Flan 2022 collection

Flan 2022 (Chung et al., section 2.1) counts 1,836 tasks in four sub-mixtures. This page lists each, and says where its
data come from; `flantune mixture collection --json` prints the same facts for each task. No data or texts of the
collection are included: names, kinds, languages and licences are facts from the authors' list (google-research/FLAN at
e9e4ec6), from Natural-Instructions' files and from promptsource.

```toml
[data]
collection = ["flan2021", "cot", "dialogue", "programs"]
missing = "skip"

[data.natural_instructions]
folder = "natural-instructions"     # tasks/*.json and splits/
track = "none"
mmlu = false

[data.promptsource]
folder = "promptsource/templates"
mixture = "t0-sf"
tasks = "templates"

[holdout]
benchmarks = ["mmlu", "bbh"]

[mixture]
proportions = "flan2022_released"   # or flan2022_paper_a, flan2022_paper_b
```

`flantune mixture show` then says which parts have tasks; `flantune mixture proportions flan2022_released` prints the
tree as a starting point for your own.

This page is generated from the list by `docs/generate_collection_flan2022.py`; a test keeps it current.

## The count

| sub-mixture | the paper's count | in the list | with known data source |
|---|---|---|---|
"""
_NOTES = """
- Muffin's 80 are the 72 tasks that FLAN 2021's code trains on (MultiNLI's two test sets count as two), three dialogue
  datasets and five of program synthesis. The paper's "62 + 26" is another way of counting.
- Natural-Instructions has 1,613 tasks, or 1,556 without the 57 that consist of MMLU's questions (664–667 and 685–737).
  It is not known which two others the paper leaves out. The paper mentions 44 tasks from MMLU; its code removes 57.
- Chain of thought: the authors' list has each of the nine datasets four times, since it includes three inverted forms.
- The released code trains on 287 tasks: 71 + 193 + 18 + 4, and Natural-Instructions as one.
"""


def collection_page() -> str:
    """The page's text."""
    listed = flan2022_tasks()
    blocks = [
        _HEAD.rstrip("\n") + "\n" + "\n".join(_counts(listed)),
        _NOTES.strip("\n"),
        "## Muffin\n\n" + "\n".join(_muffin(listed)),
        "## T0-SF\n\n" + "\n".join(_prompts(listed)),
        "## Chain of thought\n\n" + "\n".join(_thoughts(listed)),
        "## Natural-Instructions v2\n\n" + "\n".join(_instructions(listed)),
        "## Tasks that give each other away\n\n" + "\n".join(_leaks(listed)),
    ]
    return "\n\n".join(blocks) + "\n"


def _of(listed: tuple[ListedTask, ...], submixture: str) -> list[ListedTask]:
    return [task for task in listed if task.submixture == submixture]


def _counts(listed: tuple[ListedTask, ...]) -> Iterator[str]:
    for name, counted in COUNTED.items():
        tasks = _of(listed, name)
        yield f"| {_NAMES[name]} | {counted:,} | {len(tasks):,} | {sum(bool(task.how) for task in tasks):,} |"
    yield f"| together | {sum(COUNTED.values()):,} | {len(listed):,} | {sum(bool(task.how) for task in listed):,} |"


def _muffin(listed: tuple[ListedTask, ...]) -> Iterator[str]:
    yield "*file*: the task file included in flantune. Where there is none, write your own [task file](tasks.md)."
    yield "\n| task | kind | languages | file | hub id | licence |\n|---|---|---|---|---|---|"
    for one in _of(listed, "muffin"):
        yield _shipped_row(one)


def _shipped_row(one: ListedTask) -> str:
    task = as_task(one)
    file = task.name if one.how else "–"
    hub = f"`{task.source.hub}`" if task.source.hub is not None else "–"
    licence = task.licence or "not stated"
    return f"| {one.name} | {one.category} | {one.languages} | {file} | {hub} | {licence} |"


def _prompts(listed: tuple[ListedTask, ...]) -> Iterator[str]:
    yield "Tasks of P3 that share no dataset with Muffin, each one template of promptsource. The ids are"
    yield "promptsource's: old names without an owner, most of which still work on the hub."
    yield "\n| dataset | tasks | templates |\n|---|---|---|"
    by_hub: dict[str, list[str]] = {}
    for one in _of(listed, "t0_sf"):
        by_hub.setdefault(one.hub, []).append(one.template)
    for hub, templates in by_hub.items():
        yield f"| `{hub}` | {len(templates)} | {', '.join(sorted(templates))} |"


def _thoughts(listed: tuple[ListedTask, ...]) -> Iterator[str]:
    yield "| dataset | kind | languages | file | hub id | licence |\n|---|---|---|---|---|---|"
    yield from map(_shipped_row, _of(listed, "cot"))


def _instructions(listed: tuple[ListedTask, ...]) -> Iterator[str]:
    tasks = _of(listed, "niv2")
    tracks = Counter(task.tracks.split("/")[0] for task in tasks)
    yield "Each task is a file in allenai/natural-instructions; [Natural-Instructions](natural-instructions.md) says"
    yield f"how a folder of them is used. Its default track trains on {tracks['train']:,} of them,"
    yield f"measures {tracks['test']:,}, and leaves out {tracks['excluded']:,}; Flan 2022 trains on all.\n"
    licences = Counter(task.licence or "not looked up, since the file is large or sensitive" for task in tasks)
    yield "| licence, as stated in the files | tasks |\n|---|---|"
    few = sum(count for _, count in licences.items() if count < 5)
    yield from (f"| {licence} | {count:,} |" for licence, count in licences.most_common() if count >= 5)
    yield f"| others, fewer than five tasks each | {few:,} |\n"
    yield "Kinds, with the task numbers of each:\n"
    kinds: dict[str, list[int]] = {}
    for task in tasks:
        found = re.match(r"task(\d+)_", task.name)
        kinds.setdefault(task.category, []).append(int(found[1]) if found else 0)
    for kind in sorted(kinds, key=lambda kind: (-len(kinds[kind]), kind)):
        text = f"- **{kind}** ({len(kinds[kind])}): {_ranges(sorted(kinds[kind]))}"
        yield textwrap.fill(text, width=120, subsequent_indent="  ", break_on_hyphens=False)


def _ranges(numbers: list[int]) -> str:
    """Numbers in order, with runs of three and more as from–to."""
    runs: list[list[int]] = []
    for number in numbers:
        if runs and number == runs[-1][-1] + 1:
            runs[-1].append(number)
        else:
            runs.append([number])
    texts = [f"{run[0]}–{run[-1]}" if len(run) > 2 else ", ".join(map(str, run)) for run in runs]
    return ", ".join(texts)


def _leaks(listed: tuple[ListedTask, ...]) -> Iterator[str]:
    taxonomy, tasks = load_taxonomy(None), [as_task(one) for one in listed]
    groups = kin_groups(tasks, taxonomy)
    kin = {name for group in groups for name in group.tasks}
    yield f"{len(kin):,} of the {len(tasks):,} tasks share a source with another, in {len(groups)} groups: when one"
    yield "task of a group is held out, the others are not trained on. Families and groups are those of"
    yield "[the taxonomy](mixture.md#a-taxonomy-of-your-own); overlaps that only show in the data are added when the"
    yield "data are read. Groups that join several sources:\n"
    yield "| group | tasks | why |\n|---|---|---|"
    joined = [group for group in groups if group.because != "they come from one source family"]
    for group in sorted(joined, key=lambda group: (-len(group.tasks), group.name)):
        yield f"| {group.name} | {len(group.tasks)} | {group.because} |"
    yield "\nTasks made from a benchmark, or kin of one (`holdout.benchmarks` leaves them out):\n"
    yield "| benchmark | tasks |\n|---|---|"
    for benchmark in taxonomy.benchmarks:
        names = [task.name for task in tasks if made_from(task, [benchmark], taxonomy=taxonomy)]
        yield f"| {benchmark.name} | {', '.join(names) or 'none'} |"


if __name__ == "__main__":
    Path(__file__).with_name("collection-flan2022.md").write_text(collection_page(), encoding="utf-8")
