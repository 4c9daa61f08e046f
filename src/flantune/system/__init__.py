"""What the machine gives: files, locks, processes, progress, random numbers by key."""
