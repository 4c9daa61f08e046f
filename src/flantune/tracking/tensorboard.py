"""TensorBoard: event files in the run folder, rewritten at each start, since they cannot be truncated at a step."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from flantune.tracking.tracker import Tracked


def open_tracker(tracked: Tracked) -> _TensorBoard:
    """Event files in the folder ``tensorboard`` of the tracked run."""
    return _TensorBoard(tracked)


class _TensorBoard:
    key = ""
    """Empty: it never continues, it starts again."""

    def __init__(self, tracked: Tracked) -> None:
        from torch.utils.tensorboard import SummaryWriter

        folder = tracked.folder / "tensorboard"
        shutil.rmtree(folder, ignore_errors=True)
        self._board: Any = SummaryWriter(str(folder))
        settings = json.dumps(dict(tracked.settings), indent=2, ensure_ascii=False, default=str)
        self._board.add_text("settings", "".join(f"    {line}\n" for line in settings.splitlines()))

    def log(self, step: int, values: Mapping[str, float]) -> None:
        for name, value in values.items():
            self._board.add_scalar(name, value, step)
        self._board.flush()

    def conclude(self, scores: Mapping[str, float], files: Sequence[Path]) -> None:
        for name, value in scores.items():
            self._board.add_scalar(name, value)
        self._board.add_text("files", "\n".join(f"- `{path}`" for path in files))

    def close(self) -> None:
        self._board.close()
