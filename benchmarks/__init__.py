"""Programs that measure flantune. Run all with ``make bench``, one with ``python -m benchmarks NAME``."""
