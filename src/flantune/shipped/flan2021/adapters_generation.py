"""Row adapters of the translation and summarization sets.

Each takes a raw row in the hub's schema and returns an example, or None for a row that is left out on purpose. The
slot names on the left are what the templates say.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from flantune.shipped.flan2021.adapters import _choice, _one_line, _text, _translation, _written
from flantune.tasks.rows import BadRow
from flantune.tasks.tidy import unescaped
from flantune.types import Adapter, Example, Row

_AG_NEWS_TOPICS = ("world", "sports", "business", "science and technology")
# The rows have lost the ampersands of their text: "&" became a space, and with it the first sign of each entity.
_AG_NEWS_AND = re.compile(r"(?<=\w) amp;(?=\w)|(?<=[A-Z])amp;(?=[A-Z])")
_AG_NEWS_ESCAPED_TWICE = re.compile(r"&?amp;(?=(?:#\d{2,5}|amp|quot|lt|gt);)")
_AG_NEWS_DOUBLED = re.compile(r"#39; ?#39;")
_AG_NEWS_INNER = re.compile(r" #39;(?=(?:s|t|d|m|re|ve|ll)\b)|(?<=\b[ODL]) #39;(?=[A-Z])")
_AG_NEWS_CLOSING = re.compile(r"(?<=[\w.,!?%)]) (#39;|quot;)(?=[\s.,;:!?)]|$)")
_AG_NEWS_ENTITY = re.compile(r"(?<![&\w])(?=(?:amp|lt|gt);)|(?<!&)(?=(?:quot|apos|nbsp|#\d{2,5});)")
_TAG = re.compile(r"</?[A-Za-z][^<>]*>")
_BARE_DATELINE = re.compile(r"\((?:CNN|Reuters|AP)[^()\n]{0,20}\)\s*(?:--?|–|—)?\s*")
_PLACED_DATELINE = re.compile(r"[A-Z][^()\n]{0,60}\([A-Z][\w. ]{1,30}\)\s*(?:--|–|—)\s*")
_STAMP = r"\d\d:\d\d [A-Z]{2,4}, \d{1,2} \w+ \d{4} \. "
_BYLINE = re.compile(rf"By \. .{{0,200}}?PUBLISHED: \. {_STAMP}(?:\| \. UPDATED: \. {_STAMP})?", re.DOTALL)
_SPACED_STOP = re.compile(r"[ \t]+([.!?])$", re.MULTILINE)
_MASKED = re.compile(r"#|(?<!\w)<?unk>?(?!\w)", re.IGNORECASE)
_DOCUMENT_MARK = "|||||"
_MOST_OPINIONS = 10


def _into_english(code: str, *, slot: str, language: str) -> Adapter:
    """An adapter for sentence pairs of a language and English; pairs with an empty side, as WMT has, are dropped."""

    def adapt(row: Row) -> Example | None:
        pair = row.get("translation")
        if isinstance(pair, Mapping) and any(_is_blank(pair.get(side, "?")) for side in (code, "en")):
            return None
        return _translation(row, code, slot=slot, language=language)

    return adapt


czech_english = _into_english("cs", slot="czech", language="Czech")
finnish_english = _into_english("fi", slot="finnish", language="Finnish")
french_english = _into_english("fr", slot="french", language="French")
german_english = _into_english("de", slot="german", language="German")
romanian_english = _into_english("ro", slot="romanian", language="Romanian")
russian_english = _into_english("ru", slot="russian", language="Russian")
spanish_english = _into_english("es", slot="spanish", language="Spanish")
turkish_english = _into_english("tr", slot="turkish", language="Turkish")


def aeslc(row: Row) -> Example:
    """AESLC: the body of an e-mail, and its subject in one line."""
    return _written({"email": _text(row, "email_body")}, [_one_line(_text(row, "subject_line"))])


def ag_news(row: Row) -> Example | None:
    """AG News: title and text in one, with the remains of HTML that the hub's rows carry turned back into text."""
    return _choice(row, {"story": _without_html_remains(_text(row, "text"))}, options=_AG_NEWS_TOPICS)


def cnn_dailymail(row: Row) -> Example:
    """CNN/Daily Mail: the article without its dateline; the highlights, one on a line, as the summary."""
    highlights = _SPACED_STOP.sub(r"\1", _lines(_text(row, "highlights")))
    return _written({"article": _without_dateline(_text(row, "article"))}, [highlights])


def gigaword(row: Row) -> Example | None:
    """Gigaword: rows with masked words or digits, whose headlines cannot be told, are dropped, as in FLAN."""
    sentence, headline = _text(row, "document"), _text(row, "summary")
    if _MASKED.search(sentence) or _MASKED.search(headline):
        return None
    return _written({"sentence": sentence}, [headline])


