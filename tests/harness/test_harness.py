"""Task files of lm-evaluation-harness: what is read, what is refused, what is asked, and what is written."""

from __future__ import annotations

import json
from random import Random

import numpy as np
import pytest

from flantune.commands.evaluate import EvaluationRequest, evaluate
from flantune.errors import ConfigError, TaskError, TemplateError
from flantune.harness.filters import read_filters
from flantune.harness.grading import HarnessOptionGrader, HarnessTextGrader
from flantune.harness.read import harness_exams
from flantune.prompts.layout import inputs_text
from flantune.settings.config import PromptSettings
from flantune.settings.protocols import PRESETS
from flantune.suites.suite import SuiteData
from flantune.types import Sample
from tests.evaluation.graded import scored
from tests.evaluation.made import noted

from ..suites.world import make_model

LM_EVAL = PRESETS["lm_eval"]
THINGS = ("apple", "bread", "candle", "drum")

BASE = """
dataset_path: json
dataset_kwargs:
  data_files: {train: train.jsonl, test: test.jsonl}
training_split: train
test_split: test
fewshot_split: train
metadata: {version: 2.0}
"""
CHOICE = (
    BASE
    + """
task: shop
output_type: multiple_choice
description: "About shops.\\n\\n"
doc_to_text: "{{passage | trim}}\\nWhat was bought?"
doc_to_choice: choices
doc_to_target: label
num_fewshot: 2
metric_list:
  - {metric: acc, aggregation: mean, higher_is_better: true}
  - {metric: acc_norm}
  - {metric: mcc}
  - {metric: brier_score}
"""
)
WRITE = (
    BASE
    + """
task: sums
output_type: generate_until
doc_to_text: "Q: {{passage}}\\nA:"
doc_to_target: "{{choices[label]}}"
fewshot_config: {sampler: first_n}
num_fewshot: 1
generation_kwargs: {until: ["\\n\\n", "Q:"], max_gen_toks: 6}
filter_list:
  - {name: strict, filter: [{function: regex, regex_pattern: "#### (\\\\-?[0-9]+)"}, {function: take_first}]}
  - {name: loose, filter: [{function: remove_whitespace}, {function: take_first}]}
metric_list: [{metric: exact_match, ignore_case: true}]
"""
)


def rows(count: int, *, start=0):
    for n in range(start, start + count):
        choices = list(THINGS[: 2 + n % 3])
        label = n % len(choices)
        yield {"passage": f" Item {n}: the {choices[label]}.", "choices": choices, "label": label}


