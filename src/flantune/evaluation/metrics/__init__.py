"""From an answer to a note: what counts as right, a file a metric."""
