"""From a run folder to pages: the report, the model card and the terminal table.

Everything here reads files only: no model, no torch.
"""
