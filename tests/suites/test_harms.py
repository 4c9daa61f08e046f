"""WinoGender, WinoBias, CrowS-Pairs and CivilComments: read as their authors wrote them, asked, compared by group."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest

from flantune.commands.evaluate import EvaluationRequest, evaluate
from flantune.contamination.record_files import write_record
from flantune.contamination.training_record import TrainedTask, TrainingRecord, make_index
from flantune.contamination.training_record import _one_corpus as one_corpus
from flantune.errors import LeakError, SourceError
from flantune.evaluation.exams import Exam, MissingExam
from flantune.evaluation.results import Results
from flantune.mixture.taxonomy import load_taxonomy
from flantune.report.console import console_tables
from flantune.suites import axg, civil_comments, crows_pairs, winobias, winogender
from flantune.suites.catalog import names
from flantune.suites.suite import SuiteData

from .harms_world import ANTI, PRO, SCHEMAS, SUITES, write_harms
from .world import make_model, write_rows


@pytest.fixture(scope="module")
def root(tmp_path_factory) -> Path:
    return write_harms(tmp_path_factory.mktemp("harms"))


def exams(suite, data: SuiteData) -> list[Exam]:
    found = list(suite.SUITE.exams(data))
    assert all(isinstance(one, Exam) for one in found), found
    return found


def test_winogender_asks_who_is_meant_with_every_pronoun(root):
    (exam,) = exams(winogender, SuiteData(root=root))
    prompts = list(exam.prompts)
    assert len(prompts) == 12 * 3 and {one.template for one in prompts} == {"ask", "complete", "list"}
    first = prompts[0]
    assert first.options == (" the potter", " the customer") and first.targets == " the potter"
    assert prompts[9].options == first.options and prompts[9].targets == " the customer"
    assert prompts[18].options == (" the florist", " someone")
    assert {one.group for one in prompts[:9]} == {first.group}, "the three pronouns are one observation"
    he_she, gendered, gotcha = exam.gaps
    assert (he_she.first, he_she.second) == ("he", "she") and len(gendered.first_rows) == 8
    # The potter is meant: he is expected of a trade of men. The customer is meant: she is.
    assert gotcha.first_rows == {0, 4, 7, 9} and gotcha.second_rows == {1, 3, 6, 10}


def test_without_the_table_of_occupations_there_are_no_gotchas_and_a_note_says_so(root, tmp_path):
    (tmp_path / "all_sentences.tsv").write_bytes((root / "files/winogender/all_sentences.tsv").read_bytes())
    (exam,) = exams(winogender, SuiteData(root=tmp_path))
    assert len(exam.gaps) == 2 and any("no gotchas" in note for note in exam.notes)


def test_winogender_from_the_hub_is_that_from_files(root, tmp_path):
    (exam,) = exams(winogender, SuiteData(root=root))
    rows = [
        {
            "sentid": f"{job}.{other}.{answer}.{gender}.txt", "sentence": text.format(pronoun), "pronoun": pronoun,
            "occupation": job, "participant": other, "gender": gender, "target": (job, other)[answer],
        }
        for job, other, answer, text in SCHEMAS
        for gender, pronoun in (("male", "he"), ("female", "she"), ("neutral", "they"))
    ]  # fmt: skip
    write_rows(tmp_path / "oskarvanderwal/winogender/all", "test", rows)
    gotchas = [row for number, row in enumerate(rows) if number in exam.gaps[2].second_rows]
    write_rows(tmp_path / "oskarvanderwal/winogender/gotcha", "test", gotchas)
    (other,) = exams(winogender, SuiteData(root=tmp_path))
    assert list(other.prompts) == list(exam.prompts) and other.gaps == exam.gaps


def test_axg_pairs_sentences_that_differ_by_the_pronoun_alone(tmp_path):
    rows = [
        {
            "premise": f"The potter told {other} that {pronoun} had left.",
            "hypothesis": "The potter had left.",
            "label": label,
        }
        for pronoun in ("he", "she")
        for other, label in (("someone", "entailment"), ("the guest", "not_entailment"))
    ]
    (tmp_path / "AX-g").mkdir()
    (tmp_path / "AX-g/AX-g.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (exam,) = exams(axg, SuiteData(root=tmp_path))
    prompts = [one for one in exam.prompts if one.template == "say"]
    assert [one.row for one in prompts] == [0, 2, 1, 3] and [one.answer for one in prompts] == [0, 0, 1, 1]
    assert len({one.group for one in prompts}) == 2 and "told someone that he" in prompts[0].inputs
    (gap,) = exam.gaps
    assert gap.first_rows == {0, 1} and gap.second_rows == {2, 3}
    write_rows(tmp_path / "hub/aps/super_glue/axg", "test", [row | {"label": rows.index(row) % 2} for row in rows])
    (tmp_path / "AX-g/AX-g.jsonl").unlink()
    (other,) = exams(axg, SuiteData(root=tmp_path))
    assert list(other.prompts) == list(exam.prompts)


def test_winobias_pairs_each_sentence_with_its_opposite(root):
    one, two = exams(winobias, SuiteData(root=root))
    assert (one.name, two.name) == ("type1", "type2")
    prompts = list(one.prompts)
    assert [prompt.group for prompt in prompts[::3]] == [f"{s} {n}" for s in ("dev", "test") for n in "0011"]
    assert prompts[0].options == (" the nurse", " the driver") and prompts[0].answer == 0
    assert prompts[6].options == (" the nurse", " the CEO") and prompts[6].answer == 1
    assert '"she"' in prompts[0].inputs and '"he"' in prompts[3].inputs
    (gap,) = one.gaps
    assert gap.first_rows == {0, 2, 4, 6} and gap.second_rows == {1, 3, 5, 7}


def test_winobias_from_the_hub_is_that_from_files(root, tmp_path):
    def words(line: str) -> dict:
        tokens, places = [], []
        for number, word in enumerate(line.split()[1:]):
            places += [str(number)] * (word.startswith("[") + word.rstrip(".").endswith("]"))
            tokens.append(word.replace("[", "").replace("]", ""))
        last = tokens.pop()
        return {"tokens": [*tokens, last.rstrip("."), "."], "coreference_clusters": places}

    for kind in ("type1", "type2"):
        for side, rows in (("pro", PRO), ("anti", ANTI)):
            for split in ("validation", "test"):
                write_rows(tmp_path / f"uclanlp/wino_bias/{kind}_{side}", split, [words(row) for row in rows])
    here, there = exams(winobias, SuiteData(root=root)), exams(winobias, SuiteData(root=tmp_path))
    assert [list(one.prompts) for one in here] == [list(one.prompts) for one in there]


def test_sentences_that_do_not_name_two_people_are_left_out_and_counted(root, tmp_path):
    write_harms(tmp_path)
    path = tmp_path / "files/winobias/pro_stereotyped_type1.txt.dev"
    path.write_text(path.read_text() + "3 [The nurse] waved because [she] was early.\n")
    one = exams(winobias, SuiteData(root=tmp_path))[0]
    assert len(list(one.prompts)) == 8 * 3 and one.notes[0].startswith("1 sentences do not name two people")


def test_crows_pairs_shows_each_pair_in_both_orders_and_no_letter_is_right_more_often(root):
    found = exams(crows_pairs, SuiteData(root=root))
    assert [one.key for one in found] == [f"crows_pairs_{how}/{kind}" for how in ("direct", "likelihood")
                                          for kind in ("gender", "age")]  # fmt: skip
    age = list(found[1].prompts)
    for name in ("one way", "the other way"):
        assert [one.answer for one in age if one.template == name].count(0) == 3
    assert {one.answer for one in age if one.row == 0} == {0, 1}
    likelier = list(found[3].prompts)
    assert [one.targets for one in likelier] == [f" Old boat {number} leaks." for number in range(6)]
    assert [one.answer for one in likelier] == [0, 1, 0, 1, 0, 1]


def test_crows_pairs_of_the_hub_has_its_labels_as_numbers(root, tmp_path):
    rows = list(csv.DictReader((root / "files/crows_pairs/crows_pairs_anonymized.csv").open()))
    for number, row in enumerate(rows):
        row |= {"id": number, "bias_type": crows_pairs.KINDS.index(row["bias_type"])}
        row["stereo_antistereo"] = crows_pairs.DIRECTIONS.index(row["stereo_antistereo"])
    write_rows(tmp_path / "nyu-mll/crows_pairs/crows_pairs", "test", rows)
    here, there = exams(crows_pairs, SuiteData(root=root)), exams(crows_pairs, SuiteData(root=tmp_path))
    assert [list(one.prompts) for one in here] == [list(one.prompts) for one in there]


def test_comments_are_drawn_half_toxic_and_grouped_by_whom_they_mention(root):
    (exam,) = exams(civil_comments, SuiteData(root=root))
    prompts = [one for one in exam.prompts if one.template == "ask"]
    assert [one.answer for one in prompts].count(0) == [one.answer for one in prompts].count(1) == 10
    gaps = {f"{one.first} | {one.second}": one for one in exam.gaps}
    assert set(gaps) == {
        "toxic | not toxic", "toxic, male | toxic, no group", "not toxic, male | not toxic, no group",
    }  # fmt: skip
    assert gaps["toxic, male | toxic, no group"].first_rows == {0, 12, 24, 36}
    again, other = (
        exams(civil_comments, SuiteData(root=root))[0],
        exams(civil_comments, SuiteData(root=root, seed=1))[0],
    )
    assert list(again.prompts) == list(exam.prompts) != list(other.prompts)


def test_comments_that_do_not_say_whom_they_mention_are_asked_all_the_same(tmp_path):
    rows = [{"comment": f"Remark {number}", "label": number % 2} for number in range(6)]
    (tmp_path / "toxicity.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (exam,) = exams(civil_comments, SuiteData(root=tmp_path))
    assert [one.first for one in exam.gaps] == ["toxic"] and "cannot be computed" in exam.notes[-1]


@pytest.mark.parametrize(
    ("file", "text", "told"),
    [
        ("winogender/all_sentences.tsv", "sentid\tsentence\npotter.txt\tHe left.\n", "not WinoGender's list"),
        ("winogender/occupations-stats.tsv", "occupation\npotter\n", "not WinoGender's table"),
        ("winobias/pro_stereotyped_type1.txt.dev", "He left.\n", "no sentence has a pronoun and two occupations"),
        ("crows_pairs/crows_pairs_anonymized.csv", "a,b\n1,2\n", "row 0 is not a pair of CrowS-Pairs"),
        ("civil_comments/test.csv", "text,toxicity\nhello,3\n", "row 0 has no text, or no share of toxicity"),
        ("civil_comments/test.csv", "text,toxicity\nhello,0\n", "no toxic comments"),
    ],
)
def test_files_that_are_something_else_are_refused_in_one_sentence(tmp_path, file, text, told):
    write_harms(tmp_path)
    (tmp_path / "files" / file).write_text(text)
    if file.startswith("winobias"):
        for path in (tmp_path / "files/winobias").iterdir():
            path.write_text(text)
    suite = {"winogender": winogender, "winobias": winobias, "crows_pairs": crows_pairs}.get(
        file.split("/")[0], civil_comments
    )
    with pytest.raises(SourceError, match=told):
        list(suite.SUITE.exams(SuiteData(root=tmp_path)))


def test_what_is_missing_is_said_with_its_form(tmp_path):
    for suite in (winogender, axg, winobias, crows_pairs, civil_comments):
        found = list(suite.SUITE.exams(SuiteData(root=tmp_path)))
        assert found and all(isinstance(one, MissingExam) for one in found)
        assert "of the hub" in found[0].needs and {one.score for one in found} == set(suite.SUITE.scores)


def test_a_limit_parts_no_pair(root):
    (exam,) = exams(winogender, SuiteData(root=root, limit=4))
    assert len({one.row for one in exam.prompts}) == 6
    one, _ = exams(winobias, SuiteData(root=root, limit=3))
    assert len({prompt.row for prompt in one.prompts}) == 4


# --- asked --------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def evaluated(root, tmp_path_factory) -> tuple[Path, Results]:
    folder = tmp_path_factory.mktemp("evaluated")
    models = tuple(str(make_model(folder / name, kind)) for name, kind in (("one", "llama"), ("two", "t5")))
    request = EvaluationRequest(models=models, suites=SUITES, root=root, out=folder / "out")
    return folder / "out", evaluate(request)


def test_gaps_of_both_models_and_what_changed_are_in_the_results(evaluated):
    out, results = evaluated
    found = {one.name: one for one in results.benchmarks}
    assert [one.name for one in results.benchmarks] == [
        "winogender_direct", "winobias_direct", "crows_pairs_direct", "crows_pairs_likelihood", "civil_comments_direct",
    ]  # fmt: skip
    gaps = found["winobias_direct"].parts[0].gaps
    for part in found["winobias_direct"].parts:
        (gap,) = part.gaps
        for model in ("one", "two"):
            scores = gap.scores[model]
            assert scores.gap.value == pytest.approx(scores.first.value - scores.second.value)
        change = gap.differences["two"]
        assert change.value == pytest.approx(gap.scores["two"].gap.value - gap.scores["one"].gap.value)
        assert gap.pairs == 4 and change.q is not None
    (mean,) = found["winobias_direct"].gaps
    assert mean.scores["one"].gap.value == pytest.approx(
        sum(part.gaps[0].scores["one"].gap.value for part in found["winobias_direct"].parts) / 2
    )
    assert Results.model_validate(json.loads((out / "results.json").read_text())) == results
    assert gaps[0].scores["one"].same_answer is not None
    assert found["civil_comments_direct"].parts[0].gaps[0].scores["one"].same_answer is None
    assert found["winogender_direct"].parts[0].scores["one"].median is not None
    assert len(found["winogender_direct"].parts[0].scores["one"].templates) == 3


def test_the_page_and_the_terminal_show_them(evaluated):
    out, results = evaluated
    page = (out / "report.html").read_text()
    assert 'id="table-gaps"' in page and "pro − anti" in page and "as expected − gotcha" in page
    tables = [table for table in console_tables(results) if table.columns[0].header == "gap"]
    assert len(tables) == 1 and tables[0].row_count >= 6


def test_a_share_of_stereotypes_is_neither_better_nor_worse(evaluated):
    out, _ = evaluated
    page = (out / "report.html").read_text()
    row = next(part for part in page.split("<tr") if "crows_pairs_likelihood" in part and "table-tests" not in part)
    assert "stereotype_share" in row
    tests = page[page.index('id="table-tests"') :]
    line = next(part for part in tests.split("<tr") if "crows_pairs_likelihood" in part)
    assert "better" not in line and "worse" not in line


# --- seen or unseen -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("taught", "suite", "told"),
    [
        ({"name": "dpr", "family": "dpr"}, "winogender", "were written after them"),
        ({"name": "wsc", "family": "winograd schemas"}, "winobias", "were written after them"),
        ({"name": "task340_winomt", "family": "winomt"}, "winogender", "were written after them"),
        ({"name": "pairs", "family": "x", "hub": "nyu-mll/crows_pairs"}, "crows_pairs", "is made from"),
        ({"name": "jigsaw", "family": "jigsaw"}, "civil_comments", "rated the comments of Civil Comments"),
    ],
)
def test_a_model_taught_their_kin_is_not_measured_on_them(root, tmp_path, taught, suite, told):
    make_model(tmp_path / "tuned")
    task = TrainedTask(**{"clusters": ("c",), "hub": "", "source": "", "rows": 1, **taught})
    record = TrainingRecord(tasks=(task,), held_out=("d",), base="")
    write_record(tmp_path / "tuned", record, make_index(one_corpus([])))
    request = EvaluationRequest(models=(str(tmp_path / "tuned"),), suites=(suite,), root=root, out=tmp_path / "out")
    with pytest.raises(LeakError) as error:
        evaluate(request)
    assert told in str(error.value)


def test_each_is_a_benchmark_that_can_be_held_out_by_name():
    assert set(SUITES) <= {one.name for one in load_taxonomy(None).benchmarks} and set(SUITES) <= set(names())
