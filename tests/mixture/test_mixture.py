from __future__ import annotations

import pickle
import tracemalloc
from collections import Counter, defaultdict
from collections.abc import Callable

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scipy.stats import chisquare

from flantune.errors import ConfigError, TaskError
from flantune.mixture.mixture import Draw, Mixture
from flantune.settings.config import MixtureSettings, PromptSettings


def visits(mixture: Mixture, draws: range) -> dict[str, dict[int, tuple[int, ...]]]:
    """Task name → visit → everything that the visit shows."""
    found: dict[str, dict[int, tuple[int, ...]]] = defaultdict(dict)
    for draw in mixture.draws(draws.start, draws.stop):
        shown = (draw.epoch, draw.example, draw.template, draw.shots, draw.key)
        assert draw.visit not in found[mixture.task_names[draw.task]]
        found[mixture.task_names[draw.task]][draw.visit] = shown
    return found


def test_one_by_one_and_all_at_once_agree(ready: Callable) -> None:
    tasks = [ready("a", 7), ready("b", 900, templates=5), ready("c", 1), ready("d", 50_000)]
    mixture = Mixture(
        tasks,
        seed=3,
        settings=MixtureSettings(max_examples=40, max_rate=25),
        prompts=PromptSettings(train_shots=(0, 2)),
    )
    for start in (0, mixture.cycle - 20, 10**9):
        block = mixture.draws(start, start + 120)
        assert list(block) == [mixture.draw(index) for index in range(start, start + 120)]
        assert all(type(draw.visit) is int for draw in block)
    assert len(mixture.draws(5, 5)) == 0
    assert mixture.block(10, 30) == [mixture[index] for index in range(10, 30)]


sizes = st.lists(st.integers(1, 60), min_size=1, max_size=6)


@given(
    sizes=sizes, cap=st.integers(0, 40), maximum=st.integers(0, 20), seed=st.integers(0, 9), cycles=st.integers(0, 5)
)
@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_each_cycle_holds_exactly_the_quotas(
    ready: Callable, sizes: list[int], cap: int, maximum: int, seed: int, cycles: int
) -> None:
    chosen = MixtureSettings(max_examples=cap, max_rate=maximum)
    mixture = Mixture([ready(f"t{n}", size) for n, size in enumerate(sizes)], seed=seed, settings=chosen)
    capped = [min(size, cap or size) for size in sizes]
    quota = {n: min(size, maximum or size) for n, size in enumerate(capped)}
    assert mixture.cycle == sum(quota.values())
    drawn = mixture.draws(cycles * mixture.cycle, (cycles + 1) * mixture.cycle)
    assert Counter(drawn.task.tolist()) == quota


@given(sizes=sizes, cap=st.integers(0, 40), maximum=st.integers(1, 20), seed=st.integers(0, 9))
@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_each_epoch_visits_each_capped_example_once(
    ready: Callable, sizes: list[int], cap: int, maximum: int, seed: int
) -> None:
    chosen = MixtureSettings(max_examples=cap, max_rate=maximum)
    mixture = Mixture([ready(f"t{n}", size) for n, size in enumerate(sizes)], seed=seed, settings=chosen)
    pools = {}
    for name, seen in visits(mixture, range(mixture.cycle * 25)).items():
        size = sizes[int(name[1:])]
        used = min(size, cap or size)
        assert sorted(seen) == list(range(len(seen)))
        epochs: dict[int, list[int]] = defaultdict(list)
        for visit in sorted(seen):
            epochs[seen[visit][0]].append(seen[visit][1])
        whole = [examples for examples in epochs.values() if len(examples) == used]
        assert len(whole) >= len(epochs) - 1
        for examples in whole:
            pools.setdefault(name, set(examples))
            assert len(set(examples)) == used  # each once
            assert set(examples) == pools[name]  # the same sample in each epoch
            assert max(examples) < size


def test_epochs_are_shuffled_anew(ready: Callable) -> None:
    seen = visits(Mixture([ready("a", 50)], seed=0), range(100))["a"]
    first, second = ([seen[visit][1] for visit in range(start, start + 50)] for start in (0, 50))
    assert first != second
    assert first != sorted(first)


