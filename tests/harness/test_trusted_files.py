"""Task files whose own Python functions are run, where that is asked for: what is asked and scored."""

from __future__ import annotations

import json
import textwrap

import numpy as np
import pytest

from flantune.commands.evaluate import EvaluationRequest, evaluate
from flantune.errors import ConfigError, TaskError
from flantune.harness.read import harness_exams
from flantune.harness.task_code import Limits, MissingModuleError
from flantune.prompts.layout import inputs_text
from flantune.settings.protocols import PRESETS
from flantune.suites.suite import SuiteData
from flantune.types import Sample
from tests.evaluation.graded import scored

from ..suites.world import make_model

LM_EVAL = PRESETS["lm_eval"]
LIMITS = Limits(wall_s=600, cpu_s=300)
PORTS = ("Bergen", "Cadiz", "Dakar", "Genoa", "Izmir", "Kochi")
BASE = """
task: ports
dataset_path: json
dataset_kwargs: {data_files: {train: train.jsonl, test: test.jsonl}}
training_split: train
test_split: test
"""
CHOICE = BASE + (
    "output_type: multiple_choice\ndoc_to_text: !function own.ask\ndoc_to_choice: !function own.offer\n"
    "doc_to_target: !function own.right\nprocess_docs: !function own.tidy\n"
)
WRITE = BASE + (
    "output_type: generate_until\ndoc_to_text: '{{ship}} sails to'\ndoc_to_target: port\n"
    "generation_kwargs: {until: ['.'], max_gen_toks: 4}\n"
)
CODE = """
from .words import LETTERS


def tidy(dataset):
    return dataset.filter(lambda doc: doc["port"] != "Izmir").map(lambda doc: {"ship": doc["ship"].strip()})


def ask(doc):
    lines = [f"{letter}) {port}" for letter, port in zip(LETTERS, doc["ports"])]
    return f"Where does the {doc['ship']} go?\\n" + "\\n".join(lines) + "\\nPort:"


def offer(doc):
    return [f"{letter}" for letter, _ in zip(LETTERS, doc["ports"])]


def right(doc):
    return doc["ports"].index(doc["port"])
"""


def rows(count: int, *, start=0):
    for n in range(start, start + count):
        ports = [PORTS[(n + k) % len(PORTS)] for k in range(2 + n % 2)]
        yield {"ship": f" ship {n} ", "ports": ports, "port": ports[n % len(ports)]}


