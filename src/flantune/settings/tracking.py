"""Settings of programs that keep track of runs."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from flantune.settings.sections import Section
from flantune.settings.setting_types import Once, Text

TrackerName = Literal["tensorboard", "trackio", "wandb", "mlflow"]


class TrackingSettings(Section):
    """Which programs that keep track of runs are told of this one."""

    to: Annotated[tuple[TrackerName, ...], Once] = ()
    """They get curves, settings, scores and the report; each must be installed. What they hold lies in the run folder
    anyway."""
    project: Annotated[Text, Field(min_length=1)] = "flantune"
    """The project or experiment that the run is filed under."""
