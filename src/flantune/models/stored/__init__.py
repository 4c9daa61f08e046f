"""Models as they lie on disk: where, in which files, whole or damaged."""
