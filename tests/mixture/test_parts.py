"""A mixture as a tree of parts: its shares, and the stream that comes of them."""

from __future__ import annotations

import csv
from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flantune.errors import ConfigError
from flantune.mixture.mixture import Mixture
from flantune.mixture.parts import Leaf, Size, check_selectors, plan_leaves
from flantune.mixture.proportions import parts_of, proportions_text
from flantune.settings.config import PromptSettings
from flantune.settings.mixture_settings import MixtureSettings, PartSettings
from flantune.settings.run_file import validated
from flantune.settings.toml_file import parse_toml

FLAN2022 = Path(__file__).parents[2] / "../shared/data/flan2022/flan2022"
NAMES = ("flan2022_paper_a", "flan2022_paper_b", "flan2022_released")


@dataclass(frozen=True, slots=True)
class Named:
    """What a part asks of a task."""

    name: str
    collection: str = ""
    clusters: tuple[str, ...] = ()


def settings(text: str) -> MixtureSettings:
    return MixtureSettings.model_validate(parse_toml(text))


def planned(text: str, **sizes: int) -> dict[tuple[str, str], Leaf]:
    mixture = settings(text)
    members = [Named(name, collection=name[0]) for name in sizes]
    leaves = plan_leaves(mixture, parts_of(mixture), members, size=lambda place, *_: Size(sizes[members[place].name]))
    return {(leaf.part, members[leaf.place].name): leaf for leaf in leaves}


def shares(text: str, **sizes: int) -> dict[tuple[str, str], float]:
    return {name: leaf.share for name, leaf in planned(text, **sizes).items()}


TREE = """
max_rate = 100
[parts.a]
share = 3
collections = ["a"]
[parts.b]
share = 1
collections = ["b"]
[parts.b.parts.zero]
share = 0.5
train_shots = [0]
[parts.b.parts.few]
share = 0.5
max_rate = 10
train_shots = [2]
"""


def test_parts_share_by_their_numbers_and_tasks_within_a_part_by_their_sizes() -> None:
    assert shares(TREE, a1=300, a2=50, b1=30, b2=10) == pytest.approx(
        {
            ("a", "a1"): 0.75 * 100 / 150,
            ("a", "a2"): 0.75 * 50 / 150,
            ("b.zero", "b1"): 0.125 * 30 / 40,
            ("b.zero", "b2"): 0.125 * 10 / 40,
            ("b.few", "b1"): 0.0625,
            ("b.few", "b2"): 0.0625,
        }
    )


def test_a_part_without_tasks_leaves_its_share_to_those_beside_it() -> None:
    assert shares(TREE, b1=30) == pytest.approx({("b.zero", "b1"): 0.5, ("b.few", "b1"): 0.5})


def test_parts_without_shares_count_as_their_tasks_add_up() -> None:
    text = '[parts.one]\ncollections = ["a"]\n[parts.two]\ncollections = ["b"]\n'
    assert shares(text, a1=30, b1=50, b2=20) == pytest.approx(
        {("one", "a1"): 0.3, ("two", "b1"): 0.5, ("two", "b2"): 0.2}
    )


def test_temperature_makes_shares_more_even() -> None:
    assert shares("temperature = 2.0\nmax_rate = 0", a=900, b=100) == pytest.approx({("", "a"): 0.75, ("", "b"): 0.25})


def test_fault_21_a_cap_of_rows_and_a_cap_of_rates_are_two_settings() -> None:
    text = 'max_examples = 100\nmax_rate = 0\ncap = "{}"'
    rows, rate = (planned(text.format(cap), a=5_000, b=50) for cap in ("rows", "rate"))
    assert {name: leaf.share for name, leaf in rows.items()} == {name: leaf.share for name, leaf in rate.items()}
    assert rows["", "a"].rate == rate["", "a"].rate == 100
    assert (rows["", "a"].rows, rate["", "a"].rows) == (100, 5_000)


