"""Metrics and the scripts of references: what cannot be read is found before it is scored, and said."""

from __future__ import annotations

import pytest
from sacrebleu.metrics.bleu import BLEU

from flantune.errors import EvaluationError
from flantune.evaluation.metrics import bleu
from flantune.evaluation.metrics.by_name import find_metric
from flantune.evaluation.metrics.readable import check_readable, metric_findings, reading_notes
from flantune.evaluation.metrics.rouge import rouge
from flantune.evaluation.metrics.texts import character_exact_match, character_f1, exact_match, token_f1
from flantune.evaluation.metrics.word_tokens import characters, words
from flantune.evaluation.results import Results
from flantune.evaluation.run_samples import FoldInput
from flantune.report.sentences import metric_notes
from flantune.settings.json_file import value_of
from flantune.types import Example, Prompt, Sample

from .made import info, make_task, run, summarize, write_run

TEXTS = {
    "thai": ("ฝนตกหนักในเชียงใหม่เมื่อวาน", "รถไฟขบวนสุดท้ายออกสี่ทุ่ม", "น้ำในแม่น้ำสูงขึ้น"),
    "hindi": ("कल रात बहुत बारिश हुई", "आख़िरी ट्रेन दस बजे जाती है", "नदी का पानी बढ़ गया है"),
    "arabic": ("هطل المطر بغزارة أمس", "يغادر القطار الأخير في العاشرة", "ارتفع منسوب النهر"),
    "russian": ("Вчера шёл сильный дождь", "Последний поезд уходит в десять", "Вода в реке поднялась"),
    "greek": ("Χθες έβρεξε δυνατά", "Το τελευταίο τρένο φεύγει στις δέκα", "Το ποτάμι ανέβηκε"),
    "korean": ("어제 비가 많이 왔다", "마지막 기차는 열 시에 떠난다", "강물이 불어났다"),
    "chinese": ("昨天下了大雨", "末班车十点开", "河水涨了"),
    "japanese": ("昨日は大雨だった", "終電は十時に出る", "川の水が増えた"),
}
SPACED = ["hindi", "arabic", "russian", "greek", "korean"]
SPACELESS = ["thai", "chinese", "japanese"]
ENGLISH = ("It rained hard in the north yesterday", "The last train leaves at ten", "The river rose by a foot")


def task_of(texts, *metrics: str, kind: str = "generation"):
    examples = [Example(row=row, fields={"text": "x"}, references=(text,)) for row, text in enumerate(texts)]
    return make_task({"test": examples}, kind=kind, metrics=metrics).task, examples


def said_of(texts, *metrics: str) -> list[tuple[str, str, str]]:
    return [
        (one.severity, one.rule, f"{one.message}; {one.hint}") for one in metric_findings(*task_of(texts, *metrics))
    ]


def perfect(name: str, text: str) -> float:
    sample = Sample(
        task="t", split="test", row=0, template="a", shots=0, inputs="", references=(text,), prediction=text
    )
    return find_metric(name, "generation").note(sample, "sum")[0]


@pytest.mark.parametrize("script", TEXTS)
@pytest.mark.parametrize("name", ["rouge1", "rouge2", "rougeL", "rougeLsum", "instruction_rougeL"])
def test_rouge_of_another_script_is_refused_with_what_helps(name, script):
    assert perfect(name, TEXTS[script][0]) == 0.0
    ((severity, rule, said),) = said_of(TEXTS[script], name)
    assert (severity, rule) == ("error", "metric-cannot-read")
    kind = "rougeL" if name == "instruction_rougeL" else name
    assert name in said and f"{kind}:words" in said and "scores 0" in said and "3 of 3 rows" in said
    with pytest.raises(EvaluationError, match=f"colors: metrics: {name} does not read"):
        check_readable(*task_of(TEXTS[script], "exact_match", name))


