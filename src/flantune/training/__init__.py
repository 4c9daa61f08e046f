"""Training: arrays to a tuned model. The public verb is ``tune``."""
