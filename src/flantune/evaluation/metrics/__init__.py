"""Metrics: what counts as right, one file per metric."""
