from __future__ import annotations

import json

import pytest
import yaml
from rich.console import Console

from flantune.report import model_card, results_table

FOLD = "natural-language-inference"


@pytest.fixture(scope="module")
def parts(run_folder):
    read = {name: json.loads((run_folder / name).read_text()) for name in ("config.json", "results.json")}
    mixture = json.loads((run_folder / "folds" / FOLD / "mixture.json").read_text())
    return read["config.json"]["values"], read["results.json"], mixture


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
    cluster = next(c for c in results["clusters"] if c["cluster"] == "Natural language inference")
    assert f"+{cluster['difference']['low'] * 100:.1f} to +{cluster['difference']['high'] * 100:.1f}" in card
    assert "everyday" not in card.split("## Results", 1)[1], "other folds' tasks are not this model's"
    assert "flantune run config.toml" in card
    assert "1,200 steps" in card


def test_card_before_measuring_and_with_bad_news(parts):
    config, results, mixture = parts
    assert "Not measured yet." in model_card(config, None, mixture, FOLD)
    worse = results | {"verdict": results["verdict"] | {"direction": "worse", "text": "It got worse."}}
    card = model_card(config, worse, mixture, FOLD)
    assert "worse than the model it was made from" in card
    assert "It got worse." in card


def test_card_of_a_model_from_nothing(parts):
    config, _, mixture = parts
    card = model_card(config | {"model": {"path": "", "scratch": {"architecture": "t5"}}}, None, mixture, FOLD)
    assert "base_model" not in front(card)
    assert "# t5 from nothing, instruction-tuned" in card


def test_datasets_are_listed_when_known(parts):
    config, _, mixture = parts
    changed = json.loads(json.dumps(mixture))
    changed["tree"]["children"][0]["children"][0]["dataset"] = "stanfordnlp/sst2"
    assert front(model_card(config, None, changed, FOLD))["datasets"] == ["stanfordnlp/sst2"]
    assert "datasets" not in front(model_card(config, None, mixture, FOLD))


def test_hostile_names_stay_text(parts):
    config, results, mixture = parts
    name = 'x"\n---\nlicense: mit | <img src=x> [a](javascript:b)'
    card = model_card(config | {"model": {"path": name}}, results, mixture | {"held_out": [name]}, FOLD)
    assert front(card)["base_model"] == name
    assert "license" not in front(card)
    assert "\\<img" in card
    assert "<img" not in card.replace("\\<img", "").split("---\n", 2)[2]


def test_empty_inputs_give_a_card():
    assert "Nothing was measured" in model_card({}, {}, {}, "f")


def printed(table) -> str:
    console = Console(width=120, force_terminal=False, record=True, file=open("/dev/null", "w"))  # noqa: SIM115, PTH123
    console.print(table)
    return console.export_text()


def test_console_table(parts):
    _, results, _ = parts
    text = printed(results_table(results | {"name": "[red]name"}))
    assert "[red]name" in text
    assert "All clusters" in text
    difference = next(o for o in results["overall"] if o["measure"] == "raw" and o["shots"] == 0)["difference"]
    assert f"+{difference['value'] * 100:.1f} ▲" in text
    assert "nothing was measured" in printed(results_table({}))


def test_card_says_how_it_was_tuned_and_how_to_load_it(parts):
    config, _, mixture = parts
    plain = model_card(config, None, mixture, FOLD)
    assert front(plain)["library_name"] == "transformers"
    assert "`AutoModelForCausalLM.from_pretrained`" in plain and "flantune is not needed" in plain
    tuned = {**config["training"], "optimizer": "adamw8bit", "weighting": "task", "z_loss": 1e-4, "freeze": ["norms"]}
    model = {**config["model"], "adapter": "lora", "lora": {"rank": 8}, "quantize": "4bit"}
    card = model_card({**config, "training": tuned, "model": model, "prompts": {"chat": True}}, None, mixture, FOLD)
    assert front(card)["library_name"] == "peft"
    for words in (
        "Low-rank adapters of rank 8.", "4 bits", "AdamW with 8-bit moments", "every task of a step counts the same",
        "z-loss 0.0001", "Kept as they were: `norms`", "`AutoPeftModelForCausalLM.from_pretrained`", "chat template",
    ):  # fmt: skip
        assert words in card
    merged = model_card({**config, "model": {**model, "merge_adapter": True}}, None, mixture, FOLD)
    assert front(merged)["library_name"] == "transformers"
    assert "merged into the weights" in merged


def test_the_card_says_how_options_were_shown() -> None:
    lettered = {"prompts": {"options_layout": "lettered", "shuffle_options": True}}
    card = model_card(lettered, None, {}, "fold")
    assert "listed in the prompt behind letters; the answer is a letter, as in (A), in a random order." in card
    assert "When measured" not in card
    asked = model_card({**lettered, "evaluation": {"options_layout": "listed"}}, None, {}, "fold")
    assert "When measured they were listed in the prompt by a dash each, in a random order" in asked
