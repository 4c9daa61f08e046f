"""Pages read back: tags, attributes and text, and whether all of it is closed."""

from __future__ import annotations

from collections import Counter
from html.parser import HTMLParser

VOID = {"meta", "link", "input", "br", "img", "hr", "wbr"}


class Page(HTMLParser):
    """Tags, attributes and text of a page, and whether every tag is closed."""

    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: Counter[str] = Counter()
        self.attributes: list[tuple[str, str, str]] = []
        self.text: list[str] = []
        self.scripts: list[str] = []
        self.open: list[str] = []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags[tag] += 1
        self.attributes += [(tag, name, value or "") for name, value in attrs]
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open, f"</{tag}> closes nothing"
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        (self.scripts if self.open and self.open[-1] == "script" else self.text).append(data)

    def of(self, name: str) -> list[str]:
        return [value for _, attribute, value in self.attributes if attribute == name]

    @property
    def words(self) -> str:
        return " ".join(" ".join(self.text).split())


def whole_page(html: str, *, scripts: int) -> Page:
    """A page that is closed, whose names are there once, and whose links lead somewhere."""
    page = Page(html)
    assert not page.open and page.tags["script"] == scripts
    ids = page.of("id")
    assert len(ids) == len(set(ids)), [name for name, n in Counter(ids).items() if n > 1]
    assert {value.removeprefix("#") for value in page.of("href") if value.startswith("#")} <= set(ids)
    return page
