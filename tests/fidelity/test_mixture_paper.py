"""Numbers and rules that the FLAN paper states about its mixture. Paper: FLAN 2021 (arXiv 2109.01652)."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import pytest
from tests.no_source import NoSource

from flantune.mixture.holdout import hold_out
from flantune.mixture.mixture import Mixture
from flantune.mixture.rates import capped_size, effective_epochs, quotas, shares
from flantune.mixture.taxonomy import Taxonomy, load_taxonomy
from flantune.prompts.options import LISTED
from flantune.settings.config import MixtureSettings, PromptSettings
from flantune.types import Task, Template

# Training rows as the datasets' authors publish them.
SIZES = {
    "mnli": 392_702,
    "snli": 549_367,
    "qnli": 104_743,
    "rte": 2_490,
    "cb": 250,
    "wnli": 635,
    "copa": 400,
    "boolq": 9_427,
    "openbookqa": 4_957,
    "arc_challenge": 1_119,
    "trec": 5_452,
}


def test_section_2_4_the_settings_are_the_papers() -> None:
    """At most 30k training examples a dataset; examples-proportional mixing with maximum 3k."""
    assert MixtureSettings() == MixtureSettings(max_examples=30_000, max_rate=3_000, rates="examples-proportional")
    assert PromptSettings().style == "instruction"
    assert PromptSettings().include_inverted


def test_section_2_4_examples_proportional_mixing() -> None:
    """r_m = min(e_m, K) / Σ min(e_n, K) with K = 3,000, after the cap of 30,000."""
    capped = [capped_size(size, max_examples=30_000) for size in SIZES.values()]
    assert capped[:3] == [30_000, 30_000, 30_000]
    rate = dict(zip(SIZES, shares(quotas(capped, max_rate=3_000)), strict=True))
    total = 3_000 * 6 + 2_490 + 250 + 635 + 400 + 1_119  # six sets have 3,000 examples or more
    assert total == 22_894
    for name, size in SIZES.items():
        assert rate[name] == pytest.approx(min(size, 3_000) / total)
    assert rate["mnli"] == rate["boolq"] == rate["trec"]


def test_section_2_4_no_additional_weight_beyond_the_maximum() -> None:
    """With maximum 3,000 a set of 30,000 examples weighs as much as one of 3,000, and is repeated a tenth as often."""
    quota = quotas([30_000, 3_000], max_rate=3_000)
    assert quota == (3_000, 3_000)
    assert effective_epochs([30_000, 3_000], quota, draws=60_000) == (1.0, 10.0)


@dataclass(frozen=True)
class Sized:
    size: int

    def __len__(self) -> int:
        return self.size

    def __getitem__(self, index: int, /) -> None:
        raise NotImplementedError


@dataclass(frozen=True)
class Ready:
    task: Task
    stores: dict[str, Sized]


def make_task(name: str, cluster: str) -> Task:
    return Task(
        name=name,
        clusters=(cluster,),
        source_family=name,
        kind="generation",
        source=NoSource(),
        adapter=None,
        splits={"train": "train", "test": "test"},
        templates=(Template(name="t", inputs="{text}"),),
        metrics=("exact_match",),
    )


def test_the_stream_keeps_the_rates_exactly_in_every_cycle() -> None:
    mixture = Mixture([Ready(make_task(name, "c"), {"train": Sized(size)}) for name, size in SIZES.items()], seed=0)
    assert mixture.cycle == 22_894
    for cycle in (0, 7):
        drawn = Counter(mixture.draws(cycle * mixture.cycle, (cycle + 1) * mixture.cycle).task.tolist())
        assert [drawn[number] for number in range(len(SIZES))] == [min(size, 3_000) for size in SIZES.values()]


# Figure 3: the twelve clusters, with as many tasks as the paper counts in each.
CLUSTERS = {
    "natural language inference": 7,
    "commonsense": 4,
    "sentiment": 4,
    "paraphrase": 4,
    "closed-book qa": 3,
    "struct to text": 4,
    "reading comprehension": 5,
    "reading comprehension with commonsense": 2,
    "coreference": 3,
    "translation": 8,
    "summarization": 11,
    "miscellaneous": 7,
}
TASKS = [make_task(f"{cluster} {number}", cluster) for cluster, count in CLUSTERS.items() for number in range(count)]

# Section 2.2: what else goes when a cluster is measured as unseen.
REMOVED = {
    "reading comprehension": {"reading comprehension with commonsense"},
    "commonsense": {"reading comprehension with commonsense"},
    "reading comprehension with commonsense": {"reading comprehension", "commonsense"},
    "paraphrase": {"natural language inference"},
    "natural language inference": {"paraphrase"},
}


def test_figure_3_counts_62_datasets_in_12_clusters() -> None:
    assert (len(TASKS), len(CLUSTERS)) == (62, 12)


@pytest.mark.parametrize("cluster", CLUSTERS)
def test_section_2_2_overlap_rules(cluster: str) -> None:
    """All datasets of the cluster are held out, and of the clusters that overlap with it none is trained on."""
    split = hold_out(TASKS, [cluster], taxonomy=load_taxonomy(None))
    assert {task.clusters[0] for task in split.unseen} == {cluster}
    assert len(split.unseen) == CLUSTERS[cluster]
    assert {task.clusters[0] for task in split.train} == set(CLUSTERS) - {cluster} - REMOVED.get(cluster, set())
    assert len(split.excluded) == sum(CLUSTERS[name] for name in REMOVED.get(cluster, set()))


def test_section_2_2_one_model_for_each_cluster_held_out() -> None:
    """Leaving out one cluster at a time measures every task as unseen exactly once."""
    shipped = load_taxonomy(None)
    measured = [task.name for cluster in CLUSTERS for task in hold_out(TASKS, [cluster], taxonomy=shipped).unseen]
    assert sorted(measured) == sorted(task.name for task in TASKS)


def test_the_paper_has_no_kin_families_and_a_taxonomy_without_them_is_the_papers_own() -> None:
    """Deviation: our kin families keep SQuAD out of training when QNLI is measured; the paper trains on it."""
    tasks = [make_task("qnli", "natural language inference"), make_task("squad", "reading comprehension")]
    tasks.append(make_task("imdb", "sentiment"))
    shipped = load_taxonomy(None)
    paper = Taxonomy(overlaps=shipped.overlaps, aliases=shipped.aliases)
    held = ["natural language inference"]
    assert [task.name for task in hold_out(tasks, held, taxonomy=paper).train] == ["squad", "imdb"]
    assert [task.name for task in hold_out(tasks, held, taxonomy=shipped).train] == ["imdb"]


def test_section_2_3_options_layout() -> None:
    """The word OPTIONS, then each option of the classification task on a line with a hyphen; the answer is its text."""
    assert LISTED.block(["entailment", "not entailment"]) == "OPTIONS:\n- entailment\n- not entailment"
