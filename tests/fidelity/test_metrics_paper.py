"""Which metrics each dataset is scored with: the papers' first, the public code's beside them.

Paper: FLAN 2021, section 2.3 and appendix; the code's own table of tasks for what the paper leaves open.
"""

from __future__ import annotations

from pathlib import Path

import pytest

import flantune.shipped.flan2021
import flantune.shipped.more
from flantune.evaluation.metrics.by_name import find_metric
from flantune.tasks.rows import check_example
from flantune.tasks.taskfile import load_task_file

ACCURACY = ("accuracy",)
TRANSLATION = ("bleu", "bleu_13a")
# The code takes ROUGE-1, 2 and Lsum; the paper prints 1, 2 and L.
SUMMARY = ("rougeL", "rouge1", "rouge2", "rougeLsum")
STRUCT_TO_TEXT = ("rouge1", "rouge2", "rougeL", "rougeLsum", "bleu")
TRIVIA = ("trivia_exact_match", "trivia_f1")
SQUAD = ("token_f1", "exact_match")
EDITS = ("edit_similarity", "word_edit_similarity", "verbatim_match")
NUMBER = ("number_match", "exact_match")

TABLE = {
    "anli_r1": ACCURACY, "anli_r2": ACCURACY, "anli_r3": ACCURACY, "cb": ("accuracy", "f1"), "mnli": ACCURACY,
    "mnli_mismatched": ACCURACY, "qnli": ACCURACY, "rte": ACCURACY, "snli": ACCURACY, "wnli": ACCURACY,
    "copa": ACCURACY, "hellaswag": ACCURACY, "piqa": ACCURACY, "story_cloze": ACCURACY,
    "imdb": ACCURACY, "sentiment140": ACCURACY, "sst2": ACCURACY, "yelp": ACCURACY,
    "mrpc": ("accuracy", "f1"), "qqp": ("accuracy", "f1"), "paws": ACCURACY,
    "stsb": ("pearson", "spearman", "accuracy"),
    "arc_challenge": ACCURACY, "arc_easy": ACCURACY, "natural_questions": TRIVIA, "trivia_qa": TRIVIA,
    "common_gen": STRUCT_TO_TEXT, "dart": STRUCT_TO_TEXT, "e2e_nlg": STRUCT_TO_TEXT, "web_nlg": STRUCT_TO_TEXT,
    "boolq": ACCURACY, "drop": (*SQUAD, "drop_f1", "drop_exact_match"),
    "multirc": ("f1", "group_exact_match", "accuracy"), "openbookqa": ACCURACY, "squad_v1": SQUAD, "squad_v2": SQUAD,
    "cosmos_qa": ACCURACY, "record": ("exact_match", "token_f1"),
    "dpr": ACCURACY, "winogrande": ACCURACY, "wsc": ACCURACY, "wsc273": ACCURACY,
    "para_crawl_enes": TRANSLATION, "wmt14_enfr": TRANSLATION, "wmt16_csen": TRANSLATION, "wmt16_deen": TRANSLATION,
    "wmt16_fien": TRANSLATION, "wmt16_roen": TRANSLATION, "wmt16_ruen": TRANSLATION, "wmt16_tren": TRANSLATION,
    "aeslc": SUMMARY, "ag_news": ACCURACY, "cnn_dailymail": SUMMARY, "gigaword": SUMMARY, "multi_news": SUMMARY,
    "newsroom": SUMMARY, "opinion_abstracts_idebate": SUMMARY, "opinion_abstracts_rotten_tomatoes": SUMMARY,
    "samsum": SUMMARY, "wiki_lingua": SUMMARY, "xsum": SUMMARY,
    "coqa": SQUAD, "quac": ("trivia_f1", "trivia_exact_match"), "wic": ACCURACY, "trec": ACCURACY,
    "cola": ("accuracy", "mcc"), "math_dataset": NUMBER,
    "fix_punct": EDITS, "true_case": EDITS, "word_segment": EDITS,
}  # fmt: skip
MORE = {
    "gsm8k": NUMBER, "multi30k_de_en": TRANSLATION, "multi30k_fr_en": TRANSLATION, "scitldr": SUMMARY,
    "web_questions": TRIVIA,
}  # fmt: skip


def files(package) -> dict[str, Path]:
    return {path.stem: path for path in Path(package.__file__).parent.glob("*.toml")}


@pytest.mark.parametrize(
    ("package", "table"),
    [(flantune.shipped.flan2021, TABLE), (flantune.shipped.more, MORE)],
    ids=["flan2021", "more"],
)
def test_the_table_of_metrics(package, table):
    tasks = {name: load_task_file(path) for name, path in files(package).items()}
    assert {name: task.metrics for name, task in tasks.items() if name in table} == table
    assert set(tasks) - set(table) == set(), "a new task file belongs into the table above"
    for task in tasks.values():
        assert [find_metric(name, task.kind).name for name in task.metrics] == list(task.metrics)


def test_multirc_questions_are_told_apart_by_paragraph_too():
    """FLAN's code groups by the number of the question alone, which takes two questions for one."""
    task = load_task_file(files(flantune.shipped.flan2021)["multirc"])
    row = {"paragraph": "P.", "question": "Q?", "answer": "A", "label": 1}
    groups = [
        task.adapter(row | {"idx": {"paragraph": paragraph, "question": question, "answer": answer}}).group
        for paragraph, question, answer in ((0, 0, 0), (0, 0, 1), (0, 1, 2), (1, 0, 3))
    ]
    assert groups[0] == groups[1]
    assert len(set(groups)) == 3


def test_record_counts_every_name_that_is_right():
    task = load_task_file(files(flantune.shipped.flan2021)["record"])
    row = {
        "passage": "Orla Finn beat Petra Novak.", "query": "@placeholder won.",
        "entities": ["Orla Finn", "Petra Novak", "Finn"], "answers": ["Orla Finn", "Finn"],
    }  # fmt: skip
    example = task.adapter(row)
    check_example(example, task.kind)
    assert (example.options, example.references) == (("Orla Finn", "Petra Novak", "Finn"), ("Orla Finn", "Finn"))
