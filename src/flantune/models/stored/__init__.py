"""Models on disk: where they are, in which files, and whether these are complete."""
