"""Files to start with: a project that runs immediately, or a run file with a paper's settings."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from flantune.commands.init_data import data_project
from flantune.commands.init_task import quoted
from flantune.errors import ConfigError, FlantuneError, did_you_mean
from flantune.system.files import write_text

_FILES = Path(__file__).parents[1] / "settings/run_files"
RUN_FILE = "run.toml"
_README = "README.md"

# The table of the model up to the next table outside of it; the rate for a model from scratch.
_MODEL = re.compile(r"^\[model\]\n.*?(?=^\[(?!model))", flags=re.MULTILINE | re.DOTALL)
_PATH = re.compile(r"^path = .*$", flags=re.MULTILINE)
_DTYPE = 'dtype = "auto"                        # bfloat16 on devices that have it, else float32'
_RATE = re.compile(r"^(learning_rate = )1e-3 .*$", flags=re.MULTILINE)


def papers() -> tuple[str, ...]:
    """The papers with settings, by name."""
    return tuple(sorted(path.stem for path in _FILES.glob("*.toml")))


@dataclass(frozen=True, slots=True, kw_only=True)
class Project:
    """What was written.

    Attributes:
        files: The files, the run file first.
        notes: What was recognized in the data.
    """

    files: tuple[Path, ...]
    notes: tuple[str, ...] = ()


def write_project(folder: Path, *, like: str = "", model: str = "", data: Sequence[Path] = ()) -> Project:
    """Writes files to start with.

    Args:
        folder: The folder, which is created if it does not exist.
        like: The paper whose settings to use; empty: a small project with its own task files, which runs immediately.
        model: The model to tune: a folder, a GGUF file or a hub id; empty: the file's default.
        data: Files to tune on; each becomes a task.

    Raises:
        ConfigError: There is no such paper, or one of the files exists already; then nothing is written. A README.md
            that exists is kept, and none is written.
        SourceError: The data cannot be read, or has no known format.
    """
    if like and data:
        hint = "leave one of them out; a paper's run file takes tasks of yours under [data] tasks"
        raise ConfigError("cannot be combined with --like: both say which data to use", where="--data", hint=hint)
    if like and like not in papers():
        near = did_you_mean(like, papers()) or f"available: {', '.join(papers())}"
        raise ConfigError(f'no run file is like "{like}"', where="--like", hint=near)
    notes: tuple[str, ...] = ()
    if data:
        texts, notes = data_project(data, folder, model=model)
    else:
        texts = _paper(like) if like else _project()
    if model:
        texts[RUN_FILE] = _with_model(texts[RUN_FILE], model)
    if (folder / _README).exists():
        texts.pop(_README, None)
    there = [str(folder / name) for name in texts if (folder / name).exists()]
    if there:
        hint = "choose another folder, or move the file away"
        raise ConfigError("already exists, and nothing is overwritten", where=there[0], hint=hint)
    return Project(files=_write(folder, texts), notes=notes)


def _write(folder: Path, texts: Mapping[str, str]) -> tuple[Path, ...]:
    """Writes all files or, if one cannot be written, none.

    Raises:
        ConfigError: A text holds something that is not text.
        FlantuneError: A file cannot be written.
    """
    for name, text in texts.items():
        try:
            text.encode()
        except UnicodeEncodeError as error:
            around = error.object[max(0, error.start - 20) : error.end + 20]
            what = f"would hold bytes that are no text, near {around!a}"
            raise ConfigError(what, where=str(folder / name), hint="save the data as UTF-8") from None
    written: list[Path] = []
    try:
        for name, text in texts.items():
            written.append(write_text(folder / name, text))
    except FlantuneError:
        for path in written:
            path.unlink(missing_ok=True)
        raise
    return tuple(written)


def _paper(name: str) -> dict[str, str]:
    return {RUN_FILE: (_FILES / f"{name}.toml").read_text(encoding="utf-8")}


def _project() -> dict[str, str]:
    """Path below the folder → text, the run file first."""
    root = _FILES / "project"
    paths = sorted(
        (path for path in root.rglob("*") if path.is_file()),
        key=lambda path: (path.name != RUN_FILE, path.name == _README, path),
    )
    return {path.relative_to(root).as_posix(): path.read_text(encoding="utf-8") for path in paths}


def _with_model(text: str, model: str) -> str:
    """A run file that tunes a pretrained model, with a suitable rate if the file's was for a model from scratch."""
    place = str(Path(model).resolve()) if Path(model).exists() else model
    line = f"path = {quoted(place)}"
    (found,) = _MODEL.findall(text)
    if _PATH.search(found):
        table = _PATH.sub(lambda _: line, found, count=1)
    else:
        table = f'[model]\n{line}\n{_DTYPE}\ndevice = "auto"\n\n'
    rated = _RATE.sub(r"\g<1>5e-5                  # 1e-5 to 5e-5 suits most pretrained models", text)
    return rated.replace(found, table)
