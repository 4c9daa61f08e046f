"""Numbers and rules that the FLAN paper states about its mixture. Paper: FLAN 2021 (arXiv 2109.01652)."""

from __future__ import annotations

from collections import Counter

import pytest
from tests.mixture.conftest import Counted, Ready, make_task
from tests.shipped.test_flan2021 import DATASETS_IN

from flantune.mixture.holdout import hold_out
from flantune.mixture.mixture import Mixture
from flantune.mixture.rates import capped_size, effective_epochs, quotas, shares
from flantune.mixture.taxonomy import Taxonomy, load_taxonomy
from flantune.prompts.options import LISTED
from flantune.settings.config import MixtureSettings, PromptSettings
from flantune.types import Task

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


def paper_task(name: str, cluster: str) -> Task:
    return make_task(name, clusters=(cluster,))


def test_the_stream_keeps_the_rates_exactly_in_every_cycle() -> None:
    mixture = Mixture([Ready(paper_task(name, "c"), {"train": Counted(size)}) for name, size in SIZES.items()], seed=0)
    assert mixture.cycle == 22_894
    for cycle in (0, 7):
        drawn = Counter(mixture.draws(cycle * mixture.cycle, (cycle + 1) * mixture.cycle).task.tolist())
        assert [drawn[number] for number in range(len(SIZES))] == [min(size, 3_000) for size in SIZES.values()]


TASKS = [
    paper_task(f"{cluster} {number}", cluster) for cluster, count in DATASETS_IN.items() for number in range(count)
]

# Section 2.2: what else goes when a cluster is measured as unseen.
REMOVED = {
    "reading comprehension": {"reading comprehension with commonsense"},
    "commonsense": {"reading comprehension with commonsense"},
    "reading comprehension with commonsense": {"reading comprehension", "commonsense"},
    "paraphrase": {"natural language inference"},
    "natural language inference": {"paraphrase"},
}


@pytest.mark.parametrize("cluster", DATASETS_IN)
def test_section_2_2_overlap_rules(cluster: str) -> None:
    """All datasets of the cluster are held out, and of the clusters that overlap with it none is trained on."""
    split = hold_out(TASKS, [cluster], taxonomy=load_taxonomy(None))
    assert {task.clusters[0] for task in split.unseen} == {cluster}
    assert len(split.unseen) == DATASETS_IN[cluster]
    assert {task.clusters[0] for task in split.train} == set(DATASETS_IN) - {cluster} - REMOVED.get(cluster, set())
    assert len(split.excluded) == sum(DATASETS_IN[name] for name in REMOVED.get(cluster, set()))


def test_section_2_2_one_model_for_each_cluster_held_out() -> None:
    """Leaving out one cluster at a time measures every task as unseen exactly once."""
    shipped = load_taxonomy(None)
    measured = [task.name for cluster in DATASETS_IN for task in hold_out(TASKS, [cluster], taxonomy=shipped).unseen]
    assert sorted(measured) == sorted(task.name for task in TASKS)


def test_the_paper_has_no_kin_families_and_a_taxonomy_without_them_is_the_papers_own() -> None:
    """Deviation: our kin families keep SQuAD out of training when QNLI is measured; the paper trains on it."""
    tasks = [paper_task("qnli", "natural language inference"), paper_task("squad", "reading comprehension")]
    tasks.append(paper_task("imdb", "sentiment"))
    shipped = load_taxonomy(None)
    paper = Taxonomy(overlaps=shipped.overlaps, aliases=shipped.aliases)
    held = ["natural language inference"]
    assert [task.name for task in hold_out(tasks, held, taxonomy=paper).train] == ["squad", "imdb"]
    assert [task.name for task in hold_out(tasks, held, taxonomy=shipped).train] == ["imdb"]


def test_section_2_3_options_layout() -> None:
    """The word OPTIONS, then each option of the classification task on a line with a hyphen; the answer is its text."""
    assert LISTED.block(["entailment", "not entailment"]) == "OPTIONS:\n- entailment\n- not entailment"
