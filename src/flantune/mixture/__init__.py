"""How much of each task, and what is held out: an index becomes a prompt."""
