"""What each benchmark asks, and how an answer is graded."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import numpy as np
import pytest

from flantune.errors import EvaluationError, SourceError
from flantune.evaluation.exams import Exam, MissingExam
from flantune.evaluation.metrics.extraction import BBH_COT
from flantune.evaluation.metrics.graders import option_grader, text_grader
from flantune.prompts.layout import inputs_text
from flantune.settings.protocols import PRESETS
from flantune.suites import bbh, gsm8k, mgsm, mmlu, natural_instructions, tydiqa
from flantune.suites.catalog import choose_exams
from flantune.suites.flan2022 import BBH_CHANCE, SCORES
from flantune.suites.prompt_files import read_prompt, without_rationale
from flantune.suites.suite import MissingSuiteDataError, SuiteData
from flantune.types import Exemplar, Sample
from tests.evaluation.flan2022_average import normalized_average
from tests.evaluation.graded import graded, results_of
from tests.evaluation.made import noted

from .world import COT, mmlu_row, write_world

FLAN = PRESETS["flan2022"]


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> SuiteData:
    return SuiteData(root=write_world(tmp_path_factory.mktemp("world")))


def prompt_of(part: Exam, at: int):
    return tuple(part.prompts)[at]


def text_of(part: Exam, at: int = 0) -> str:
    return inputs_text(prompt_of(part, at), part.layout)


def shots_of(part: Exam) -> int:
    (shots,) = {question.shots for question in part.questions}
    return shots


def find(parts, key: str) -> Exam:
    return next(part for part in parts if isinstance(part, Exam) and part.key == key)


def sample(**values) -> Sample:
    return Sample(**{"task": "t", "split": "test", "row": 0, "template": "a", "shots": 0, "inputs": "", **values})


def test_mmlu_asks_five_exemplars_in_file_order_and_ranks_letters_behind_a_space(data):
    part = find(mmlu.parts(data), "mmlu_direct/astronomy")
    blocks = text_of(part).split("\n\n")
    assert blocks[0] == "Questions about astronomy."
    assert [block.splitlines()[0] for block in blocks[1:]] == [f"How many stones lie in pile {n}?" for n in range(6)]
    assert blocks[1].splitlines()[1:] == [*(f"{'ABCD'[k]}. astronomy {k} stones" for k in range(4)), "Answer: A"]
    assert blocks[-1].endswith("D. astronomy 8 stones\nAnswer:")
    assert (
        prompt_of(part, 0).options == (" A", " B", " C", " D")
        and prompt_of(part, 0).answer == mmlu_row("", 5)["answer"]
    )
    assert part.chance == 0.25 and part.groups == ("physics", "STEM")


def test_mmlu_has_57_subjects_in_17_groups_and_4_categories():
    assert len(mmlu.SUBJECTS) == 57
    groups = set(mmlu.SUBJECTS.values())
    assert len(groups) == 17 and groups == {group for members in mmlu.CATEGORIES.values() for group in members}
    assert len(mmlu.CATEGORIES) == 4


def test_mmlu_reasons_in_the_users_own_prompts(data):
    part = find(mmlu.parts(data), "mmlu_cot/virology")
    assert text_of(part).startswith("Questions about virology.\n\nQ: 1+1?")
    assert text_of(part).endswith("(D) virology 8 stones\nA:")
    assert part.answering == "text" and shots_of(part) == 1


def test_without_prompts_mmlu_says_what_to_put_where(tmp_path):
    found = list(mmlu.parts(SuiteData(root=write_world(tmp_path, mmlu_cot=False))))
    (missing,) = [one for one in found if isinstance(one, MissingExam)]
    assert missing.score == "mmlu_cot" and "mmlu-cot.json" in missing.needs and "57 subjects" in missing.needs


def test_bbh_direct_leaves_the_rationale_out_and_nothing_else(data):
    direct, cot = (find(bbh.parts(data), f"bbh_{mode}/snarks") for mode in ("direct", "cot"))
    assert text_of(direct).startswith("Decide which is heavier.\n\nQ: Is item 1 heavier than item 2?\nA: No\n\nQ:")
    assert "note to readers" not in text_of(direct) and "weighs" not in text_of(direct)
    assert text_of(direct).count("A: ] )\n\n") == 1
    assert text_of(cot).count("weighs") == 3
    for part in (direct, cot):
        assert text_of(part).endswith("\n\nQ: Is stone 0 of snarks heavy?\nA:") and shots_of(part) == 3
        assert part.chance == BBH_CHANCE["snarks"]


def test_a_block_without_an_answer_belongs_to_the_one_before():
    found = read_prompt("Head\n\nQ: a\nA: x. The answer is 1.\n\nQ: stray words\n\nQ: b\nA: 2")
    assert [one.targets for one in found.exemplars] == [" x. The answer is 1.\n\nQ: stray words", " 2"]
    assert without_rationale(found.exemplars[1]).targets == " 2"


def test_tydiqa_draws_its_exemplar_and_asks_nothing_about_its_passage(data):
    part = find(tydiqa.parts(data), "tydiqa_direct/finnish")
    (shown,) = prompt_of(part, 0).exemplars
    passage = shown.inputs.splitlines()[1]
    assert len(part.questions) == 4 and not any(passage in prompt.inputs for prompt in part.prompts)
    assert "no training split" in part.notes[0]
    again = find(tydiqa.parts(data), "tydiqa_direct/finnish")
    assert again.questions == part.questions
    assert find(tydiqa.parts(data), "tydiqa_direct/english").groups == ()


def test_mgsm_takes_its_words_from_the_exemplars_and_never_runs_them(data):
    part = find(mgsm.parts(data), "mgsm_cot/de")
    assert text_of(part).startswith("Frage: Was ist 1 + 1?\nAntwort: Eins mehr. Es sind 2.\n\nFrage:")
    assert text_of(part).endswith("\n\nFrage: Wie viele Hüte?\nAntwort:")
    assert shots_of(part) == 8 and prompt_of(part, 0).references == ("1018",) and "\nFrage:" in part.writing.stop
    said = sample(prediction="Erst 12. Es sind 1.018. Noch 5", references=("1018",))
    grade = part.grader.grade(said)
    assert noted(part.grader, said) == {"accuracy": 1.0} and "Es sind" in grade.rule


def test_mgsm_without_exemplars_names_the_file(tmp_path):
    found = list(mgsm.parts(SuiteData(root=write_world(tmp_path, mgsm_exemplars=False))))
    assert len(found) == 11 and all(isinstance(one, MissingExam) and "mgsm/exemplars.py" in one.needs for one in found)


def test_broken_exemplars_are_an_error(tmp_path):
    root = write_world(tmp_path)
    (root / "files/mgsm/exemplars.py").write_text("MGSM_EXEMPLARS = {'de': {'1': {'q': 'x'}}}")
    with pytest.raises(SourceError, match="holds no exemplars"):
        list(mgsm.parts(SuiteData(root=root)))


def test_gsm8k_shows_eight_rationales_drawn_by_seed_and_no_calculator_marks(data):
    first, other = (find(gsm8k.parts(replace(data, seed=seed)), "gsm8k_cot/main") for seed in (0, 1))
    assert shots_of(first) == 8 and "<<" not in text_of(first) and "####" not in text_of(first)
    assert all(prompt.exemplars == prompt_of(first, 0).exemplars for prompt in first.prompts)
    assert prompt_of(other, 0).exemplars != prompt_of(first, 0).exemplars
    assert prompt_of(first, 2).references == ("4",)


def test_a_trigger_ends_what_is_reasoned_about_without_exemplars(data):
    asked = replace(data, shots=0, trigger="Step by step.")
    for parts, name in ((gsm8k.parts, "gsm8k_cot/main"), (bbh.parts, "bbh_cot/snarks"), (mgsm.parts, "mgsm_cot/de")):
        assert text_of(find(parts(asked), name)).endswith(": Step by step.")
        assert "Step by step." not in text_of(find(parts(replace(asked, shots=1)), name))
    assert "Step by step." not in text_of(find(bbh.parts(asked), "bbh_direct/snarks"))


def test_natural_instructions_asks_a_hundred_instances_behind_the_definition(data):
    found = list(natural_instructions.parts(data))
    part = find(found, "natural_instructions_direct/task1_colors")
    assert len(part.questions) == 100 and part.grader.columns.headline.metric.name == "rougeL"
    assert text_of(part) == (
        "Name the color.\n\nInput: sky 0\nOutput: blue\n\nInput: sky 1\nOutput: blue\n\nInput: grass 0\nOutput:"
    )
    (missing,) = [one for one in found if isinstance(one, MissingExam)]
    assert missing.needs == "natural_instructions/tasks/task3_absent.json"


def test_shots_and_limit_cut_exemplars_and_questions(data):
    found = choose_exams(["flan2022"], replace(data, shots=1, limit=1))
    assert {shots_of(part) for part in found.exams} == {1} and {len(part.questions) for part in found.exams} == {1}
    assert len(found.exams) == 57 * 2 + 27 * 2 + 9 + 11


def test_all_that_is_missing_comes_at_once(tmp_path):
    with pytest.raises(MissingSuiteDataError) as error:
        choose_exams(["flan2022"], SuiteData(root=tmp_path))
    for name in ("mmlu_direct (57 parts)", "bbh_cot (27 parts)", "tydiqa_direct (9 parts)", "mgsm_cot (11 parts)"):
        assert name in str(error.value)
    with pytest.raises(MissingSuiteDataError):  # there is nothing to go on with
        choose_exams(["gsm8k"], SuiteData(root=tmp_path), skip_missing=True)


def test_an_unknown_suite_is_named_with_what_is_near():
    with pytest.raises(EvaluationError, match='no suite "mmul"') as error:
        choose_exams(["mmul"], SuiteData())
    assert "mmlu" in error.value.hint


def test_one_way_of_asking_can_be_chosen_alone(data):
    assert {part.score for part in choose_exams(["bbh_cot", "mmlu_direct"], data).exams} == {"bbh_cot", "mmlu_direct"}


def test_bracket_answers_are_not_all_equal():
    """With punctuation removed, every answer to a task about brackets would be right."""
    grader = text_grader(BBH_COT)
    right, wrong = (
        noted(grader, sample(prediction=f"So the answer is {text}.", references=("] )",)))["accuracy"]
        for text in ("] )", "} >")
    )
    assert (right, wrong) == (1.0, 0.0)


def test_natural_instructions_keeps_articles_and_stems():
    grader = text_grader(comparison="natural_instructions")
    assert noted(grader, sample(prediction="Green!", references=("the green", "green"))) == {
        "rougeL": 1.0, "exact_match": 1.0,
    }  # fmt: skip
    found = noted(grader, sample(prediction="green", references=("the green",)))
    assert found["exact_match"] == 0.0 and found["rougeL"] == pytest.approx(2 / 3)


def test_ties_count_for_their_share_where_the_protocol_says_so():
    tied = sample(options=(" A", " B", " C"), scores=(-1.0, -1.0, -2.0), lengths=(1, 1, 1), answer=1)
    for ties, value in (("first", 0.0), ("expected", 0.5)):
        grader = option_grader(replace(FLAN, ties=ties))
        assert noted(grader, tied)["accuracy"] == value and grader.grade(tied).is_tie
    with pytest.raises(EvaluationError, match="domain"):
        option_grader(replace(FLAN, normalization="domain")).grade(tied)


# --- averages ---------------------------------------------------------------------------------------------------------


def averages(parts, values) -> dict[str, float]:
    """Each way of averaging one model's answers, the headline first."""
    (benchmark,) = results_of([graded(one, value) for one, value in zip(parts, values, strict=True)]).benchmarks
    return {one.name: one.raw.scores["base"].value for one in benchmark.averages}


