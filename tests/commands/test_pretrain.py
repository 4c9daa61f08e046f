from __future__ import annotations

import json

import pytest
from tests.training.small import StoppedError

from flantune.cli.main import cli
from flantune.commands.pretrain import pretrain
from flantune.errors import ConfigError
from flantune.models.load import load_model
from flantune.pretraining.marks import sentinels_of
from flantune.settings.run_file import load_run_file
from flantune.system.progress import Silent

RUN = """
seed = 3

[pretraining]
files = ["texts"]
objective = "causal"
input_tokens = 32

[packing]
row_tokens = 128
batch_tokens = 256

[model.scratch]
vocabulary_size = 420
hidden_size = 16
layers = 1
heads = 2

[training]
steps = 6
optimizer = "adamw"
learning_rate = 1e-2
checkpoint_every = 2
log_every = 2
"""


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pretraining")
    (folder / "texts").mkdir()
    for number in range(12):
        lines = [f"In year {number} the {word} river rose by {number + at} feet." for at, word in enumerate(WORDS)]
        (folder / "texts" / f"{number}.txt").write_text("\n".join(lines), encoding="utf-8")
    (folder / "run.toml").write_text(RUN, encoding="utf-8")
    return folder


WORDS = ("red", "blue", "long", "old")
SPANS = ["pretraining.objective=span_corruption", "model.scratch.architecture=t5"]


def start(place, out, *overrides, reporter=None):
    return pretrain(load_run_file(place / "run.toml", overrides=overrides), out=place / out, reporter=reporter)


class StopsAt(Silent):
    def __init__(self, step):
        self.at = step

    def step(self, done, total, text=""):
        if text.startswith(f"step {self.at}/"):
            raise StoppedError


@pytest.fixture(scope="module")
def spans(place):
    return start(place, "spans", *SPANS)


def weights(folder):
    return (folder / "model" / "model.safetensors").read_bytes()


@pytest.mark.parametrize("overrides", [(), ("pretraining.objective=ul2r", "pretraining.input_tokens=64")])
def test_stopped_twice_and_repeated_ends_with_the_same_bits(place, overrides):
    name = str(len(overrides))
    whole = start(place, f"straight{name}", *overrides)
    for step in (3, 5):
        with pytest.raises(StoppedError):
            start(place, f"stopped{name}", *overrides, reporter=StopsAt(step))
    again = start(place, f"stopped{name}", *overrides)
    assert weights(again.folder) == weights(whole.folder)
    assert again.summary.cursor == whole.summary.cursor
    assert not (again.folder / "checkpoints").exists()
    # A finished one is finished.
    assert start(place, f"stopped{name}", *overrides).summary.last_loss == again.summary.last_loss


def test_a_span_corruption_model_is_adapted_to_writing_on(place, spans):
    made = load_model(spans.model)
    assert len(sentinels_of(made.tokenizer)) == 100
    adapted = start(place, "adapted", *on_from(spans), "pretraining.objective=prefix")
    assert adapted.summary.steps == 6
    assert weights(adapted.folder) != weights(spans.folder)


def on_from(done):
    return (f"model={{path={str(done.model)!r}}}",)


def test_a_causal_model_goes_on_with_denoisers_and_gets_their_sentinels(place):
    base = start(place, "base")
    assert sentinels_of(load_model(base.model).tokenizer) == ()
    asked = (*on_from(base), "pretraining.objective=ul2r", "training.steps=4")
    with pytest.raises(StoppedError):
        start(place, "on_stopped", *asked, reporter=StopsAt(3))
    again = start(place, "on_stopped", *asked)
    assert weights(again.folder) == weights(start(place, "on", *asked).folder)
    lm = load_model(again.model)
    assert len(sentinels_of(lm.tokenizer)) == 100
    assert lm.model.get_input_embeddings().weight.shape[0] == len(lm.tokenizer)


