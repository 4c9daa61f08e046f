"""Scores of options: what is read together, in which layout, and the check that chooses the layout."""
