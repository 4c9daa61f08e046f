"""Checkpoints: folders that are complete or absent, from which a run continues as if it had never stopped."""

from __future__ import annotations

import json
import os
import platform
import re
import shutil
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import safetensors
import torch
import transformers
from safetensors.torch import save_file

import flantune
from flantune.errors import SourceError, TrainingError
from flantune.settings.config import TrainingSettings, free_training_settings
from flantune.settings.json_file import plain, value_of
from flantune.system.files import open_as_usual
from flantune.system.processes import ALONE, Processes
from flantune.training.integrity import damage_of, record_of, write_record
from flantune.training.optimizers import optimizer_tensors, restore_optimizer, trainable
from flantune.training.state import TuningState

if TYPE_CHECKING:
    from torch import Tensor, nn

FORMAT = 2
_TEMPORARY = ".tmp-"
_DAMAGED = "damaged-"


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """The run that checkpoints belong to.

    Attributes:
        fingerprint: Of everything that determines the weights besides the training settings: model, data, prompts,
            packing.
        seed: The run's.
        settings: The training settings as plain values.
        frozen: Digest of the frozen weights: checkpoints do not contain them, so they must be the same when resuming.
            Empty if there are none.
    """

    fingerprint: str
    seed: int
    settings: Mapping[str, Any]
    frozen: str = ""