@pytest.fixture
def folder(tmp_path):
    for split, made in (("train", rows(8, start=20)), ("test", rows(6))):
        (tmp_path / f"{split}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in made))
    (tmp_path / "own.py").write_text(CODE)
    (tmp_path / "words.py").write_text('LETTERS = "XYZ"\n')
    return tmp_path


def read(folder, text, *, code="", limits=LIMITS, **values):
    (folder / "task.yaml").write_text(text)
    if code:
        (folder / "own.py").write_text(CODE + textwrap.dedent(code))
    (found,) = harness_exams([folder / "task.yaml"], SuiteData(**values), limits=limits)
    return found


def sample(row: int, **values) -> Sample:
    return Sample(task="t", split="test", row=row, template="harness", shots=0, inputs="", **values)


def test_functions_make_rows_questions_choices_and_targets(folder):
    found = read(folder, CHOICE)
    kept = [row for row in rows(6) if row["port"] != "Izmir"]
    assert len(kept) == len(found.exam.questions) == 5
    assert tuple(found.exam.prompts)[1].inputs == "Where does the ship 1 go?\nX) Cadiz\nY) Dakar\nZ) Genoa\nPort:"
    for prompt, row in zip(found.exam.prompts, kept, strict=True):
        assert prompt.options == tuple("XYZ"[: len(row["ports"])])
        assert prompt.answer == row["ports"].index(row["port"])


def test_functions_make_exemplars_too_and_may_make_them_otherwise(folder):
    text = CHOICE + "num_fewshot: 2\nfewshot_split: train\n"
    prompt = read(folder, text + "fewshot_config: {sampler: first_n}\n").exam
    shown = inputs_text(next(prompt.prompts), prompt.layout)
    assert shown.startswith("Where does the ship 20 go?\nX) Dakar\nY) Genoa\nPort: X\n\nWhere does the ship 21 go?\n")
    other = "fewshot_config: {sampler: first_n, doc_to_text: !function own.brief, doc_to_target: !function own.named}\n"
    code = "def brief(doc):\n    return doc['ship'] + ':'\n\n\ndef named(doc):\n    return doc['port']\n"
    config = text.replace("doc_to_choice: !function own.offer", "doc_to_choice: ports") + other
    part = read(folder, config, code=code).exam
    assert inputs_text(next(part.prompts), part.layout).startswith("ship 20: Dakar\n\nship 21: ")


def test_exemplars_and_rows_may_come_from_functions_alone(folder):
    code = """
    def solved():
        return [{"ship": "Argo", "ports": ["Oslo", "Rome"], "port": "Rome"}]


    def sea(rows, **more):
        assert more == {"split": 3}
        return {"test": [{"ship": f"hull {n}", "ports": ["Oslo", "Rome"], "port": "Oslo"} for n in range(rows)]}
    """
    text = CHOICE.replace("dataset_path: json\n", "custom_dataset: !function own.sea\nmetadata: {rows: 2}\n")
    text = text.replace("{data_files: {train: train.jsonl, test: test.jsonl}}", "{split: 3}")
    text = text.replace("training_split: train\n", "").replace("process_docs: !function own.tidy\n", "")
    text += "num_fewshot: 1\nfewshot_config: {samples: !function own.solved}\n"
    part = read(folder, text, code=code).exam
    assert [prompt.inputs.partition("\n")[0] for prompt in part.prompts] == [
        "Where does the hull 0 go?", "Where does the hull 1 go?"
    ]  # fmt: skip
    assert next(part.prompts).exemplars[0].inputs.startswith("Where does the Argo go?")
    assert next(part.prompts).exemplars[0].targets == "Y"


def test_without_being_told_nothing_runs_and_the_refusal_names_the_flag_and_what_it_means(folder):
    (folder / "own.py").write_text("raise SystemExit('this ran')\n")
    with pytest.raises(TaskError, match="process_docs: a function that changes rows") as error:
        read(folder, CHOICE, limits=None)
    assert "--trust-task-code" in error.value.render() and "read them first" in error.value.render()


def test_exemplars_of_functions_are_refused_where_none_may_run(folder):
    text = WRITE + "num_fewshot: 1\nfewshot_config: {samples: !function own.solved}\n"
    with pytest.raises(TaskError, match=r"fewshot_config\.samples: !function own\.solved") as error:
        read(folder, text, limits=None)
    assert "--trust-task-code" in error.value.render()
    assert read(folder, text, limits=None, shots=0).shots == 0


def test_process_results_scores_choices_and_a_question_may_lack_a_metric(folder):
    code = """
    def grade(doc, results):
        scores = [score for score, _ in results]
        made = {"margin": max(scores) - min(scores), "greedy": sum(is_greedy for _, is_greedy in results)}
        return {**made, "short": scores[0]} if len(scores) == 2 else made
    """
    metrics = "metric_list: [{metric: margin, aggregation: mean}, {metric: greedy, aggregation: median}, "
    text = CHOICE + "process_results: !function own.grade\n" + metrics + "{metric: short, aggregation: mean}]\n"
    part = read(folder, text, code=code).exam
    assert part.grader.metrics == ("margin,none", "greedy,none", "short,none")
    answered = [
        sample(at, options=prompt.options, scores=tuple(-float(at + k) for k in range(len(prompt.options))),
               greedy=(at % 2 == 0,) + (False,) * (len(prompt.options) - 1))
        for at, prompt in enumerate(part.prompts)
    ]  # fmt: skip
    scores = scored(part, answered)
    sizes = [len(prompt.options) for prompt in part.prompts]
    assert scores.metrics["margin,none"] == pytest.approx(np.mean([size - 1 for size in sizes]))
    assert scores.metrics["greedy,none"] == sorted([1, 0, 1, 0, 1])[5 // 2]
    assert scores.metrics["short,none"] == pytest.approx(np.mean([-at for at, size in enumerate(sizes) if size == 2]))
    spans = {metric.name: metric.span for metric in part.grader.columns.metrics}
    assert spans["margin,none"] == (-2.0, 2.0), "functions score on any scale: the span is what was seen"


def test_process_results_scores_what_every_filter_leaves(folder):
    code = """
    def grade(doc, results):
        return {"hit": float(results[0] == doc["port"]), "size": len(results[0])}
    """
    filters = (
        "filter_list:\n- {name: whole, filter: [{function: take_first}]}\n"
        "- {name: word, filter: [{function: regex, regex_pattern: '([A-Z][a-z]+)'}, {function: take_first}]}\n"
    )
    text = WRITE + "process_results: !function own.grade\n" + filters
    text += "metric_list: [{metric: hit, aggregation: mean}, {metric: size, aggregation: mean}]\n"
    part = read(folder, text, code=code).exam
    answered = [sample(at, prediction=f"to {row['port']}", references=(row["port"],)) for at, row in enumerate(rows(6))]
    scores = scored(part, answered)
    assert scores.metrics["hit,whole"] == 0.0 and scores.metrics["hit,word"] == 1.0
    assert scores.metrics["size,whole"] == pytest.approx(np.mean([len(row["port"]) + 3 for row in rows(6)]))


def test_metrics_filters_and_totals_may_be_functions(folder):
    code = """
    def shared(references, predictions, weight):
        return weight * float(references[0][0] == predictions[0][0])


    def old_way(pair):
        gold, answer = pair
        return {"longer": float(len(answer) > len(gold))}


    def spread(items):
        return max(items) - min(items)


    def pairs(items):
        return sum(gold == answer for gold, answer in items) / len(items)


    def last_word(resps, docs):
        return [[text.split()[-1] + doc["ship"][:0] for text in each] for each, doc in zip(resps, docs)]


    class Upper:
        def __init__(self, **options):
            self.mark = options["mark"]

        def apply(self, resps, docs):
            return [[text.upper() + self.mark for text in each] for each in resps]
    """
    text = WRITE + (
        "filter_list:\n- {name: end, filter: [{function: custom, filter_fn: !function own.last_word}]}\n"
        "- {name: loud, filter: [{function: !function own.Upper, mark: '!'}]}\n"
        "metric_list:\n- {metric: !function own.shared, aggregation: mean, weight: 0.5}\n"
        "- {metric: !function own.old_way, aggregation: !function own.spread}\n"
        "- {metric: exact_match, aggregation: mean}\n- {metric: f1, aggregation: !function own.pairs}\n"
    )
    text = text.replace("own.old_way", "own.longer")
    code = code.replace("def old_way", "def longer")
    part = read(folder, text, code=code).exam
    assert part.grader.metrics[:4] == ("shared,end", "longer,end", "exact_match,end", "f1,end")
    given = [row["port"] if at % 2 else "Quito" for at, row in enumerate(rows(6))]
    answered = [
        sample(at, prediction=f"to {port}", references=(row["port"],))
        for at, (port, row) in enumerate(zip(given, rows(6), strict=True))
    ]
    scores = scored(part, answered)
    hits = [port == row["port"] for port, row in zip(given, rows(6), strict=True)]
    assert scores.metrics["shared,end"] == pytest.approx(0.5 * np.mean(hits))
    assert scores.metrics["exact_match,end"] == scores.metrics["f1,end"] == pytest.approx(np.mean(hits))
    assert scores.metrics["longer,loud"] == 0.0 and scores.metrics["exact_match,loud"] == 0.0
    assert part.grader.read(answered[0])["loud"] == "TO QUITO!"
    replicates = {metric.name: metric.replicates for metric in part.grader.columns.metrics}
    assert (replicates["longer,end"], replicates["shared,end"]) == (100, None)


def test_a_total_of_choices_gets_right_and_chosen(folder):
    code = "def agree(items):\n    return sum(gold == chosen for gold, chosen in items) / len(items)\n"
    text = CHOICE + "metric_list: [{metric: acc}, {metric: f1, aggregation: !function own.agree}]\n"
    part = read(folder, text, code=code).exam
    answered = [
        sample(at, options=prompt.options, answer=prompt.answer, scores=(-1.0, -2.0, -3.0)[: len(prompt.options)])
        for at, prompt in enumerate(part.prompts)
    ]
    scores = scored(part, answered)
    assert scores.metrics["f1,none"] == scores.metrics["acc,none"] > 0


def test_what_is_not_installed_is_named_or_left_out_where_something_else_is_left(folder):
    (folder / "other.py").write_text("import no_such_library_anywhere\n\n\ndef total(items): ...\n")
    text = CHOICE + "metric_list: [{metric: acc}, {metric: f1, aggregation: !function other.total}]\n"
    part = read(folder, text).exam
    assert part.grader.metrics == ("acc,none",) and "imports no_such_library_anywhere" in part.notes[0]
    with pytest.raises(MissingModuleError, match="no_such_library_anywhere"):
        read(folder, text.replace("own.ask", "other.total"))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (("own.ask", "own.right"), "choices inside the question"),
        (("own.ask", "own.offer"), "doc_to_text: .* is not text"),
        (("own.offer", "own.ask"), "not a list"),
        (("own.tidy", "own.ask"), "own.ask"),
        (("process_docs: !function own.tidy", "process_docs: own.tidy"), "where a function is expected"),
        (("own.tidy", "own.nothing"), "own.nothing: AttributeError"),
    ],
)
def test_functions_that_make_something_else_are_refused(folder, change, said):
    with pytest.raises(TaskError, match=said):
        read(folder, CHOICE.replace(*change))


