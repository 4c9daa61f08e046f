"""The page to browse tasks with, in a real browser: its search finds things, and hostile text stays text."""

from __future__ import annotations

import html
import re
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from flantune.report.collection_page import shipped_rows, write_collection_page
from flantune.settings.config import DataSettings
from flantune.tasks.load import load_tasks
from flantune.types import Example, Task, Template

from .test_browser import CHROMIUM, look

HOSTILE = "</script></style></pre></mark><img src=x onerror=alert(1)><!--<script>document.title='owned'</script>"
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed, so no page can be looked at")


def state(tag: str) -> set[str]:
    """The boolean attributes of a start tag."""
    return set(re.findall(r' (hidden|open)=""', tag))


def silent(seen: subprocess.CompletedProcess[str]) -> bool:
    """Nothing was refused by the policy and no script failed."""
    return "CONSOLE" not in seen.stderr


@pytest.fixture(scope="module")
def tasks() -> tuple[Task, ...]:
    return load_tasks(DataSettings(collection=("flan2021", "more")), root=Path())


@pytest.fixture(scope="module")
def written(tasks, tmp_path_factory) -> Path:
    return write_collection_page(tasks, shipped_rows(tasks), tmp_path_factory.mktemp("page") / "x.html", title="All")


def shown(dom: str, what: str) -> list[str]:
    found = re.findall(rf'<[a-z]+ [^>]*class="{what}"[^>]*>', dom)
    return [re.search(r'id="([^"]*)"', tag).group(1) for tag in found if "hidden" not in state(tag)]


def test_search_finds_words_of_a_template(tasks, written, tmp_path):
    seen = look(written, tmp_path, "--dump-dom", fragment="#q=pronoun+replaced+correctly")
    assert shown(seen.stdout, "dataset") == ["task-wnli"]
    assert shown(seen.stdout, "cluster") == ["cluster-natural-language-inference"]
    article = seen.stdout[seen.stdout.index('id="task-wnli"') :]
    assert "open" in state(re.search(r"<details[^>]*>", article).group(0))
    assert [name for name in shown(seen.stdout, "wording") if name.startswith("task-wnli/")] == [
        "task-wnli/replaced_correctly"
    ]
    assert f">1 of {len(tasks)} datasets<" in seen.stdout
    assert silent(seen)


@pytest.mark.parametrize(
    ("fragment", "is_meant"),
    [
        ("#q=CLOSED-book&kind=generation", lambda t: t.clusters[0] == "closed-book qa" and t.kind == "generation"),
        ("#q=%22natural%20questions%22", lambda t: t.name == "natural_questions"),
        ("#q=%22no+such+words+anywhere%22", lambda t: False),
        # A label that every dataset has, and the name of a dataset that others name as their kin.
        ("#q=citation", lambda t: "citation" in " ".join(one.inputs for one in t.templates)),
        ("#q=e2e_nlg", lambda t: t.name == "e2e_nlg"),
    ],
)
def test_search_finds_names_clusters_and_kinds(tasks, written, tmp_path, fragment, is_meant):
    dom = look(written, tmp_path, "--dump-dom", fragment=fragment).stdout
    meant = {f"task-{task.name}" for task in tasks if is_meant(task)}
    assert set(shown(dom, "dataset")) == meant
    assert ("hidden" in state(re.search(r'<p id="nothing"[^>]*>', dom).group(0))) == bool(meant)


def test_a_link_to_a_template_opens_it(tasks, written, tmp_path):
    dom = look(written, tmp_path, "--dump-dom", fragment="#task-cb/read_and_decide").stdout
    opened = [tag for tag in re.findall(r"<details[^>]*>", dom) if "open" in state(tag)]
    assert len(opened) == 1
    assert len(shown(dom, "dataset")) == len(tasks)
    assert f">{len(tasks)} datasets<" in dom


def test_trap_14_hostile_text_does_nothing_in_a_browser(tmp_path):
    hostile = replace(
        load_tasks(DataSettings(collection=("more",)), root=Path())[0],
        name="mine", clusters=(HOSTILE,), source_family=HOSTILE, description=HOSTILE, licence=HOSTILE, citation=HOSTILE,
        adapter=lambda row: Example(row=0, fields={"text": HOSTILE}, references=(HOSTILE,)),
        templates=(Template(name=HOSTILE, inputs=f"{HOSTILE} {{text}}"),),
    )  # fmt: skip
    out = write_collection_page([hostile], {"mine": [{}]}, tmp_path / "x.html", title=HOSTILE)
    seen = look(out, tmp_path / "profile", "--dump-dom", fragment="#q=<img+src=x+onerror=alert(1)>")
    assert "<img" not in re.sub(r"<script.*?</script>", "", seen.stdout, flags=re.DOTALL)
    title = html.unescape(re.search(r"<title>([^<]*)</title>", seen.stdout).group(1))
    assert title == f"{HOSTILE} – flantune tasks"
    assert shown(seen.stdout, "dataset") == ["task-mine"]
    assert silent(seen)


@pytest.mark.parametrize(("size", "fragment"), [("1280,1400", ""), ("390,1400", "#dark")])
def test_screenshot(written, tmp_path, size, fragment):
    picture = tmp_path / "page.png"
    look(written, tmp_path / "profile", f"--window-size={size}", f"--screenshot={picture}", fragment=fragment)
    assert picture.stat().st_size > 40_000
