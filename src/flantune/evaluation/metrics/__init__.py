"""From an answer to a note: what counts as right, one file per metric."""
