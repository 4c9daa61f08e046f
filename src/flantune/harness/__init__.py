"""At home with EleutherAI's lm-evaluation-harness: its task files in, its results and samples out.

``read.harness_parts`` turns task YAML into parts that any model can be asked; ``export.write_export`` writes what
leaderboards and dashboards made for the harness read. Nothing of a task file is run: templates are rendered in a
sandbox, and a file that names Python code is refused.
"""
