"""Numbers as people write them, read in one way everywhere."""