def test_bbh_is_averaged_over_23_tasks_27_files_and_all_questions(data):
    parts = [one for one in bbh.SUITE.exams(data) if isinstance(one, Exam) and one.score.endswith("_cot")]
    found = averages(parts, [[1.0] * 5 if "tracking" in one.name else [0.0] * 10 for one in parts])
    assert found == pytest.approx(
        {"mean of 23 tasks": 1 / 23, "mean of 27 files": 3 / 27, "all questions": 15 / (15 + 240)}
    )
    assert next(iter(found)) == "mean of 23 tasks"


def test_mmlu_is_averaged_over_subjects_groups_and_questions(data):
    parts = [one for one in mmlu.SUITE.exams(data) if isinstance(one, Exam) and one.score.endswith("_direct")]
    found = averages(parts, [[1.0] if one.name == "virology" else [0.0, 0.0] for one in parts])
    assert next(iter(found)) == "mean of 57 subjects"
    assert found["mean of 57 subjects"] == pytest.approx(1 / 57)
    assert found["all questions"] == pytest.approx(1 / 113)
    assert found["health"] == pytest.approx(1 / 8)
    assert len(found) == 2 + 17 + 4


def test_tydiqa_leaves_english_out_of_the_headline(data):
    parts = [one for one in tydiqa.SUITE.exams(data) if isinstance(one, Exam)]
    found = list(averages(parts, [[1.0] if one.name == "english" else [0.0] for one in parts]).items())
    assert found[0] == ("mean of 8 languages, not English", 0.0)
    assert found[1][1] == pytest.approx(1 / 9)


