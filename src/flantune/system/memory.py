"""The memory use of the process."""

from __future__ import annotations

import sys


def peak_bytes() -> int:
    """Peak resident memory of this process; 0 if the system does not report it (Windows)."""
    try:
        import resource
    except ImportError:
        return 0
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    # Linux counts in KiB, macOS in bytes.
    return peak if sys.platform == "darwin" else peak * 1024
