"""The row adapters of the translation and summarization sets."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from flantune.shipped.flan2021 import adapters_generation as adapters
from flantune.tasks.rows import BadRow
from flantune.types import Example, Row

CODES = {"cs": "czech", "de": "german", "es": "spanish", "fi": "finnish", "fr": "french", "ro": "romanian"}
CODES |= {"ru": "russian", "tr": "turkish"}


@pytest.mark.parametrize(("code", "slot"), CODES.items())
def test_each_language_has_its_own_code_slot_and_name(code: str, slot: str) -> None:
    adapt: Callable[[Row], Example | None] = getattr(adapters, f"{slot}_english")
    shown = set()
    for number in range(20):
        example = adapt({"translation": {code: f"other {number}", "en": f"english {number}"}})
        assert example is not None
        assert example.references == (f"english {number}",)
        assert example.fields[slot] == f"other {number}"
        expected = slot.capitalize() if example.fields["sample"].startswith("other") else "English"
        assert example.fields["language"] == expected
        shown.add(expected)
    assert shown == {slot.capitalize(), "English"}


@pytest.mark.parametrize("pair", [{"ro": "", "en": "Yes."}, {"ro": "Da.", "en": " \n"}, {"ro": None, "en": "Yes."}])
def test_pairs_with_an_empty_side_are_dropped(pair: dict[str, str | None]) -> None:
    assert adapters.romanian_english({"translation": pair}) is None


@pytest.mark.parametrize("row", [{"translation": {"de": "Ja.", "en": "Yes."}}, {"ro": "Da."}, {"translation": None}])
def test_pairs_without_the_language_are_bad(row: dict[str, object]) -> None:
    with pytest.raises(BadRow):
        adapters.romanian_english(row)


@pytest.mark.parametrize(
    ("text", "story"),
    [
        (r"Two words\glued by a backslash", "Two words glued by a backslash"),
        ("The team #39;s coach won #39;t go", "The team's coach won't go"),
        ("The teams #39; coach", "The teams' coach"),
        ("It cost #36;40 in &quot;cash&quot;", 'It cost $40 in "cash"'),
        ("A quot;slow quot; day", 'A "slow" day'),
        ("A quot;slow quot;, quot;dull quot;.", 'A "slow", "dull".'),
        ("B amp;W buys Hill amp; Sons, and M amp;Q a T amp;C", "B&W buys Hill & Sons, and M&Q a T&C"),
        ("Sam O #39;Brien met D #39;Orso", "Sam O'Brien met D'Orso"),
        ("He said #39;yes #39; in #39;99", "He said 'yes' in '99"),
        ("like #39; #39;Long Way, #39; #39; which", 'like "Long Way," which'),
        ("Bird#39;s nest amp;#39;s end amp;quot;so amp;quot;", "Bird's nest's end \"so\""),
        ("a lt;em&gt;first lt;/em&gt; page gt; next", "a first page > next"),
        ("slow #151; and #146;70s", "slow — and ’70s"),
        ("Salt; the felt; a ramp; AT&T", "Salt; the felt; a ramp; AT&T"),
        ("See &lt;b&gt;this&lt;/b&gt; page", "See this page"),
        ("Profit 3 < 4 and rank #1; fine", "Profit 3 < 4 and rank #1; fine"),
    ],
)
def test_ag_news_turns_the_remains_of_html_back_into_text(text: str, story: str) -> None:
    example = adapters.ag_news({"text": text, "label": 2})
    assert example is not None
    assert example.fields["story"] == story
    assert example.references == ("business",)


@pytest.mark.parametrize(
    ("article", "text"),
    [
        ("(CNN)Rain fell.", "Rain fell."),
        ("(CNN) -- Rain fell.", "Rain fell."),
        ("OSLO, Norway (Reuters) -- Rain fell.", "Rain fell."),
        ("By . Ann Other . PUBLISHED: . 07:01 GMT, 1 May 2013 . Rain fell.", "Rain fell."),
        (
            "By . A . PUBLISHED: . 07:01 GMT, 1 May 2013 . | . UPDATED: . 08:15 GMT, 2 May 2013 . Rain fell.",
            "Rain fell.",
        ),
        (
            "Shares of the broadcaster (CNN) rose after rain fell.",
            "Shares of the broadcaster (CNN) rose after rain fell.",
        ),
        ("By noon (as forecast) -- rain fell.", "By noon (as forecast) -- rain fell."),
        ("(CNN)", "(CNN)"),
    ],
)
def test_cnn_dailymail_cuts_datelines_and_nothing_else(article: str, text: str) -> None:
    assert adapters.cnn_dailymail({"article": article, "highlights": "Rain ."}).fields["article"] == text


def test_cnn_dailymail_keeps_a_highlight_a_line() -> None:
    row = {"article": "Rain fell.", "highlights": "Rain fell .\n\nNEW: It cost 3 . 5 million !\nWho knew"}
    assert adapters.cnn_dailymail(row).references == ("Rain fell.\nNEW: It cost 3 . 5 million!\nWho knew",)


@pytest.mark.parametrize("masked", ["costs rose ## percent", "the UNK of oslo", "<unk> wins", "unk"])
def test_gigaword_drops_masked_rows(masked: str) -> None:
    assert adapters.gigaword({"document": masked, "summary": "prices rise"}) is None
    assert adapters.gigaword({"document": "prices rise", "summary": masked}) is None


def test_gigaword_keeps_words_that_only_look_masked() -> None:
    example = adapters.gigaword({"document": "a punk band sank in the bunker", "summary": "punks sunk"})
    assert example is not None
    assert example.references == ("punks sunk",)


def test_multi_news_numbers_articles_and_skips_empty_ones() -> None:
    row = {"document": "One.\n \n \nMore. ||||| ||||| Two.NEWLINE_CHAR NEWLINE_CHAR End. |||||", "summary": "– Both."}
    example = adapters.multi_news(row)
    assert example.fields["articles"] == "Article 1: One.\nMore.\n\nArticle 2: Two.\nEnd."
    assert example.references == ("Both.",)


def test_multi_news_without_an_article_is_bad() -> None:
    with pytest.raises(BadRow, match="missing value"):
        adapters.multi_news({"document": "||||| |||||", "summary": "– Both."})


@pytest.mark.parametrize("column", ["title", "text", "summary"])
@pytest.mark.parametrize("value", [None, "", " \n"])
def test_newsroom_drops_pages_that_lack_a_part(column: str, value: str | None) -> None:
    row = {"title": "T", "text": "Body.", "summary": "Sum.", column: value}
    assert adapters.newsroom(row) is None


def test_newsroom_without_a_column_is_bad() -> None:
    with pytest.raises(BadRow, match="missing column"):
        adapters.newsroom({"title": "T", "text": "Body."})


@pytest.mark.parametrize(
    "opinions",
    [
        {"7": "Good.", "8": " ", "9": "Not\nbad."},
        {"key": ["7", "8", "9"], "value": ["Good.", "", "Not bad."]},
        [{"key": "7", "value": "Good."}, {"key": "9", "value": "Not bad."}],
        ["Good.", "Not bad."],
    ],
)
def test_opinions_are_read_however_the_mapping_is_stored(opinions: object) -> None:
    row = {"_movie_name": "Oak", "_critics": opinions, "_critic_consensus": "It is <em>good</em>."}
    example = adapters.rotten_tomatoes(row)
    assert example.fields["reviews"] == "1. Good.\n2. Not bad."
    assert example.references == ("It is good.",)


def test_only_the_first_ten_opinions_are_shown() -> None:
    row = {"_debate_name": "Tea", "_claim": "Yes.", "_argument_sentences": {str(n): f"Point {n}." for n in range(12)}}
    lines = adapters.idebate(row).fields["arguments"].splitlines()
    assert lines[0] == "1. Point 0."
    assert lines[-1] == "10. Point 9."


@pytest.mark.parametrize("opinions", [{}, [], {"1": " "}, None, "Good."])
def test_no_opinions_is_bad(opinions: object) -> None:
    with pytest.raises(BadRow, match="missing value"):
        adapters.idebate({"_debate_name": "Tea", "_claim": "Yes.", "_argument_sentences": opinions})


def test_samsum_drops_the_row_without_a_chat_and_keeps_a_message_a_line() -> None:
    assert adapters.samsum({"id": "1", "dialogue": None, "summary": "Nothing."}) is None
    example = adapters.samsum({"id": "1", "dialogue": "A: hi\r\n\r\nB: hello ", "summary": "They greet."})
    assert example is not None
    assert example.fields["dialogue"] == "A: hi\nB: hello"


def test_samsum_without_the_column_is_bad() -> None:
    with pytest.raises(BadRow, match="missing column"):
        adapters.samsum({"id": "1", "summary": "Nothing."})
