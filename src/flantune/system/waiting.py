"""How threads of one computation wait for each other: asleep, so that waiting takes no core from anybody."""

from __future__ import annotations

import os


def wait_passively() -> None:
    """Has OpenMP's threads sleep while they wait; before PyTorch is imported, and unless the environment says how.

    By default a thread that is done spins until the others are, for milliseconds. Where another process has one of the
    cores, each of the many small operations of a step then waits for a thread that is not running, and burns a core
    meanwhile.
    """
    if not {"OMP_WAIT_POLICY", "GOMP_SPINCOUNT"} & os.environ.keys():
        os.environ["OMP_WAIT_POLICY"] = "passive"
