"""The row adapters: what each makes of a row, and of a row that is not as it should be."""

from __future__ import annotations

import pytest

from flantune.shipped.flan2021 import adapters
from flantune.tasks.rows import BadRow

WSC = {"text": "The dog saw that he saw him.", "span1_text": "The dog", "span1_index": 0, "span2_index": 4, "label": 1}


def test_copa_effect_opens_a_sentence_with_so() -> None:
    row = {"premise": "It rained.", "choice1": "We got wet.", "choice2": "We sang.", "question": "effect", "label": 0}
    example = adapters.copa(row)
    assert example is not None
    assert example.fields["opening"] == "It rained so"
    assert example.references == ("We got wet.",)


def test_copa_relation_that_is_neither_is_bad() -> None:
    row = {"premise": "It rained.", "choice1": "a", "choice2": "b", "question": "reason", "label": 0}
    with pytest.raises(BadRow, match="unknown relation"):
        adapters.copa(row)


def test_piqa_solutions_lose_their_trailing_spaces() -> None:
    example = adapters.piqa({"goal": "Dry socks.", "sol1": "Hang them. ", "sol2": "Fold them.  ", "label": 1})
    assert example is not None
    assert (example.options, example.answer) == (("Hang them.", "Fold them."), 1)


@pytest.mark.parametrize("label", [-1, None])
def test_a_hidden_label_drops_the_row(label: int | None) -> None:
    assert adapters.wsc({**WSC, "span2_text": "he", "label": label}) is None
    assert adapters.boolq({"passage": "A -- B", "question": "is it", "label": label}) is None


def test_a_label_out_of_range_is_bad() -> None:
    with pytest.raises(BadRow, match="out of range"):
        adapters.boolq({"passage": "A -- B", "question": "is it", "label": 2})


def test_wsc_marks_the_pronoun_at_its_place_not_the_first_one() -> None:
    row = {**WSC, "text": "He said he knew.", "span2_text": "he", "span2_index": 2}
    assert adapters.wsc(row).fields["text"] == "He said *he* knew."  # type: ignore[union-attr]


def test_wsc_marks_the_nearest_pronoun_when_the_index_is_off() -> None:
    row = {**WSC, "text": "It was old, but it ran.", "span2_text": "it", "span2_index": 5}
    assert adapters.wsc(row).fields["text"] == "It was old, but *it* ran."  # type: ignore[union-attr]


def test_wsc_keeps_punctuation_outside_the_asterisks() -> None:
    row = {**WSC, "span2_text": "him.", "span2_index": 6}
    example = adapters.wsc(row)
    assert example is not None
    assert example.fields["text"].endswith("saw *him*.")
    assert example.fields["pronoun"] == "him"


def test_wsc_leading_space_does_not_shift_the_index() -> None:
    row = {**WSC, "text": " He saw that he won.", "span2_text": "he", "span2_index": 4}
    assert adapters.wsc(row).fields["text"] == "He saw that *he* won."  # type: ignore[union-attr]


def test_wsc_without_the_pronoun_is_bad() -> None:
    with pytest.raises(BadRow, match="pronoun not in text"):
        adapters.wsc({**WSC, "span2_text": "she"})


def test_wsc_candidate_with_a_line_break_comes_out_in_one_line() -> None:
    example = adapters.wsc({**WSC, "span1_text": "The\ndog", "span2_text": "he"})
    assert example is not None
    assert example.fields["candidate"] == "The dog"


def test_boolq_passage_without_a_title_is_kept() -> None:
    example = adapters.boolq({"passage": "Tea is hot.", "question": "is tea hot?", "label": 1})
    assert example is not None
    assert example.fields["passage"] == "Tea is hot."
    assert example.fields["question"] == "Is tea hot?"


def test_e2e_trains_on_the_row_s_own_target_and_keeps_other_references_once() -> None:
    row = {"meaning_representation": "name[Oak]", "target": "The Oak.", "references": ["Oak.", "The Oak. ", "Oak."]}
    assert adapters.e2e_nlg(row).references == ("The Oak.", "Oak.")


def test_scitldr_keeps_every_summary_and_skips_empty_ones() -> None:
    row = {"source": ["One.\n", "", "Two."], "target": ["First.", " ", "Second."]}
    example = adapters.scitldr(row)
    assert example.fields["abstract"] == "One. Two."
    assert example.references == ("First.", "Second.")


def test_scitldr_without_a_summary_is_bad() -> None:
    with pytest.raises(BadRow, match="missing value"):
        adapters.scitldr({"source": ["One."], "target": [" "]})


def test_language_to_name_is_the_one_of_the_sample() -> None:
    languages = set()
    for number in range(20):
        row = {"translation": {"de": f"Haus {number}", "en": f"house {number}"}}
        fields = adapters.german_english(row).fields
        assert fields["language"] == ("German" if fields["sample"].startswith("Haus") else "English")
        languages.add(fields["language"])
    assert languages == {"German", "English"}


def test_translation_columns_at_the_top_are_bad_and_said_so() -> None:
    with pytest.raises(BadRow, match="missing column"):
        adapters.french_english({"fr": "Bonjour", "en": "Hello"})


@pytest.mark.parametrize(
    ("last_line", "references"),
    [("1,200", ("1200", "1,200")), ("-3", ("-3",)), ("2.5", ("2.5",)), ("10", ("10",))],
)
def test_gsm8k_reads_the_final_number(last_line: str, references: tuple[str, ...]) -> None:
    row = {"question": "How many?", "answer": f"So it is.\n#### {last_line}"}
    assert adapters.gsm8k(row).references == references


@pytest.mark.parametrize("answer", ["It is 4.", "It is 4.\n#### four", "####"])
def test_gsm8k_without_a_final_number_is_bad(answer: str) -> None:
    with pytest.raises(BadRow, match="no final number"):
        adapters.gsm8k({"question": "How many?", "answer": answer})


@pytest.mark.parametrize("value", [None, "  ", 7])
def test_a_text_column_without_text_is_bad(value: object) -> None:
    with pytest.raises(BadRow):
        adapters.gsm8k({"question": value, "answer": "#### 1"})
