"""At home with EleutherAI's lm-evaluation-harness: its task files in, its results and samples out.

``read.harness_exams`` turns task YAML into exams that any model can be asked; ``export.write_export`` writes what
leaderboards and dashboards made for the harness read. Templates are rendered in a sandbox. A file that names Python
functions is refused, unless told to run them: then ``task_code`` runs them in a process that can do little else.
"""