@pytest.fixture
def folder(tmp_path):
    for split, made in (("train", rows(6)), ("test", rows(5, start=6))):
        (tmp_path / f"{split}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in made))
    return tmp_path


def write(folder, text, name="task.yaml"):
    (folder / name).write_text(text)
    return folder / name


def read(folder, text, **values):
    (found,) = harness_exams([write(folder, text)], SuiteData(**values))
    return found


def refused(folder, text) -> str:
    with pytest.raises((TaskError, TemplateError)) as error:
        read(folder, text)
    return str(error.value)


def test_choices_are_scored_behind_the_delimiter_and_exemplars_are_those_the_harness_draws(folder):
    found = read(folder, CHOICE)
    part = found.exam
    drawn = Random(1234)
    train = list(rows(6))
    for at, row in enumerate(rows(5, start=6)):
        shown = drawn.sample(train, 2)
        text = "About shops.\n\n" + "".join(
            f"{one['passage'].strip()}\nWhat was bought? {one['choices'][one['label']]}\n\n" for one in shown
        )
        assert inputs_text(tuple(part.prompts)[at], part.layout) == f"{text}{row['passage'].strip()}\nWhat was bought?"
        assert (
            tuple(part.prompts)[at].options == tuple(row["choices"]) and tuple(part.prompts)[at].answer == row["label"]
        )
    assert part.layout.target_separator == " " and found.shots == 2
    assert part.grader.metrics == ("acc,none", "acc_norm,none", "mcc,none")
    assert part.notes == ("the metric brier_score is not computed",)
    assert part.chance == pytest.approx((1 / 2 + 1 / 3 + 1 / 4 + 1 / 2 + 1 / 3) / 5)


def test_a_question_is_never_among_its_own_exemplars(folder):
    text = CHOICE.replace("fewshot_split: train", "fewshot_split: test").replace("num_fewshot: 2", "num_fewshot: 4")
    part = read(folder, text).exam
    for prompt in part.prompts:
        assert prompt.inputs not in [exemplar.inputs for exemplar in prompt.exemplars] and len(prompt.exemplars) == 4


def test_written_answers_follow_the_text_as_it_is(folder):
    part = read(folder, WRITE).exam
    assert (
        inputs_text(next(part.prompts), part.layout) == "Q:  Item 0: the apple.\nA: apple\n\nQ:  Item 6: the apple.\nA:"
    )
    assert part.writing.stop == ("\n\n", "Q:") and part.writing.max_new_tokens == 6
    assert part.grader.metrics == ("exact_match,strict", "exact_match,loose") and part.chance == 0.0


def test_included_files_lie_below_a_files_own_settings(folder):
    write(folder, CHOICE, "_base.yaml")
    found = read(folder, "include: _base.yaml\ntask: other\nnum_fewshot: 0\n")
    assert found.exam.name == "other" and found.shots == 0 and next(found.exam.prompts).preamble == "About shops.\n\n"


def test_a_group_is_its_tasks_wherever_they_lie_below_it(folder):
    (folder / "sub").mkdir()
    write(folder, CHOICE, "shop.yaml")
    deep = WRITE.replace("task: sums", "task: deep").replace("train.jsonl", "../train.jsonl")
    write(folder, deep.replace("test.jsonl", "../test.jsonl"), "sub/deep.yaml")
    path = write(folder, "group: all\ntask:\n  - shop\n  - task: deep\n    num_fewshot: 0\n", "all.yaml")
    found = harness_exams([path], SuiteData(limit=2))
    assert [(one.exam.score, one.exam.name, one.shots) for one in found] == [
        ("shop", "shop", 2),
        ("deep", "deep", 0),
    ]
    assert all("the tasks of all share no metric, so they are not averaged" in one.exam.notes for one in found)
    assert [(one.total, len(one.rows)) for one in found] == [(5, 2), (5, 2)]
    with pytest.raises(TaskError, match='no task, group or tag "absent"'):
        harness_exams([write(folder, "group: g\ntask: [absent]\n", "g.yaml")], SuiteData())


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("process_docs: !function utils.clean", "flantune runs no code of task files"),
        ("doc_to_text: !function utils.text", "!function utils.text is Python code"),
        ("output_type: loglikelihood_rolling", "loglikelihood_rolling is not supported"),
        ("fewshot_spilt: train", 'unknown key, did you mean "fewshot_split"?'),
        ("doc_to_text: '{{nothing}}'", "columns: passage, choices, label"),
        ("doc_to_text: '{{passage.__class__.__mro__}}'", "cannot be rendered"),
        ("doc_to_text: label", "choices inside the question"),
        ("metric_list: [{metric: ter}]", "metric_list: none of ter"),
        ("test_split: exam", 'no split "exam"; there are train, test'),
        ("dataset_path: null", "dataset_path"),
    ],
)  # fmt: skip
def test_what_cannot_be_done_is_refused_with_its_place(folder, change, said):
    key = change.partition(":")[0]
    kept = [line for line in CHOICE.splitlines() if not line.startswith(f"{key}:")]
    kept = [line for line in kept if key != "metric_list" or not line.startswith("  - {metric")]
    assert said in refused(folder, "\n".join([*kept, change, ""]))