def test_a_run_is_refused_before_its_model_is_asked_anything(tmp_path):
    examples = task_of(TEXTS["hindi"], "exact_match")[1]
    prepared = make_task({"test": examples}, kind="generation", metrics=("exact_match", "rouge2"))
    with pytest.raises(EvaluationError, match="rouge2 does not read") as caught:
        run(None, prepared, tmp_path, max_examples=2)  # nobody gets as far as the model
    assert "rouge2:words" in caught.value.hint and not list(tmp_path.iterdir())


@pytest.mark.parametrize("script", TEXTS)
@pytest.mark.parametrize("name", ["rougeL:words", "rouge1:characters", "rougeLsum:words", "bleu:char", "character_f1"])
def test_what_helps_reads_every_script(name, script):
    assert said_of(TEXTS[script], name) == []
    check_readable(*task_of(TEXTS[script], name))
    if not name.startswith("bleu"):
        assert [perfect(name, text) for text in TEXTS[script]] == [1.0, 1.0, 1.0]


@pytest.mark.parametrize("name", ["rougeL", "rouge2", "bleu", "bleu_13a", "token_f1", "exact_match", "drop_f1"])
def test_nothing_is_said_of_english_nor_of_a_stray_accent(name):
    assert said_of((*ENGLISH, "Beyoncé met a naïve fiancé at the café"), name) == []


def test_digits_do_not_hide_a_script():
    texts = [f"{text} {year}" for year, text in enumerate(TEXTS["hindi"], start=2001)]
    assert perfect("rougeL", texts[0]) == 1.0
    ((severity, _, said),) = said_of(texts, "rougeL")
    assert severity == "error" and "Devanagari" in said


def test_a_language_read_in_part_is_warned_of():
    french = (
        "Les élèves ont été très déçus à la fin de l'été dernier",
        "La forêt brûlée a été replantée par des bénévoles",
    )
    ((severity, rule, said),) = said_of(french * 3, "rougeL")
    assert (severity, rule) == ("warning", "metric-reads-in-part") and "Latin" in said and "rougeL:words" in said
    check_readable(*task_of(french, "rougeL"))


@pytest.mark.parametrize("script", SPACELESS)
@pytest.mark.parametrize(
    ("name", "instead"),
    [("token_f1", "character_f1"), ("trivia_f1", "character_f1"), ("drop_f1", "character_f1"),
     ("word_edit_similarity", "edit_similarity"), ("exact_match", "character_exact_match")],
)  # fmt: skip
def test_words_without_spaces_are_warned_of(name, instead, script):
    ((severity, rule, said),) = said_of(TEXTS[script], name)
    assert (severity, rule) == ("warning", "metric-needs-spaces") and name in said and instead in said


@pytest.mark.parametrize(
    ("script", "instead"), [("chinese", "bleu:zh"), ("japanese", "ja-mecab"), ("thai", "bleu:char")]
)
@pytest.mark.parametrize("name", ["bleu", "bleu_13a"])
def test_bleu_of_one_giant_word_is_refused_by_name_and_tokenizer(name, script, instead):
    said = said_of(TEXTS[script], name)
    assert [(severity, rule) for severity, rule, _ in said] == [
        ("error", "metric-cannot-read"), ("warning", "metric-needs-spaces"),
    ]  # fmt: skip
    assert all(instead in text for _, _, text in said)


@pytest.mark.parametrize("script", SPACED)
def test_bleu_and_f1_read_scripts_with_spaces(script):
    assert said_of([f"{text} {text}" for text in TEXTS[script]], "bleu", "token_f1", "exact_match") == []


def test_bleu_of_short_answers_is_warned_of_in_any_script():
    ((severity, _, said),) = said_of(("Oslo", "New Delhi", "Rome"), "bleu")
    assert severity == "warning" and "four words" in said


