"""How many tokens flantune's side of a race has been given."""

from __future__ import annotations

from collections.abc import Iterator

from flantune.packing.batches import Batches
from flantune.packing.packs import Batch


class Counted:
    """Batches, and how many real tokens were handed out."""

    def __init__(self, batches: Batches) -> None:
        self.batches, self.tokens = batches, 0

    def iterate(self, cursor: int) -> Iterator[Batch]:
        """See ``Batches``."""
        for batch in self.batches.iterate(cursor):
            self.tokens += batch.counts.input_tokens + batch.counts.target_tokens
            yield batch
