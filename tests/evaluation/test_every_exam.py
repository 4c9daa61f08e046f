"""What holds of every kind of exam: nothing is asked or reported of one that is not of all."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from flantune.contamination.training_record import TrainingRecord, make_index
from flantune.contamination.training_record import _one_corpus as one_corpus
from flantune.errors import LeakError
from flantune.evaluation.asking.ask import ask
from flantune.evaluation.asking.session import Session
from flantune.evaluation.asking.works import questions_of, work_of
from flantune.evaluation.exams import Exam
from flantune.evaluation.seen import Candidate, _measured, check_candidates
from flantune.evaluation.statistics.commonest import answers_given
from flantune.evaluation.statistics.grades import grade
from flantune.harness.read import harness_exams
from flantune.models.language_model import LanguageModel, VirtualTokens
from flantune.models.writing.decoding import Continuation, Decoding
from flantune.packing.chat import chat_tokens
from flantune.settings.config import PromptSettings
from flantune.suites import gsm8k, mmlu, tydiqa
from flantune.suites.suite import SuiteData
from flantune.types import Example

from .made import exams_of, make_model, make_task

RANKED = ("task of options", "benchmark of options", "harness file of options")
WRITTEN = ("task of texts", "benchmark of texts", "harness file of texts")
KINDS = (*RANKED, *WRITTEN)
GROUPED = tuple(kind for kind in KINDS if kind != "benchmark of options")
"""Kinds whose data says which rows share a passage; MMLU's says nothing of the kind."""

TEMPLATE = (
    "{% for m in messages %}[{{ m.role }}] {{ m.content }}{{ eos_token }}{% endfor %}"
    "{% if add_generation_prompt %}[assistant] {% endif %}"
)
HARNESS = """
task: {kind}
dataset_path: json
dataset_kwargs: {{data_files: {{test: rows.jsonl}}}}
test_split: test
doc_to_text: "{{{{passage}}}} Which one is meant?"
"""
OPTIONS = "output_type: multiple_choice\ndoc_to_choice: choices\ndoc_to_target: label\nmetric_list: [{metric: acc}]\n"
TEXTS = (
    "output_type: generate_until\ndoc_to_target: '{{choices[label]}}'\nmetric_list: [{metric: exact_match}]\n"
    'generation_kwargs: {until: ["\\n\\n"], max_gen_toks: 6}\n'
)


