"""Tasks beyond the FLAN 2021 collection; their row adapters live beside those of FLAN 2021."""
