"""A tuned model's folder onto the Hugging Face hub: what is sent, what is not, and all of it in one commit."""

from __future__ import annotations

import fnmatch
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flantune.contamination.training_record import INDEX_FILE
from flantune.errors import ConfigError, FlantuneError, ModelError
from flantune.system.files import MENDS, read_json, read_text
from flantune.system.hub_faults import upload_fault
from flantune.system.progress import Reporter, Silent

if TYPE_CHECKING:
    from huggingface_hub import HfApi

CARD = "README.md"
_ADAPTER = "adapter_config.json"
_SENT = ("*.safetensors", "*.json", "*.jinja", "*.txt", "*.model", CARD, INDEX_FILE)
_REPO = re.compile(r"[A-Za-z0-9][\w.-]{0,95}/[A-Za-z0-9][\w.-]{0,95}", flags=re.ASCII)
_FRONT_MATTER = re.compile(r"\A---\n(.*?)^---\n", flags=re.MULTILINE | re.DOTALL)
_NO_LICENSE = re.compile(r"^# license: .*\n", flags=re.MULTILINE)


@dataclass(frozen=True, slots=True, kw_only=True)
class SentFile:
    """A file as it will be on the hub.

    Attributes:
        name: Its name there.
        path: Where it lies here.
        text: What is sent in place of what it holds here; None: what it holds.
    """

    name: str
    path: Path
    text: str | None = None

    @property
    def size(self) -> int:
        """Bytes that are sent."""
        return self.path.stat().st_size if self.text is None else len(self.text.encode())


@dataclass(frozen=True, slots=True, kw_only=True)
class Parcel:
    """What will be sent.

    Attributes:
        repo: Where to, "owner/name".
        files: The files.
        left_out: Names of what lies beside them and stays here.
        notes: What a user should know before anybody reads it there.
    """

    repo: str
    files: tuple[SentFile, ...]
    left_out: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def size(self) -> int:
        """Bytes in all."""
        return sum(file.size for file in self.files)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sent:
    """What is there now.

    Attributes:
        url: Its page.
        commit: The commit that holds the files.
        is_private: Only its owner sees it.
    """

    url: str
    commit: str
    is_private: bool


def parcel(model: Path, repo: str, *, license_id: str = "", base_model: str = "") -> Parcel:
    """What of a model's folder would be sent; asks nobody and changes nothing.

    Args:
        model: The folder: a whole model, or an adapter.
        repo: Where to, "owner/name".
        license_id: Goes into the card that is sent, in the hub's words ("apache-2.0").
        base_model: Hub id of what was tuned, in place of a folder of this machine that the card and the adapter name.

    Raises:
        ConfigError: The name is none that the hub takes.
        ModelError: The folder holds no model.
    """
    if not _REPO.fullmatch(repo) or "--" in repo or ".." in repo:
        hint = 'write OWNER/NAME of letters, digits, "-", "_" and ".", say me/my-model'
        raise ConfigError(f'"{repo}" is not the name of a hub repository', where="REPO", hint=hint)
    _check_is_model(model)
    names = sorted(path.name for path in model.iterdir() if not path.name.startswith("."))
    patterns = (*_SENT, *(("*.py",) if "auto_map" in _json(model / "config.json") else ()))
    sent = [name for name in names if (model / name).is_file() and any(fnmatch.fnmatch(name, one) for one in patterns)]
    texts = _changed(model, sent, license_id=license_id, base_model=base_model)
    return Parcel(
        repo=repo,
        files=tuple(SentFile(name=name, path=model / name, text=texts.get(name)) for name in sent),
        left_out=tuple(name for name in names if name not in sent),
        notes=tuple(_notes(model, sent, texts)),
    )


def send(wanted: Parcel, *, is_public: bool = False, message: str = "", reporter: Reporter | None = None) -> Sent:
    """Sends a parcel as one commit: until all of it is there, nothing of it can be seen.

    Args:
        wanted: What is sent.
        is_public: A new repository can be read by everyone; else by its owner alone.
        message: Of the commit.
        reporter: Told what is done.

    Raises:
        ModelError: The hub did not take it, or everyone can read what is there and ``is_public`` is not set.
    """
    from huggingface_hub import CommitOperationAdd, HfApi

    told, api = reporter or Silent(), HfApi(library_name="flantune")
    try:
        told.stage(f"look at {wanted.repo} on the hub")
        is_private = _is_private(api, wanted.repo)
        if is_private is False and not is_public:
            hint = "choose another name, or add --public if this model may be public too"
            raise ModelError("already exists and is public", where=wanted.repo, hint=hint)
        if is_private is None:
            api.create_repo(wanted.repo, private=not is_public, exist_ok=True)
        told.stage(f"send {len(wanted.files):,} files, {wanted.size / 1e6:,.1f} MB, to {wanted.repo}")
        commit = api.create_commit(
            wanted.repo,
            [
                CommitOperationAdd(
                    path_in_repo=file.name,
                    path_or_fileobj=str(file.path) if file.text is None else file.text.encode(),
                )
                for file in wanted.files
            ],
            commit_message=message or "A model tuned with flantune",
        )
    except FlantuneError:
        raise
    except Exception as error:
        # Whatever went wrong between here and the hub; its libraries raise a dozen unrelated types.
        fault = upload_fault(error, wanted.repo)
        raise ModelError(f"was not sent: {fault.message}", where=wanted.repo, hint=fault.hint) from error
    return Sent(
        url=f"{api.endpoint}/{wanted.repo}",
        commit=commit.oid,
        is_private=not is_public if is_private is None else is_private,
    )


