"""The papers' benchmarks, asked as the papers ask them: MMLU, BBH, TyDiQA, MGSM, Natural-Instructions and GSM8K.

Each benchmark is one function from the user's data to *parts*: the questions of one subject, task or language, how
they are answered and how an answer is graded. ``asking`` asks a model, ``scores`` turns what it said
into macro and micro means. No benchmark's rows and no published prompt is shipped: all are read from files of the
user's, or from the hub.
"""
