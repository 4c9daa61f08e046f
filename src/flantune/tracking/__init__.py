"""Metrics, settings and reports for programs that keep track of many runs. Off unless a run file asks."""
