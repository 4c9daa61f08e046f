"""An objective is added the way docs/contributing.md says: a frozen dataclass with ``family`` and ``take``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from tests.pretraining.test_text_stream import Numbers
from tests.training.small import make_lm, settings

from flantune.packing.batches import Batches
from flantune.packing.encoded import id_array
from flantune.packing.packs import EncodedPrompt
from flantune.pretraining.objectives import Chances
from flantune.pretraining.text_stream import TextStream
from flantune.pretraining.tokenized_corpus import TextAhead
from flantune.settings.config import PackingSettings
from flantune.training.loop import tune


@dataclass(frozen=True, slots=True, kw_only=True)
class SecondPart:
    """The rest of a text that is cut in two."""

    length: int = 16
    family: Literal["encoder-decoder"] = "encoder-decoder"

    def take(self, text: TextAhead, chances: Chances) -> EncodedPrompt:
        ids = text.ids(self.length)
        cut = chances.between(1, self.length - 1)
        return EncodedPrompt(inputs=id_array(ids[:cut]), targets=(id_array(ids[cut:]),))


def test_a_new_objective_is_trained_with_and_goes_on_where_it_stopped(tmp_path):
    losses = []
    for folder, starts in (("straight", (4,)), ("stopped", (2, 4))):
        for steps in starts:
            lm = make_lm("t5")
            stream = TextStream(Numbers(), lm.tokenizer, SecondPart(), row_tokens=32)
            batches = Batches(stream, PackingSettings(row_tokens=32, batch_tokens=128))
            stopped_at = steps

            def stop(now, stopped_at=stopped_at):
                if now.step == stopped_at < 4:
                    raise KeyboardInterrupt

            try:
                found = tune(
                    lm, batches, settings(steps=4), folder=tmp_path / folder, seed=0, fingerprint=stream.identity,
                    progress=stop,
                )  # fmt: skip
            except KeyboardInterrupt:
                continue
            losses.append((found.last_loss, found.cursor))
    assert losses[0] == losses[1]


def test_another_setting_of_it_is_another_run():
    made = make_lm("t5").tokenizer
    one, other = (TextStream(Numbers(), made, SecondPart(length=n), row_tokens=32).identity for n in (8, 16))
    assert one != other
