"""Generation of answers: many prompts at a time, each as if it were alone."""