def test_a_refusal_names_the_line_and_what_to_do_instead(folder):
    write(folder, BASE.lstrip() + "process_docs: !function utils.clean\n", "_base.yaml")
    text = "include: _base.yaml\ntask: shop\ndoc_to_text: '{{passage}}'\ndoc_to_target: !function utils.target\n"
    said = refused(folder, text)
    assert "  line 8 of _base.yaml, process_docs: a function that changes rows" in said
    assert "  line 4, doc_to_target: !function utils.target is Python code" in said
    hint = said.partition("hint: ")[2]
    assert "process_docs: write the rows it makes into a JSON file" in hint and "doc_to_target: write what it" in hint


def test_code_that_nothing_asks_for_is_no_reason_to_refuse(folder):
    text = CHOICE.replace("num_fewshot: 2", "num_fewshot: 0").replace("{metric: mcc}", "{metric: !function utils.own}")
    text += (
        "fewshot_config: {doc_to_text: !function utils.shown}\ndoc_to_decontamination_query: !function utils.query\n"
    )
    part = read(folder, text).exam
    assert part.grader.metrics == ("acc,none", "acc_norm,none")
    assert part.notes[0] == "the metric !function utils.own is not computed"
    with pytest.raises(TaskError, match=r"fewshot_config\.doc_to_text: !function utils\.shown"):
        read(folder, text.replace("num_fewshot: 0\n", ""), shots=1)


@pytest.mark.parametrize(
    ("prefix", "question", "begun", "shown"),
    [
        ("Answer:", "{{passage | trim}}", "Item 6: the apple. Answer:", "Answer: "),
        ("Answer: ", "{{passage | trim}}\\n", "Item 6: the apple.\nAnswer: ", "Answer: "),
        ("{{choices | length}} things:", "{{passage | trim}}", "Item 6: the apple. 2 things:", "things: "),
    ],
)
def test_the_beginning_of_an_answer_stands_where_the_harness_puts_it(folder, prefix, question, begun, shown):
    """Checked against lm-eval 0.4.13: a delimiter before it unless a space is there, a space behind it likewise."""
    text = CHOICE.replace("{{passage | trim}}\\nWhat was bought?", question) + f'gen_prefix: "{prefix}"\n'
    found = read(folder, text)
    whole = inputs_text(next(found.exam.prompts), found.exam.layout)
    assert whole.endswith("\n\n" + begun) and found.exam.layout.target_separator == " "
    blocks = whole.removeprefix("About shops.\n\n").split("\n\n")[:2]
    assert all(block.split(shown)[1] in THINGS for block in blocks), blocks


def test_the_beginning_of_an_answer_is_not_put_into_a_users_turn(folder):
    path = write(folder, CHOICE + 'gen_prefix: "Answer:"\n')
    asked = EvaluationRequest(
        models=("org/model",), out=folder / "out", harness=(path,), prompts=PromptSettings(chat=True)
    )
    with pytest.raises(ConfigError, match="gen_prefix is not read with --chat"):
        evaluate(asked)


def test_targets_that_are_no_choice_are_found_before_anything_is_asked(folder):
    wrong = CHOICE.replace("doc_to_target: label", "doc_to_target: labell")
    assert "an exemplar has no right answer: doc_to_target makes 'labell'" in refused(folder, wrong)
    said = refused(folder, wrong.replace("num_fewshot: 2", "num_fewshot: 0"))
    assert "no question has a right choice: doc_to_target makes 'labell', the choices are 'apple'" in said
    assert "columns: passage, choices, label" in said
    part = read(folder, CHOICE.replace("doc_to_target: label", "doc_to_target: drum"), shots=0).exam
    assert part.notes[-1].startswith("4 questions of 5 have no right choice and count as wrong; row 0: ")


@pytest.mark.parametrize("key", ["doc_to_text", "doc_to_target"])
def test_a_word_that_names_no_column_is_refused(folder, key):
    lines = [line for line in WRITE.splitlines() if not line.startswith(f"{key}:")]
    said = refused(folder, "\n".join([*lines, f"{key}: pasage", ""]))
    assert f'{key}: there is no column "pasage"' in said and 'did you mean "passage"?' in said


