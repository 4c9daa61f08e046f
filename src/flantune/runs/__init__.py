"""A folder of a run: where each product lies, whose run it is, and how it is read back."""
