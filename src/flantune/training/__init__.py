"""Training: arrays to a tuned model."""
