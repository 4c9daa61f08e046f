"""Data as people have it: preferences, files for training and testing, Excel's tables, labels written in many ways."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from flantune.commands import init_chat
from flantune.commands.init import write_project
from flantune.errors import ConfigError, FlantuneError, SourceError
from flantune.prompts.render import render
from flantune.settings.run_file import load_run_file
from flantune.tasks.load import load_tasks
from flantune.tasks.prepare import prepare_task
from flantune.tasks.recognize import recognize
from flantune.tasks.recognized import Recognized
from flantune.tasks.sources.sniffed import sniffed_format

TEAMS = ("sales", "repairs")


def lines(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def chat(*texts: str) -> list[dict[str, str]]:
    return [{"role": ("user", "assistant")[at % 2], "content": text} for at, text in enumerate(texts)]


def labeled(count: int, label: Any = None) -> list[dict[str, Any]]:
    return [{"text": f"Order {at} is late.", "label": label(at) if label else TEAMS[at % 2]} for at in range(count)]


def made(tmp_path: Path, *data: Path, model: str = ""):
    """The notes as one text, and the first task with its rows."""
    project = write_project(tmp_path / "mine", data=data, model=model)
    file = load_run_file(project.files[0])
    task = load_tasks(file.config.data, root=file.root)[0]
    return "\n".join(project.notes), prepare_task(task, cache=tmp_path / "cache")


def all_good(prepared) -> bool:
    return all(not report.bad for report in prepared.reports.values())


# Preferences. --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("prompt", [{}, {"prompt": "Why?"}, {"prompt": chat("Why?")}])
def test_rejected_answers_are_never_learned(tmp_path: Path, prompt: dict[str, Any]) -> None:
    whole = not prompt
    answers = {
        "rejected": chat("Why?", "Bad.") if whole else chat("", "Bad.")[1:],
        "chosen": chat("Why?", "Good.") if whole else chat("", "Good.")[1:],
    }
    notes, prepared = made(tmp_path, lines(tmp_path / "a.jsonl", [{**prompt, **answers}] * 5))
    example = prepared.stores["train"][0]
    assert [turn.text for turn in example.turns] == ["Why?", "Good."]
    assert "preference data: only `chosen` is learned, and not rejected" in notes


def test_a_prompt_that_the_chosen_chat_repeats_is_said_once(tmp_path: Path) -> None:
    row = {"prompt": chat("Why?"), "chosen": chat("Why?", "Good."), "rejected": chat("Why?", "Bad.")}
    assert recognize(lines(tmp_path / "a.jsonl", [row] * 3)).columns == ("chosen",)
    row["prompt"] = "Why?"  # type: ignore[assignment]
    assert recognize(lines(tmp_path / "b.jsonl", [row] * 3)).columns == ("chosen",)


def test_rejected_texts_are_no_answers_either(tmp_path: Path) -> None:
    rows = [{"prompt": f"Is {at} even?", "rejected_response": "It may be.", "chosen": "yes"} for at in range(30)]
    notes, prepared = made(tmp_path, lines(tmp_path / "a.jsonl", rows))
    assert prepared.stores["train"][0].references == ("yes",) and "only `chosen` is learned" in notes
    with pytest.raises(SourceError, match="has only rejected answers"):
        recognize(lines(tmp_path / "b.jsonl", [{"rejected": chat("Why?", "Bad.")}]))


def test_answers_with_a_verdict_are_told(tmp_path: Path) -> None:
    rows = [{"prompt": f"Is {at} even?", "completion": "yes", "label": at % 2 == 0} for at in range(30)]
    notes, _ = made(tmp_path, lines(tmp_path / "a.jsonl", rows))
    assert 'every row is learned, also where "label" is false' in notes and "not used: label" in notes


# Several files. ------------------------------------------------------------------------------------------------------


def test_files_for_training_and_testing_are_one_task(tmp_path: Path) -> None:
    files = [lines(tmp_path / f"my-{role}.jsonl", labeled(n)) for role, n in (("train", 30), ("valid", 6), ("test", 8))]
    notes, prepared = made(tmp_path, *files)
    assert {role: len(store) for role, store in prepared.stores.items()} == {"train": 30, "dev": 6, "test": 8}
    assert prepared.task.name == "my"
    assert "my: one task of 3 files (train: my-train.jsonl, dev: my-valid.jsonl, test: my-test.jsonl)" in notes


def test_a_small_test_file_is_read_like_its_training_file(tmp_path: Path) -> None:
    train = lines(tmp_path / "train.jsonl", [{"body": row["text"], "team": row["label"]} for row in labeled(40)])
    test = lines(tmp_path / "test.jsonl", [{"body": "Where?", "team": "legal"}])
    notes, prepared = made(tmp_path, train, test)
    assert [len(prepared.stores[role]) for role in ("train", "test")] == [40, 1] and all_good(prepared)
    assert "labels that no training row has: legal" in notes


def test_without_a_test_file_the_dev_file_is_halved(tmp_path: Path) -> None:
    _, prepared = made(tmp_path, *(lines(tmp_path / f"{role}.jsonl", labeled(40)) for role in ("train", "dev")))
    assert {role: len(store) for role, store in prepared.stores.items()} == {"train": 40, "dev": 20, "test": 20}


def test_files_with_other_columns_are_told_apart(tmp_path: Path) -> None:
    train = lines(tmp_path / "train.jsonl", labeled(40))
    test = lines(tmp_path / "test.jsonl", [{"prompt": "Why?", "completion": "So."}] * 30)
    notes, _ = made(tmp_path, train, test)
    assert "its name says test, and yet most of its rows train; it and train.jsonl have different columns" in notes
    assert "2 tasks: each is divided by itself" in notes


def test_a_task_is_named_in_ascii(tmp_path: Path) -> None:
    _, prepared = made(tmp_path, lines(tmp_path / "Données 1.jsonl", labeled(20)))
    assert prepared.task.name == "donnees_1"


# Chat templates. -----------------------------------------------------------------------------------------------------


def chats(tmp_path: Path) -> Path:
    return lines(tmp_path / "a.jsonl", [{"messages": chat("Why?", f"Since {at}.")} for at in range(30)])


@pytest.mark.parametrize(("template", "is_on"), [("{{ messages }}", True), ("", False)])
def test_the_template_of_a_gguf_file_is_used(tmp_path: Path, template: str, is_on: bool) -> None:
    gguf = pytest.importorskip("gguf")
    writer = gguf.GGUFWriter(tmp_path / "small.gguf", "llama")
    if template:
        writer.add_chat_template(template)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    project = write_project(tmp_path / "mine", data=[chats(tmp_path)], model=str(tmp_path / "small.gguf"))
    assert load_run_file(project.files[0]).config.prompts.chat is is_on
    assert ("its chat template is used" if is_on else "has no chat template") in project.notes[-2]


def test_a_hub_model_that_is_not_here_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    project = write_project(tmp_path / "mine", data=[chats(tmp_path)], model="org/model")
    assert any("if it has one, write under [prompts] in run.toml: chat = true" in note for note in project.notes)


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({"tokenizer_config.json": '{"chat_template": "x"}'}, True),
        ({"tokenizer_config.json": "{}", "chat_template.jinja": "x"}, True),
        ({"tokenizer_config.json": "{}"}, None),
        ({}, None),
    ],
)
def test_the_template_of_a_hub_model_that_was_fetched_is_used(tmp_path: Path, monkeypatch, files, expected) -> None:
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    here = {name: str(tmp_path / name) for name in files}
    monkeypatch.setattr("huggingface_hub.try_to_load_from_cache", lambda _, name: here.get(name))
    assert init_chat.has_chat_template("org/model") is expected


# Columns. ------------------------------------------------------------------------------------------------------------


def test_a_column_with_the_system_message_is_used_and_others_are_named(tmp_path: Path) -> None:
    rows = [{"id": at, "system": "Be brief.", "conversations": chat("Why?", "So.")} for at in range(30)]
    notes, prepared = made(tmp_path, lines(tmp_path / "a.jsonl", rows))
    assert [turn.text for turn in prepared.stores["train"][0].turns] == ["Be brief.", "Why?", "So."]
    assert "a.jsonl: not used: id" in notes


def test_a_system_prompt_beside_questions_is_a_system_message(tmp_path: Path) -> None:
    rows = [{"system_prompt": "Be brief.", "question": "Why?", "response": "So."}] * 30
    _, prepared = made(tmp_path, lines(tmp_path / "a.jsonl", rows))
    turns = [(turn.speaker, turn.text) for turn in prepared.stores["train"][0].turns]
    assert turns == [("system", "Be brief."), ("user", "Why?"), ("assistant", "So.")]


def test_reserved_names_are_no_slots(tmp_path: Path) -> None:
    rows = [
        {"instruction": "Add.", "context": f"{at} and 1", "system": "Be brief.", "answer": "So."} for at in range(30)
    ]
    _, prepared = made(tmp_path, lines(tmp_path / "a.jsonl", rows))
    prompt = render(prepared.task, prepared.stores["train"][0], prepared.task.templates[0], split="train")
    assert (prompt.inputs, prompt.targets) == ("Be brief.\n\nAdd.\n\n0 and 1", "So.")


# Labels. -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("label", "options", "note"),
    [
        (
            lambda at: ("other", "delivery ", " delivery", "delivery")[at % 4],
            ("delivery", "other"),
            "several spellings",
        ),
        (
            lambda at: ("other", "delivery", "delivery", "Delivery")[at % 4],
            ("delivery", "other"),
            "differ only by case",
        ),
        (lambda at: ("TRUE", "FALSE", "true", False)[at % 4], ("TRUE", "FALSE"), "several spellings"),
        (lambda at: (1, "2", "1.0", 2.0)[at % 4], ("1", "2"), "several spellings"),
    ],
)
def test_one_label_in_several_spellings_is_one_option(tmp_path: Path, label, options, note) -> None:
    notes, prepared = made(tmp_path, lines(tmp_path / "a.jsonl", labeled(40, label)))
    assert sorted(prepared.stores["train"][0].options) == sorted(options)
    assert note in notes and all_good(prepared)
    answers = [prepared.stores["train"][at].references[0] for at in range(4)]
    said = {str(label(at)).strip().lower().removesuffix(".0") for at in range(4)}
    assert len(said) == 2 and answers[3].lower() == str(label(3)).strip().lower().removesuffix(".0")


@pytest.mark.parametrize("nothing", ["", None, " ", float("nan")])
def test_rows_without_a_label_are_left_out_and_counted(tmp_path: Path, nothing: Any) -> None:
    rows = labeled(100, lambda at: nothing if at == 7 else TEAMS[at % 2])
    notes, prepared = made(tmp_path, lines(tmp_path / "a.jsonl", rows))
    assert prepared.reports["train"].dropped == 1 and all_good(prepared)
    assert '1 row has no label in column "label", first row 7 (counted from 0): left out by [answer] drop' in notes


def test_rows_without_an_answer_are_left_out_and_counted(tmp_path: Path) -> None:
    rows = [{"prompt": f"Is {at} even?", "completion": "" if at == 3 else "yes"} for at in range(40)]
    notes, prepared = made(tmp_path, lines(tmp_path / "a.jsonl", rows))
    assert prepared.reports["train"].dropped == 1 and all_good(prepared)
    assert '1 row has no answer in column "completion", first row 3' in notes


def test_a_row_without_text_is_named(tmp_path: Path) -> None:
    rows = [{**row, "text": None if at == 17 else row["text"]} for at, row in enumerate(labeled(200))]
    found = recognize(lines(tmp_path / "a.jsonl", rows))
    assert found.columns == ("text", "label")
    assert found.notes[0].startswith('1 row has no text in column "text", first row 17 (counted from 0)')


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"text": 5}, 'no column but "label" holds texts: "text" is int 5 in row 3'),
        ({"label": ["a"]}, "its column \"label\" holds no label in row 3 (counted from 0): ['a']"),
    ],
)
def test_a_cell_of_another_kind_is_named(tmp_path: Path, change: dict[str, Any], said: str) -> None:
    rows = [{**row, **(change if at == 3 else {})} for at, row in enumerate(labeled(30))]
    with pytest.raises(SourceError) as caught:
        recognize(lines(tmp_path / "a.jsonl", rows))
    assert said in caught.value.message


def test_labels_of_a_sorted_file_are_read_to_its_end(tmp_path: Path) -> None:
    found = recognize(lines(tmp_path / "a.jsonl", labeled(25_000, lambda at: "neg" if at < 12_500 else "pos")))
    assert (found.labels, found.rows, found.is_sorted) == (("neg", "pos"), 25_000, True)
    assert found.splits["train"] == "rows[:-1000]"


def test_one_label_alone_is_told_by_as_many_rows_as_were_read(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match='says "neg" in all 10,100 rows'):
        recognize(lines(tmp_path / "a.jsonl", labeled(10_100, lambda _: "neg")))


def test_a_label_with_a_control_character_is_written_so_that_it_is_read(tmp_path: Path) -> None:
    _, prepared = made(tmp_path, lines(tmp_path / "a.jsonl", labeled(30, lambda at: ("a\x7f", "b\x1b")[at % 2])))
    assert prepared.stores["train"][0].options == ("a\x7f", "b\x1b")


# Excel. --------------------------------------------------------------------------------------------------------------


def table(delimiter: str) -> str:
    rows = [f"Commande {at}, en retard.{delimiter}{('échange', 'rendu')[at % 2]}" for at in range(40)]
    return "\r\n".join([f"texte{delimiter}équipe", *rows, ""])


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "cp1252", "latin-1", "utf-16", "utf-16-le"])
@pytest.mark.parametrize("delimiter", [";", "\t", "|"])
def test_tables_of_excel_are_read(tmp_path: Path, encoding: str, delimiter: str) -> None:
    (tmp_path / "a.csv").write_bytes(table(delimiter).encode(encoding))
    notes, prepared = made(tmp_path, tmp_path / "a.csv")
    example = prepared.stores["train"][0]
    assert (example.fields["text"], example.options) == ("Commande 0, en retard.", ("échange", "rendu"))
    assert f"its cells are separated by {json.dumps(delimiter)}" in notes and all_good(prepared)
    assert ("not UTF-8, so it is read as Windows-1252" in notes) == (encoding in ("cp1252", "latin-1"))


def test_usual_tables_are_left_as_they_are(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text('text,label\n"Late; very, very late|so.",a\nFine; fine.,b\n')
    (tmp_path / "b.tsv").write_text("text\tlabel\nLate, very, very late.\ta\nFine, so.\tb\n")
    assert {sniffed_format(tmp_path / name) for name in ("a.csv", "b.tsv")} == {sniffed_format(chats(tmp_path))}


def test_other_encodings_are_refused_and_nothing_is_written(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes(b"text,label\n" + "Заказ не пришёл,жалоба\n".encode("cp1251") * 30)
    with pytest.raises(SourceError, match="of an encoding that cannot be told") as caught:
        write_project(tmp_path / "mine", data=[tmp_path / "a.csv"])
    assert "UTF-8" in caught.value.hint and not (tmp_path / "mine").exists()


def test_a_broken_label_among_good_ones_is_no_option(tmp_path: Path) -> None:
    good = "Réponse é,échange\nRéponse,rendu\n".encode() * 30
    (tmp_path / "a.csv").write_bytes(b"text,label\n" + good + "Oui,échange\n".encode("cp1252"))
    found = recognize(tmp_path / "a.csv")
    assert set(found.labels) == {"échange", "rendu"} and '1 row has a broken text in "label"' in found.notes[0]


def test_hints_name_no_task_file_where_there_is_none(tmp_path: Path) -> None:
    faults = {
        "a.txt": "Once upon a time.\n",
        "b.csv": "text,text\na,b\n",
        "c.json": '{"a": [{"text": "x"}], "b": [{"text": "y"}]}',
        "d.parquet": "no such thing",
    }
    for name, text in faults.items():
        (tmp_path / name).write_text(text)
        with pytest.raises(SourceError) as caught:
            recognize(tmp_path / name)
        assert caught.value.hint and "[source]" not in caught.value.hint, name


# What is written. ----------------------------------------------------------------------------------------------------


def test_what_cannot_be_written_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from flantune.commands import init

    def full(path: Path, text: str) -> Path:
        if path.name == "README.md":
            raise FlantuneError("cannot be written: No space left on device", where=str(path))
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return path

    monkeypatch.setattr(init, "write_text", full)
    with pytest.raises(FlantuneError, match="No space left"):
        write_project(tmp_path / "mine")
    assert [path for path in (tmp_path / "mine").rglob("*") if path.is_file()] == []
    with pytest.raises(ConfigError, match="bytes that are no text"):
        write_project(tmp_path / "mine", model="a\udce9.gguf")
    assert [path for path in (tmp_path / "mine").rglob("*") if path.is_file()] == []


@pytest.mark.parametrize("data", [False, True])
def test_a_readme_says_what_is_there_and_replaces_none(tmp_path: Path, data: bool) -> None:
    given: dict[str, Any] = {"data": [lines(tmp_path / "a.jsonl", labeled(30))]} if data else {}
    assert "flantune check run.toml" in (write_project(tmp_path / "mine", **given).files[-1]).read_text()
    (tmp_path / "other").mkdir()
    (tmp_path / "other/README.md").write_text("mine")
    files = write_project(tmp_path / "other", **given).files
    assert "README.md" not in {path.name for path in files} and (tmp_path / "other/README.md").read_text() == "mine"


def test_little_data_makes_small_batches(tmp_path: Path) -> None:
    rows = [{"prompt": f"Is {at} an even number, and why is it so?", "completion": "Yes." * 8} for at in range(80)]
    project = write_project(tmp_path / "few", data=[lines(tmp_path / "a.jsonl", rows)])
    packing = load_run_file(project.files[0]).config.packing
    assert (packing.row_tokens, packing.batch_tokens) == (160, 160)
    assert any("tuning has about" in note for note in project.notes)
    many = [{**row, "completion": "Yes, it is. " * 200} for row in rows] * 20
    project = write_project(tmp_path / "many", data=[lines(tmp_path / "b.jsonl", many)])
    packing = load_run_file(project.files[0]).config.packing
    assert (packing.row_tokens, packing.batch_tokens) == (1536, 6144)


def test_a_recognized_file_says_how_it_is_divided() -> None:
    found = Recognized(path=Path("a.csv"), form="labels", columns=("text", "label"), rows=25_000)
    assert found.splits["test"] == "rows[-500:]"
