"""Settings of experiment trackers."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from flantune.settings.sections import Section
from flantune.settings.setting_types import Once, Text

TrackerName = Literal["tensorboard", "trackio", "wandb", "mlflow"]


class TrackingSettings(Section):
    """Which experiment trackers follow this run."""

    to: Annotated[tuple[TrackerName, ...], Once] = ()
    """Trackers to use. They get curves, settings, scores and the report, all of which are in the run folder too; each
    tracker must be installed."""
    project: Annotated[Text, Field(min_length=1)] = "flantune"
    """The project or experiment that the run belongs to."""
