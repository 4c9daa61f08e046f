"""A folder of a run: where each product is, whose run it is, and how it is read back."""
