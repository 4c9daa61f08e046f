"""Checks before a model is used: it does not read ahead, packed prompts are isolated, it can be tuned."""
