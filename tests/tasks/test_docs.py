"""The guide's task files load, and their rows adapt."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from flantune.settings.config import DataSettings
from flantune.tasks.load import load_tasks
from flantune.tasks.prepare import prepare_task
from flantune.tasks.sources.kinds import KINDS
from flantune.tasks.taskfile_sections import METRICS, AnswerSection, HeadSection, TemplateSection

GUIDE = (Path(__file__).parents[2] / "docs/tasks.md").read_text(encoding="utf-8")
FILES = dict(re.findall(r"^`([\w.]+)`:\n\n```\w+\n(.*?)```$", GUIDE, flags=re.MULTILINE | re.DOTALL))
ROWS = {"reviews": (2, 2), "capitals": (2,), "quiz": (1,), "riddles": (1,), "countries": (2,)}


def test_the_guides_files_work(tmp_path: Path) -> None:
    for name, text in FILES.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    tasks = load_tasks(DataSettings(tasks=("*.toml", "atlas.py")), root=tmp_path)
    assert {task.name for task in tasks} == set(ROWS)
    for task in tasks:
        prepared = prepare_task(task, cache=tmp_path / "cache", max_bad_share=0.0)
        assert tuple(len(store) for store in prepared.stores.values()) == ROWS[task.name]
    capitals = next(task for task in tasks if task.name == "capitals")
    assert prepare_task(capitals, cache=tmp_path / "cache").stores["test"][1].references == ("Sucre", "La Paz")


@pytest.mark.parametrize("section", [HeadSection, *KINDS.values(), AnswerSection, TemplateSection])
def test_the_guide_names_every_key(section: type[HeadSection]) -> None:
    for key in section.model_fields:
        assert re.search(rf"`[^`]*\b{key}\b[^`]*`", GUIDE), key


def test_the_guide_names_every_metric() -> None:
    assert [metric for metric in METRICS if ":" not in metric and f"`{metric}`" not in GUIDE] == []


def test_the_page_on_evaluation_names_every_setting_of_a_metric() -> None:
    page = (Path(__file__).parents[2] / "docs/evaluation.md").read_text(encoding="utf-8")
    # The four types of ROUGE have the same settings.
    settings = {metric for metric in METRICS if metric.startswith(("bleu:", "rougeL:"))}
    assert len(settings) >= 11 and [metric for metric in sorted(settings) if f"`{metric}`" not in page] == []
