"""What the page on chain of thought says holds."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

from flantune.settings.chain_of_thought import ChainOfThoughtSettings
from flantune.settings.config import DataSettings, EvaluationSettings
from flantune.settings.run_file import validated
from flantune.tasks.load import load_tasks
from flantune.tasks.taskfile import load_task_file

PAGE = (Path(__file__).parents[2] / "docs/chain-of-thought.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```toml\n(.*?)^```", PAGE, flags=re.MULTILINE | re.DOTALL)


def test_its_settings_are_settings_and_its_task_file_is_one(tmp_path: Path) -> None:
    (own,) = [text for text in BLOCKS if "[[templates]]" in text]
    for text in BLOCKS:
        if text != own:
            validated(tomllib.loads(text), where="the page")
    (tmp_path / "riddles.toml").write_text(own, encoding="utf-8")
    (tmp_path / "riddles.tsv").write_text("What has teeth?\ta comb\tIt has many.\\nIt bites nobody.\n")
    task = load_task_file(tmp_path / "riddles.toml")
    assert task.adapter(next(iter(task.source.rows("train")))).fields["reasons"] == "It has many.\nIt bites nobody."


def test_it_lists_the_tasks_of_the_collection() -> None:
    names = {task.name for task in load_tasks(DataSettings(collection="cot"), root=Path())}
    assert set(re.findall(r"^\| `(cot_\w+)` \|", PAGE, flags=re.MULTILINE)) == names


def test_what_it_calls_the_default_is_the_default() -> None:
    settings = EvaluationSettings()
    assert f"`evaluation.max_reasoning_tokens` ({settings.max_reasoning_tokens})" in PAGE
    assert f"`evaluation.max_new_tokens` ({settings.max_new_tokens})" in PAGE
    assert ChainOfThoughtSettings(folder=Path()).test_examples == 0


def test_ten_templates_of_which_five_reason_two_answer_and_three_are_turned_around() -> None:
    for task in load_tasks(DataSettings(collection="cot"), root=Path()):
        targets = [one.targets for one in task.templates if not one.is_inverted]
        assert sum(text == "{answer}" for text in targets) == 2
        assert sum("{rationale}" in text and "{answer}" in text for text in targets) == 5
        turned = {frozenset(re.findall(r"\w+", one.targets)) & {"question", "answer", "rationale"}
                  for one in task.templates if one.is_inverted}  # fmt: skip
        assert turned == {frozenset({"rationale"}), frozenset({"question"}), frozenset({"question", "answer"})}