def test_a_file_that_is_not_there_is_named_with_its_neighbor(folder):
    write(folder, CHOICE, "shop.yaml")
    with pytest.raises(TaskError, match=r'did you mean "shop\.yaml"'):
        harness_exams([folder / "shpo.yaml"], SuiteData())


def test_drawn_answers_and_beams_are_said_not_to_be_done(folder):
    text = WRITE.replace("max_gen_toks: 6", "max_completion_tokens: 7, do_sample: true, num_beams: 3")
    part = read(folder, text).exam
    assert part.writing.max_new_tokens == 7
    assert [note.split(";")[0] for note in part.notes] == [
        "the file sets sampling", "the file sets 3 beams",
    ]  # fmt: skip


def test_right_answers_that_a_file_leaves_nothing_of_are_told_of(folder):
    """They are counted as the harness counts them: its numbers come out, and a note says what they hide."""
    bare = WRITE.replace("{metric: exact_match, ignore_case: true}", "{metric: exact_match, ignore_punctuation: true}")
    (quiet, loud) = (read(folder, text).exam for text in (bare, bare.replace("{{choices[label]}}", "])")))
    assert quiet.notes == ()
    (note,) = loud.notes
    assert "5 of 5 right answers are empty" in note and "question 0: '])'" in note
    assert loud.grader.matches("", ("])",)) == 1.0


def test_metrics_over_all_answers_are_those_of_the_libraries_that_the_harness_calls(folder):
    import sacrebleu

    part = read(folder, WRITE.partition("filter_list")[0] + "metric_list: [{metric: bleu}, {metric: chrf}]\n").exam
    said = ["the red apple on a table", "bread and butter, please", "", "drums", "a candle is burning in the hall"]
    wanted = ["the red apple lies on a table", "bread, butter and jam", "drum", "drum", "a candle burns in the hall"]
    samples = [
        sample(row=at, prediction=text, references=(reference,))
        for at, (text, reference) in enumerate(zip(said, wanted, strict=True))
    ]
    scores = scored(part, samples)
    assert 100 * scores.metrics["bleu,none"] == pytest.approx(sacrebleu.corpus_bleu(said, [wanted]).score, abs=1e-9)
    assert 100 * scores.metrics["chrf,none"] == pytest.approx(sacrebleu.corpus_chrf(said, [wanted]).score, abs=1e-9)
    assert scores.mean.value == scores.metrics["bleu,none"] and scores.mean.se > 0


def test_a_written_answer_to_a_question_without_a_right_one_is_worth_nothing(folder):
    part = read(folder, WRITE.partition("filter_list")[0] + "metric_list: [{metric: bleu}, {metric: chrf}]\n").exam
    scores = scored(part, [sample(prediction="the red apple on a table", references=())])
    assert scores.metrics["bleu,none"] == scores.metrics["chrf,none"] == 0.0


def test_f1_and_mcc_are_over_all_questions(folder):
    text = CHOICE.replace("doc_to_choice: choices", "doc_to_choice: ['no', 'yes']")
    text = text.replace("doc_to_target: label", "doc_to_target: '{{label % 2}}'").replace("acc_norm", "f1")
    part = read(folder, text).exam
    chosen = [1, 1, 0, 1, 0]
    golds = [prompt.answer for prompt in part.prompts]
    samples = [
        sample(row=at, options=("no", "yes"), answer=golds[at], scores=(-1.0, -2.0) if not pick else (-2.0, -1.0))
        for at, pick in enumerate(chosen)
    ]
    scores = scored(part, samples)
    hits = sum(pick and gold for pick, gold in zip(chosen, golds, strict=True))
    assert scores.metrics["f1,none"] == pytest.approx(2 * hits / (sum(chosen) + sum(golds)))
    assert scores.metrics["mcc,none"] == pytest.approx(np.corrcoef(chosen, golds)[0, 1])
    spans = {metric.name: metric.span for metric in part.grader.columns.metrics}
    assert spans["mcc,none"] == (-1.0, 1.0)


