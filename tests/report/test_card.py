from __future__ import annotations

from dataclasses import replace

import pytest
import yaml
from rich.console import Console

from flantune.evaluation.results import Results
from flantune.report.card import model_card
from flantune.report.console import console_tables
from flantune.runs.files import read_run
from flantune.settings.config import RunConfig
from flantune.settings.json_file import plain, value_of

FOLD = "natural-language-inference"


@pytest.fixture(scope="module")
def parts(run_folder):
    run = read_run(run_folder)
    return run.config, run.results, next(fold.mixture for fold in run.folds if fold.name == FOLD)


def changed(config: RunConfig, **sections) -> RunConfig:
    """The settings with some values of some sections changed."""
    values = config.model_dump()
    return RunConfig.model_validate({**values, **{name: values[name] | own for name, own in sections.items()}})


def other(results: Results, **values) -> Results:
    return value_of(plain(results) | values, Results, where="here")


def front(card: str) -> dict:
    _, matter, _ = card.split("---\n", 2)
    return yaml.safe_load(matter)


def test_card_says_what_was_trained_held_out_and_scored(parts):
    config, results, mixture = parts
    card = model_card(config, results, mixture, FOLD)
    assert front(card)["base_model"] == "/models/little-llama-110m"
    assert "instruction-tuning" in front(card)["tags"]
    assert "license" not in front(card)
    assert "| Sentiment | film\\_reviews | 67,349 | 30,000 |" in card
    assert "Clusters: Natural language inference" in card
    assert "explained\\_pairs (kin family: snli)" in card
    cluster = next(c for c in results.clusters if c.cluster == "Natural language inference")
    difference = cluster.raw.differences["tuned"]
    assert f"+{difference.low * 100:.1f} to +{difference.high * 100:.1f}" in card
    assert "everyday" not in card.split("## Results", 1)[1], "other folds' tasks are not this model's"
    assert "flantune run config.toml" in card
    assert "1,200 steps" in card


def test_card_before_measuring_and_with_bad_news(parts):
    config, results, mixture = parts
    assert "Not measured yet." in model_card(config, None, mixture, FOLD)
    verdict = plain(results.verdict) | {"direction": "worse", "text": "It got worse."}
    worse = other(results, verdicts={"tuned": verdict})
    card = model_card(config, worse, mixture, FOLD)
    assert "worse than the model it was made from" in card
    assert "It got worse." in card


def test_card_of_a_model_from_nothing(parts):
    config, _, mixture = parts
    made = changed(config, model={"path": "", "scratch": {"architecture": "t5"}})
    card = model_card(made, None, mixture, FOLD)
    assert "base_model" not in front(card)
    assert "# t5 from scratch, instruction-tuned" in card


def test_card_of_a_prefix_lm_warns_other_programs(parts):
    config, _, mixture = parts
    card = model_card(config, None, mixture, FOLD, attention="prefix")
    assert "the tokens of the inputs see each other" in card and "It is a prefix LM" in card
    assert "flantune is not needed" not in card and "flantune is not needed" in model_card(config, None, mixture, FOLD)


def test_datasets_are_listed_when_known(parts):
    config, _, mixture = parts
    first, *rest = mixture.tree.clusters
    tasks = (replace(first.tasks[0], dataset="stanfordnlp/sst2"), *first.tasks[1:])
    known = replace(mixture, tree=replace(mixture.tree, clusters=(replace(first, tasks=tasks), *rest)))
    assert front(model_card(config, None, known, FOLD))["datasets"] == ["stanfordnlp/sst2"]
    assert "datasets" not in front(model_card(config, None, mixture, FOLD))


def test_hostile_names_stay_text(parts):
    config, results, mixture = parts
    name = 'x"\n---\nlicense: mit | <img src=x> [a](javascript:b)'
    card = model_card(changed(config, model={"path": name}), results, replace(mixture, held_out=(name,)), FOLD)
    assert front(card)["base_model"] == name
    assert "license" not in front(card)
    assert "\\<img" in card
    assert "<img" not in card.replace("\\<img", "").split("---\n", 2)[2]


def test_a_fold_that_was_not_measured_gives_a_card(parts):
    config, results, mixture = parts
    empty = replace(mixture, tree=replace(mixture.tree, clusters=()), held_out=(), unseen=(), excluded=())
    card = model_card(config, results, empty, "another fold")
    assert "Nothing was measured" in card and "Not recorded." in card


def printed(tables) -> str:
    console = Console(width=120, force_terminal=False, record=True, file=open("/dev/null", "w"))  # noqa: SIM115, PTH123
    console.print(*tables)
    return console.export_text()


def test_console_table(parts):
    _, results, _ = parts
    text = printed(console_tables(other(results, name="[red]name")))
    assert "[red]name" in text
    assert "All clusters" in text
    difference = next(one for one in results.overall if one.shots == 0).raw.differences["tuned"]
    assert f"+{difference.value * 100:.1f} ▲" in text
    assert "nothing was measured" in printed(console_tables(other(results, clusters=[], overall=[], tasks=[])))


def test_card_says_how_it_was_tuned_and_how_to_load_it(parts):
    config, _, mixture = parts
    plain = model_card(config, None, mixture, FOLD)
    assert front(plain)["library_name"] == "transformers"
    assert "`AutoModelForCausalLM.from_pretrained`" in plain and "flantune is not needed" in plain
    tuned = {"optimizer": "adamw8bit", "weighting": "task", "z_loss": 1e-4}
    model = {"adapter": "lora", "lora": {"rank": 8}, "quantize": "4bit"}
    adapted = changed(config, training=tuned, model=model, prompts={"chat": True})
    card = model_card(adapted, None, mixture, FOLD)
    assert front(card)["library_name"] == "peft"
    for words in (
        "Low-rank adapters of rank 8.", "4 bits", "AdamW with 8-bit moments", "every task of a step has equal weight",
        "z-loss 0.0001", "`AutoPeftModelForCausalLM.from_pretrained`", "chat template",
    ):  # fmt: skip
        assert words in card
    frozen = changed(config, training={"freeze": ["norms"]})
    assert "Kept as they were: `norms`" in model_card(frozen, None, mixture, FOLD)
    merged = model_card(changed(adapted, model={"merge_adapter": True}), None, mixture, FOLD)
    assert front(merged)["library_name"] == "transformers"
    assert "merged into the weights" in merged


def test_the_card_says_how_options_were_shown(parts) -> None:
    config, _, mixture = parts
    lettered = changed(config, prompts={"options_layout": "lettered", "shuffle_options": True})
    card = model_card(lettered, None, mixture, FOLD)
    assert "listed in the prompt after letters; the answer is a letter, as in (A), in a random order." in card
    assert "When measured" not in card
    asked = model_card(changed(lettered, evaluation={"options_layout": "listed"}), None, mixture, FOLD)
    assert "When measured they were listed in the prompt by a dash each, in a random order" in asked


def test_clusters_that_changed_alike_stand_in_the_order_of_the_run_file(parts):
    _, results, _ = parts
    alike = [plain(results.clusters[0]) | {"cluster": name} for name in ("zeal", "art", "mood")]
    text = printed(console_tables(other(results, clusters=alike)))
    assert text.index("zeal") < text.index("art") < text.index("mood")
