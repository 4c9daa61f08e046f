"""Training: from arrays to a tuned model."""