def test_all_problems_of_a_file_come_at_once(folder):
    said = refused(folder, "task: x\nprocess_results: !function a.b\nclass: c\n")
    assert "4 problems" in said and "process_results" in said and "doc_to_text: is missing" in said


def test_exemplars_may_be_shown_in_other_fields(folder):
    own = 'fewshot_config: {sampler: first_n, doc_to_text: "Seen: {{passage}}", doc_to_target: 0}\n'
    part = read(folder, CHOICE + own).exam
    assert [one.inputs for one in next(part.prompts).exemplars] == [
        "Seen:  Item 0: the apple.",
        "Seen:  Item 1: the bread.",
    ]
    assert [one.targets for one in next(part.prompts).exemplars] == ["apple", "apple"]
    assert next(part.prompts).inputs.startswith("Item 6")
    assert "fewshot_config.delimiter: is not supported" in refused(folder, CHOICE + "fewshot_config: {delimiter: x}\n")


def test_groups_may_hold_groups_and_tags(folder):
    write(folder, CHOICE + "tag: [buying]\n", "shop.yaml")
    write(folder, "include: shop.yaml\ntask: shop2\n", "shop2.yaml")
    write(folder, "group: inner\ntask: [buying]\n", "inner.yaml")
    path = write(
        folder, "group: outer\ntask:\n  - inner\n  - group: more\n    task: [{task: third, include: x}]\n", "o.yaml"
    )
    (folder / "third.yaml").write_text(CHOICE.replace("task: shop", "task: third"))
    path.write_text(path.read_text().replace(", include: x", ""))
    found = harness_exams([path], SuiteData(limit=1))
    assert [(one.exam.score, one.exam.name) for one in found] == [
        ("outer", name) for name in ("shop", "shop2", "third")
    ]


def test_yaml_that_would_make_python_objects_is_refused(folder):
    assert "not valid YAML" in refused(folder, "task: !!python/object/apply:os.system [echo]\n")


@pytest.mark.parametrize(
    ("target", "choices", "answer", "references"),
    [
        ("'{{label}}'", "choices", 0, ("apple",)),
        ("'{{choices[label]}}'", "'{{choices}}'", 0, ("apple",)),
        ("'{{[0, 1]}}'", "choices", 0, ("apple", "bread")),
        ("1", '[yes it is, "no, it is not"]', 1, ("no, it is not",)),
        ("1", "{a: one, b: two}", 1, ("two",)),
    ],
)  # fmt: skip
def test_targets_and_choices_come_in_many_forms(folder, target, choices, answer, references):
    text = CHOICE.replace("doc_to_target: label", f"doc_to_target: {target}")
    part = read(folder, text.replace("doc_to_choice: choices", f"doc_to_choice: {choices}")).exam
    assert (next(part.prompts).answer, next(part.prompts).references) == (answer, references)


def sample(**values) -> Sample:
    return Sample(**{"task": "t", "split": "test", "row": 0, "template": "a", "shots": 0, "inputs": "", **values})


def test_accuracies_are_by_sum_by_characters_and_by_bytes():
    grader = HarnessOptionGrader(names=("acc", "acc_norm", "acc_bytes", "exact_match"), golds={0: (1,)})
    one = sample(options=("ab", "äääää"), scores=(-2.0, -4.5), lengths=(1, 2), greedy=(False, True))
    assert noted(grader, one) == {
        "acc,none": 0.0, "acc_norm,none": 1.0, "acc_bytes,none": 1.0, "exact_match,none": 1.0,
    }  # fmt: skip
    tied = sample(options=("a", "b"), scores=(-1.0, -1.0), lengths=(1, 1))
    assert noted(grader, tied)["acc,none"] == 0.0  # the first of equals


