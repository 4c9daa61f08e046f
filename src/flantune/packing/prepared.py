"""A stream whose draws were made in advance: the same as the live one, read from blocks."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from flantune.errors import PackingError
from flantune.packing.blocks import BLOCK_DRAWS, Block, BrokenBlockError, block_path, read_block, read_head
from flantune.packing.stream import EncodedDraw, PromptStream

if TYPE_CHECKING:
    from flantune.types import Family

_OPEN_BLOCKS = 2
"""Blocks held in memory: a batch may cross the border of two."""


class PreparedStream:
    """Draws from the blocks of a folder; missing ones are made as needed.

    Either way the draws are the same, so batches, cursors and weights do not depend on what was prepared. A block made
    from something else is refused, and so is one in which one of three draws differs from the live one. A damaged block
    counts as missing.

    Args:
        live: The stream that the draws were made from.
        folder: Folder of the blocks.
        identity: What the live stream's draws are made from (``BlockHead.identity``).
        note: Called about damaged blocks.
    """

    def __init__(
        self,
        live: PromptStream,
        folder: Path,
        *,
        identity: Mapping[str, str],
        note: Callable[[str], None] = lambda _: None,
    ) -> None:
        self.live, self.folder, self.identity, self.note = live, folder, identity, note
        self._open: OrderedDict[int, Block | None] = OrderedDict()

    @property
    def family(self) -> Family:
        """The live stream's."""
        return self.live.family

    @property
    def pad_token(self) -> int:
        """The live stream's."""
        return self.live.pad_token

    def draws(self, first: int, count: int) -> list[EncodedDraw]:
        """``count`` draws from number ``first`` on.

        Raises:
            PackingError: A block has draws of another stream.
        """
        made: list[EncodedDraw] = []
        while len(made) < count:
            at = first + len(made)
            number, place = divmod(at, BLOCK_DRAWS)
            block = self._block(number)
            size = min(count - len(made), BLOCK_DRAWS - place)
            if block is None:
                made += self.live.draws(at, size)
            else:
                made += [self._draw(block, place + more, at + more) for more in range(size)]
        return made

    def check(self) -> int:
        """Makes sure that the folder has blocks of this stream; returns how many are consecutive from the first.

        Raises:
            PackingError: It has none, or those of another stream.
        """
        found = sorted(self.folder.glob("block-*.parquet"))
        if not found:
            hint = "make them with `flantune prepare RUN_FILE --out FOLDER`, or leave data.prepared out"
            raise PackingError("there are no prepared draws", where=str(self.folder), hint=hint)
        count = 0
        while block_path(self.folder, count).exists():
            count += 1
        with suppress(BrokenBlockError):  # reported when it is used
            check_identity(read_head(found[0]).identity, self.identity, where=str(found[0]))
        return count

    def _draw(self, block: Block, place: int, number: int) -> EncodedDraw:
        kept = block.draw(place)
        return EncodedDraw(
            prompt=kept.prompt,
            counts=kept.counts,
            task=kept.task,
            row=kept.row,
            next=number + 1,
            broken=self.live.limit if kept.prompt is None else None,
        )

    def _block(self, number: int) -> Block | None:
        if number not in self._open:
            self._open[number] = self._read(number)
            while len(self._open) > _OPEN_BLOCKS:
                self._open.popitem(last=False)
        return self._open[number]

    def _read(self, number: int) -> Block | None:
        path = block_path(self.folder, number)
        try:
            block = read_block(path)
        except FileNotFoundError:
            return None
        except BrokenBlockError as error:
            self.note(f"{path} is damaged, so its draws are made again as needed ({error})")
            return None
        check_identity(block.head.identity, self.identity, where=str(path))
        if block.head.number != number:
            hint = f"it is block {block.head.number:,} under another name: remove it"
            raise PackingError("this is another block", where=str(path), hint=hint)
        self._compare(block, where=str(path))
        return block

    def _compare(self, block: Block, *, where: str) -> None:
        """Makes some draws and compares: this detects what no fingerprint covers, such as another library."""
        first = block.head.number * BLOCK_DRAWS
        for place in (0, BLOCK_DRAWS // 2, BLOCK_DRAWS - 1):
            (live,) = self.live.draws(first + place, 1)
            if not same_draw(live, self._draw(block, place, first + place)):
                message = f"draw {first + place:,} is different now, although settings and data are the same"
                raise PackingError(message, where=where, hint=_AGAIN)


_AGAIN = "remove the folder and prepare again, or leave data.prepared out"


def check_identity(found: Mapping[str, str], wanted: Mapping[str, str], *, where: str, hint: str = _AGAIN) -> None:
    """Makes sure that draws were made from the same inputs.

    Raises:
        PackingError: They were not; the message names what differs.
    """
    names = [name for name in dict.fromkeys([*wanted, *found]) if wanted.get(name) != found.get(name)]
    if names:
        raise PackingError(f"these draws were made from other inputs: {', '.join(names)}", where=where, hint=hint)


def same_draw(left: EncodedDraw, right: EncodedDraw) -> bool:
    """Whether two draws are the same to the last id."""
    if (left.counts, left.task, left.row, left.next) != (right.counts, right.task, right.row, right.next):
        return False
    if left.prompt is None or right.prompt is None:
        return left.prompt is right.prompt
    sides = zip((left.prompt.inputs, *left.prompt.targets), (right.prompt.inputs, *right.prompt.targets), strict=False)
    return len(left.prompt.targets) == len(right.prompt.targets) and all(np.array_equal(*pair) for pair in sides)
