"""From models to scores: how well a model does unseen tasks, and how certain that is.

``asking.ask.ask`` puts exams to a model and writes its samples to disk; ``statistics.grades.grade`` grades them, and
``summarize.summarize`` turns what any number of models answered into ``results.json``, without any model.
Nothing here imports torch before a model is scored.
"""
