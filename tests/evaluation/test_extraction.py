from __future__ import annotations

import csv
import gzip
import json
import re
from pathlib import Path

import pytest

from flantune.evaluation.metrics.extraction import (
    BBH_COT,
    BBH_DIRECT,
    EXEMPLAR_STOP,
    GSM8K_COT,
    MGSM_COT,
    MMLU_COT,
    MMLU_DIRECT,
    YES_NO,
    extract,
    number_rules,
    plain_number,
    same_answer,
    shared_phrase,
)
from flantune.evaluation.metrics.graders import text_grader
from flantune.models.writing.decoding import cut_at_stop
from flantune.types import Sample

DATA = Path(__file__).parents[3] / "shared" / "data"


@pytest.mark.parametrize(
    ("written", "plain"),
    [
        ("18", "18"), ("-5", "-5"), ("−5", "-5"), ("$ 1,234,567.50", "1234567.5"), ("-$3", "-3"), ("1'234", "1234"),
        ("1\u202f234", "1234"), ("0.5", "0.5"), ("0,125", "0.125"), ("007", "7"), ("5.00", "5"), ("-0", "0"),
        ("٣٫٥", "3.5"), ("１，２３４", "1234"), ("৪২", "42"), ("๑๒", "12"), ("50%", "50"), ("100", "100"),
        ("1.234,5", "1234.5"), ("1,2,3", None), ("12.05.2020", None), ("four", None), ("", None), ("-", None),
    ],
)  # fmt: skip
def test_numbers_of_many_scripts_in_plain_digits(written, plain):
    assert plain_number(written) == plain


def test_one_point_before_three_digits_is_read_by_language():
    assert (plain_number("1.234"), plain_number("1.234", decimal=",")) == ("1.234", "1234")
    assert (plain_number("1,234"), plain_number("1,234", decimal=",")) == ("1234", "1.234")


@pytest.mark.parametrize(
    ("text", "answer", "rule"),
    [
        ("She has 3 left. The answer is 3.", "3", "answer_is"),
        ("The answer is $1,250.00.", "1250", "answer_is"),
        ("the answer is 5 + 6 = 11 apples.", "11", "answer_is"),
        ("The answer is 5 (see step 2).", "5", "answer_is"),
        ("First the answer is 4. No, the answer is 9.", "9", "answer_is"),
        ("2 * 9 = 18\n#### 18", "18", "hashes"),
        ("So 12 - 5 makes 7 eggs", "7", "last_number"),
        ("от 3 до 5, итого 8", "8", "last_number"),
        ("答えは11です", "11", "last_number"),
        ("Pages 3-5", "5", "last_number"),
        ("it is -5 degrees", "-5", "last_number"),
        ("Answer: 12", "12", "answer_colon"),
        ("nothing", None, ""),
        ("The answer is unknown, about 3 or so", "3", "answer_is"),
        ("uses B12", None, ""),
    ],
)
def test_numbers(text, answer, rule):
    found = extract(text, MGSM_COT)
    assert (found.answer, found.rule) == (answer, rule)


def test_trap_only_the_english_wording_is_looked_for():
    exemplars = [
        "Fünf Bälle und 2 Dosen mit 3: 5 + 6 = 11. Die Antwort ist 11.",
        "Es sind 4. Die Antwort ist 39.",
    ]
    phrase = shared_phrase(exemplars)
    assert phrase == "Die Antwort ist"
    text = "Die Antwort ist 1.250. Frage: Anna hat 3 Äpfel"
    assert extract(text, MGSM_COT).answer == "3", "the last number belongs to the next question"
    found = extract(text, number_rules(phrases=[phrase], decimal=","))
    assert (found.answer, found.rule) == ("1250", "after “Die Antwort ist”")
    assert extract("答案是 11。", number_rules(phrases=["答案是"])).rule == "after “答案是”"
    assert shared_phrase(["no figure"]) == ""


def test_trap_a_trailing_space_or_missing_stop_loses_the_answer():
    for text in (
        "So the answer is (B).",
        "So the answer is (B). ",
        "So the answer is (B)",
        "So the answer is (B).\n\nQ:",
    ):
        found = extract(text, BBH_COT)
        assert (found.answer, found.rule) == ("(B)", "answer_is")
        assert same_answer(found.answer, "B")


def test_a_point_inside_an_answer_does_not_end_it():
    assert extract("the answer is 3.5.", BBH_COT).answer == "3.5"
    assert extract("So the answer is U.S.A.", BBH_COT).answer == "U.S.A"


def test_trap_a_stop_at_capital_q_cuts_answers():
    text = "Queen Quentin asks. So the answer is No.\n\nQ: next"
    cut = cut_at_stop(text, EXEMPLAR_STOP)
    assert cut == "Queen Quentin asks. So the answer is No."
    assert extract(cut, BBH_COT).answer == "No"


def test_trap_brackets_are_all_alike_without_punctuation():
    assert same_answer("] } ]", "] } ]")
    assert not same_answer("> > ]", "] } ]")
    assert not same_answer(None, "] } ]")
    assert same_answer("valid", "Valid")


def test_direct_answers_are_the_first_line():
    assert extract(" (B)\n\nQ: next", BBH_DIRECT).answer == "(B)"
    assert extract("\n", BBH_DIRECT).answer is None