def multi_news(row: Row) -> Example:
    """Multi-News: the articles numbered, and the summary without the dash that it opens with."""
    text = _text(row, "document").replace("NEWLINE_CHAR", "\n")
    articles = [_lines(article) for article in text.split(_DOCUMENT_MARK) if article.strip()]
    if not articles:
        raise BadRow("missing value", "document holds no article")
    numbered = "\n\n".join(f"Article {number}: {article}" for number, article in enumerate(articles, start=1))
    return _written({"articles": numbered}, [_text(row, "summary").lstrip("–—- ")])


def newsroom(row: Row) -> Example | None:
    """Newsroom: pages that came without a title, a text or a summary are dropped."""
    if any(_is_blank(row.get(column, "?")) for column in ("title", "text", "summary")):
        return None
    fields = {"title": _one_line(_text(row, "title")), "article": _text(row, "text")}
    return _written(fields, [_text(row, "summary")])


def idebate(row: Row) -> Example:
    """Opinion Abstracts, debates: the first ten arguments for a claim, numbered."""
    fields = {"debate": _one_line(_text(row, "_debate_name")), "arguments": _opinions(row, "_argument_sentences")}
    return _written(fields, [_one_line(_text(row, "_claim"))])


def rotten_tomatoes(row: Row) -> Example:
    """Opinion Abstracts, films: the first ten reviews, numbered; the critics' consensus without its tags."""
    fields = {"movie": _one_line(_text(row, "_movie_name")), "reviews": _opinions(row, "_critics")}
    return _written(fields, [_one_line(_TAG.sub("", _text(row, "_critic_consensus")))])


def samsum(row: Row) -> Example | None:
    """SAMSum: a chat with one message on a line; the row without a chat is dropped."""
    if _is_blank(row.get("dialogue", "?")):
        return None
    return _written({"dialogue": _lines(_text(row, "dialogue"))}, [_one_line(_text(row, "summary"))])


def wiki_lingua(row: Row) -> Example:
    """WikiLingua in GEM's form: a how-to text and its summary in the same language."""
    return _written({"article": _text(row, "source")}, [_text(row, "target")])


def xsum(row: Row) -> Example:
    """XSum: an article without its first sentence, which is the summary."""
    return _written({"article": _text(row, "document")}, [_one_line(_text(row, "summary"))])


def _is_blank(value: object) -> bool:
    """Null, or text with nothing in it; a column that is absent or of another type is a bad row instead."""
    return value is None or (isinstance(value, str) and not value.strip())


def _lines(text: str) -> str:
    """The lines of a text without white space around them, and without empty ones."""
    return "\n".join(line.strip() for line in text.splitlines() if line.strip())


def _without_html_remains(text: str) -> str:
    r"""Entities, also those that lost their ampersand, as characters; tags and backslashes for line breaks as spaces.

    >>> _without_html_remains("S amp;P says quot;no quot; to O #39;Hara #39;s Hall amp; Co")
    'S&P says "no" to O\'Hara\'s Hall & Co'
    """
    text = _AG_NEWS_ESCAPED_TWICE.sub("", text.replace("\\", " "))
    text = _AG_NEWS_DOUBLED.sub("quot;", _AG_NEWS_AND.sub("&", text))
    text = _AG_NEWS_CLOSING.sub(r"\1", _AG_NEWS_INNER.sub("'", text))
    text = unescaped(_AG_NEWS_ENTITY.sub("&", text))
    return _one_line(_TAG.sub(" ", text))


def _without_dateline(article: str) -> str:
    for opening in (_BYLINE, _PLACED_DATELINE, _BARE_DATELINE):
        match = opening.match(article)
        if match and article[match.end() :].strip():
            return article[match.end() :].strip()
    return article


def _opinions(row: Row, column: str) -> str:
    """The first ten texts of a column, numbered, one on a line.

    Raises:
        BadRow: The column is missing or holds none.
    """
    if column not in row:
        raise BadRow("missing column", f"expected {column} among {', '.join(sorted(row))}")
    texts = [_one_line(text) for text in _values(row[column]) if isinstance(text, str) and text.strip()]
    if not texts:
        raise BadRow("missing value", f"{column} holds no text")
    return "\n".join(f"{number}. {text}" for number, text in enumerate(texts[:_MOST_OPINIONS], start=1))


def _values(opinions: Any) -> Iterable[Any]:
    """The texts of a column: id → text in the authors' JSON; keys and values, or pairs of them, once it was a table."""
    if isinstance(opinions, Mapping):
        if set(opinions) == {"key", "value"} and isinstance(opinions["value"], list):
            return opinions["value"]
        return opinions.values()
    if isinstance(opinions, list):
        return [item.get("value") if isinstance(item, Mapping) else item for item in opinions]
    return ()
