"""Load, save and run language models of both families on packed arrays.

From the bottom up: ``language_model`` (the argument of all others) and properties of it (``traits``, ``rope``,
``heads``); ``attention`` within segments; faster ``forms`` of a model for training and for reading; ``forward``
(log-probabilities); ``checks`` of a model; ``load`` and the formats ``stored`` on disk; ``scoring`` of options and
``writing`` of answers.
"""
