"""How a model is held while it is trained or read: the same weights, leaner operations."""
