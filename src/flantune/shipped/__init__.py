"""The shipped task collections: a folder each, with one TOML file a task and the row adapters in Python."""
