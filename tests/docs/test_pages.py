"""The pages hang together: links lead somewhere, every page is listed once and can be reached, words are one way."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
README = ROOT / "README.md"
INDEX = ROOT / "docs/README.md"
PAGES = [README, *sorted(ROOT.glob("docs/**/*.md"))]
each_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())


def prose(page: Path) -> str:
    """A page without its blocks of code."""
    return re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)


def links(page: Path) -> list[tuple[Path, str]]:
    """Where the page's links and pictures lead within the project: file and anchor."""
    found = re.findall(r"\]\(([^)#\s]*)(?:#([^)\s]+))?\)", re.sub(r"`[^`]*`", "", prose(page)))
    inside = [(target, anchor) for target, anchor in found if not re.match(r"\w+:", target)]
    return [((page.parent / target).resolve() if target else page, anchor) for target, anchor in inside]


def anchors(page: Path) -> set[str]:
    """The names that headings have on a page, as GitHub makes them."""
    titles = re.findall(r"^#+ (.+)$", prose(page), flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


@each_page
def test_links_lead_somewhere(page: Path):
    broken = [
        f"{target.name}#{anchor}" if anchor else str(target)
        for target, anchor in links(page)
        if not target.exists() or (anchor and anchor not in anchors(target))
    ]
    assert broken == []


def test_the_index_lists_every_page_once():
    listed = [target for target, _ in links(INDEX) if target.suffix == ".md"]
    rows = [
        target for target in listed if listed.count(target) == 1 or target.name in {"tutorial.md", "how-it-works.md"}
    ]
    assert sorted(set(rows)) == sorted(set(PAGES) - {README, INDEX})


def test_every_page_can_be_reached_from_the_readme_in_two_steps():
    first = {target for target, _ in links(README)}
    second = {target for page in first if page.suffix == ".md" for target, _ in links(page)}
    assert set(PAGES) - first - second - {README} == set()


@each_page
def test_a_page_has_one_title(page: Path):
    titles = re.findall(r"^# (.+)$", prose(page), flags=re.MULTILINE)
    assert len(titles) == 1 and page.read_text(encoding="utf-8").startswith(f"# {titles[0]}\n")


def test_titles_differ():
    titles = [page.read_text(encoding="utf-8").splitlines()[0] for page in PAGES]
    assert len(set(titles)) == len(titles)


def test_decisions_are_numbered_without_gap():
    decisions = sorted((ROOT / "docs/decisions").glob("*.md"))
    assert [page.name[:5] for page in decisions] == [f"{number:04d}-" for number in range(1, len(decisions) + 1)]
    for number, page in enumerate(decisions, start=1):
        text = page.read_text(encoding="utf-8")
        assert text.startswith(f"# {number}. ") and "**Decision.**" in text and "**Why" in text, page.name


# One spelling, American ("licence" is the key of task files), and one word for a thing.
SPELLING = re.compile(
    r"\b(colour|behaviour|neighbour|favour|centre|labell|modell|cancell|travell|artefact|catalogue|analyse|"
    r"(?:normal|token|summar|organ|recogn|initial|serial|optim|minim|maxim|general|random|categor|penal)is(?:e|ing|ation))",
    flags=re.IGNORECASE,
)
WORDS = {
    r"\bsub-?tasks?\b": "task",
    r"\bfine-?tuning set\b": "mixture",
    r"\bin-context examples?\b": "exemplar",
    r"\bdemonstrations?\b": "exemplar",
    r"\bpercent\b(?! sign)": "%",
    r"\d %": "% without a space",
    r"\b(?:simply|easily|seamless\w*|powerful|blazing\w*|state-of-the-art)\b": "nothing: it praises",
}


@each_page
def test_words_are_one_way(page: Path):
    text = re.sub(r"`[^`]*`", "", prose(page))
    british = SPELLING.findall(text)
    other = [f"{match.group()!r}: write {word}" for wrong, word in WORDS.items() for match in re.finditer(wrong, text)]
    assert (british, other) == ([], [])


@each_page
def test_lines_can_be_read_in_an_editor(page: Path):
    """But for tables and pictures, which cannot be broken."""
    lines = enumerate(page.read_text(encoding="utf-8").splitlines(), start=1)
    assert [number for number, line in lines if len(line) > 130 and not line.startswith(("|", "!["))] == []


@each_page
def test_pages_speak_of_no_machine_of_ours(page: Path):
    found = re.findall(r"(?:/work|/tmp|/home|/root|/Users)/\S*|localhost\S*|issue #?\d+", prose(page))
    assert [one for one in found if "localhost:8000" not in one] == []
