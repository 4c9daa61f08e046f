"""The folder of a run or an evaluation: where each product is, and which run it belongs to."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from flantune.errors import ConfigError
from flantune.runs.identity import contents, differences, identity_with, training_identity
from flantune.runs.products import KeptSettings
from flantune.settings.json_file import read_value, write_value
from flantune.settings.run_file import RunFile, to_toml, validated
from flantune.system.files import slug, write_text
from flantune.system.manifest import MANIFEST

SCHEMA = 2
"""Version of a run folder's files, in ``config.json``, which exists from the start."""


@dataclass(frozen=True, slots=True)
class FoldFolder:
    """The products of one fold: one set of held-out clusters, one tuned model."""

    root: Path

    @property
    def mixture(self) -> Path:
        """What was trained on, held out and excluded (``FoldMixture``)."""
        return self.root / "mixture.json"

    @property
    def training(self) -> Path:
        """Counts, seconds and losses (``TuningSummary``); its presence means that tuning is finished."""
        return self.root / "training.json"

    @property
    def metrics(self) -> Path:
        """The log of steps (one ``MetricsLine`` per line)."""
        return self.root / "metrics.jsonl"

    @property
    def micro_batch(self) -> Path:
        """The size of a pass that fits the device (``Fit``), if it was determined."""
        return self.root / "micro_batch.json"

    @property
    def checkpoints(self) -> Path:
        """Checkpoints for resuming; deleted when tuning is finished."""
        return self.root / "checkpoints"

    @property
    def model(self) -> Path:
        """The tuned model in Hugging Face format; only the adapters if these were not merged."""
        return self.root / "model"

    @property
    def adapter(self) -> Path:
        """The separate adapters, if the model has them merged."""
        return self.root / "adapter"

    @property
    def card(self) -> Path:
        """The tuned model's card."""
        return self.model / "README.md"

    @property
    def tuned(self) -> Path:
        """The tuned model's samples."""
        return self.root / "tuned"


@dataclass(frozen=True, slots=True)
class RunFolder:
    """The folder of a run, or of an evaluation, which has no folds and no settings."""

    root: Path

    @property
    def settings(self) -> Path:
        """The run file with all settings."""
        return self.root / "config.toml"

    @property
    def kept_settings(self) -> Path:
        """The same with the origin of each (``KeptSettings``)."""
        return self.root / "config.json"

    @property
    def data(self) -> Path:
        """The data of each task: rows, drops, templates (``DataReport``)."""
        return self.root / "data.json"

    @property
    def rows(self) -> Path:
        """The tasks' adapted rows, unless the run file names another cache."""
        return self.root / "data"

    @property
    def contamination(self) -> Path:
        """Rows that training overlaps with, by ``flantune contamination --clean``; scored separately."""
        return self.root / "contamination.json"

    @property
    def base(self) -> Path:
        """The base model's samples (and the base itself when it was built from scratch)."""
        return self.root / "base"

    @property
    def seconds(self) -> Path:
        """Seconds of each stage so far."""
        return self.root / "seconds.json"

    @property
    def store(self) -> Path:
        """Stored answers of an evaluation, by content."""
        return self.root / "store"

    @property
    def results(self) -> Path:
        """All scores (``Results``)."""
        return self.root / "results.json"

    @property
    def report(self) -> Path:
        """The page."""
        return self.root / "report.html"

    @property
    def manifest(self) -> Path:
        """Versions, fingerprints, seconds and files (``Manifest``); written last."""
        return self.root / MANIFEST

    @property
    def failure(self) -> Path:
        """The traceback of an unexpected error in a study's run; deleted when the run is repeated."""
        return self.root / "failure.txt"

    def fold(self, held_out: tuple[str, ...]) -> FoldFolder:
        """The folder of the fold with these held-out clusters, or with none."""
        return self.fold_named(slug(*held_out or ("nothing held out",)))

    def fold_named(self, name: str) -> FoldFolder:
        """The folder of the fold with this name."""
        return FoldFolder(self.root / "folds" / name)

    def folds(self) -> Iterator[FoldFolder]:
        """The folders of all existing folds."""
        return (FoldFolder(path) for path in sorted((self.root / "folds").glob("*")) if path.is_dir())

    def asked(self, model: str) -> Path:
        """A model's samples in an evaluation."""
        return self.root / "models" / slug(model)


