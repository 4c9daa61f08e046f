"""Settings of tasks that are asked in promptsource's templates."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from flantune.settings.sections import Section
from flantune.settings.setting_types import AnyPath, Names, Text


class PromptsourceSettings(Section):
    """A folder of promptsource's templates, and which of its data sets become tasks."""

    folder: AnyPath
    """The folder, laid out as its authors have it: `<data set>/<configuration>/templates.yaml`."""
    mixture: Literal["t0", "t0+", "t0++", "t0-sf", "none"] = "none"
    """Train on the data sets of T0, T0+ or T0++ and measure those that T0 measures; or train on the 193 prompts of Flan
    2022 ("t0-sf"). "none": only what is named below. Paper: Sanh et al. 2021; Longpre et al. 2023."""
    train: Names = ()
    """Further data sets to train on: "glue/mrpc", "xsum" or patterns such as "glue/*"."""
    measure: Names = ()
    """Further data sets to measure, on their validation rows."""
    rows: AnyPath | None = None
    """TOML file that says where rows of your own lie, a table a data set. None: all are of the hub or its mirror."""
    prompts: Literal["all", "original", "first-original"] = "all"
    """Which templates are trained on: all, those that ask what the data set was made for, or the first of these by
    name. Only original ones are ever scored."""
    exclude: Names = ()
    """Never these templates: "glue/mrpc/want to know", its data set and its name."""
    tasks: Literal["datasets", "templates"] = "datasets"
    """A task a data set, with all its templates; or a task a template, as Flan 2022 and T0 count them."""
    prefix: Text = ""
    """Before the name of each task, where another task has the name already: "p3_"."""
    truncation: Literal["none", "expressions", "promptsource"] = "none"
    """Cut each expression that a template prints to some 2,048 characters: "promptsource" as its authors' code does,
    which of some expressions reaches only the last part; "expressions" reaches all of each."""
    digest: Text = ""
    """First digits (8 or more) of the SHA-256 of all texts used, as `flantune tasks check` tells it: other texts are
    refused. Thirty-four of T0's templates have changed since T0."""
    hub: dict[str, Text] = Field(default_factory=dict)
    """Data set → its id on the hub or in the mirror, where that is another: `glue = "nyu-mll/glue"`."""

    @model_validator(mode="after")
    def _names_something(self) -> PromptsourceSettings:
        if self.mixture == "none" and not self.train and not self.measure:
            raise ValueError('names no data set: set mixture = "t0", or list some in train or measure')
        if self.digest and (len(self.digest) < 8 or {*self.digest} - {*"0123456789abcdef"}):
            raise ValueError(f'digest = "{self.digest}" is not a digest: give 8 to 64 digits of 0-9 and a-f')
        return self
