"""The run folder: where each product of a run lies, and whose run it is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from flantune.errors import ConfigError
from flantune.runs.identity import contents, differences, training_identity
from flantune.settings.run_file import RunFile, to_toml
from flantune.system.files import read_object, slug, write_json, write_text


@dataclass(frozen=True, slots=True)
class FoldFolder:
    """The products of one fold: one set of held-out clusters, one tuned model."""

    root: Path

    @property
    def mixture(self) -> Path:
        """What was trained on, held out and excluded."""
        return self.root / "mixture.json"

    @property
    def training(self) -> Path:
        """Counts, seconds and losses; its presence says that tuning is done."""
        return self.root / "training.json"

    def read_training(self) -> dict[str, Any]:
        """What tuning came to.

        Raises:
            FlantuneError: The file is damaged; it cannot be made again without tuning again.
        """
        mends = (
            "put a copy back; or delete this file and repeat the command: the fold is then tuned again, from its last"
            " checkpoint, or from the start where there is none"
        )
        return read_object(self.training, mends=mends, steps=int, cursor=int, counts=dict)

    def read_mixture(self) -> dict[str, Any]:
        """What the fold was tuned on.

        Raises:
            FlantuneError: The file is missing or damaged; the run's command writes it again.
        """
        lists = dict.fromkeys(("held_out", "train", "unseen", "measured_seen", "excluded"), list)
        mends = "give the run's command again: it writes this file anew"
        return read_object(self.mixture, mends=mends, draws=int, tree=dict, **lists)

    @property
    def model(self) -> Path:
        """The tuned model in Hugging Face form; of a model tuned by adapters that were not merged, these alone."""
        return self.root / "model"

    @property
    def adapter(self) -> Path:
        """The adapters apart, where the model has them merged in."""
        return self.root / "adapter"

    @property
    def tuned(self) -> Path:
        """The tuned model's samples."""
        return self.root / "tuned"


@dataclass(frozen=True, slots=True)
class RunFolder:
    """The folder that is the product of a run."""

    root: Path

    @property
    def base(self) -> Path:
        """The base model's samples (and the base itself when it was made from nothing)."""
        return self.root / "base"

    @property
    def contamination(self) -> Path:
        """Rows that training overlaps with, where ``flantune contamination --clean`` put them; scored apart."""
        return self.root / "contamination.json"

    @property
    def results(self) -> Path:
        """All scores, with a schema."""
        return self.root / "results.json"

    @property
    def data(self) -> Path:
        """What each task gave: rows, drops, templates."""
        return self.root / "data.json"

    def fold(self, held_out: tuple[str, ...]) -> FoldFolder:
        """The folder of the fold that holds these clusters out."""
        return FoldFolder(self.root / "folds" / slug(*held_out))


def open_run_folder(root: Path, file: RunFile) -> RunFolder:
    """Claims a folder for a run, or joins the same run that began there.

    Raises:
        ConfigError: The folder holds a run that trains something else.
    """
    identity = training_identity(file.config)
    claimed = root / "config.json"
    if claimed.exists():
        mends = "if the run is this one, delete this file and repeat the command; else choose another --out"
        earlier = read_object(claimed, mends=mends, identity=str)
        if earlier["identity"] != identity:
            raise ConfigError(_difference(earlier, file), where=str(root), hint="choose another --out, or delete it")
    write_text(root / "config.toml", to_toml(file.config))
    values = file.config.model_dump(mode="json")
    write_json(
        claimed,
        {"values": values, "origins": dict(file.origins), "contents": contents(file.config), "identity": identity},
    )
    return RunFolder(root)


def _difference(earlier: Mapping[str, Any], file: RunFile) -> str:
    found = differences(earlier, file.config)
    if not found:
        return "this folder holds a run that another version of flantune began"
    return "\n".join(["this folder holds another run; what differs:", *found[:6]])