def test_results_name_the_code_that_was_run_and_the_export_has_what_it_made(folder, tmp_path_factory):
    model = make_model(tmp_path_factory.mktemp("model") / "llama")
    code = "def grade(doc, results):\n    return {'bleu': results[0][0], 'pair': [1, 2]}\n"
    metrics = "metric_list: [{metric: bleu, aggregation: mean, higher_is_better: false}, "
    metrics += "{metric: pair, aggregation: !function own.size}]\n"
    code += "\n\ndef size(items):\n    return float(len(items))\n"
    read(folder, CHOICE + "process_results: !function own.grade\n" + metrics, code=code)
    values = {"models": (str(model),), "harness": (folder / "task.yaml",), "trust_task_code": True}
    request = EvaluationRequest(out=folder / "out", harness_out=folder / "export", **values)
    results = evaluate(request)
    (trusted,) = results.trusted_code
    assert trusted.score == "ports/ports" and {path.rpartition("/")[2] for path in trusted.files} == {
        "own.py", "words.py"
    }  # fmt: skip
    stored = json.loads((folder / "out" / "results.json").read_text())
    assert stored["trusted_code"][0]["files"] == trusted.files
    (samples,) = (folder / "export").rglob("samples_ports_*.jsonl")
    lines = [json.loads(line) for line in samples.read_text().splitlines()]
    made = [line["bleu"] for line in lines]
    assert all(line["pair"] == [1, 2] for line in lines) and len(made) == 5
    assert made == [float(line["resps"][0][0][0]) for line in lines]
    (exported,) = (folder / "export").rglob("results_*.json")
    told = json.loads(exported.read_text())
    found = told["results"]["ports"]
    assert found["pair,none"] == 5.0 and found["bleu,none"] == pytest.approx(np.mean(made))
    assert found["bleu_stderr,none"] == pytest.approx(np.std(made, ddof=1) / np.sqrt(5))
    assert told["higher_is_better"]["ports"] == {"bleu": False, "pair": True}
    origins = sorted((folder / "out").rglob("origins/**/*.json"))
    before = [path.read_text() for path in origins]
    (folder / "words.py").write_text('LETTERS = "XYZ"  # the same words\n')
    evaluate(request)
    assert origins and [path.read_text() for path in origins] != before


def test_the_flag_without_a_file_says_nothing(folder):
    with pytest.raises(ConfigError, match="without --harness"):
        evaluate(EvaluationRequest(models=("org/model",), out=folder / "out", trust_task_code=True))