def test_f1_of_options_that_differ_from_row_to_row_is_warned_of():
    def rows(*options):
        return [Example(row=at, fields={}, options=one, answer=0, references=one[:1]) for at, one in enumerate(options)]

    def rules(examples, name):
        task = make_task({"test": examples}, metrics=(name,)).task
        return [finding.rule for finding in metric_findings(task, examples)]

    assert rules(rows(("a", "b"), ("c", "d"), ("e", "f")), "f1") == ["classes-differ"]
    assert rules(rows(("a", "b", "c"), ("c", "a", "b")), "mcc") == []
    assert rules(rows(("no", "yes"), ("no", "yes")), "f1") == ["class-without-rows"]
    assert rules(rows(("no", "yes"), ("yes", "no")), "accuracy") == []


def test_a_benchmark_notes_what_its_metric_cannot_read():
    def asked(texts):
        return [
            Prompt(task="t", split="test", row=row, template="a", inputs="", targets=text, references=(text,))
            for row, text in enumerate(texts)
        ]

    assert list(reading_notes("instruction_rougeL", asked(ENGLISH))) == []
    (note,) = reading_notes("instruction_rougeL", asked(TEXTS["arabic"]))
    assert "does not read 100% of the letters" in note and "Arabic" in note


@pytest.mark.parametrize("name", ["bleu:ja-mecab", "bleu:ko-mecab", "bleu:flores200", "bleu:flores101"])
def test_a_tokenizer_that_is_not_installed_is_named_before_anything_is_scored(name, monkeypatch):
    monkeypatch.setattr(bleu, "find_spec", lambda _: None)
    task, examples = task_of(ENGLISH, name)
    with pytest.raises(EvaluationError, match="not installed") as caught:
        check_readable(task, examples)
    assert name in caught.value.message and "pip install" in caught.value.hint
    assert [finding.rule for finding in metric_findings(task, examples)] == ["metric-unavailable"]


def test_a_tokenizer_model_is_never_fetched_but_named_with_its_place(monkeypatch, tmp_path):
    monkeypatch.setattr(bleu, "find_spec", lambda _: object())
    monkeypatch.setattr("sacrebleu.utils.SACREBLEU_DIR", str(tmp_path))
    with pytest.raises(EvaluationError, match="SentencePiece model") as caught:
        check_readable(*task_of(ENGLISH, "bleu:flores200"))
    assert str(tmp_path) in caught.value.message and "curl" in caught.value.hint


def test_settings_have_one_meaning_each():
    for name, same in (("bleu:intl", "bleu"), ("bleu:13a", "bleu_13a"), ("rougeL:default", "rougeL")):
        assert find_metric(name, "generation") is find_metric(same, "generation")
    assert find_metric("rouge2:words", "generation").name == "rouge2:words"
    with pytest.raises(EvaluationError) as caught:
        find_metric("bleu:zhh", "generation")
    assert '"bleu:zh"' in caught.value.hint


@pytest.mark.parametrize("name", ["bleu:zh", "bleu:char", "bleu", "rougeL", "rouge1:words", "instruction_rougeL"])
def test_signatures_say_how_words_were_told_apart(name):
    signature = find_metric(name, "generation").signature
    assert signature is not None
    way = name.partition(":")[2] or ("intl" if name == "bleu" else "default")
    assert f"tok:{way}|" in signature((1, 1))
    if name.startswith("bleu"):
        library = BLEU(tokenize=way)
        library.corpus_score(["a"], [["a"]])
        assert signature((1, 1)) == library.get_signature().format()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("L'été, déjà!", ["l", "été", "déjà"]),
        ("cafe\u0301 e\u0301te\u0301", ["café", "été"]),
        ("STRASSE Straße", ["strasse", "strasse"]),
        ("می\u200cخواهم بروم", ["میخواهم", "بروم"]),
        ("हिन्दी में", ["हिन्दी", "में"]),
        ("東京2020へ", ["東", "京", "2020", "へ"]),
        ("ก็ดี good", ["ก็", "ดี", "good"]),
        ("❤️ 🙂 ok", ["ok"]),
        ("", []),
        ("₂H", ["₂h"]),
    ],
)
def test_words_by_hand(text, expected):
    assert words(text) == expected