def _is_private(api: HfApi, repo: str) -> bool | None:
    """Whether a repository can be read by its owner alone; None where there is none (or none that is shown to us)."""
    from huggingface_hub.errors import GatedRepoError, RepositoryNotFoundError

    try:
        return bool(api.model_info(repo).private)
    except GatedRepoError:
        raise
    except RepositoryNotFoundError:
        return None


def _check_is_model(model: Path) -> None:
    names = {path.name for path in model.iterdir()}
    if not names & {"config.json", _ADAPTER}:
        below = sorted(path.parent for path in model.glob("**/model/*config.json"))
        near = f"; below it there is {below[0]}" if below else ""
        hint = f"name the folder of a model, a run's folds/<fold>/model{near}"
        raise ModelError("holds no model: neither config.json nor adapter_config.json", where=str(model), hint=hint)
    if not any(name.endswith(".safetensors") for name in names):
        raise ModelError(
            "holds no weights as safetensors", where=str(model), hint="write them with flantune export model"
        )


def _changed(model: Path, sent: Sequence[str], *, license_id: str, base_model: str) -> dict[str, str]:
    """File → what is sent in place of what it holds."""
    found: dict[str, str] = {}
    if base_model and _ADAPTER in sent:
        config = {**_json(model / _ADAPTER), "base_model_name_or_path": base_model}
        found[_ADAPTER] = json.dumps(config, ensure_ascii=False, indent=2) + "\n"
    if CARD in sent and (license_id or base_model):
        card = read_text(model / CARD, error=ModelError, what="card")
        if base_model:
            card = _without_path(card, base_model)
        given = {"license": license_id, "base_model": base_model}
        found[CARD] = with_front_matter(card, {key: value for key, value in given.items() if value})
    return found


def with_front_matter(card: str, values: Mapping[str, str]) -> str:
    r"""A card with these values in its front matter, in place of those that are there.

    >>> with_front_matter("---\ntags:\n- a\n# license: yours to state\n---\n# Model\n", {"license": "mit"})
    '---\ntags:\n- a\nlicense: "mit"\n---\n# Model\n'
    """
    if (found := _FRONT_MATTER.match(card)) is None:
        found = _FRONT_MATTER.match(card := f"---\n---\n{card}")
    if found is None:  # pragma: no cover - the line before made it match
        return card
    lines = found[1]
    for key, value in values.items():
        line = f"{key}: {json.dumps(value, ensure_ascii=False)}\n"
        lines = _NO_LICENSE.sub("", lines) if key == "license" else lines
        lines = re.sub(rf"^{key}: .*\n", "", lines, flags=re.MULTILINE) + line
    return f"---\n{lines}---\n{card[found.end() :]}"


def _without_path(card: str, base_model: str) -> str:
    """The card with the hub id wherever it names the folder that its base model was read from."""
    path = _card_value(card, "base_model")
    if not path or not Path(path).is_absolute():
        return card
    # Markdown has a backslash before some signs.
    return re.sub(r"\\?".join(map(re.escape, path)), lambda _: base_model, card)


def _card_value(card: str, key: str) -> str:
    front = _FRONT_MATTER.match(card)
    found = re.search(rf"^{key}: (.*)$", front[1], flags=re.MULTILINE) if front else None
    return found[1].strip().strip("\"'") if found else ""


def _notes(model: Path, sent: Sequence[str], texts: Mapping[str, str]) -> list[str]:
    def held(name: str) -> str:
        return texts[name] if name in texts else read_text(model / name, error=ModelError, what="file")

    notes = []
    if CARD not in sent:
        notes.append("there is no card (README.md): nobody will know what this model is")
    elif not _card_value(held(CARD), "license"):
        notes.append(
            "the card states no license; it depends on the base model and on every dataset: --license names it"
        )
    base = _card_value(held(CARD), "base_model") if CARD in sent else ""
    if _ADAPTER in sent:
        adapter = json.loads(texts[_ADAPTER]) if _ADAPTER in texts else _json(model / _ADAPTER)
        base = str(adapter.get("base_model_name_or_path") or base)
    if base and (Path(base).is_absolute() or Path(base).exists()):
        where = f"a folder on this machine, {base}"
        if _ADAPTER in sent:
            merge = "give --base-model ID, or merge it first (flantune export model)"
            notes.append(f"an adapter of a model in {where}, cannot be loaded elsewhere: {merge}")
        else:
            notes.append(f"its card names {where}, as its base model: give its name on the hub with --base-model ID")
    home = str(Path.home())
    named = [name for name in sent if Path(name).suffix in (".json", ".md") and home in held(name)]
    if named and len(home) > 1:
        notes.append(f"folders of this machine ({home}/…) are named in {', '.join(named)}")
    return notes


def _json(path: Path) -> dict[str, Any]:
    if not path.is_file():
        return {}
    found = read_json(path, error=ModelError)
    if not isinstance(found, dict):
        raise ModelError("should be a JSON object", where=str(path), hint=MENDS)
    return found
