"""What a model must pass before it is used: it does not read ahead, packed prompts stay apart, it can be tuned."""