def test_characters_keep_their_marks():
    assert characters("ก็ดี, नमः 3x") == ["ก็", "ดี", "न", "मः", "3", "x"]


def test_rouge_of_words_by_hand():
    """Four words of five in order on one side, of four on the other."""
    scores = rouge("昨天雨大", ["昨天下雨大"], "words")
    assert scores["rougeL"] == pytest.approx(2 * 1.0 * 0.8 / 1.8)
    assert scores["rouge2"] == pytest.approx(2 * (2 / 3) * (2 / 4) / (2 / 3 + 2 / 4))
    assert rouge("Вода поднялась", ["вода в реке поднялась"], "words")["rouge1"] == pytest.approx(2 / 3)


def test_character_metrics_by_hand():
    assert character_exact_match("「北京」。", ["北京"]) == character_exact_match("N.Y.", ["ny"]) == 1.0
    assert character_exact_match("北 京 市", ["北京"]) == 0.0 == exact_match("北京。", ["北京"])
    assert character_f1("东京", ["北京"]) == pytest.approx(0.5)
    assert token_f1("东京", ["北京"]) == 0.0
    assert character_exact_match("?", ["!"]) == character_exact_match("", ["!"]) == character_f1("", ["!"]) == 0.0
    assert character_f1("!", ["!"]) == 1.0


def test_results_carry_what_could_not_be_read(tmp_path):
    made = [
        Sample(
            task="t", split="test", row=row, template="a", shots=0, inputs="x", references=(text,), prediction=text
        )
        for row, text in enumerate(TEXTS["russian"])
    ]  # fmt: skip
    write_run(tmp_path, {"t": made}, {"t": made})
    tasks = [info(kind="generation", metrics=("rougeL", "exact_match"))]
    results = summarize(tmp_path, folds=[FoldInput(name="f", clusters=("c",), unseen=("t",))], tasks=tasks)
    (task,) = results["tasks"]
    assert task["scores"]["base"]["mean"]["value"] == 0.0 and "rougeL does not read" in task["notes"][0]
    assert metric_notes(value_of(results, Results, where="made")) == [(task["notes"][0], ["t"])]


@pytest.mark.parametrize("name", ["exact_match", "token_f1", "trivia_exact_match", "instruction_exact_match"])
@pytest.mark.parametrize(
    ("texts", "bare", "instead"),
    [
        (("-5", "5", "-12", "8"), '"-5" is the same as "5": in 2 of 4 rows', "number_match"),
        (("7", "−3", "-3"), '"-3" is the same as "3": in 1 of 3 rows', "number_match"),
        (("A+", "A-", "B", "C"), '"A+" is the same as "a": in 2 of 4 rows', "verbatim_match"),
        (("Java", "C#", "C++", "C"), '"C#" is the same as "c": in 2 of 4 rows', "verbatim_match"),
        (("x", "-x", "-y"), '"-x" is the same as "x": in 2 of 3 rows', "verbatim_match"),
    ],
)
def test_marks_that_say_something_and_are_taken_away_are_told(name, texts, bare, instead):
    said = [one for one in said_of(texts, name) if one[1] == "metric-blurs"]
    assert [(one[0], bare in one[2], f'"{instead}"' in one[2]) for one in said] == [("warning", True, True)]


@pytest.mark.parametrize("name", ["number_match", "verbatim_match", "edit_similarity", "word_edit_similarity", "bleu"])
def test_metrics_that_see_marks_are_not_warned_of(name):
    assert "metric-blurs" not in [rule for _, rule, _ in said_of(("-5", "5", "-7", "3.5"), name)]


@pytest.mark.parametrize("texts", [("$5", "1,000", "7", "No.", "(B)", "U.S.", "a"), ("Paris",) * 50 + ("-5",)])
def test_marks_that_say_nothing_or_are_rare_are_no_finding(texts):
    assert said_of(texts, "exact_match") == []
