"""From prompts to samples: what a model is asked, and what it answers."""