def test_rows_are_repeated_no_more_often_than_allowed_and_others_of_the_part_have_the_rest() -> None:
    text = "max_rate = 0\nrates = 'equal'\nmax_epochs = 4\nplanned_draws = 1_000\n"
    found = shares(text, a=20, b=5_000, c=5_000)
    assert found == pytest.approx({("", "a"): 0.08, ("", "b"): 0.46, ("", "c"): 0.46})
    # A task in two parts is repeated so often in both together; a full part leaves its rest to its neighbor.
    tree = text + '[parts.x]\nshare = 1\ncollections = ["a"]\n[parts.x.parts.p]\n[parts.x.parts.q]\n'
    found = shares(tree + '[parts.y]\nshare = 1\ncollections = ["b"]\n', a=20, b=5_000)
    assert found == pytest.approx({("x.p", "a"): 0.04, ("x.q", "a"): 0.04, ("y", "b"): 0.92})
    with pytest.raises(ConfigError, match=r"20 rows repeated at most 4 times give 80"):
        shares(text, a=20)


@given(st.lists(st.integers(1, 10**9), min_size=1, max_size=30), st.integers(0, 10**4), st.floats(0.2, 20))
def test_shares_add_up_to_one(sizes: list[int], maximum: int, temperature: float) -> None:
    text = f"max_rate = {maximum}\ntemperature = {temperature}\n"
    found = shares(text, **{f"t{at}": size for at, size in enumerate(sizes)})
    assert sum(found.values()) == pytest.approx(1)
    assert min(found.values()) > 0


def test_only_some_parts_keep_their_relative_shares() -> None:
    whole = shares(TREE, a1=300, b1=30, b2=10)
    some = shares('only = ["a", "b.few"]\n' + TREE, a1=300, b1=30, b2=10)
    assert {part for part, _ in some} == {"a", "b.few"}
    assert some == pytest.approx({key: share / 0.875 for key, share in whole.items() if key in some})
    with pytest.raises(ConfigError, match=r'no part "b.fow"; did you mean "b.few"'):
        shares('only = ["b.fow"]\n' + TREE, a1=300)


def test_mistakes_are_told_with_a_hint() -> None:
    with pytest.raises(ConfigError, match="in no part of the mixture: c1"):
        shares(TREE, a1=3, c1=9)
    with pytest.raises(ConfigError, match="no template for their parts of the mixture: b1"):
        shares(TREE, a1=3, b1=0)
    for wrong, said in (
        ('[mixture.parts.a]\nshare = 1\n[mixture.parts.b]\ntasks = ["x"]', "there is none in b"),
        ('[mixture]\nproportions = "flan2022_released"\n[mixture.parts.a]', "cannot be used together"),
        ("[mixture.parts.a]\nshares = 1", r'mixture.parts.a.shares: unknown key; did you mean "share"'),
        ("[mixture.parts.a.parts.b]\nmax_rate = -1", "mixture.parts.a.parts.b.max_rate: should be at least 0"),
        ('[mixture.parts."a.b"]', "should be a name of letters"),
        ('[mixture]\nonly = ["a"]', "there are none"),
        ("[mixture]\nmax_epochs = 2.0", "set both, or neither"),
        ('[mixture]\nproportions = "flan2022"', '"flan2022_paper_a"'),
    ):
        with pytest.raises(ConfigError, match=said):
            validated(parse_toml(wrong), where="run.toml")


def test_a_part_that_names_what_is_not_there_is_told_and_not_left_empty() -> None:
    tree = settings('[parts.a]\ncollections = ["flan2012", "cot"]\n[parts.b]\n[parts.b.parts.c]\ntasks = ["x_*"]').parts
    with pytest.raises(ConfigError) as caught:
        check_selectors(tree, [Named("rte", collection="flan2021", clusters=("nli",))])
    text = caught.value.message
    assert 'mixture.parts.a.collections: no collection "flan2012"; did you mean "flan2021"' in text
    assert 'mixture.parts.b.parts.c.tasks: no task "x_*"; available: rte' in text
    assert "cot" not in text


@pytest.mark.parametrize("name", NAMES)
def test_a_tree_by_name_can_be_written_into_a_run_file_and_changed(name: str) -> None:
    written = validated(parse_toml("[mixture]\n" + proportions_text(name)), where="").mixture
    assert written.parts == parts_of(MixtureSettings(proportions=name))


# The stream ----------------------------------------------------------------------------------------------------------

STREAM = """
max_rate = 100
[parts.zero]
share = 0.7
train_shots = [0]
[parts.few]
share = 0.3
train_shots = [1, 3]
show_options = false
templates = "forward"
"""


def mixed(ready: Callable, text: str = STREAM, seed: int = 1, **sizes: int) -> Mixture:
    tasks = [ready(name, size) for name, size in sizes.items()]
    return Mixture(tasks, seed=seed, settings=settings(text), prompts=PromptSettings())


