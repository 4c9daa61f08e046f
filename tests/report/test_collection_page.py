"""The page to browse tasks with: everything is on it, letter for letter, and nothing on it does anything."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from click.testing import CliRunner
from tests.report import html_pages

from flantune.cli.browse import command
from flantune.errors import SourceError
from flantune.mixture.taxonomy import Taxonomy, load_taxonomy
from flantune.prompts.render import render
from flantune.report.collection import cluster_groups, slot_tones
from flantune.report.collection_page import render_collection_page, shipped_rows, write_collection_page
from flantune.settings.config import DataSettings
from flantune.tasks.examples import adapt_row
from flantune.tasks.load import load_tasks
from flantune.types import Example, Row, Source, Task, Template

HOSTILE = "</script></style></pre></mark><img src=x onerror=alert(1)><!--"
EXPRESSION = "{{7*7}} {% raw %} ${7*7}"


class Page(html_pages.Page):
    """With the text of every pre by its wording; fails on a tag that is not closed."""

    def __init__(self, html: str) -> None:
        self.blocks: dict[str, list[str]] = {}
        self._wording = ""
        super().__init__(html)
        assert not self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        super().handle_starttag(tag, attrs)
        found = dict(attrs)
        if found.get("class") == "wording":
            self._wording = found["id"] or ""
            self.blocks[self._wording] = []
        if tag == "pre":
            self.blocks[self._wording].append("")

    def handle_data(self, data: str) -> None:
        if "pre" in self.open:
            self.blocks[self._wording][-1] += data
        elif "style" not in self.open:
            super().handle_data(data)


@dataclass(frozen=True)
class ListSource(Source):
    """Rows in memory; counts as a source of its own kind."""

    found: tuple[Row, ...] = ()

    def rows(self, split: str) -> Iterator[Row]:
        if not self.found:
            raise SourceError("broken", where="nowhere")
        return iter(self.found)

    def fingerprint(self, split: str) -> str:
        return split

    def describe(self, split: str, row: int | None = None) -> str:
        return split


def make_task(
    name: str = "mine", *, templates: tuple[Template, ...] = (), found: tuple[Row, ...] = (), **other
) -> Task:
    defaults = {
        "clusters": ("a cluster",), "source_family": name, "kind": "generation", "metrics": ("exact_match",),
        "adapter": lambda row: Example(row=0, fields={"text": row["text"]}, references=(row["answer"],)),
        "splits": {"train": "train"},
    }  # fmt: skip
    words = templates or (Template(name="plain", inputs="Read: {text}"),)
    return Task(name=name, source=ListSource(found), templates=words, **(defaults | other))


def page_of(*tasks: Task, rows: dict[str, list[Row]] | None = None, title: str = "Mine") -> str:
    return render_collection_page(tasks, rows or {}, title=title, taxonomy=Taxonomy())


@pytest.fixture(scope="module")
def tasks() -> tuple[Task, ...]:
    return load_tasks(DataSettings(collection=("flan2021", "more")), root=Path())


@pytest.fixture(scope="module")
def html(tasks) -> str:
    return render_collection_page(tasks, shipped_rows(tasks), title="All", taxonomy=load_taxonomy(None))


@pytest.fixture(scope="module")
def page(html) -> Page:
    return Page(html)


def test_every_template_is_there_beside_the_prompt_it_makes(tasks, page):
    """What the page shows is letter for letter what the model gets."""
    rows = shipped_rows(tasks)
    assert len(page.blocks) == sum(len(task.templates) for task in tasks) >= 750
    for task in tasks:
        examples = [adapt_row(task, row) for row in rows[task.name]]
        for k, template in enumerate(task.templates):
            inputs, targets, shown_inputs, shown_targets = page.blocks[f"task-{task.name}/{template.name}"]
            prompt = render(task, examples[k % len(examples)], template, split="train")
            assert shown_inputs == f"\n{prompt.inputs}", "a parser drops that line feed"
            assert shown_targets == f"Target: {prompt.targets}"
            assert inputs == f"\n{template.inputs}"
            assert targets == f"Target: {template.targets}"


def test_every_dataset_says_what_it_is(tasks, page):
    for task in tasks:
        for part in (
            task.description,
            task.licence,
            task.citation,
            task.source_family,
            *task.splits.values(),
            *task.clusters,
        ):
            assert " ".join(part.split()) in page.words, (task.name, part)
    assert (
        page.tags["article"]
        == len(tasks)
        == page.of("data-kind").count("classification") + page.of("data-kind").count("generation")
    )
    inverted = sum(template.is_inverted for task in tasks for template in task.templates)
    for part in (f"{inverted} of them inverted", "openai/gsm8k", "configuration main", "WinoBias were written after"):
        assert part in page.words
    assert "When measured as unseen, it also takes paraphrase out of training" in page.words


def test_clusters_hold_their_datasets(tasks):
    groups = cluster_groups(tasks, shipped_rows(tasks), taxonomy=load_taxonomy(None))
    assert [group.name for group in groups] == sorted({cluster for task in tasks for cluster in task.clusters})
    assert Counter(found.task.name for group in groups for found in group.own) == Counter(task.name for task in tasks)
    found = {one.task.name: one for group in groups for one in group.own}
    assert {relative.name for relative in found["wsc"].relatives} == {"dpr", "winogrande", "wnli", "wsc273"}
    assert found["cb"].options == ("yes", "no", "unsure")
    assert found["copa"].options == (), "its options are those of a row"


def test_links_lead_somewhere(html):
    page = html_pages.whole_page(html, scripts=1)
    assert set(page.of("aria-labelledby")) <= set(page.of("id"))
    assert page.tags["h1"] == 1


def test_loads_nothing_from_anywhere(html, page):
    assert not {"img", "iframe", "object", "embed", "video", "audio", "base", "form"} & set(page.tags)
    assert page.of("src") == [] and page.of("style") == []
    assert [value for tag, name, value in page.attributes if tag == "link" and name == "href"] == ["data:,"]
    assert not [name for _, name, _ in page.attributes if name.startswith("on")]
    css, script = (re.search(rf"<{tag}>(.*?)</{tag}>", html, re.DOTALL).group(1) for tag in ("style", "script"))
    assert "url(" not in css and "@import" not in css
    assert not re.search(r"fetch\(|XMLHttpRequest|WebSocket|innerHTML|insertAdjacent|eval\(|import\(", script)
    policy = page.of("content")[0]
    assert policy.startswith("default-src 'none'; ")
    assert "unsafe" not in policy and "http" not in policy
    for kind, text in (("style", css), ("script", script)):
        assert f"{kind}-src 'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'" in policy


def test_same_tasks_give_the_same_bytes(tasks, html, tmp_path):
    out = write_collection_page(tasks, shipped_rows(tasks), tmp_path / "deep" / "tasks.html", title="All")
    assert out.read_text(encoding="utf-8") == html
    assert [path.name for path in out.parent.iterdir()] == ["tasks.html"]


def hostile_task() -> Task:
    words = Template(name=f"t {HOSTILE}", inputs=f"\n{HOSTILE} {{text}} {{{{7*7}}}}", is_inverted=True)
    return make_task(
        templates=(words,), clusters=(HOSTILE, EXPRESSION), source_family=HOSTILE, metrics=(HOSTILE,), licence=HOSTILE,
        citation=HOSTILE, description=f"{HOSTILE} {EXPRESSION}", splits={"train": HOSTILE},
    )  # fmt: skip


def test_trap_14_hostile_text_stays_text():
    row = {"text": f"\n{HOSTILE} {EXPRESSION}", "answer": HOSTILE}
    html = page_of(hostile_task(), rows={"mine": [row]}, title=HOSTILE)
    page = Page(html)
    assert "img" not in page.tags and page.tags["script"] == page.tags["style"] == 1
    assert HOSTILE in page.words and EXPRESSION in page.words
    (blocks,) = page.blocks.values()
    assert blocks[2] == f"\n\n{HOSTILE} \n{HOSTILE} {EXPRESSION} {{7*7}}"
    assert blocks[3] == f"Target: {HOSTILE}"


def test_a_lone_surrogate_can_be_written(tmp_path):
    words = Template(name="\ud800", inputs="{text} \ud800")
    task = make_task(templates=(words,), description="half \ud800 of a pair")
    out = write_collection_page([task], {"mine": [{"text": "a", "answer": "b"}]}, tmp_path / "x.html", title="\ud800")
    assert "half ? of a pair" in out.read_text(encoding="utf-8")


def test_rows_of_its_own_when_none_are_given():
    found = tuple({"text": f"row number {k}", "answer": "yes"} for k in range(9))
    page = Page(page_of(make_task(found=found)))
    assert page.blocks["task-mine/plain"][2] == "\nRead: row number 0"


def test_without_rows_templates_stand_alone():
    page = Page(page_of(make_task(), make_task("empty"), rows={"empty": []}))
    assert "Its rows cannot be read. nowhere: broken" in page.words
    assert "Its data is missing" in page.words
    assert [len(blocks) for blocks in page.blocks.values()] == [2, 2]


def test_broken_templates_are_shown_with_what_is_wrong():
    broken = (Template(name="slot", inputs="{txet}"), Template(name="brace", inputs="{text} {"))
    page = Page(page_of(make_task(templates=broken), rows={"mine": [{"text": "a", "answer": "b"}]}))
    assert page.blocks["task-mine/slot"] == ["\n{txet}", "Target: {answer}"]
    assert page.blocks["task-mine/brace"][0] == "\n{text} {"
    assert 'did you mean "text"?' in page.words
    assert "has no partner" in page.words


def test_long_rows_are_shortened_and_the_page_says_so():
    text = "a" * 5_000 + "the end"
    blocks = Page(page_of(make_task(), rows={"mine": [{"text": text, "answer": "b"}]})).blocks["task-mine/plain"]
    assert len(blocks[2]) < 1_400
    assert " … 3,807 characters … " in blocks[2]
    assert blocks[2].endswith("the end")


def test_a_task_of_two_clusters_is_described_once():
    page = Page(
        page_of(
            make_task(clusters=("one", "two")),
            make_task("other", clusters=("a-b",)),
            make_task("last", clusters=("a b",)),
        )
    )
    assert page.tags["article"] == 3
    assert {"cluster-one", "cluster-two", "cluster-a-b", "cluster-a-b-2"} <= set(page.of("id"))
    assert "Described elsewhere: mine" in page.words


def test_a_field_has_one_color_in_all_templates():
    words = (Template(name="a", inputs="{late} {early}"), Template(name="b", inputs="{early}", targets="{late}"))
    task = make_task(templates=words)
    example = Example(row=0, fields={"early": "1", "late": "2", "unused": "3"}, references=("x",))
    assert slot_tones(task, [example]) == {"early": "slot-0", "late": "slot-1", "answer": "slot-answer"}


def test_broken_shipped_rows_are_named(tmp_path):
    (tmp_path / "rows").mkdir()
    (tmp_path / "rows" / "mine.jsonl").write_text("{oops\n")
    with pytest.raises(SourceError, match=r"mine\.jsonl"):
        shipped_rows([make_task(origin=str(tmp_path / "mine.toml"))])


RUN = """
name = "Tickets"
[data]
tasks = ["ticket.toml"]
"""
TASK = """
name = "ticket"
clusters = ["routing"]
family = "tickets"
kind = "classification"
metrics = ["accuracy"]
[source]
files = { train = "rows.jsonl" }
[splits]
train = "train"
[fields]
text = "text"
[options]
values = ["billing", "other"]
[answer]
column = "label"
[[templates]]
name = "who"
inputs = "Who answers {text}?\\n{options}"
"""


def test_command_shows_a_run_files_own_tasks(tmp_path):
    (tmp_path / "run.toml").write_text(RUN)
    (tmp_path / "ticket.toml").write_text(TASK)
    (tmp_path / "rows.jsonl").write_text(json.dumps({"text": "a <late> bill", "label": 0}) + "\n")
    out = tmp_path / "page.html"
    result = CliRunner().invoke(command, [str(tmp_path / "run.toml"), "--out", str(out)], catch_exceptions=False)
    assert result.exit_code == 0 and result.stdout.strip() == str(out)
    page = Page(out.read_text(encoding="utf-8"))
    assert page.blocks["task-ticket/who"][2:] == [
        "\nWho answers a <late> bill?\nOPTIONS:\n- billing\n- other",
        "Target: billing",
    ]
    assert "Tickets" in page.words and "rows.jsonl" in page.words
    assert str(tmp_path) not in page.words


def test_command_takes_collections_or_a_run_file(tmp_path):
    result = CliRunner().invoke(
        command, ["--collection", "more", "--collection", "more", "--out", str(tmp_path / "x.html")]
    )
    assert result.exit_code == 0, result.output
    assert Page((tmp_path / "x.html").read_text(encoding="utf-8")).tags["article"] == 5
    assert CliRunner().invoke(command, ["run.toml", "--collection", "more"]).exit_code == 2