def test_the_flan_2022_average_counts_each_part_from_its_own_chance(data):
    # Each part half-way from chance to perfect, except that English does not count.
    model = [
        graded(part, [0.0 if part.name in {"english", "en"} else (1 + (part.chance or 0.0)) / 2] * 4)
        for part in choose_exams(["flan2022"], data).exams
    ]
    (average,) = results_of(model, averages={"flan2022": SCORES}).normalized_averages
    assert average.scores["base"].value == pytest.approx(0.5)
    less = [one for one in model if one.exam.score != "mgsm_cot"]
    (average,) = results_of(less, averages={"flan2022": SCORES}).normalized_averages
    assert average.scores == {"base": None} and "mgsm_cot" in average.reasons["base"]


def test_the_flan_2022_average_is_that_of_printed_scores(data):
    """The average of answers, and the one that printed scores are put into, are the same formula."""
    rng = np.random.default_rng(0)
    model = [graded(part, (rng.random(8) < 0.6).astype(float)) for part in choose_exams(["flan2022"], data).exams]
    results = results_of(model, averages={"flan2022": SCORES})
    tasks = {
        one.name: {part: means[part] for part in one.averages[0].raw.exams}
        for one in results.benchmarks
        for means in [{part.name: part.scores["base"].mean.value for part in one.parts}]
    }
    (average,) = results.normalized_averages
    assert average.scores["base"].value == pytest.approx(normalized_average({}, tasks=tasks), abs=1e-12)


