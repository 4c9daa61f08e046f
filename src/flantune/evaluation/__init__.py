"""Model to scores: how well a model does what it was never shown, with how much can be said for sure.

The public verb is ``asking.ask.evaluate``, which writes samples to disk; ``summary.summarize`` turns
samples of a base and a tuned model into ``results.json``, without any model.
Nothing here imports torch until a model is scored.
"""
