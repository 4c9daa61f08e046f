"""Files and rows that nobody here wrote: all of them adapt, and what is dropped is explained."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from flantune.tasks.example_store import PreparedTask
from flantune.tasks.prepare import prepare_task
from flantune.types import Task

from .conftest import REAL_DATA

pytestmark = pytest.mark.skipif(not REAL_DATA.is_dir(), reason="no real data here")

CHOICE = 'clusters = ["c"]\nkind = "classification"\n'
TEXT = 'clusters = ["c"]\nkind = "generation"\n'
TEMPLATE = '[[templates]]\ninputs = "{x}"\n'

FILES = {
    "mrpc": (
        CHOICE
        + '[source]\nfiles = { test = "FILES/mrpc/msr_paraphrase_test.txt" }\nformat = "tsv"\n[splits]\ntest = "test"\n'
        '[fields]\nx = "#1 String"\ny = "#2 String"\n[options]\nvalues = ["no", "yes"]\n[answer]\ncolumn = "Quality"\n',
        {"test": 1725},
    ),
    "cola": (
        CHOICE + '[source]\nfiles = { test = "FILES/cola/*.tsv" }\ncolumns = ["source", "label", "mark", "sentence"]\n'
        '[splits]\ntest = "test"\n[fields]\nx = "sentence"\n'
        '[options]\nvalues = ["no", "yes"]\n[answer]\ncolumn = "label"\n',
        {"test": 527 + 516},
    ),
    "e2e": (
        TEXT + '[source]\nfiles = { test = "FILES/e2e/testset_w_refs.csv" }\n[splits]\ntest = "test"\n'
        '[fields]\nx = "mr"\n[answer]\ncolumn = "ref"\nseparator = "\\n"\n',
        {"test": 4693},
    ),
    "multi30k_lines": (
        TEXT + '[source]\nfiles = { test = { de = "FILES/multi30k/val.de.gz", en = "FILES/multi30k/val.en.gz" } }\n'
        '[splits]\ntest = "test"\n[fields]\nx = "de"\n[answer]\ncolumn = "en"\n',
        {"test": 1014},
    ),
    "mgsm": (
        TEXT + '[source]\nfiles = { test = "FILES/mgsm/mgsm_*.tsv" }\ncolumns = ["question", "answer"]\n'
        '[splits]\ntest = "test"\n'
        '[fields]\nx = "question"\n[answer]\ncolumn = "answer"\n',
        {"test": 2750},
    ),
    "natural_instructions": (
        TEXT + '[source]\nfiles = { test = "FILES/natural_instructions/tasks/*.json" }\nkey = "Instances"\n'
        '[splits]\ntest = "test"\n[fields]\nx = "input"\n[answer]\ncolumn = "output"\n',
        {},
    ),
}

HUB = {
    "rte": (
        'hub = "aps/super_glue"\nconfig = "rte"',
        '[fields]\nx = "premise"\ny = "hypothesis"\n[options]\nvalues = ["yes", "no"]\n[answer]\ncolumn = "label"\n',
        {"train": 2290, "dev": 200, "validation": 277},
    ),
    "copa": (
        'hub = "aps/super_glue"\nconfig = "copa"',
        '[fields]\nx = "premise"\n[options]\ncolumns = ["choice1", "choice2"]\n[answer]\ncolumn = "label"\n',
        {"train": 200, "dev": 200, "validation": 100},
    ),
    "arc": (
        'hub = "allenai/ai2_arc"\nconfig = "ARC-Challenge"',
        '[fields]\nx = "question"\n[options]\ncolumn = "choices.text"\n'
        '[answer]\ncolumn = "answerKey"\nkeys = "choices.label"\n',
        {"train": 919, "dev": 200, "test": 1172},
    ),
    "openbookqa": (
        'hub = "allenai/openbookqa"\nconfig = "main"',
        '[fields]\nx = "question_stem"\n[options]\ncolumn = "choices.text"\n'
        '[answer]\ncolumn = "answerKey"\nkeys = "choices.label"\n',
        {"train": 4757, "dev": 200, "test": 500},
    ),
    "multi30k": (
        'hub = "bentrevett/multi30k"\nconfig = "de-en"',
        '[fields]\nx = "translation.de"\n[answer]\ncolumn = "translation.en"\n',
        {"train": 11_800, "dev": 200, "validation": 1014},
    ),
}


def no_row_lost(prepared: PreparedTask) -> None:
    for report in prepared.reports.values():
        assert (report.kept, report.dropped, dict(report.bad)) == (report.raw_rows, 0, {}), report.first_bad


@pytest.mark.parametrize("name", FILES)
def test_files_as_their_authors_wrote_them(name: str, load_text: Callable[..., Task], tmp_path: Path) -> None:
    text, rows = FILES[name]
    body = text.replace("FILES", str(REAL_DATA.resolve() / "files"))
    prepared = prepare_task(load_text(f'name = "{name}"\n{body}{TEMPLATE}'), cache=tmp_path / "cache")
    no_row_lost(prepared)
    for role, number in rows.items():
        assert prepared.reports[role].raw_rows == number  # type: ignore[index]


@pytest.mark.parametrize("name", HUB)
def test_the_mirror_of_the_hub(name: str, load_text: Callable[..., Task], tmp_path: Path) -> None:
    source, body, rows = HUB[name]
    test = "validation" if "validation" in rows else "test"
    head = CHOICE if "[options]" in body else TEXT
    splits = f'[splits]\ntrain = "train[:-200]"\ndev = "train[-200:]"\ntest = "{test}"\n'
    task = load_text(f'name = "{name}"\n{head}[source]\n{source}\n{splits}{body}{TEMPLATE}', mirror=REAL_DATA / "hub")
    prepared = prepare_task(task, cache=tmp_path / "cache")
    no_row_lost(prepared)
    assert [report.raw_rows for report in prepared.reports.values()] == list(rows.values())


def test_quotes_in_a_real_file_stay_as_they_stand(load_text: Callable[..., Task], tmp_path: Path) -> None:
    text, _ = FILES["mrpc"]
    body = text.replace("FILES", str(REAL_DATA.resolve() / "files"))
    store = prepare_task(load_text(f'name = "mrpc"\n{body}{TEMPLATE}'), cache=tmp_path / "cache").stores["test"]
    texts = [text for example in store for text in example.fields.values()]
    raw = (REAL_DATA / "files/mrpc/msr_paraphrase_test.txt").read_text(encoding="utf-8-sig")
    assert sum(text.count('"') for text in texts) == raw.count('"')