def short_names(folders: Sequence[Path]) -> list[str]:
    """Short names of runs: as many of their path's last parts as are needed to distinguish them.

    >>> short_names([Path("/a/old"), Path("/a/new")]), short_names([Path("/a/old/seed-0"), Path("/a/new/seed-0")])
    (['old', 'new'], ['old/seed-0', 'new/seed-0'])
    """
    parts = [folder.resolve().parts for folder in folders]
    count = next(
        (n for n in range(1, max(map(len, parts), default=1) + 1) if len({p[-n:] for p in parts}) == len(set(parts))), 1
    )
    return ["/".join(part[-count:]).replace("//", "/") for part in parts]


def read_kept_settings(folder: RunFolder, *, mends: str) -> KeptSettings:
    """The settings of a run at its last start.

    Args:
        folder: The run's folder.
        mends: What to do if the file is damaged, for the message.

    Raises:
        FlantuneError: The file is missing or damaged, or the folder is of another version.
    """
    kept = read_value(folder.kept_settings, KeptSettings, mends=mends, error=ConfigError)
    if kept.schema != SCHEMA:
        raise ConfigError(
            f"this folder was made by another version of flantune (form {kept.schema}; this one reads {SCHEMA})",
            where=str(folder.root),
            hint="run it again with another --out; or read it with the version that made it",
        )
    return _completed(kept)


def _completed(kept: KeptSettings) -> KeptSettings:
    """The settings, completed by defaults of those added in later versions, which had no effect before."""
    try:
        config = validated(kept.values, where="")
    except ConfigError:  # removed or changed settings are named by `differences`
        return kept
    values = config.model_dump(mode="json")
    if values == kept.values:
        return kept
    return replace(kept, values=values, identity=identity_with(config, kept.contents))


def open_run_folder(root: Path, file: RunFile) -> RunFolder:
    """Claims a folder for a run, or continues the same run there.

    A run that stopped before it measured or trained does not claim it.

    Raises:
        ConfigError: The folder belongs to a run with different training.
    """
    folder, now = RunFolder(root), check_run_folder(root, file)
    write_text(folder.settings, to_toml(file.config))
    write_value(folder.kept_settings, now)
    return folder


def check_run_folder(root: Path, file: RunFile) -> KeptSettings:
    """The settings that a run would store in a folder; nothing is written.

    Raises:
        ConfigError: The folder belongs to a run with different training.
    """
    folder = RunFolder(root)
    now = KeptSettings(
        values=file.config.model_dump(mode="json"),
        origins=dict(file.origins),
        contents=contents(file.config),
        identity=training_identity(file.config),
        schema=SCHEMA,
    )
    if folder.kept_settings.exists():
        mends = "if the run is this one, delete this file and repeat the command; else choose another --out"
        earlier = read_kept_settings(folder, mends=mends)
        if earlier.identity != now.identity and not _is_only_claimed(folder):
            raise ConfigError(_difference(earlier, now), where=str(root), hint="choose another --out, or delete it")
    return now


def _is_only_claimed(folder: RunFolder) -> bool:
    """Whether a run stopped before it measured or trained, for example because of a typo in its run file."""
    # Adapted rows are identified by their origin, regardless of which run made them.
    own = {folder.settings, folder.kept_settings, folder.seconds, folder.root / ".lock", folder.rows}
    return all(path in own for path in folder.root.iterdir())


def _difference(earlier: KeptSettings, now: KeptSettings) -> str:
    found = differences(earlier, now)
    if not found:
        return "this folder holds a run that another version of flantune began"
    return "\n".join(["this folder holds another run; what differs:", *found[:6]])
