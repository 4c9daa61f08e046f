"""Forms of a model for training and reading: the same weights, computed by faster operations."""