def test_a_cap_takes_a_seeded_sample_of_the_whole_split(ready: Callable) -> None:
    chosen = MixtureSettings(max_examples=100, max_rate=0)

    def sample(name: str, seed: int) -> set[int]:
        mixture = Mixture([ready(name, 10_000)], seed=seed, settings=chosen)
        return set(mixture.draws(0, 300).example.tolist())

    assert len(sample("a", 0)) == 100
    assert sample("a", 0) == sample("a", 0)
    assert sample("a", 0) != sample("a", 1)
    assert sample("a", 0) != sample("b", 0)
    tenths = Counter(example // 1_000 for example in sample("a", 0))
    assert len(tenths) == 10  # not the head of the file


def test_trap_07_the_cap_holds_for_each_task_of_a_big_collection(ready: Callable) -> None:
    tasks = [ready(f"t{n}", 500 + n) for n in range(60)]
    mixture = Mixture(tasks, seed=1, settings=MixtureSettings(max_examples=20, max_rate=0))
    used: dict[int, set[int]] = defaultdict(set)
    drawn = mixture.draws(0, mixture.cycle * 4)
    for task, example in zip(drawn.task.tolist(), drawn.example.tolist(), strict=True):
        used[task].add(example)
    assert {len(examples) for examples in used.values()} == {20}
    assert {portion.capped for portion in mixture.portions} == {20}


def test_trap_07_the_cap_holds_for_exemplars_too(ready: Callable) -> None:
    mixture = Mixture(
        [ready("a", 5_000, inverted=0)],
        seed=1,
        settings=MixtureSettings(max_examples=30),
        prompts=PromptSettings(train_shots=(4,)),
    )
    used = set(mixture.draws(0, 30).example.tolist())
    shown = {exemplar.row for prompt in mixture.block(0, 120) for exemplar in prompt.exemplars}
    assert len(used) == 30
    assert shown <= used


def test_adding_a_task_leaves_the_streams_of_the_others_unchanged(ready: Callable) -> None:
    chosen = MixtureSettings(max_examples=50, max_rate=20)
    prompts = PromptSettings(train_shots=(0, 1, 5))
    few = Mixture([ready("a", 30), ready("c", 400)], seed=5, settings=chosen, prompts=prompts)
    more = Mixture(
        [ready(n, s) for n, s in (("c", 400), ("b", 77), ("a", 30), ("d", 3))], seed=5, settings=chosen, prompts=prompts
    )
    before, after = visits(few, range(few.cycle * 6)), visits(more, range(more.cycle * 6))
    for name in ("a", "c"):
        assert before[name] == after[name]


def test_the_order_in_which_tasks_are_listed_changes_nothing(ready: Callable) -> None:
    tasks = [ready("a", 30), ready("b", 9), ready("c", 400)]
    one, other = Mixture(tasks, seed=2), Mixture(tasks[::-1], seed=2)
    assert one.block(0, 200) == other.block(0, 200)
    for mixture in (one, other):
        assert all(mixture.task_names[mixture.draw(n).task] == mixture[n].task for n in range(50))


def test_another_seed_is_another_stream(ready: Callable) -> None:
    tasks = [ready("a", 300), ready("b", 90)]
    assert Mixture(tasks, seed=0).block(0, 50) != Mixture(tasks, seed=1).block(0, 50)


@pytest.mark.parametrize("workers", [1, 2, 7])
def test_any_number_of_workers_makes_one_stream(ready: Callable, workers: int) -> None:
    tasks = [ready("a", 30), ready("b", 9), ready("c", 400)]
    mixture = Mixture(tasks, seed=2, prompts=PromptSettings(train_shots=(0, 2)))
    copies = [pickle.loads(pickle.dumps(mixture)) for _ in range(workers)]
    parts = {start: copies[start % workers].block(start * 11, (start + 1) * 11) for start in reversed(range(10))}
    assert [prompt for start in range(10) for prompt in parts[start]] == mixture.block(0, 110)


def test_trap_03_the_stream_does_not_touch_or_read_global_random_state(ready: Callable) -> None:
    import random

    import numpy as np

    mixture = Mixture([ready("a", 300), ready("b", 90)], seed=0, prompts=PromptSettings(train_shots=(3,)))
    random.seed(1), np.random.seed(1)
    states = random.getstate(), np.random.get_state()[1].tolist()
    first = mixture.block(0, 40)
    assert (random.getstate(), np.random.get_state()[1].tolist()) == states
    random.seed(2), np.random.seed(2)
    assert mixture.block(0, 40) == first


def test_trap_04_a_training_query_is_never_among_its_own_exemplars(ready: Callable) -> None:
    mixture = Mixture([ready("a", 12, inverted=0)], seed=0, prompts=PromptSettings(train_shots=(11,)))
    for prompt in mixture.block(0, 120):
        rows = [exemplar.row for exemplar in prompt.exemplars]
        assert sorted([*rows, prompt.row]) == list(range(12))


def test_templates_are_drawn_evenly_and_inverted_ones_only_when_wanted(ready: Callable) -> None:
    mixture = Mixture([ready("a", 3_000, templates=7, inverted=3)], seed=0)
    assert chisquare(list(Counter(mixture.draws(0, 6_000).template.tolist()).values())).pvalue > 1e-3
    assert len(mixture.portions[0].templates) == 10
    plain = Mixture([ready("a", 90, inverted=3)], seed=0, prompts=PromptSettings(include_inverted=False))
    assert {prompt.template for prompt in plain.block(0, 90)} == {"t0", "t1", "t2"}
    first = Mixture([ready("a", 90, inverted=3)], seed=0, prompts=PromptSettings(max_templates=2))
    assert {prompt.template for prompt in first.block(0, 90)} == {"t0", "t1"}


def test_shots_are_drawn_from_the_numbers_given(ready: Callable) -> None:
    mixture = Mixture([ready("a", 3_000, inverted=0)], seed=0, prompts=PromptSettings(train_shots=(0, 1, 4)))
    drawn = mixture.draws(0, 3_000)
    assert chisquare(list(Counter(drawn.shots.tolist()).values())).pvalue > 1e-3
    for draw in list(drawn)[:60]:
        assert len(mixture.prompt(draw).exemplars) == draw.shots


@pytest.mark.parametrize("name", ["inputs_only", "dataset_name"])
@pytest.mark.parametrize("options", [True, False])
def test_styles_without_instructions_render_each_example_in_one_way(ready: Callable, name: str, options: bool) -> None:
    mixture = Mixture([ready("a", 40, inverted=2)], seed=0, prompts=PromptSettings(style=name, show_options=options))
    for prompt in mixture.block(0, 80):
        expected = f"text number {prompt.row}" + ("\nOPTIONS:\n- even\n- odd" if options else "")
        assert prompt.inputs == (f"[a] {expected}" if name == "dataset_name" else expected)
        assert prompt.targets in ("even", "odd")


def test_equal_rates_give_each_task_one_draw_a_cycle(ready: Callable) -> None:
    mixture = Mixture([ready("a", 3), ready("b", 5_000)], seed=0, settings=MixtureSettings(rates="equal"))
    assert mixture.cycle == 2
    assert Counter(mixture.draws(0, 400).task.tolist()) == {0: 200, 1: 200}


def test_draws_are_spread_over_the_cycle(ready: Callable) -> None:
    mixture = Mixture([ready("a", 3_000), ready("b", 3_000)], seed=0)
    halves = [Counter(mixture.draws(start, start + 600).task.tolist())[0] for start in range(0, 6_000, 600)]
    assert chisquare(halves).pvalue > 1e-4


def test_thousands_of_big_tasks_start_without_looking_at_a_row(make_task: Callable, ready: Callable) -> None:
    class Closed:
        """Knows its length and nothing else."""

        def __len__(self) -> int:
            return 1_000_000

        def __getitem__(self, index: int, /) -> None:
            raise AssertionError("an example was read")

    prepared = [type(ready("a", 1))(make_task(f"task {n}"), {"train": Closed()}) for n in range(2_000)]
    tracemalloc.start()
    mixture = Mixture(prepared, seed=0)
    mixture.draws(0, 100)
    mixture.draw(10**12)
    used = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert mixture.cycle == 2_000 * 3_000
    assert used < 8_000_000  # bytes: grows with tasks, not with two thousand million rows


def test_the_first_draws_are_pinned_so_that_a_stream_stays_what_it_is(ready: Callable) -> None:
    mixture = Mixture(
        [ready("a", 70), ready("b", 5_000)], seed=0, settings=MixtureSettings(max_examples=300, max_rate=50)
    )
    assert [(d.task, d.visit, d.example, d.template) for d in mixture.draws(0, 5)] == PINNED
    assert mixture.draw(0) == Draw(
        index=0, task=PINNED[0][0], portion=0, visit=PINNED[0][1], epoch=0, example=PINNED[0][2], template=PINNED[0][3],
        shots=0, key=mixture.draw(0).key,
    )  # fmt: skip


def test_negative_indices_are_errors_not_the_end_of_an_endless_stream(ready: Callable) -> None:
    mixture = Mixture([ready("a", 3)], seed=0)
    for call in (lambda: mixture[-1], lambda: mixture.draw(-1), lambda: mixture.draws(-1, 3)):
        with pytest.raises(IndexError):
            call()


def test_mistakes_are_told_with_a_hint(ready: Callable, make_task: Callable) -> None:
    with pytest.raises(ConfigError, match="no task"):
        Mixture([], seed=0)
    with pytest.raises(ConfigError, match="same name: a"):
        Mixture([ready("a", 3), ready("a", 4)], seed=0)
    with pytest.raises(TaskError, match="no training examples"):
        Mixture([ready("a", 0)], seed=0)
    with pytest.raises(TaskError, match="no training examples"):
        Mixture([type(ready("a", 1))(make_task("a"), {})], seed=0)
    with pytest.raises(TaskError, match="no template"):
        Mixture([ready("a", 3, templates=0)], seed=0, prompts=PromptSettings(include_inverted=False))


PINNED = [(0, 32, 28, 0), (1, 31, 4964, 0), (0, 35, 57, 0), (0, 11, 42, 1), (1, 45, 371, 1)]