def warn(message: str) -> None:
    """The default for ``note``: a Python warning."""
    warnings.warn(message, stacklevel=2)


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckpointFolder:
    """The checkpoints of one run, ``step-00000500`` and so on, each with a few files and no pickle.

    ``model.safetensors`` has the weights (shared ones once), ``optimizer.safetensors`` the optimizer's state,
    ``state.json`` the rest: step, cursor, counts, the steps not yet in a metrics line, settings, versions. For a
    sharded model, each process writes its parts of both into a separate safetensors file. ``manifest.json`` has size
    and checksum of each file.

    Attributes:
        root: Their folder, the same for all processes.
        identity: Of the run.
        keep: How many of the latest are kept; older ones are the fallback if the newest is damaged.
        processes: The processes that share the run; the first one writes.
        is_sharded: Model and optimizer are sharded.
        note: Called in the first process with messages for the user.
    """

    root: Path
    identity: Identity
    keep: int = 2
    processes: Processes = ALONE
    is_sharded: bool = False
    note: Callable[[str], None] = warn

    def steps(self) -> list[int]:
        """Steps with a complete checkpoint, oldest first."""
        if not self.root.is_dir():
            return []
        found = (re.fullmatch(r"step-(\d{8,})", entry.name) for entry in self.root.iterdir())
        return sorted(int(match[1]) for match in found if match)

    def path(self, step: int) -> Path:
        """The path of the checkpoint of a step."""
        return self.root / f"step-{step:08d}"

    def save(self, model: nn.Module, optimizer: torch.optim.Optimizer, state: TuningState) -> Path:
        """Writes a checkpoint; older ones are deleted only when it is complete and on the disk.

        Raises:
            TrainingError: The disk is full or cannot be written. Existing checkpoints are unchanged.
        """
        final = self.path(state.step)
        temporary = self.root / f"{_TEMPORARY}{final.name}"
        with _reported(final):
            try:
                self.processes.first(lambda: self._prepare(temporary))
                parts = self._write_parts(temporary, model, optimizer) if self.is_sharded else {}
                self.processes.first(lambda: self._complete(temporary, model, optimizer, state, parts))
            except BaseException:
                if self.processes.is_first:
                    shutil.rmtree(temporary, ignore_errors=True)
                raise
        return final

    def restore(self, model: nn.Module, optimizer: torch.optim.Optimizer) -> TuningState | None:
        """Loads the latest valid checkpoint into model and optimizer; None if there is none at all.

        Later damaged ones (a file is missing, truncated, or changed) are reported and set aside. The number of
        processes that wrote it, and whether it is sharded, do not matter.

        Raises:
            TrainingError: All are damaged; or the latest valid one is of another run, or does not fit the model.
        """
        self.processes.first(self._sweep)
        steps = self.steps()
        self.processes.check_agreement(str(steps), what="the list of checkpoints")
        if not steps:
            return None
        damaged: dict[int, str] = {}
        for step in reversed(steps):
            if not (damage := self._damage(step)):
                return self._restore(step, model, optimizer, damaged=damaged)
            damaged[step] = damage
        what = "; ".join(f"step {step}: {damage}" for step, damage in damaged.items())
        hint = (
            "restore a copy of one, or delete the folder to start again; a larger training.keep_checkpoints keeps more"
        )
        raise TrainingError(f"no checkpoint is intact: {what}", where=str(self.root), hint=hint)

    def _restore(
        self, step: int, model: nn.Module, optimizer: torch.optim.Optimizer, *, damaged: Mapping[int, str]
    ) -> TuningState:
        folder = self.path(step)
        with _readable(folder):
            values = json.loads((folder / "state.json").read_text(encoding="utf-8"))
            self._check_identity(values, folder)
            state = value_of(values["state"], TuningState, where="state.json", error=SourceError)
        with _reported(self.root):
            self.processes.first(lambda: self._set_aside(damaged, step=step))
        with _readable(folder):
            self._read(folder, model, optimizer)
        return state

    def _damage(self, step: int) -> str:
        """What is wrong with a checkpoint; each process checks some of its files."""
        mine = damage_of(self.path(step), share=self.processes.rank, shares=self.processes.count)
        # All of them check the record itself.
        return ", ".join(dict.fromkeys(filter(None, self.processes.gather(mine))))

    def _set_aside(self, damaged: Mapping[int, str], *, step: int) -> None:
        """Sets damaged checkpoints aside, so that they do not displace valid ones."""
        for later, damage in damaged.items():
            folder = self.path(later)
            aside = folder.with_name(f"{_DAMAGED}{folder.name}")
            # Reported before it is done: after a kill in between, it is reported again.
            self.note(
                f"the checkpoint of step {later} is damaged: {damage}. Resuming from step {step} "
                f"(steps to repeat: {later - step:,}); the damaged one is kept as {aside} until the next is written"
            )
            shutil.rmtree(aside, ignore_errors=True)
            folder.rename(aside)

    def _prepare(self, folder: Path) -> None:
        self.root.mkdir(parents=True, exist_ok=True)
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()

    def _write_parts(
        self, folder: Path, model: nn.Module, optimizer: torch.optim.Optimizer
    ) -> dict[str, dict[str, Any]]:
        """Writes this process's share; returns the record of all files."""
        from flantune.training.sharded_files import write_parts

        mine = write_parts(folder, {**model_tensors(model), **optimizer_tensors(model, optimizer)})
        records = self.processes.gather(json.dumps(record_of(mine)))
        return {name: entry for record in records for name, entry in json.loads(record).items()}

    def _complete(
        self,
        folder: Path,
        model: nn.Module,
        optimizer: torch.optim.Optimizer,
        state: TuningState,
        parts: Mapping[str, Mapping[str, Any]],
    ) -> None:
        """Writes the remaining files, then gives the folder its final name; only then are older ones deleted."""
        final = self.path(state.step)
        values = {
            "format": FORMAT,
            **_as_json(self.identity),
            "versions": _versions(),
            "processes": self.processes.count,
            "state": plain(state),
        }
        if not self.is_sharded:
            save_file(contiguous(model_tensors(model)), folder / "model.safetensors")
            save_file(contiguous(optimizer_tensors(model, optimizer)), folder / "optimizer.safetensors")
        (folder / "state.json").write_text(json.dumps(values, indent=1), encoding="utf-8")
        open_as_usual(*folder.iterdir())
        mine = sorted(file for file in folder.iterdir() if file.name not in parts)
        write_record(folder, {**parts, **record_of(mine)})
        for file in folder.iterdir():
            _flush(file)
        _flush_folder(folder)
        self._discard(final)
        folder.rename(final)
        _flush_folder(self.root)
        for old in [*map(self.path, self.steps()[: -self.keep]), *self.root.glob(f"{_DAMAGED}*")]:
            self._discard(old)

    def _read(self, folder: Path, model: nn.Module, optimizer: torch.optim.Optimizer) -> None:
        if self.is_sharded:
            from flantune.training.sharded_files import empty_state, read_parts, stored_tensors

            weights = model_tensors(model)
            _check_names(weights, {name: size for name, (size, _) in stored_tensors(folder).items() if "/" not in name})
            state = empty_state(folder, trainable(model), optimizer, apart_from=weights)
            read_parts(folder, {**weights, **state})
        elif (folder / "model.safetensors").exists():
            restore_model(model, read_tensors(folder / "model.safetensors"))
            state = dict(read_tensors(folder / "optimizer.safetensors"))
        else:
            from flantune.training.sharded_files import read_assembled

            found = read_assembled(folder)
            state = {name: tensor for name, tensor in found.items() if "/" in name}
            restore_model(model, ((name, tensor) for name, tensor in found.items() if name not in state))
        restore_optimizer(model, optimizer, state)

    def _sweep(self) -> None:
        """Removes what a killed process left incomplete."""
        if self.root.is_dir():
            for entry in self.root.glob(f"{_TEMPORARY}*"):
                shutil.rmtree(entry, ignore_errors=True)

    def _discard(self, folder: Path) -> None:
        """Deletes a checkpoint in such a way that it never looks complete while files are missing."""
        if folder.exists():
            dying = folder.with_name(f"{_TEMPORARY}old-{folder.name}")
            shutil.rmtree(dying, ignore_errors=True)
            folder.rename(dying)
            shutil.rmtree(dying, ignore_errors=True)

    def _check_identity(self, values: Mapping[str, Any], folder: Path) -> None:
        mine, theirs = _as_json(self.identity), values
        changed = [key for key in ("fingerprint", "seed") if mine[key] != theirs[key]]
        if mine["frozen"] != theirs["frozen"]:
            changed.append("the frozen weights of the base model (which the checkpoint does not contain)")
        settings = {*mine["settings"], *theirs["settings"]}.difference(free_training_settings(mine["settings"]))
        usual = TrainingSettings().model_dump(mode="json")  # for a setting added in a later version
        for key in sorted(settings):
            old, new = theirs["settings"].get(key, usual.get(key)), mine["settings"].get(key)
            if old != new:
                changed.append(f"training.{key} ({old!r} there, {new!r} now)")
        if changed or theirs["format"] != FORMAT:
            what = ", ".join(changed) or f"format {theirs['format']}"
            hint = "choose another folder, go back to the earlier settings, or delete the checkpoints to start again"
            raise TrainingError(f"the checkpoint is of another run; what differs: {what}", where=str(folder), hint=hint)