def test_draws_one_by_one_and_all_at_once_agree(ready: Callable) -> None:
    mixture = mixed(ready, a=70, b=5_000, c=1)
    for start in (0, 4_000, 10**9):
        assert list(mixture.draws(start, start + 200)) == [mixture.draw(at) for at in range(start, start + 200)]
    assert mixture.block(10, 40) == [mixture[at] for at in range(10, 40)]


def test_every_run_of_draws_has_the_shares_to_within_a_few(ready: Callable) -> None:
    mixture = mixed(ready, a=70, b=5_000, c=1)
    for first in (0, 123_456_789):
        drawn = Counter(mixture.draws(first, first + 40_960).portion.tolist())
        for number, portion in enumerate(mixture.portions):
            assert abs(drawn[number] - portion.share * 40_960) < 30


def test_visits_are_numbered_without_a_gap_so_that_each_epoch_has_each_row_once(ready: Callable) -> None:
    mixture = mixed(ready, a=70, b=500, c=3)
    seen: dict[int, list[tuple[int, int, int]]] = defaultdict(list)
    for draw in mixture.draws(0, 4_096 * 4):
        seen[draw.portion].append((draw.visit, draw.epoch, draw.example))
    for number, portion in enumerate(mixture.portions):
        visits = sorted(seen[number])
        assert [visit for visit, _, _ in visits] == list(range(len(visits)))
        for epoch in range(visits[-1][1]):
            rows = [row for _, at, row in visits if at == epoch]
            assert sorted(rows) == list(range(portion.examples))


def test_adding_a_leaf_moves_no_other_leafs_stream(ready: Callable) -> None:
    more = STREAM + "[parts.third]\nshare = 0.4\n[parts.third.parts.x]\n[parts.third.parts.y]\n"
    few, many = mixed(ready, a=30, c=400), mixed(ready, more, b=77, c=400, a=30, d=3)
    found: list[dict[tuple[str, str, int], tuple[int, ...]]] = []
    for mixture in (few, many):
        shown = {}
        for draw in mixture.draws(0, 20_000):
            portion = mixture.portions[draw.portion]
            name = (portion.part, portion.task.name, draw.visit)
            shown[name] = (draw.epoch, draw.example, draw.template, draw.shots, draw.key)
        found.append(shown)
    common = found[0].keys() & found[1].keys()
    assert len(common) > 4_000
    assert all(found[0][name] == found[1][name] for name in common)


def test_a_part_asks_in_its_own_way(ready: Callable) -> None:
    mixture = mixed(ready, a=70, b=500)
    for draw in mixture.draws(0, 400):
        prompt, part = mixture.prompt(draw), mixture.portions[draw.portion].part
        assert len(prompt.exemplars) in {"zero": (0,), "few": (1, 3)}[part]
        assert ("OPTIONS" in prompt.inputs) == (part == "zero" and not prompt.template.startswith("i"))
        assert part == "zero" or not prompt.template.startswith("i")


def test_inverted_prompts_have_their_share_and_templates_can_be_named(ready: Callable) -> None:
    text = '[parts.f]\nshare = 1\ntemplates = "forward"\ntemplate_names = ["t1", "?0"]\n'
    text += '[parts.i]\nshare = 0.3\ntemplates = "inverted"\n'
    mixture = mixed(ready, text, a=70, b=500)
    drawn = Counter(prompt.template for prompt in mixture.block(0, 4_096))
    assert set(drawn) == {"t0", "t1", "i0"}
    assert drawn["i0"] / 4_096 == pytest.approx(0.3 / 1.3, abs=0.01)


def test_a_cap_leaves_the_same_rows_in_all_parts_of_a_task(ready: Callable) -> None:
    mixture = mixed(ready, "max_examples = 40\n" + STREAM, a=5_000)
    rows = defaultdict(set)
    for draw in mixture.draws(0, 1_000):
        rows[draw.portion].add(draw.example)
    assert len(rows[0]) == 40 and rows[0] == rows[1]


def test_the_first_draws_of_a_tree_are_pinned_so_that_its_stream_stays_what_it_is(ready: Callable) -> None:
    mixture = mixed(ready, a=70, b=5_000)
    assert [(d.portion, d.visit, d.example, d.template) for d in mixture.draws(0, 5)] == PINNED
    assert [(d.portion, d.visit, d.example) for d in mixture.draws(10**9, 10**9 + 2)] == LATE


