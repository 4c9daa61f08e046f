from __future__ import annotations

import json

import numpy as np
import pytest
import scipy.stats
from click.testing import CliRunner

from flantune.cli.main import cli
from flantune.errors import EvaluationError, FlantuneError
from flantune.evaluation.results import Results
from flantune.evaluation.run_samples import FoldInput, score_samples
from flantune.evaluation.statistics.means import t_interval
from flantune.evaluation.statistics.seeds import over_seeds, seed_mean
from flantune.settings.config import EvaluationSettings
from flantune.settings.json_file import plain, value_of

from .made import choice_sample, info, write_run


def results_of(folder, seed, *, rows=range(60), gain=0.3, settings=None, fold=None):
    rng = np.random.default_rng(seed)

    def grid(rate):
        return [choice_sample(row, right=bool(rng.random() < rate), template=t) for t in "ab" for row in rows]

    write_run(folder, {"t": grid(0.4)}, {"t": grid(0.4 + gain)})
    fold = fold or FoldInput(name="f", clusters=("c",), unseen=("t",))
    return score_samples(
        folder, folds=[fold], tasks=[info()], settings=settings or EvaluationSettings(), name="made", seed=seed
    )


@pytest.fixture
def runs(tmp_path):
    return [results_of(tmp_path / str(seed), seed) for seed in range(4)]


def test_other_rows_in_every_run_give_the_plain_t_test_or_the_rows_own_interval(tmp_path):
    """Whichever is wider; these made-up runs agree better than their rows allow."""
    runs = [results_of(tmp_path / str(seed), seed, rows=range(100 * seed, 100 * seed + 60)) for seed in range(4)]
    summary = over_seeds(runs)
    task = next(effect for effect in summary.effects if effect.level == "task")
    each, ses = ([getattr(run.tasks[0].differences["tuned"], key) for run in runs] for key in ("value", "se"))
    assert task.each == tuple(each)
    assert not task.shares_rows
    half = max(scipy.stats.t.ppf(0.975, 3) * scipy.stats.sem(each), 1.959964 * np.linalg.norm(ses) / 4)
    mean = np.mean(each)
    assert (task.value, task.low, task.high) == pytest.approx((mean, mean - half, mean + half), abs=1e-6)
    assert task.std == pytest.approx(np.std(each, ddof=1))


def test_runs_that_held_nothing_out_are_combined_by_what_they_were_trained_on(tmp_path):
    plain_fold = FoldInput(name="f", clusters=(), unseen=(), seen=("t",))
    effects = over_seeds([results_of(tmp_path / str(seed), seed, fold=plain_fold) for seed in range(3)]).effects
    assert {(one.name, one.level, len(one.each)) for one in effects} == {("t", "task", 3)}


def test_seeds_that_differ_more_than_their_rows_give_the_plain_t_test():
    each = [0.05, 0.12, 0.31, 0.02]
    mean = seed_mean(each, [0.01] * 4, shares_rows=False)
    assert (mean.value, mean.se, mean.df) == (pytest.approx(np.mean(each)), pytest.approx(scipy.stats.sem(each)), 3)


def test_runs_that_agree_by_luck_have_the_interval_of_their_rows():
    """Three values closer to each other than their rows allow: the t-test of the three would claim too much."""
    mean = seed_mean([0.0090, 0.0094, 0.0073], [0.0048] * 3, shares_rows=False)
    assert (mean.se, mean.df > 1e6) == (pytest.approx(0.0048 / 3**0.5), True)
    apart = seed_mean([0.01, 0.03, 0.05], [0.0048] * 3, shares_rows=False)
    assert (apart.se, apart.df) == (pytest.approx(0.02 / 3**0.5), 2)


def test_the_same_rows_add_their_own_error(runs):
    task = next(effect for effect in over_seeds(runs).effects if effect.level == "task")
    each, ses = ([getattr(run.tasks[0].differences["tuned"], key) for run in runs] for key in ("value", "se"))
    assert task.shares_rows
    assert task.se == pytest.approx(np.sqrt(np.var(each, ddof=1) / 4 + np.mean(np.square(ses))))


def test_the_interval_covers_seeds_and_rows():
    """Seeds and rows both vary: the interval of the mean over five seeds holds the truth, one run's own does not."""
    rng = np.random.default_rng(1)
    covered = {True: 0, False: 0}
    alone = 0
    for _ in range(2000):
        seeds, rows = rng.normal(0.1, 0.03, 5), rng.normal(0.0, 0.02, 6)
        for shared in (True, False):
            values = seeds + (rows[5] if shared else rows[:5])
            mean = seed_mean(list(values), [0.02] * 5, shares_rows=shared)
            ours = t_interval(mean, confidence=0.95, span=(-1, 1))
            covered[shared] += ours.low <= 0.1 <= ours.high
        alone += abs(seeds[0] + rows[0] - 0.1) <= 1.96 * 0.02
    assert 0.935 <= covered[False] / 2000 <= 0.965
    assert covered[True] / 2000 >= 0.94
    assert alone / 2000 < 0.8


def test_whole_clusters_and_tasks_are_there_and_incomplete_ones_are_not(runs):
    def raw(runs):
        return [effect for effect in over_seeds(runs).effects if effect.measure == "raw"]

    assert [(effect.level, effect.name) for effect in raw(runs)] == [
        ("overall", "all clusters"), ("cluster", "c"), ("task", "t"),
    ]  # fmt: skip
    lacking = runs[1].model_copy(update={"tasks": ()})
    assert [effect.level for effect in raw([runs[0], lacking])] == ["overall", "cluster"]


def test_runs_that_do_not_differ_at_all_keep_their_rows_error():
    mean = seed_mean([0.1, 0.1], [0.02, 0.02], shares_rows=False)
    assert mean.se == pytest.approx(0.02)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({}, "same seed"),
        ({"seed": 9, "answer_parsing": "flan2021"}, "answer_parsing is 'none' in some and 'flan2021' in others"),
        ({"seed": 9, "normalization": "token"}, "normalization is 'sum' in some and 'token' in others"),
        ({"seed": 9, "ties": "expected"}, "protocol.ties is 'first' in some and 'expected' in others"),
    ],
)
def test_runs_that_cannot_be_put_together_are_refused(runs, change, message):
    ((name, protocol),) = runs[0].protocols.items()
    protocols = {name: {key: change.get(key, value) for key, value in protocol.items()}}
    with pytest.raises(EvaluationError, match=message):
        over_seeds([runs[0], runs[0].model_copy(update={**change, "protocols": protocols})])


def test_results_of_another_version_are_refused(runs):
    with pytest.raises(FlantuneError, match=r"another version of flantune \(version 1; this one reads 4\)"):
        value_of({**plain(runs[0]), "schema": 1}, Results, where="results.json")
    assert value_of(json.loads(json.dumps(plain(runs[0]))), Results, where="made") == runs[0]


def test_one_run_is_not_enough(runs):
    with pytest.raises(EvaluationError, match="no spread"):
        over_seeds(runs[:1])


def test_the_command_prints_a_table_or_json(runs, tmp_path):
    for seed, results in enumerate(runs):
        (tmp_path / str(seed) / "results.json").write_text(json.dumps(plain(results)))
    folders = [str(tmp_path / str(seed)) for seed in range(4)]
    table = CliRunner().invoke(cli, ["seeds", *folders])
    assert table.exit_code == 0
    assert "4 seeds: 0, 1, 2, 3" in table.output
    assert "all clusters" in table.output
    found = json.loads(CliRunner().invoke(cli, ["seeds", "--json", *folders]).output)
    assert found["effects"][0]["level"] == "overall"
