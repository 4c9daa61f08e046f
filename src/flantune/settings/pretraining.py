"""Settings of pretraining: which text, and what to learn from it."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from flantune.settings.sections import Section
from flantune.settings.setting_types import Number, Once, Place, Positive, Switch, Text

ObjectiveName = Literal["causal", "prefix", "span_corruption", "ul2", "ul2r"]


class HubTextSettings(Section):
    """Text of a hub dataset, or of the folder that mirrors the hub (`data.mirror`)."""

    id: Text
    """`<org>/<name>`."""
    config: Text | None = None
    """Its configuration. None: the default one."""
    split: Text = "train"
    """Its split."""
    revision: Text | None = None
    """Commit; pin it to make a run repeatable."""


class PretrainingSettings(Section):
    """The text that `flantune pretrain` reads, and what is learned from it."""

    files: Annotated[tuple[Place, ...], Once] = ()
    """Files, globs or folders, relative to the run file. A document is a whole file of plain text, or one row of a
    table."""
    hub: HubTextSettings | None = None
    """Rows of a hub dataset, instead of files."""
    column: Text = "text"
    """The column that holds the text, for data in rows."""
    objective: ObjectiveName = "causal"
    """What is learned: "causal" (each token from those before it), "prefix" (the rest of a text), "span_corruption"
    (T5's), "ul2" (UL2's seven denoisers) or "ul2r" (U-PaLM's). `docs/pretraining.md` has their rules."""
    input_tokens: Annotated[Positive, Field(ge=16)] = 512
    """Tokens of a draw's inputs, including special tokens; for "causal" and "prefix", of the whole draw."""
    documents_apart: Switch = False
    """"causal": a draw is one document, or a piece of a longer one, so that no token sees another document. False:
    draws run on from document to document."""
    shuffled: Switch = True
    """Read the documents in random order, another each time through. False: in the order of the files, each time."""
    noise_density: Annotated[Number, Field(gt=0, le=0.95)] = 0.15
    """Share of the tokens that "span_corruption" hides."""
    mean_span: Annotated[Number, Field(ge=1, le=10_000)] = 3.0
    """Mean length of a span that "span_corruption" hides, in tokens."""
    mode_tokens: Switch = True
    """With "ul2" and "ul2r", start the inputs with `[NLU]`, `[NLG]` or `[S2S]`, which names the kind of denoiser."""
    sentinels: Annotated[Positive, Field(le=10_000)] = 100
    """Number of sentinels `<extra_id_0>` … for hidden spans; missing ones are added to the vocabulary."""
    tokenizer_documents: Positive = 30_000
    """Number of documents that the tokenizer is trained on, if the model is built from scratch."""

    @model_validator(mode="after")
    def _reads_one_text(self) -> PretrainingSettings:
        if bool(self.files) == (self.hub is not None):
            raise ValueError('needs text from one place: set files = ["my_texts"], or a table [pretraining.hub]')
        if self.documents_apart and self.objective != "causal":
            raise ValueError(f'documents_apart is for the objective "causal", not for "{self.objective}": take it out')
        return self
