"""The papers' benchmarks, asked as the papers ask them: MMLU, BBH, TyDiQA, MGSM, Natural-Instructions and GSM8K.

Each benchmark is one function from the user's data to exams: the questions of one subject, task or language, how
they are answered and how an answer is graded. ``catalog.SUITES`` lists them, with the ways in which exams are averaged.
No benchmark's rows and no published prompt is shipped: all are read from files of the user's, or from the hub.
"""
