"""Compatibility with EleutherAI's lm-evaluation-harness: reads its task files, writes its results and samples.

``read.harness_exams`` turns task YAML into exams for any model; ``export.write_export`` writes files for leaderboards
and dashboards made for the harness. Templates are rendered in a sandbox. A file that names Python functions is refused
unless the user allows them; then ``task_code`` runs them in a restricted process.
"""
