"""Model to scores: how well a model does what it was never shown, with how much can be said for sure.

``asking.ask.ask`` puts exams to a model and writes its samples to disk; ``statistics.grades.grade`` grades them, and
``summarize.summarize`` turns what any number of models answered into ``results.json``, without any model.
Nothing here imports torch until a model is scored.
"""
