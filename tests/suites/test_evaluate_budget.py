"""``flantune evaluate --budget``: fewer questions, the same means within their intervals, nothing asked twice."""

from __future__ import annotations

import pytest
from click.testing import CliRunner

from flantune.cli.main import cli
from flantune.commands.evaluate import EvaluationRequest, evaluate
from flantune.errors import ConfigError
from flantune.settings.config import DataSettings
from tests.end_to_end.small_world import write_small_world

from .world import make_model


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    folder = tmp_path_factory.mktemp("world")
    write_small_world(folder, rows=150)
    return folder


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models")
    return [str(make_model(folder / name, seed=seed)) for name, seed in (("base", 0), ("other", 1))]


def request(world, out, models, **values) -> EvaluationRequest:
    files = tuple(str(world / f"{name}_task.toml") for name in ("mood", "tone", "animal"))
    return EvaluationRequest(models=tuple(models), out=out, data=DataSettings(tasks=files), **values)


def test_a_draw_agrees_with_the_whole_and_asks_less(world, models, tmp_path):
    whole = evaluate(request(world, tmp_path / "whole", models))
    drawn = evaluate(request(world, tmp_path / "drawn", models, budget=12.0))
    assert [one.name for one in drawn.tasks] == [one.name for one in whole.tasks]
    for some, every in zip(drawn.tasks, whole.tasks, strict=True):
        assert some.differences["other"].examples <= every.differences["other"].examples
        assert any("a draw of" in note for note in some.notes)
    assert sum(one.differences["other"].examples for one in drawn.tasks) < 450
    (some,), (every,) = drawn.overall, whole.overall
    change = some.raw.differences["other"]
    assert abs(change.value - every.raw.differences["other"].value) < 4 * change.se + 0.02
    again = evaluate(request(world, tmp_path / "drawn", models, budget=12.0))
    assert again.overall == drawn.overall


def test_a_precision_that_all_questions_do_not_give_is_said(world, models, tmp_path):
    from flantune.system.progress import Silent

    class Told(Silent):
        notes: list[str] = []  # noqa: RUF012

        def note(self, message: str) -> None:
            self.notes.append(message)

    told = Told()
    evaluate(request(world, tmp_path / "out", models[:1], budget=0.5), reporter=told)
    assert any("even all questions would find no difference under" in note for note in told.notes)


def test_what_a_budget_does_not_go_with(world, models, tmp_path):
    with pytest.raises(ConfigError, match="--limit"):
        evaluate(request(world, tmp_path / "out", models, budget=2.0, limit=3))
    said = CliRunner().invoke(cli, ["evaluate", models[0], "--tasks", str(world / "mood_task.toml"), "--budget", "0"])
    assert said.exit_code == 2 and "--budget" in said.output
