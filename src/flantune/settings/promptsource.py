"""Settings of tasks that use promptsource's templates."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from flantune.settings.sections import Section
from flantune.settings.setting_types import AnyPath, Names, Text


class PromptsourceSettings(Section):
    """A folder of promptsource's templates, and which of its datasets become tasks."""

    folder: AnyPath
    """The folder, in its authors' layout: `<dataset>/<configuration>/templates.yaml`."""
    mixture: Literal["t0", "t0+", "t0++", "t0-sf", "none"] = "none"
    """Train on the datasets of T0, T0+ or T0++ and measure those that T0 measures; or train on the 193 prompts of Flan
    2022 ("t0-sf"). "none": only what is named below. Paper: Sanh et al. 2021; Longpre et al. 2023."""
    train: Names = ()
    """Additional datasets to train on: "glue/mrpc", "xsum" or patterns such as "glue/*"."""
    measure: Names = ()
    """Additional datasets to measure, on their validation rows."""
    rows: AnyPath | None = None
    """TOML file that says where your own rows are, a table for each dataset. None: all are from the hub or mirror."""
    prompts: Literal["all", "original", "first-original"] = "all"
    """Which templates are trained on: all, those that ask the dataset's original task, or the first of these by
    name. Only original ones are ever scored."""
    exclude: Names = ()
    """Never these templates, by dataset and name: "glue/mrpc/want to know"."""
    tasks: Literal["datasets", "templates"] = "datasets"
    """One task per dataset, with all its templates; or one task per template, as Flan 2022 and T0 count them."""
    prefix: Text = ""
    """Prefix for task names, in case other tasks have the same names: "p3_"."""
    truncation: Literal["none", "expressions", "promptsource"] = "none"
    """Truncate each expression that a template prints to some 2,048 characters: "promptsource" exactly as its authors'
    code does, which in some expressions affects only the last part; "expressions" always affects the whole."""
    digest: Text = ""
    """First digits (8 or more) of the SHA-256 of all texts used, as `flantune tasks check` prints it: other texts are
    refused. Thirty-four of T0's templates have changed since T0."""
    hub: dict[str, Text] = Field(default_factory=dict)
    """Dataset → its id on the hub or in the mirror, if different: `glue = "nyu-mll/glue"`."""

    @model_validator(mode="after")
    def _names_something(self) -> PromptsourceSettings:
        if self.mixture == "none" and not self.train and not self.measure:
            raise ValueError('names no dataset: set mixture = "t0", or list some in train or measure')
        if self.digest and (len(self.digest) < 8 or {*self.digest} - {*"0123456789abcdef"}):
            raise ValueError(f'digest = "{self.digest}" is not a digest: give 8 to 64 digits of 0-9 and a-f')
        return self
