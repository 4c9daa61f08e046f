"""Load, save and run language models of both families on packed arrays.

From the bottom up: ``language_model`` (the value that all others take) and what is known of it (``traits``, ``rope``,
``heads``); ``attention`` within segments; ``forms`` in which a model stands while it trains or is read; ``forward``
(log-probabilities); ``checks`` of a model; ``load`` and what lies ``stored`` on disk; ``scoring`` of options and
``writing`` of answers.
"""
