"""How to ask: an example and a template become a prompt."""