@pytest.mark.parametrize(
    ("steps", "text", "answer"),
    [
        ([{"function": "regex", "regex_pattern": r"is (\d+)"}], "is 3 is 4", "3"),
        ([{"function": "regex", "regex_pattern": r"is (\d+)", "group_select": -1}], "is 3 is 4", "4"),
        ([{"function": "regex", "regex_pattern": r"(x)|(\d)"}], "7", "7"),
        ([{"function": "regex"}], "nothing", "[invalid]"),
        ([{"function": "remove_whitespace"}, {"function": "uppercase"}], " a ", "A"),
        ([{"function": "map", "mapping_dict": {"a": "1"}, "default_value": "0"}], "b", "0"),
    ],
)
def test_filters_do_what_the_harness_does(steps, text, answer):
    (found,), notes = read_filters([{"name": "f", "filter": steps}], where="here")
    assert found.apply(text) == answer and not notes


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("It is (C), I think (A).", "(C)"),  # what the pattern finds
        ("Surely ROME, the city.", "(B)"),  # a choice's own text, case and marks aside
        ("New York State it is", "(C)"),  # the longer of two choices that start alike
        ("Answer: D", "(D)"),  # a letter behind a colon
        ("No idea", "[invalid]"),
    ],
)
def test_a_choice_is_found_by_pattern_by_text_or_by_letter(text, answer):
    step = {"function": "multi_choice_regex", "regex_pattern": r"(\([A-Z]\))", "ignore_case": True}
    (found,), _ = read_filters([{"name": "f", "filter": [step | {"ignore_punctuation": True}]}], where="here")
    assert found.apply(text, ("Paris", "Rome", "New York State", "New York")) == answer


def test_a_filter_that_is_not_done_is_left_out_when_another_is_left():
    """The names under which the harness reports the others stay."""
    entries = [{"name": "vote", "filter": [{"function": "majority_vote"}]}, {"name": "plain", "filter": []}]
    (found,), notes = read_filters(entries, where="here")
    assert found.name == "plain" and notes == ['the filter vote is left out: "majority_vote" is not supported']


def test_an_unknown_filter_is_refused():
    with pytest.raises(TaskError, match="majority_vote"):
        read_filters([{"name": "f", "filter": [{"function": "majority_vote"}]}], where="here")


def test_exact_match_is_of_the_text_as_it_is():
    plain = HarnessTextGrader(filters=read_filters(None, where="")[0])
    said = sample(prediction=" 4", references=("4",))
    assert noted(plain, said) == {"exact_match,none": 0.0}
    loose = HarnessTextGrader(filters=plain.filters, options={"regexes_to_ignore": [" ", r"\."], "ignore_case": True})
    assert noted(loose, sample(prediction=" Ab.", references=("aB",))) == {"exact_match,none": 1.0}


