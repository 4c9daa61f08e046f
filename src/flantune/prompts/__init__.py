"""How to ask: prompts from examples and templates."""
