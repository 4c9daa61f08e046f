"""Row adapters: for the datasets whose rows need more than a renaming of columns, one short function each.

Each takes a raw row in the hub's schema and returns an example (None for a row without a label). Columns keep their
hub names here; the slot names on the left are what the templates say.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from zlib import crc32

from flantune.tasks.labels import index_of
from flantune.tasks.rows import BadRow
from flantune.types import Example, Row

_NO_YES = ("no", "yes")
_COPA_WORDS = {"cause": ("Why did this happen?", "because"), "effect": ("What happened as a result?", "so")}
_CALCULATOR_NOTE = re.compile(r"<<[^<>]*>>")
_NUMBER = re.compile(r"-?\d[\d,]*(\.\d+)?")
_EDGE_PUNCTUATION = " .,;:!?\"'"


def copa(row: Row) -> Example | None:
    """COPA: the bare word in the column ``question`` becomes slots that fit into sentences.

    >>> row = {"premise": "The lamp fell.", "choice1": "The cat jumped.", "choice2": "It rained.", "label": 0}
    >>> copa({**row, "question": "cause"}).fields["opening"]
    'The lamp fell because'
    """
    relation = _text(row, "question")
    if relation not in _COPA_WORDS:
        raise BadRow("unknown relation", f'got "{relation}"; expected cause or effect')
    question, link = _COPA_WORDS[relation]
    premise = _text(row, "premise")
    opening = f"{premise.rstrip(_EDGE_PUNCTUATION)} {link}"
    fields = {"premise": premise, "relation": relation, "question": question, "opening": opening}
    return _choice(row, fields, options=(_text(row, "choice1"), _text(row, "choice2")))


def piqa(row: Row) -> Example | None:
    """PIQA: columns as they are, without the spaces that many solutions end with.

    >>> piqa({"goal": "Dry socks.", "sol1": "Hang them up. ", "sol2": "Fold them. ", "label": 0}).options
    ('Hang them up.', 'Fold them.')
    """
    return _choice(row, {"goal": _text(row, "goal")}, options=(_text(row, "sol1"), _text(row, "sol2")))


def boolq(row: Row) -> Example | None:
    """BoolQ: the passage without its title, and the question written as one.

    >>> row = {"passage": "Tea -- Tea is a hot drink.", "question": "is tea hot", "label": 1}
    >>> dict(boolq(row).fields)
    {'title': 'Tea', 'passage': 'Tea is a hot drink.', 'question': 'Is tea hot?'}
    """
    title, separator, passage = _text(row, "passage").partition(" -- ")
    if not separator:
        title, passage = "untitled", title
    question = _text(row, "question").rstrip(" ?")
    question = f"{question[:1].upper()}{question[1:]}?"
    fields = {"title": title.strip(), "passage": passage.strip(), "question": question}
    return _choice(row, fields, options=_NO_YES)


def wsc(row: Row) -> Example | None:
    """WSC: asterisks around the pronoun in question, since a text may hold the same pronoun several times.

    >>> row = {"span1_text": "Ann", "span2_text": "she", "span1_index": 0, "span2_index": 3, "label": 1}
    >>> wsc({**row, "text": "Ann smiled when she won."}).fields["text"]
    'Ann smiled when *she* won.'
    """
    pronoun = _text(row, "span2_text").strip(_EDGE_PUNCTUATION)
    text = _mark(_text(row, "text", keep_edges=True), pronoun, index=row["span2_index"])
    fields = {"text": _one_line(text), "pronoun": pronoun, "candidate": _one_line(_text(row, "span1_text"))}
    return _choice(row, fields, options=_NO_YES)


def e2e_nlg(row: Row) -> Example:
    """E2E: the row's own target is trained on; other references count as right when scored.

    >>> row = {"meaning_representation": "name[Oak]", "target": "It is the Oak.", "references": []}
    >>> e2e_nlg(row).references
    ('It is the Oak.',)
    """
    references = [_text(row, "target"), *(reference.strip() for reference in row.get("references") or ())]
    return _written({"record": _text(row, "meaning_representation")}, references)


def scitldr(row: Row) -> Example:
    r"""SciTLDR: the abstract's sentences joined; every summary is a reference.

    >>> example = scitldr({"source": ["We try it.", "It works.\n"], "target": ["It works."]})
    >>> example.fields["abstract"]
    'We try it. It works.'
    """
    sentences, summaries = _texts(row, "source"), _texts(row, "target")
    return _written({"abstract": " ".join(sentences)}, summaries)


def german_english(row: Row) -> Example:
    """A German sentence, its English translation, and one of the two at random to tell the language of."""
    return _translation(row, "de", slot="german", language="German")


def french_english(row: Row) -> Example:
    """A French sentence, its English translation, and one of the two at random to tell the language of."""
    return _translation(row, "fr", slot="french", language="French")


def gsm8k(row: Row) -> Example:
    r"""GSM8K: the final number is the answer; the working, without its calculator notes, is a field.

    >>> example = gsm8k({"question": "How much?", "answer": "It is 2 * 600 = <<2*600=1200>>1200.\n#### 1,200"})
    >>> example.references, example.fields["rationale"]
    (('1200', '1,200'), 'It is 2 * 600 = 1200.')
    """
    working, mark, number = (part.strip() for part in _text(row, "answer").rpartition("####"))
    if not mark or not _NUMBER.fullmatch(number):
        raise BadRow("no final number", f'expected a last line like "#### 42", got "{number[-40:]}"')
    fields = {"question": _text(row, "question"), "rationale": _CALCULATOR_NOTE.sub("", working)}
    return _written(fields, [number.replace(",", ""), number])


def _translation(row: Row, code: str, *, slot: str, language: str) -> Example:
    pair = row.get("translation")
    if not isinstance(pair, dict):
        raise BadRow("missing column", "expected a column translation with a sentence in each language")
    foreign, english = _text(pair, code), _text(pair, "en")
    # Which language is shown depends on the text, so that it is half of the rows and the same in every run.
    shown, name = ((foreign, language), (english, "English"))[crc32(foreign.encode()) % 2]
    return _written({slot: foreign, "sample": shown, "language": name}, [english])


def _choice(row: Row, fields: dict[str, str], *, options: tuple[str, ...]) -> Example | None:
    """A classification example; None when the row's label is hidden, as in the test splits of benchmarks."""
    index = index_of(row.get("label"), len(options))
    if index is None:
        return None
    return Example(row=0, fields=fields, options=options, answer=index, references=(options[index],))