def test_two_models_are_compared_question_by_question(data):
    (part, other) = [one for one in tydiqa.SUITE.exams(data) if isinstance(one, Exam)][:2]

    def compared(*second):
        first = [graded(part, [0, 0, 1, 1]), graded(other, [0, 0, 0, 1])]
        (benchmark,) = results_of(first, second).benchmarks
        return benchmark.differences["other"]

    known = graded(other, [0, 1, 0, 1], model="other")
    found = compared(graded(part, [1, 1, 1, 1], model="other"), known)
    assert found.value == pytest.approx((0.5 + 0.25) / 2) and found.examples == 8
    assert found.mcnemar_p == pytest.approx(2 * 0.5**3)
    assert compared(graded(part, [1, 1, 1], rows=(1, 2, 3), model="other"), known).examples == 7
    with pytest.raises(EvaluationError, match="no question in common"):
        compared(graded(part, [1, 1, 1, 1], rows=(9, 10, 11, 12), model="other"), known)


def test_an_interval_is_over_questions_with_the_parts_as_they_are(data):
    (part, other) = [one for one in tydiqa.SUITE.exams(data) if isinstance(one, Exam)][:2]
    (benchmark,) = results_of([graded(part, [0, 1] * 50), graded(other, [0, 1] * 50)]).benchmarks
    found = benchmark.averages[0].raw.scores["base"]
    assert found.se == pytest.approx(math.sqrt(2 * (0.25 * 100 / 99 / 100)) / 2)


def test_exemplars_of_prompt_files_belong_to_no_split():
    assert all(isinstance(one, Exemplar) and one.row < 0 for one in read_prompt(COT).exemplars)


def test_json_exemplars_do_as_well(tmp_path):
    root = write_world(tmp_path, mgsm_exemplars=False)
    table = {"sw": {"1": {"q": "Swali: 1?", "a": "Jibu: Ni 1."}}}
    (root / "files/mgsm/exemplars.json").write_text(json.dumps(table))
    part = find(mgsm.parts(SuiteData(root=root)), "mgsm_cot/sw")
    assert text_of(part) == "Swali: 1?\nJibu: Ni 1.\n\nSwali: Wie viele Hüte?\nJibu:"