PINNED = [(2, 1141, 43, 3), (2, 137, 17, 1), (0, 80, 4, 1), (2, 916, 7, 1), (3, 1551, 2864, 0)]
LATE = [(3, 411765180, 2665), (0, 123529203, 56)]

# Flan 2022 -----------------------------------------------------------------------------------------------------------

SUBMIXTURES = {"flan2021": "flan2021", "t0": "t0", "niv2": "natural_instructions", "cot": "cot", "dialog": "dialogue"}


def released() -> dict[tuple[str, str, str, str, str], float]:
    """The authors' shares: sub-mixture, task, exemplars, options, inverted → share of the whole."""
    with (FLAN2022 / "released_rates.tsv").open(encoding="utf-8") as file:
        return {
            (row["submixture"], row["task"], row["shots"], row["options"], row["inverted"]): float(
                row["share_in_flan2022"]
            )
            for row in csv.DictReader(file, delimiter="\t")
        }


def form_of(path: tuple[str, ...], task: str) -> tuple[str, str, str]:
    """Exemplars, options and inversion as the authors name them, of a leaf of ours."""
    shots = {"five": "five", "explained": "five", "two_or_three": "x", "plain": "x"}.get(path[-1])
    if shots is None:
        shots = "zero" if "zero_shot" in ".".join(path) else "x"
    return shots, "no" if path[-1].endswith("no_options") else "yes", str(int("inversion" in task))


@pytest.mark.skipif(not FLAN2022.is_dir(), reason="the collection's numbers of prompts are not here")
def test_fault_11_the_shares_of_the_released_mixture_come_out_of_the_tree_and_not_of_its_dead_constants() -> None:
    with (FLAN2022 / "cases.tsv").open(encoding="utf-8") as file:
        cases = {row["task"]: row for row in csv.DictReader(file, delimiter="\t")}
    expected = released()
    submixture = {task: sub for sub, task, *_ in expected}
    members = [Named(task, collection=SUBMIXTURES[sub]) for task, sub in submixture.items()]
    column = {"zero": "zero_shot", "x": "x_shot", "five": "five_shot"}

    def size(place: int, path: tuple[str, ...], form: PartSettings) -> Size:
        task = members[place].name
        if form.templates and (form.templates == "inverted") != ("inversion" in task):
            return Size(0)
        return Size(int(cases[task][column[form_of(path, task)[0]]]))

    mixture = MixtureSettings(proportions="flan2022_released")
    leaves = plan_leaves(mixture, parts_of(mixture), members, size=size)
    found: dict[tuple[str, ...], float] = {}
    for leaf in leaves:
        task = members[leaf.place].name
        found[(submixture[task], task, *form_of(leaf.path, task))] = leaf.share
    assert len(leaves) == len(found) == len(expected) == 1_389
    assert found.keys() == expected.keys()
    assert max(abs(found[leaf] - share) for leaf, share in expected.items()) < 1e-9
    tops = Counter[str]()
    for (sub, *_), share in found.items():
        tops[sub] += share
    assert tops == pytest.approx({"flan2021": 0.40, "t0": 0.32, "niv2": 0.20, "cot": 0.05, "dialog": 0.03})


@pytest.mark.parametrize(
    ("name", "tops"),
    [
        ("flan2022_paper_a", {"muffin": 0.52, "t0_sf": 0.15, "niv2": 0.30, "cot": 0.03}),
        ("flan2022_paper_b", {"muffin": 0.460, "t0_sf": 0.279, "niv2": 0.242, "cot": 0.018}),
    ],
)
def test_table_23_proportions_a_and_b(name: str, tops: dict[str, float]) -> None:
    members = [Named(f"{name}{at}", collection=name) for name in ("flan2021", "t0", "cot", "dialogue") for at in "xy"]
    members.append(Named("ni", collection="natural_instructions"))
    mixture = MixtureSettings(proportions=name)
    leaves = plan_leaves(mixture, parts_of(mixture), members, size=lambda *_: Size(10**6))
    found = Counter[str]()
    for leaf in leaves:
        found[leaf.path[0]] += leaf.share
    total = sum(tops.values())  # the percentages of B add up to 99.9
    assert dict(found) == pytest.approx({part: share / total for part, share in tops.items()})
    assert {leaf.rows for leaf in leaves} == {10**6}
    assert {leaf.path[0]: leaf.rate for leaf in leaves} == {"muffin": 3e4, "t0_sf": 2e4, "niv2": 5e3, "cot": 1e5}
