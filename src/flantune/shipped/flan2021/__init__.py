"""Tasks after FLAN 2021: one TOML file a dataset; ``adapters`` reads the rows that columns alone cannot.

``rows/<task>.jsonl`` holds three invented rows a task in the hub's own schema, for previews and tests.
"""