def model_tensors(model: nn.Module) -> dict[str, Tensor]:
    """Trainable weights and persistent buffers, by name; a shared weight (a head tied to its embedding) once.

    Frozen weights are exactly those of the base model, so they are not stored.
    """
    unique: dict[int, tuple[str, Tensor]] = {}
    for name, tensor in model.state_dict(keep_vars=True).items():
        if tensor.requires_grad or not isinstance(tensor, torch.nn.Parameter):
            unique.setdefault(id(tensor), (name, tensor.detach()))
    return dict(unique.values())


def restore_model(model: nn.Module, tensors: Iterable[tuple[str, Tensor]]) -> None:
    """Copies tensors into the model's own, in place.

    Raises:
        ValueError: They are not those of the model.
    """
    wanted = model_tensors(model)
    sizes: dict[str, torch.Size] = {}
    for name, tensor in tensors:
        sizes[name] = tensor.shape
        if name in wanted and wanted[name].shape == tensor.shape:
            # Into the existing tensors, since the optimizer and all modules that share them refer to these.
            wanted[name].copy_(tensor)
    _check_names(wanted, sizes)


def _check_names(wanted: Mapping[str, Tensor], stored: Mapping[str, torch.Size]) -> None:
    for name, size in stored.items():
        if name not in wanted or wanted[name].shape != size:
            raise ValueError(f"the model has no tensor {name!r} of shape {tuple(size)}")
    if missing := sorted(set(wanted) - set(stored)):
        raise ValueError(f"the tensors {', '.join(missing[:3])} are missing")


def read_tensors(file: Path) -> Iterator[tuple[str, Tensor]]:
    """One tensor after the other, each copied rather than a view of the mapped file."""
    with safetensors.safe_open(file, framework="pt") as handle:
        for name in handle.keys():  # noqa: SIM118 - not a mapping
            yield name, handle.get_tensor(name).clone()


def contiguous(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors as safetensors requires them."""
    return {name: tensor.contiguous() for name, tensor in tensors.items()}


def _as_json(identity: Identity) -> dict[str, Any]:
    settings = json.loads(json.dumps(dict(identity.settings)))
    return {
        "fingerprint": identity.fingerprint,
        "seed": identity.seed,
        "frozen": identity.frozen,
        "settings": settings,
    }


def _versions() -> dict[str, str]:
    return {
        "flantune": flantune.__version__,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "transformers": transformers.__version__,
    }


@contextmanager
def _readable(folder: Path) -> Iterator[None]:
    try:
        yield
    except (OSError, ValueError, KeyError, TypeError, SourceError, safetensors.SafetensorError) as error:
        hint = "delete this folder; the same command then resumes from the one before, or from the start"
        raise TrainingError(f"the checkpoint cannot be read: {error}", where=str(folder), hint=hint) from error


@contextmanager
def _reported(path: Path) -> Iterator[None]:
    try:
        yield
    except (OSError, safetensors.SafetensorError) as error:
        why = getattr(error, "strerror", None) or error
        hint = "free some space, then repeat the command: it resumes from the last checkpoint"
        raise TrainingError(f"the checkpoint cannot be written: {why}", where=str(path), hint=hint) from error


def _flush(file: Path) -> None:
    with file.open("rb+") as handle:
        os.fsync(handle.fileno())


def _flush_folder(folder: Path) -> None:
    if os.name != "posix":
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
