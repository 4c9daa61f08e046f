"""The papers' benchmarks as in the papers: MMLU, BBH, TyDiQA, MGSM, Natural-Instructions, GSM8K, and measures of bias.

Each benchmark is one function from the user's data to exams: the questions of one subject, task or language, how they
are answered and how an answer is graded. ``catalog.SUITES`` lists them, with the ways in which exams are averaged. No
benchmark rows and no published prompts are shipped: all are read from the user's files, or from the hub.
"""
