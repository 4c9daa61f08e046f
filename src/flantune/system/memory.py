"""How much memory the process has needed."""

from __future__ import annotations

import sys


def peak_bytes() -> int:
    """Most resident memory this process ever held; 0 where the system does not tell (Windows)."""
    try:
        import resource
    except ImportError:
        return 0
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    # Linux counts in KiB, macOS in bytes.
    return peak if sys.platform == "darwin" else peak * 1024
