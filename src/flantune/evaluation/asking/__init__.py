"""From prompts to samples: what a model is asked, and its answers."""
