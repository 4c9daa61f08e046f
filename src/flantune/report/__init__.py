"""From a run folder, or the results of an evaluation, to pages: the report, the model card and the terminal's tables.

The public verb is ``page.write_report``. Everything here reads files only: no model, no torch.
"""
