"""The row adapters for passages, dialogues, triples, pronouns and plain sentences."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flantune.shipped.flan2021 import adapters_passages as adapters
from flantune.tasks.rows import BadRow
from flantune.types import Example, Row

QUERY = "Then @placeholder left."


def drop_row(spans: list[str], types: list[str]) -> Row:
    return {"passage": "A text.", "question": "Who?", "answers_spans": {"spans": spans, "types": types}}


def squad_row(*answers: str, title: str = "Beyonc%C3%A9_Knowles") -> Row:
    return {"title": title, "context": "A text.", "question": " Who? ", "answers": {"text": list(answers)}}


def record_row(entities: list[str], answers: list[str], query: str = QUERY) -> Row:
    return {"passage": "Ann met Bo.\n@highlight\nThey met", "query": query, "entities": entities, "answers": answers}


def quac_row(answers: list[str], original: str, background: str | None = "About it.") -> Row:
    return {
        "wikipedia_page_title": "Tea",
        "background": background,
        "context": "Tea is hot. CANNOTANSWER",
        "questions": ["Is it hot?", "Why?"],
        "answers": {"texts": [answers, ["no reason"]]},
        "orig_answers": {"texts": [original, "no reason"]},
    }


def wsc273_row(text: str, pronoun: str, place: int, *, label: int = 0) -> Row:
    return {
        "text": text,
        "pronoun": pronoun,
        "pronoun_loc": place,
        "options": ["The cat", "Ann", "The dogs"],
        "label": label,
    }


def sentence_pair(english: str) -> Row:
    return {"id": "0", "translation": {"el": "…", "en": english}}


def kept(example: Example | None) -> Example:
    assert example is not None
    return example


def test_triples_are_lines_without_underscores_and_quotes() -> None:
    row = {"input": ['Port_Alma | cityServed | "Alma, Quellia"', "A | b | C"], "target": "Text.", "references": []}
    assert adapters.web_nlg(row).fields["triples"] == "Port Alma | cityServed | Alma, Quellia\nA | b | C"


def test_own_target_is_trained_on_and_references_count_once() -> None:
    row = {"tripleset": [["a", "b", "c"]], "target": "A  b.", "references": ["B a.", "A b."]}
    assert adapters.dart(row).references == ("A b.", "B a.")


@pytest.mark.parametrize("triples", [[], [["a", "b"]], "a | b | c"])
def test_what_is_no_list_of_triples_is_bad(triples: object) -> None:
    with pytest.raises(BadRow):
        adapters.dart({"tripleset": triples, "target": "A b."})


def test_common_gen_takes_rows_with_and_without_references() -> None:
    row = {"concepts": ["cat", "sleep"], "target": "The cat sleeps."}
    assert adapters.common_gen(row).references == ("The cat sleeps.",)
    assert adapters.common_gen({**row, "references": ["A cat sleeps."]}).references[1] == "A cat sleeps."


@pytest.mark.parametrize(
    ("spans", "types", "references"),
    [
        (["Ann", "Bo"], ["span", "span"], ("Ann, Bo", "Ann", "Bo")),  # the parts of one answer
        (["Ann", "Bo", "Ann", "Bo"], ["span"] * 4, ("Ann, Bo", "Ann", "Bo")),  # of which two people gave it
        (["Bo", "Ann", "Ann"], ["span"] * 3, ("Ann", "Bo")),  # three people's answers
        (["3", "4"], ["number", "number"], ("3", "4")),  # a number has no parts
    ],
)
def test_drop_tells_parts_of_an_answer_from_several_answers(
    spans: list[str], types: list[str], references: tuple[str, ...]
) -> None:
    assert adapters.drop(drop_row(spans, types)).references == references


def test_drop_without_an_answer_is_bad() -> None:
    with pytest.raises(BadRow, match="empty target"):
        adapters.drop(drop_row([], []))


def test_squad_titles_are_readable() -> None:
    assert adapters.squad_v1(squad_row("Bo")).fields["title"] == "Beyoncé Knowles"


def test_squad_v1_needs_an_answer_and_v2_says_there_is_none() -> None:
    with pytest.raises(BadRow, match="empty target"):
        adapters.squad_v1(squad_row())
    assert adapters.squad_v2(squad_row()).references == ("unanswerable",)
    assert adapters.squad_v2(squad_row("Bo", "Bo")).references == ("Bo",)


def test_record_offers_each_entity_once_and_every_right_one_counts() -> None:
    example = kept(adapters.record(record_row(["Ann", "Bo", "Ann", "Bo B."], ["Bo", "Bo B."])))
    assert example.options == ("Ann", "Bo", "Bo B.")
    assert example.answer == 1
    assert example.references == ("Bo", "Bo B.")
    assert example.fields["query"] == "Then _____ left."
    assert example.fields["passage"] == "Ann met Bo.\n- They met"


def test_record_rows_without_a_choice_are_dropped() -> None:
    assert adapters.record(record_row(["Ann", "Bo"], [])) is None
    assert adapters.record(record_row(["Ann"], ["Ann"])) is None
    assert adapters.record(record_row(["Bo", "Bo B."], ["Bo", "Bo B."])) is None


def test_record_answer_must_be_an_entity_and_the_query_have_a_blank() -> None:
    with pytest.raises(BadRow, match="not among options"):
        adapters.record(record_row(["Ann", "Bo"], ["Cy"]))
    with pytest.raises(BadRow, match="no blank"):
        adapters.record(record_row(["Ann", "Bo"], ["Bo"], query="Then he left."))


def test_coqa_numbers_questions_and_answers_alike() -> None:
    row = {"story": "A text.", "questions": ["Who?", "Why\nso?"], "answers": {"input_text": ["Bo", "no\nreason"]}}
    example = adapters.coqa(row)
    assert example.fields["questions"] == "1. Who?\n2. Why so?"
    assert example.references == ("1. Bo\n2. no reason",)


def test_coqa_with_a_question_unanswered_is_bad() -> None:
    with pytest.raises(BadRow, match="unequal turns"):
        adapters.coqa({"story": "A text.", "questions": ["Who?", "Why?"], "answers": {"input_text": ["Bo"]}})


def test_quac_asks_the_first_question_and_hides_its_mark_for_no_answer() -> None:
    example = adapters.quac(quac_row(["Tea is hot.", "CANNOTANSWER"], "CANNOTANSWER"))
    assert example.fields["question"] == "Is it hot?"
    assert example.fields["context"] == "Tea is hot."
    assert example.references == ("unanswerable", "Tea is hot.")


@pytest.mark.parametrize("background", ["", "  ", None])
def test_quac_without_background_names_the_page(background: str | None) -> None:
    assert adapters.quac(quac_row(["hot"], "hot", background)).fields["background"] == "Tea"


def test_dpr_marks_the_first_of_several_pronouns_and_no_part_of_a_word() -> None:
    row = {"sentence": "The chef said he knew he won.", "pronoun": "he", "candidates": ["a", "b"], "label": 1}
    example = kept(adapters.dpr(row))
    assert example.fields["text"] == "The chef said *he* knew he won."
    assert example.references == ("b",)


def test_dpr_without_the_pronoun_is_bad_and_without_a_label_dropped() -> None:
    row = {"sentence": "The chef won.", "pronoun": "he", "candidates": ["a", "b"], "label": 1}
    with pytest.raises(BadRow, match="pronoun not in text"):
        adapters.dpr(row)
    assert adapters.dpr({**row, "sentence": "he won", "label": None}) is None


def test_winogrande_options_carry_the_rest_of_the_text() -> None:
    row = {"sentence": "Ann called Eve because _'s car broke.", "option1": "Ann", "option2": "Eve", "answer": "1"}
    example = kept(adapters.winogrande(row))
    assert example.fields["context"] == "Ann called Eve because"
    assert example.options == ("Ann's car broke.", "Eve's car broke.")
    assert example.answer == 0


def test_winogrande_rows_without_a_beginning_or_an_answer_are_dropped() -> None:
    row = {"sentence": "_ called Eve.", "option1": "Ann", "option2": "Bea", "answer": "1"}
    assert adapters.winogrande(row) is None
    assert adapters.winogrande({**row, "sentence": "Then _ left.", "answer": ""}) is None


@pytest.mark.parametrize("change", [{"sentence": "No gap."}, {"answer": "3"}, {"answer": 1}])
def test_winogrande_rows_of_another_form_are_bad(change: Row) -> None:
    row = {"sentence": "Then _ left.", "option1": "Ann", "option2": "Bea", "answer": "1"}
    with pytest.raises(BadRow):
        adapters.winogrande({**row, **change})


@pytest.mark.parametrize(
    ("text", "pronoun", "options"),
    [
        ("It slept, and it purred.", "it", ("the cat purred.", "Ann purred.", "the dogs purred.")),
        ("It slept. Then it purred.", "it", ("the cat purred.", "Ann purred.", "the dogs purred.")),
        ("It slept. It purred.", "It", ("The cat purred.", "Ann purred.", "The dogs purred.")),
        ("We saw their tails.", "their", ("the cat's tails.", "Ann's tails.", "the dogs' tails.")),
        ("We saw her tail.", "her", ("the cat's tail.", "Ann's tail.", "the dogs' tail.")),
        ("We saw her.", "her", ("the cat.", "Ann.", "the dogs.")),
    ],
)
def test_wsc273_puts_candidates_in_the_pronoun_s_place(text: str, pronoun: str, options: tuple[str, ...]) -> None:
    example = kept(adapters.wsc273(wsc273_row(text, pronoun, text.rindex(pronoun))))
    assert example.options == options
    assert example.fields["context"] == text[: text.rindex(pronoun)].strip()


@pytest.mark.parametrize(
    ("candidates", "options"),
    [
        (["Tess's", "Tess's aunt's"], ("Tess's letters.", "Tess's aunt's letters.")),
        (["the girls'", "Nils’s"], ("the girls' letters.", "Nils’s letters.")),
        (["Tess", "Ann"], ("Tess' letters.", "Ann's letters.")),
    ],
)
def test_wsc273_candidates_that_are_possessive_already_stay_so(candidates: list[str], options: tuple[str, ...]) -> None:
    row = wsc273_row("We read her letters.", "her", 8)
    assert kept(adapters.wsc273({**row, "options": candidates})).options == options


def test_wsc273_place_without_the_pronoun_is_bad() -> None:
    with pytest.raises(BadRow, match="pronoun not in text"):
        adapters.wsc273(wsc273_row("We saw it.", "it", 3))


@pytest.mark.parametrize("text", ["b'Solve 2*x = 4 for x.\\n'", 'b"Solve 2*x = 4 for x.\\n"', "Solve 2*x = 4 for x."])
def test_math_dataset_unwraps_what_the_loading_script_left(text: str) -> None:
    example = adapters.math_dataset({"question": text, "answer": "b'-2\\n'"})
    assert example.fields["question"] == "Solve 2*x = 4 for x."
    assert example.references == ("-2",)


def test_fix_punct_takes_marks_away_but_not_from_inside_words() -> None:
    english = "He said: “Don't pay 3.50 for well-known (old) books!”, didn't he?"
    example = kept(adapters.fix_punct(sentence_pair(english)))
    assert example.fields["unpunctuated"] == "He said Don't pay 3.50 for well-known old books didn't he"
    assert example.references == (english,)


@pytest.mark.parametrize(
    "english",
    [
        "Read more.",
        "no capital at the start of this.",
        "There is no mark at the end",
        "Buy now | Contact | Home | About us.",
        "WELCOME TO THE GREATEST HOTEL IN TOWN!",
        "Write to us at info@hotel.example any day.",
    ],
)
def test_what_is_no_clean_sentence_is_dropped(english: str) -> None:
    for adapter in (adapters.fix_punct, adapters.true_case, adapters.word_segment):
        assert adapter(sentence_pair(english)) is None


WORDS = st.lists(st.from_regex(r"[a-z]{1,8}[,;]?", fullmatch=True), min_size=5, max_size=20)


@settings(max_examples=50, deadline=None)
@given(WORDS)
def test_spoiled_sentences_hold_the_same_letters(words: list[str]) -> None:
    english = " ".join(["The", *words, "end."])
    row = sentence_pair(english)
    letters = [letter for letter in english.lower() if letter.isalpha()]
    for adapter in (adapters.fix_punct, adapters.true_case, adapters.word_segment):
        example = kept(adapter(row))
        (spoiled,) = example.fields.values()
        assert [letter for letter in spoiled.lower() if letter.isalpha()] == letters
        assert spoiled != english
        assert example.references == (english,)
    assert " " not in kept(adapters.word_segment(row)).fields["joined"]
