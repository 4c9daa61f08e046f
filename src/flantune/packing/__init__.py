"""Prompts become arrays: tokens, rows of several prompts, batches."""