def _written(fields: dict[str, str], references: Sequence[str]) -> Example:
    """A generation example, its references in order and each one once."""
    return Example(row=0, fields=fields, references=tuple(dict.fromkeys(text for text in references if text)))


def _mark(text: str, pronoun: str, *, index: int) -> str:
    """Sets asterisks around the pronoun at the ``index``-th word, or around its nearest occurrence if that is off.

    >>> _mark("He said he knew him.", "he", index=2)
    'He said *he* knew him.'
    """
    words = text.split(" ")
    places = [place for place, word in enumerate(words) if word.strip(_EDGE_PUNCTUATION).lower() == pronoun.lower()]
    if not places:
        raise BadRow("pronoun not in text", f'got "{pronoun}"')
    place = min(places, key=lambda place: abs(place - index))
    words[place] = re.sub(re.escape(pronoun), r"*\g<0>*", words[place], count=1, flags=re.IGNORECASE)
    return " ".join(words)


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _text(row: Row, column: str, *, keep_edges: bool = False) -> str:
    """A column that must hold text, without white space around it.

    Raises:
        BadRow: It is missing, not text, or empty.
    """
    if column not in row:
        raise BadRow("missing column", f"expected {column} among {', '.join(sorted(row))}")
    value = row[column]
    if not isinstance(value, str):
        raise BadRow("not text", f"{column} is {value!r}")
    if not value.strip():
        raise BadRow("missing value", f"{column} is empty")
    return value if keep_edges else value.strip()


def _texts(row: Row, column: str) -> list[str]:
    """A column that must hold a list of texts; empty ones are left out."""
    if not isinstance(row.get(column), list):
        raise BadRow("missing column", f"expected {column} to be a list of texts, got {row.get(column)!r}")
    texts = [text.strip() for text in row[column] if isinstance(text, str) and text.strip()]
    if not texts:
        raise BadRow("missing value", f"{column} is empty")
    return texts