def test_a_causal_model_goes_on_as_a_prefix_lm_and_says_so(place):
    base = start(place, "base")
    asked = (
        f"model={{path={str(base.model)!r}, attention='prefix'}}",
        "pretraining.objective=ul2r",
        "training.steps=4",
    )
    with pytest.raises(StoppedError):
        start(place, "both_ways_stopped", *asked, reporter=StopsAt(3))
    again = start(place, "both_ways_stopped", *asked)
    straight = start(place, "both_ways", *asked)
    assert (
        weights(again.folder)
        == weights(straight.folder)
        != weights(start(place, "on", *asked[1:], *on_from(base)).folder)
    )
    assert load_model(base.model).attention == "causal" and load_model(again.model).attention == "prefix"
    assert "It is a prefix LM" in (again.model / "README.md").read_text()
    # What goes on from it stays one, unless told otherwise.
    on = start(place, "both_ways_on", *on_from(again), "pretraining.objective=prefix", "training.steps=1")
    assert load_model(on.model).attention == "prefix"


def test_a_model_of_nothing_is_of_the_size_that_was_asked_for(spans):
    assert len(load_model(spans.model).tokenizer) <= 420


def test_changed_text_is_another_run(place, tmp_path):
    (tmp_path / "texts").mkdir()
    (tmp_path / "texts" / "a.txt").write_text("One text of a few words. " * 40, encoding="utf-8")
    (tmp_path / "run.toml").write_text(RUN, encoding="utf-8")
    start(tmp_path, "out", "training.steps=1")
    (tmp_path / "texts" / "b.txt").write_text("Another text. " * 40, encoding="utf-8")
    with pytest.raises(ConfigError, match="the text changed"):
        start(tmp_path, "out", "training.steps=1")


def test_rows_of_a_mirrored_data_set_are_text(place, tmp_path):
    rows = tmp_path / "hub" / "someone" / "texts" / "default" / "train.jsonl"
    rows.parent.mkdir(parents=True)
    lines = [json.dumps({"body": f"The {number} th text, which is of some length."}) for number in range(30)]
    rows.write_text("\n".join(lines), encoding="utf-8")
    text = RUN.replace('files = ["texts"]', 'column = "body"')
    more = '\n[pretraining.hub]\nid = "someone/texts"\nconfig = "default"\n\n[data]\nmirror = "hub"\n'
    (tmp_path / "run.toml").write_text(text + more, encoding="utf-8")
    assert start(tmp_path, "out", "training.steps=1").documents == 30


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        (["pretraining.objective=span_corruption", "pretraining.input_tokens=2048"], "spans are hidden"),
        (["pretraining.input_tokens=200"], "does not fit a row of 128"),
        (["model.scratch.architecture=t5"], "is for decoder-only models"),
        (["training.measure_every=5"], "no dev questions"),
        (["model.attention=prefix"], "has no inputs that could see each other"),
        ([*SPANS, "model.attention=prefix"], "is for decoder-only models"),
        (["pretraining.files=[]"], "needs text from one place"),
        (["pretraining.documents_apart=true", "pretraining.objective=prefix"], "is for the objective"),
        (["pretraining.noise_density=1.5"], "noise_density"),
        (["pretraining.objective=cuasal"], "objective"),
    ],
)
def test_what_is_wrong_is_told_before_the_text_is_read(place, overrides, said):
    with pytest.raises(ConfigError, match=said):
        start(place, "wrong", *overrides)
    assert not (place / "wrong").exists()


def test_a_run_file_without_the_section_is_told_what_to_write(tmp_path):
    (tmp_path / "run.toml").write_text("seed = 1\n", encoding="utf-8")
    with pytest.raises(ConfigError, match="does not say what to pretrain on"):
        start(tmp_path, "out")


def test_the_command_prints_json(place, capsys, monkeypatch):
    monkeypatch.chdir(place)
    cli.main(["pretrain", "run.toml", "--out", "by_command", "--json"], standalone_mode=False)
    found = json.loads(capsys.readouterr().out)
    assert found["summary"]["steps"] == 6
    assert found["documents"] == 12