def test_a_model_is_asked_and_results_are_written_as_the_harness_writes_them(folder, tmp_path_factory):
    model = make_model(tmp_path_factory.mktemp("model") / "llama")
    paths = (write(folder, CHOICE, "shop.yaml"), write(folder, WRITE, "sums.yaml"))
    group = write(folder, "group: all\ntask: [shop]\n", "all.yaml")
    out, export = folder / "out", folder / "export"
    request = EvaluationRequest(
        models=(str(model),), out=out, harness=(group, paths[1]), harness_out=export, suites=(), confidence=0.9
    )
    results = evaluate(request)
    assert [one.name for one in results.benchmarks] == ["all", "sums"] and results.is_reportable
    whole = results.benchmarks[0]
    assert whole.protocol == LM_EVAL.fingerprint
    assert set(whole.scores["llama"].other_metrics) == {"acc_norm,none", "mcc,none"}
    (file,) = export.rglob("results_*.json")
    stored = json.loads(file.read_text())
    shop = stored["results"]["shop"]
    assert shop["acc,none"] == pytest.approx(whole.averages[0].raw.scores["llama"].value) and shop["sample_len"] == 5
    assert {"acc_stderr,none", "acc_norm,none", "acc_norm_stderr,none", "alias", "name"} <= set(shop)
    assert set(stored["results"]["sums"]) >= {"exact_match,strict", "exact_match_stderr,loose"}
    assert stored["groups"]["all"]["acc,none"] == pytest.approx(shop["acc,none"])
    assert stored["groups"]["all"]["acc_stderr,none"] == pytest.approx(shop["acc_stderr,none"])
    assert stored["group_subtasks"] == {"all": ["shop"]} and stored["n-shot"] == {"shop": 2, "sums": 1}
    assert stored["n-samples"]["shop"] == {"original": 5, "effective": 5} and stored["versions"]["shop"] == 2.0
    assert set(stored) >= {
        "results", "groups", "group_subtasks", "configs", "versions", "n-shot", "higher_is_better", "n-samples",
        "config",
        "git_hash", "date", "pretty_env_info", "transformers_version", "lm_eval_version", "upper_git_hash",
        "task_hashes",
        "tokenizer_pad_token", "tokenizer_eos_token", "tokenizer_bos_token", "eot_token_id", "max_length",
        "model_source", "model_name", "model_name_sanitized", "system_instruction", "system_instruction_sha",
        "fewshot_as_multiturn", "chat_template", "chat_template_sha", "total_evaluation_time_seconds",
    }  # fmt: skip
    assert stored["tokenizer_pad_token"] == ["<pad>", "0"] and len(stored["task_hashes"]["shop"]) == 64
    assert stored["higher_is_better"]["all"] == {"acc": True, "acc_norm": True, "mcc": True}
    assert stored["groups"]["all"]["sample_count"]["acc,none"] == 5
    assert stored["configs"]["shop"]["dataset_kwargs"] == {"data_files": {"train": "train.jsonl", "test": "test.jsonl"}}
    _check_samples(export, rows=list(rows(5, start=6)))


def _check_samples(export, *, rows) -> None:
    (file,) = export.rglob("samples_shop_*.jsonl")
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    assert [line["doc"] for line in lines] == rows and [line["doc_id"] for line in lines] == [0, 1, 2, 3, 4]
    first = lines[0]
    assert first["arguments"]["gen_args_1"]["arg_1"] == " bread" and first["target"] == "0"
    assert len(first["resps"]) == 2 and first["resps"][0][0][0] == first["filtered_resps"][0][0]
    assert float(first["filtered_resps"][0][0]) < 0 and first["filtered_resps"][0][1] in {"True", "False"}
    assert first["metrics"] == ["acc", "acc_norm", "mcc"] and first["acc"] in {0.0, 1.0} and first["filter"] == "none"
    assert len(first["mcc"]) == 2 and first["mcc"][0] == int(first["target"]) and first["mcc"][1] in range(2)
    assert {"doc_hash", "prompt_hash", "target_hash"} <= set(first)
    (file,) = export.rglob("samples_sums_*.jsonl")
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    assert [line["filter"] for line in lines] == ["strict"] * 5 + ["loose"] * 5
    assert lines[0]["arguments"]["gen_args_0"]["arg_1"] == {"until": ["\n\n", "Q:"], "max_gen_toks": 6}
    assert lines[5]["filtered_resps"] == [lines[5]["resps"][0][0].strip()]


def test_metrics_over_all_answers_redraw_the_questions_as_a_headline_does(folder):
    """The same metric as headline and as one of the others: one interval."""
    model, found = make_model(folder / "model"), []
    for place, names in enumerate((("mcc", "acc"), ("acc", "mcc"))):
        metrics = "".join(f"  - {{metric: {name}}}\n" for name in names)
        file = write(folder, f"{CHOICE.partition('metric_list:')[0]}metric_list:\n{metrics}")
        request = EvaluationRequest(models=(str(model),), out=folder / str(place), harness=(file,))
        (benchmark,) = evaluate(request).benchmarks
        found.append(benchmark)
    (headline,) = found[0].averages[0].raw.scores.values()
    (scores,) = found[1].scores.values()
    assert scores.other_metrics["mcc,none"] == headline and headline.se
