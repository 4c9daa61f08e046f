"""Sends metrics, settings and reports to experiment trackers. Off unless a run file names one."""