def passage(row: int) -> str:
    """Two rows a passage, each of more than thirteen words."""
    animal = ("cat", "dog", "goose")[row // 2 % 3]
    return f"The {animal} of house number {row // 2} has a coat that is red and then green and then pale."


def task(kind: str) -> Exam:
    options = ("red", "green") if kind == "task of options" else ()
    examples = tuple(
        Example(
            row=row, fields={"text": passage(row)}, options=options, answer=row % 2 if options else None,
            references=(("red", "green")[row % 2],), group=f"house {row // 2}",
        )
        for row in range(6)
    )  # fmt: skip
    own = "classification" if options else "generation"
    prepared = make_task({"test": examples}, kind=own, metrics=("accuracy",) if options else ("exact_match",))
    (exam,) = exams_of(prepared, max_new_tokens=6)
    return exam


def write(folder: Path, split: str, rows: list[dict]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    with gzip.open(folder / f"{split}.jsonl.gz", "wt", encoding="utf-8") as handle:
        handle.writelines(json.dumps(row) + "\n" for row in rows)


def benchmark(kind: str, root: Path) -> Exam:
    if kind == "benchmark of options":
        rows = [{"question": passage(2 * n), "choices": ["red", "green"], "answer": n % 2} for n in range(6)]
        for split in ("dev", "test"):
            write(root / "cais/mmlu/astronomy", split, rows)
        exams = mmlu.SUITE.exams(SuiteData(root=root, shots=0))
    else:
        rows = [
            {"id": f"english-{n}", "context": passage(n), "question": "Which?", "answers": {"text": ["red"]}}
            for n in range(6)
        ]
        write(root / "google-research-datasets/tydiqa/secondary_task-english", "validation", rows)
        exams = tydiqa.SUITE.exams(SuiteData(root=root, shots=0))
    found = next(one for one in exams if isinstance(one, Exam))
    return replace(found, writing=replace(found.writing, max_new_tokens=6))


def harness(kind: str, root: Path) -> Exam:
    rows = [{"passage": passage(row), "choices": ["red", "green"], "label": row % 2} for row in range(6)]
    (root / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    name = "choose" if kind == "harness file of options" else "say"
    (root / f"{name}.yaml").write_text(HARNESS.format(kind=name) + (OPTIONS if name == "choose" else TEXTS))
    return harness_exams([root / f"{name}.yaml"], SuiteData())[0].exam


@pytest.fixture(scope="module", params=KINDS)
def kind(request) -> str:
    return request.param


@pytest.fixture(scope="module")
def exam(kind, tmp_path_factory) -> Exam:
    root = tmp_path_factory.mktemp("data")
    return task(kind) if kind.startswith("task") else {"b": benchmark, "h": harness}[kind[0]](kind, root)


@pytest.fixture(scope="module")
def lm() -> LanguageModel:
    return make_model("llama")


def with_virtual_tokens(seed: int) -> LanguageModel:
    base = make_model("llama")
    vectors = 3 * torch.randn(3, 32, generator=torch.Generator().manual_seed(seed))
    tokens = VirtualTokens(base.model.get_input_embeddings(), vectors)
    base.model.set_input_embeddings(tokens)
    return replace(base, adapter=tokens)


def chatting(lm: LanguageModel) -> LanguageModel:
    tokenizer = type(lm.tokenizer)(tokenizer_object=lm.tokenizer.backend_tokenizer, eos_token="</s>")
    tokenizer.chat_template = TEMPLATE
    return replace(lm, tokenizer=tokenizer)


class Recording:
    """An engine that writes nothing, and remembers what it was asked and when it was to end."""

    def __init__(self) -> None:
        self.inputs: list[list[int]] = []
        self.decodings: list[Decoding] = []

    def __call__(self, lm, inputs, decoding: Decoding, *, samples, batch_tokens) -> Iterator[Continuation]:
        self.inputs += [ids.tolist() for ids in inputs]
        self.decodings.append(decoding)
        for index in range(len(inputs)):
            for sample in range(samples):
                yield Continuation(index=index, sample=sample, tokens=(), text=f"red {sample}", finish="length")


def encoded(session: Session, exam: Exam):
    """The tokens by which a model is asked."""
    continuations = "options" if exam.answering == "options" else "none"
    prompts = [question.prompt for question in questions_of(session, exam)]
    return list(work_of(session, exam).codec.encode_prompts(prompts, continuations=continuations))


def test_the_exam_is_of_the_kind_that_it_is_meant_to_be(exam, kind):
    assert exam.answering == ("options" if kind in RANKED else "text")
    assert len(list(exam.questions)) == len(exam.questions) == len(list(exam.prompts)) >= 6


def test_virtual_tokens_stand_before_every_prompt_and_count(exam, tmp_path):
    one, other = with_virtual_tokens(1), with_virtual_tokens(2)
    for entry in encoded(Session(lm=one, folder=tmp_path), exam):
        assert entry.inputs[:3].tolist() == list(one.prefix_tokens)
    if exam.answering == "text":
        engine = Recording()
        ask(Session(lm=one, folder=tmp_path, engine=engine), [exam])
        assert engine.inputs and all(ids[:3] == list(one.prefix_tokens) for ids in engine.inputs)
        return
    (first,), (second,) = (ask(Session(lm=lm, folder=tmp_path / str(n)), [exam]) for n, lm in enumerate((one, other)))
    assert [sample.scores for sample in first.samples] != [sample.scores for sample in second.samples]


def test_a_chat_template_stands_around_every_prompt_and_replies_begin_with_their_first_word(exam, lm, tmp_path):
    model = chatting(lm)
    chat = chat_tokens(model.tokenizer, PromptSettings(chat=True))
    session = Session(lm=model, folder=tmp_path, chat=chat)
    for prompt, entry in zip(exam.prompts, encoded(session, exam), strict=True):
        text = model.tokenizer.decode(entry.inputs)
        assert text.count("[user]") == text.count("[assistant]") == 1 and prompt.inputs.split()[0] in text
        for option, target in zip(prompt.options, entry.targets, strict=True):
            assert model.tokenizer.decode(target[: len(target) - (target[-1] == chat.end)]) == option.strip()


@pytest.mark.parametrize("is_chat", [False, True])
def test_answers_end_with_the_token_that_ends_what_the_model_was_taught(exam, lm, tmp_path, is_chat):
    model = chatting(lm) if is_chat else lm
    chat = chat_tokens(model.tokenizer, PromptSettings(chat=True)) if is_chat else None
    end = chat.end if chat is not None else model.tokenizer.eos_token_id
    engine = Recording()
    session = Session(lm=model, folder=tmp_path, chat=chat, engine=engine)
    if exam.answering == "options":
        for entry in encoded(session, exam):
            assert all(bool(target[-1] == end) is exam.protocol.score_eos for target in entry.targets)
        return
    ask(session, [exam])
    assert engine.inputs and all(decoding.end_tokens == (end,) for decoding in engine.decodings)


def test_rows_that_the_model_was_trained_on_are_found_and_others_are_not(exam):
    row, texts = next(iter(_measured(exam).rows()))
    record = TrainingRecord(tasks=(), held_out=(), base="")
    other = "nobody has ever said anything like this to any model in all the years that there are models"
    for trained, found in ((texts, {row}), ((other,), set())):
        model = Candidate(path="m", name="m", record=record, index=make_index(one_corpus([trained])))
        (checked,) = check_candidates([model], [exam], allow_seen=True)
        seen = checked.seen_of(exam.key)
        # Rows about one passage hold the same words.
        assert found <= seen.rows and bool(seen.reasons) == bool(found) == bool(seen.rows)
        if found:
            with pytest.raises(LeakError, match="nearly word for word"):
                check_candidates([model], [exam], allow_seen=False)


def test_what_was_answered_is_not_asked_again(exam, lm, tmp_path):
    engine = Recording()
    session = Session(lm=lm, folder=tmp_path, engine=engine)
    (first,) = ask(session, [exam])
    calls = len(engine.decodings)
    (again,) = ask(replace(session), [exam])
    assert (first.is_reused, again.is_reused) == (False, True) and len(engine.decodings) == calls
    assert list(first.samples) == list(again.samples) and first.origin == again.origin
    (other,) = ask(replace(session, lm=make_model("llama", seed=3)), [exam])
    assert not other.is_reused


def test_an_answer_that_is_given_to_all_is_told_from_skill(exam, lm, tmp_path):
    (asked,) = ask(Session(lm=lm, folder=tmp_path, engine=Recording()), [exam])
    samples = [replace(one, scores=(0.0, -9.0)) if one.scores else one for one in asked.samples]
    (table,) = grade([one for one in samples if one.split == "test"], exam.grader, chance=exam.chance).values()
    if exam.answering == "text":
        assert table.options is None
        return
    found = answers_given(table.options)
    assert found.share == 1.0 and found.gold == pytest.approx(0.5) and found.is_collapsed


def test_rows_that_share_a_passage_are_one_observation(exam, kind, lm, tmp_path):
    (asked,) = ask(Session(lm=lm, folder=tmp_path, engine=Recording()), [exam])
    (table,) = grade((one for one in asked.samples if one.split == "test"), exam.grader, chance=exam.chance).values()
    assert len(table.rows) == 6
    assert table.groups.tolist() == ([0, 0, 1, 1, 2, 2] if kind in GROUPED else list(range(6)))


def test_answers_that_can_be_voted_on_are_drawn_and_voted_on(lm, tmp_path):
    write(tmp_path / "openai/gsm8k/main", "train", [{"question": "1+1?", "answer": "It is 2.\n#### 2"}])
    write(tmp_path / "openai/gsm8k/main", "test", [{"question": "2+2?", "answer": "It is 4.\n#### 4"}])
    (exam,) = gsm8k.SUITE.exams(SuiteData(root=tmp_path))
    session = Session(lm=lm, folder=tmp_path / "out", engine=Recording(), answers_each=3, temperature=1.0)
    ((sample,), (once,)) = (list(one.samples) for one in ask(session, [exam, replace(exam, name="x", is_voted=False)]))
    assert sample.predictions == ("red 0", "red 1", "red 2") and once.predictions == ()
    assert sample.confidence == pytest.approx(1 / 3) and once.confidence is None
