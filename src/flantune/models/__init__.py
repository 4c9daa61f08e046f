"""Load, save and run language models of both families on packed arrays.

From the bottom up: ``language_model`` (the value that all others take) and what is known of it (``traits``, ``rope``,
``heads``); ``attention`` within segments; ``forms`` in which a model is held while it trains or is read; ``forward``
(log-probabilities); ``checks`` of a model; ``load`` and what is ``stored`` on disk; ``scoring`` of options and
``writing`` of answers.
"""
