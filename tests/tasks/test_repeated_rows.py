"""Rows that share a passage, a person or a fact are told of; kinds of question are not."""

from __future__ import annotations

import itertools
import json
import random
from dataclasses import replace

import pytest
from click.testing import CliRunner

from flantune.cli import tasks as tasks_cli
from flantune.tasks.columns import AnswerColumn, ColumnAdapter, FieldColumn, OptionColumns
from flantune.tasks.repeated_rows import find_repeated_rows
from flantune.tasks.sources.files import FileSource
from flantune.tasks.taskfile import load_task_file
from flantune.types import Example, Task, Template

WORDS = [
    f"{a}{b}" for a in ("mar", "tol", "ves", "kin", "pra", "dul", "hes", "lon") for b in ("a", "ex", "im", "o", "uth")
]
DRAW = random.Random(3)


def words(count: int) -> str:
    return " ".join(DRAW.choices(WORDS, k=count))


def task(**columns: str) -> Task:
    adapter = ColumnAdapter(
        fields={slot: FieldColumn(column=column) for slot, column in columns.items()},
        options=OptionColumns(values=("yes", "no")),
        answer=AnswerColumn(column="answer"),
    )
    return Task(
        name="mine",
        clusters=("c",),
        source_family="mine",
        kind="classification",
        metrics=("accuracy",),
        source=FileSource(files={"test": ("rows.jsonl",)}),
        splits={"test": "test"},
        adapter=adapter,
        templates=(Template(name="t", inputs="{x}"),),
    )


def row(answer: str, options: tuple[str, ...] = (), group: str = "", **fields: str) -> Example:
    return Example(
        row=0, fields=fields, options=options, answer=options.index(answer) if options else None,
        references=(answer,), group=group,
    )  # fmt: skip


def found(rows: list[Example]):
    return find_repeated_rows(task(**{name: f"data.{name}" for name in rows[0].fields}), rows)


def people() -> list[Example]:
    """120 rows about fourteen people, each with the wrong towns drawn anew."""
    towns = [f"Town{at}" for at in range(7)]
    rows = []
    for at in range(120):
        person = at * 5 % 14
        right = towns[person % 7]
        options = (right, *DRAW.sample([town for town in towns if town != right], 3))
        rows.append(row(right, options, name=f"Person{person}"))
    return rows


def passages(groups: int = 25, each: int = 4) -> list[Example]:
    rows = []
    for _ in range(groups):
        passage = words(60)
        picked = passage.split()
        rows += [
            row(
                DRAW.choice(["yes", "no"]),
                ("yes", "no"),
                passage=passage,
                question=f"is {' '.join(DRAW.sample(picked, 3))} so?",
            )
            for _ in range(each)
        ]
    return rows


def test_people_who_come_back_are_facts():
    told = found(people())
    assert (told.fields, told.values, told.rows) == (("name",), 14, 120)
    assert told.effective == pytest.approx(14, abs=0.2)
    assert str(told) == (
        "120 test rows are not independent: {name} has 14 different values in them, worth about 14 independent rows, "
        'so intervals by rows are too narrow. Write below [answer]: group = ["data.name"]'
    )


def test_a_passage_with_several_questions_is_one_observation():
    told = found(passages())
    assert (told.fields, told.values, told.effective) == (("passage",), 25, pytest.approx(25))


def test_a_premise_with_a_few_hypotheses_is_one_observation():
    rows = []
    for _ in range(40):
        premise = words(14)
        for answer in ("yes", "no", "maybe"):
            said = " ".join(DRAW.sample(premise.split(), 3))
            rows.append(row(answer, ("yes", "no", "maybe"), premise=premise, hypothesis=f"{said} {words(1)}"))
    told = found(rows)
    assert (told.fields, told.effective) == (("premise",), pytest.approx(40))


def test_few_facts_that_decide_the_answer_are_facts():
    """Four goals, each with its tool, asked with many names."""
    goals = {"cut bread": "a knife", "see at night": "a lamp", "wash hands": "a soap", "carry pears": "a basket"}
    rows = [
        row(tool, tuple(goals.values()), goal=goal, name=f"Name{DRAW.randrange(15)}")
        for goal, tool in itertools.islice(itertools.cycle(goals.items()), 60)
    ]
    told = found(rows)
    assert (told.fields, told.values) == (("goal",), 4)


def test_a_person_asked_four_questions_is_one_observation():
    kinds = ("Where does this person live?", "What is the pet?", "What is the job?", "What is the favorite color?")
    rows = [row(words(1), name=f"Name{at}", question=kind) for at in range(40) for kind in kinds]
    told = found(rows)
    assert (told.fields, told.values) == (("name",), 40)