@pytest.mark.parametrize(
    ("text", "letter"),
    [
        ("B", "B"), (" B. a planet", "B"), ("(C)", "C"), ("D) both", "D"), ("b", "B"), ("The answer is (A).", "A"),
        ("The answer is C because A is wrong.", "C"), ("Of (A) and (B), only (B) fits", "B"), ("A cat sat", None),
        ("I think it rains", None), ("The best answer is: B", "B"), ("Answer: **D**", "D"), ("", None),
    ],
)  # fmt: skip
def test_letters(text, letter):
    assert extract(text, MMLU_DIRECT).answer == letter


def test_a_word_is_no_letter():
    assert extract("The answer is Alaska.", MMLU_COT).answer is None
    assert extract("The answer is a planet. (C)", MMLU_COT).answer == "A", "an article looks like a letter: known limit"


@pytest.mark.parametrize(
    ("text", "answer"),
    [("Yes, it does.", "yes"), ("No doubt. The answer is yes.", "yes"), ("I say no", "no"), ("maybe", None)],
)
def test_yes_and_no(text, answer):
    assert extract(text, YES_NO).answer == answer


@pytest.mark.parametrize("rules", [BBH_COT, MGSM_COT, GSM8K_COT])
def test_a_point_inside_a_number_does_not_end_the_answer(rules):
    assert extract("The answer is 3.5. And", rules).answer == "3.5"


@pytest.mark.skipif(not (DATA / "files" / "bbh_cot_prompts").is_dir(), reason="no BBH prompts here")
def test_every_official_exemplar_of_bbh_is_read():
    read = 0
    for path in sorted((DATA / "files" / "bbh_cot_prompts").glob("*.txt")):
        for exemplar in path.read_text(encoding="utf-8").split("\n\nQ:")[1:]:
            reasoning = exemplar.partition("\nA:")[2]
            if "answer is" not in reasoning:
                continue
            stated = reasoning.strip().rpartition("answer is ")[2].removesuffix(".")
            found = extract(reasoning, BBH_COT)
            assert (found.answer, found.rule) == (stated, "answer_is"), path.name
            read += 1
    assert read >= 78


@pytest.mark.skipif(not (DATA / "files" / "mgsm").is_dir(), reason="no MGSM files here")
def test_every_gold_answer_of_mgsm_is_a_number():
    for path in sorted((DATA / "files" / "mgsm").glob("*.tsv")):
        with path.open(encoding="utf-8", newline="") as handle:
            for _, answer in csv.reader(handle, delimiter="\t", quoting=csv.QUOTE_NONE):
                plain = plain_number(answer)
                assert plain is not None
                assert plain == str(int(answer.replace(",", ""))) if "." not in answer else float(plain)


@pytest.mark.skipif(not (DATA / "hub" / "openai" / "gsm8k").is_dir(), reason="no GSM8K here")
def test_every_worked_answer_of_gsm8k_is_read():
    paths = sorted((DATA / "hub" / "openai" / "gsm8k").rglob("*.jsonl.gz"))
    if not paths:
        pytest.skip("not as JSON lines")
    with gzip.open(paths[0], "rt", encoding="utf-8") as handle:
        for line in list(handle)[:500]:
            answer = json.loads(line)["answer"]
            found = extract(answer, GSM8K_COT)
            assert found.rule == "hashes"
            assert found.answer == re.sub(r"[^\d-]", "", answer.rpartition("####")[2])


@pytest.mark.parametrize("mark", ["*", "=", "!", "?", "**", "==", "=>", "->", "_", "+", "( )", "> )", "* *"])
def test_an_answer_of_marks_alone_is_found_and_right(mark):
    grader = text_grader(BBH_COT)
    for text in (f"So the answer is {mark}.", f'The answer is "{mark}"', f"It is so.\n{mark}"):
        assert grader.grade(written(text, mark)).notes[0][0] == 1.0, text
    assert grader.grade(written("So the answer is #.", mark)).notes[0][0] == 0.0


def written(text: str, reference: str) -> Sample:
    return Sample(
        task="t", split="test", row=0, template="t", shots=0, inputs="", references=(reference,), prediction=text
    )


@pytest.mark.parametrize(
    ("text", "reference"),
    [("**=**", "="), ("**!**.", "!"), ("= 5", "5"), ("**Paris**", "paris"), ("**`x`**", "x"), (": No.", "no")],
)
def test_what_stands_around_an_answer_is_taken_away(text, reference):
    found = extract(f"So the answer is {text}", BBH_COT).answer
    assert same_answer(found, reference)


@pytest.mark.parametrize(
    ("text", "decimal", "number"),
    [
        ("The answer is 10 000 dollars.", ".", "10000"),
        ("He buys 3 100 g bags, 300 g in all. The answer is 300 g.", ".", "300"),
        ("1 250 000 - 50 000 = 1 200 000", ".", "1200000"),
        ("It loses -US$20.", ".", "-20"),
        ("The final answer is \\$1,250.", ".", "1250"),
        ("התשובה \u200e-7", ".", "-7"),
        ("উত্তর ১২,৩৪৫", ".", "12345"),
        ("คำตอบคือ ๑๒.๕", ".", "12.5"),
        ("La réponse est 12\u202f500,5 €.", ",", "12500.5"),
        ("Ответ: −3 000.", ",", "-3000"),
        ("Es kostet 5'000.-", ",", "5000"),
    ],
)
def test_numbers_as_the_graders_of_grade_school_mathematics_read_them(text, decimal, number):
    rules = number_rules(decimal=decimal)
    graded = text_grader(rules).grade(written(text, number))
    assert (graded.answer, graded.notes[0][0]) == (number, 1.0)
    opposite = number.removeprefix("-") if number.startswith("-") else f"-{number}"
    wrong = text_grader(rules).grade(written(text, opposite))
    assert wrong.notes[0][0] == 0.0
