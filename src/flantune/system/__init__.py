"""The machine: files, locks, processes, progress, keyed random numbers."""
