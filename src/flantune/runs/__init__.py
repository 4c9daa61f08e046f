"""Run folders: where each product is, which run it belongs to, and how it is read."""
