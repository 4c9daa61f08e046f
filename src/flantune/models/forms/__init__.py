"""How a model stands while it is trained or read: the same weights, leaner operations."""
