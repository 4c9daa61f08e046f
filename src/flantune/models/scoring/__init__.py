"""Scores of options: the batches, the layouts, and the check that chooses a model's layout."""