def test_whole_rows_that_come_back_are_told_of():
    rows = [row("yes", ("yes", "no"), first=f"{words(3)} {at}", second=words(3)) for at in range(30)]
    told = found([*rows, *rows, *rows])
    assert (told.values, told.effective) == (30, pytest.approx(30))


def test_where_only_whole_rows_come_back_all_their_columns_name_the_group():
    pairs = DRAW.sample([(a, b) for a in WORDS[:20] for b in WORDS[20:]], 60)
    rows = [row(DRAW.choice(["yes", "no"]), ("yes", "no"), left=a, right=b) for a, b in pairs * 2]
    told = found(rows)
    assert (told.fields, told.values) == (("left", "right"), 60)


def in_options(at: int, **fields: str) -> Example:
    right = f"{words(6)} {at}"
    return row(right, (right, words(6)), **fields)


WORDINGS = [f"{words(12)}: please {words(4)}." for _ in range(10)]

YES_NO, MARKS = ("yes", "no"), ("bad", "so-so", "good")


@pytest.mark.parametrize(
    "make",
    [
        # A question word before a question of its own.
        lambda at: row("yes", YES_NO, word=("Who", "Where", "When")[at % 3], question=f"{words(6)} {at}?"),
        # A kind of text, with the text.
        lambda at: row(YES_NO[at % 2], YES_NO, text=f"{words(20)} {at}", kind=("film", "book")[at % 2]),
        # A label under another name: it decides the answer, and is still no fact.
        lambda at: row(MARKS[at % 3], MARKS, stars=str(at % 3), text=f"{words(20)} {at}"),
        # One instruction for all rows, and ten wordings of one.
        lambda at: row(words(3), instruction="Say it in other words.", text=f"{words(9)} {at}"),
        lambda at: row(words(3), instruction=WORDINGS[at % 10], text=f"{words(5)} {at}"),
        # A subject whose questions are in the options.
        lambda at: in_options(at, subject=("law", "art", "trade")[at % 3]),
        # A context that most rows leave empty.
        lambda at: row("yes", YES_NO, question=f"{words(6)} {at}?", context="" if at % 9 else words(30)),
        # A few short fields, all of them kinds, together seldom the same.
        lambda at: row(words(1), size=WORDS[at % 5], color=WORDS[at % 7], thing=WORDS[at % 13]),
    ],
)
def test_kinds_of_question_are_no_facts(make):
    assert found([make(at) for at in range(120)]) is None


def test_rows_of_their_own_and_rows_in_groups_are_left_alone():
    assert found([row("yes", ("yes", "no"), text=f"{words(9)} {at}") for at in range(50)]) is None
    assert found([row("yes", ("yes", "no"), group=f"{at % 5}", name=f"Name{at % 5}") for at in range(50)]) is None
    assert found([row("yes", ("yes", "no"), name="Ann") for _ in range(5)]) is None


def test_an_adapter_of_ones_own_is_told_to_give_groups():
    by_hand = replace(task(name="name"), adapter=lambda row: None)
    assert "adapter give each Example a group" in str(find_repeated_rows(by_hand, people()))


def write_task(folder, rows, *, group: str = ""):
    (folder / "rows.jsonl").write_text("".join(json.dumps(one) + "\n" for one in rows), encoding="utf-8")
    (folder / "task.toml").write_text(
        'name = "people"\nclusters = ["c"]\nkind = "generation"\n'
        '[source]\nfiles = { train = "rows.jsonl", test = "rows.jsonl" }\n'
        '[splits]\ntrain = "train"\ntest = "test"\n[fields]\nname = "who"\n[answer]\ncolumn = "town"\n'
        f'{group}\n[[templates]]\ninputs = "Where does {{name}} live?"\n',
        encoding="utf-8",
    )
    (folder / "run.toml").write_text('[data]\ntasks = ["task.toml"]\n', encoding="utf-8")
    return folder / "run.toml"


def test_tasks_check_says_which_line_to_write_and_is_content_once_it_stands_there(tmp_path):
    rows = [{"who": f"Person{at % 14}", "town": f"Town{at % 14 % 6}"} for at in range(120)]
    run = write_task(tmp_path, rows)
    told = CliRunner().invoke(tasks_cli.command, ["check", str(run)])
    assert told.exit_code == 0, told.output
    line = 'group = ["who"]'
    assert "note: 120 test rows are not independent: {name} has 14 different values" in told.output
    assert line in told.output
    run = write_task(tmp_path, rows, group=line)
    assert "not independent" not in CliRunner().invoke(tasks_cli.command, ["check", str(run)]).output
    adapter = load_task_file(tmp_path / "task.toml").adapter
    assert adapter(rows[3]).group == "Person3"
