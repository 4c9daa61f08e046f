"""Turns a run folder or an evaluation's results into the report, the model card and the terminal's tables.

The public function is ``page.write_report``. Everything here reads only files: no model, no torch.
"""
