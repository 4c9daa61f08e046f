"""What the FLAN paper and its public code vary. Paper: FLAN 2021, section 4 and appendix B."""

from __future__ import annotations

KINDS = ("leave-one-cluster-out", "within-cluster", "clusters", "tasks-per-cluster", "templates", "training-tasks")
"""The studies of splits by name; ``split_files.MAKERS`` says how each is made."""
PAPER_ORDER = (
    "summarization",
    "translation",
    "reading comprehension",
    "sentiment",
    "structure to text",
    "coreference",
    "conversational qa",
)
"""Clusters in the order in which the paper adds them. Paper: FLAN 2021, section 4.1."""
PAPER_TEST = ("entailment", "common sense", "open domain qa")
"""Clusters held out while others are added. Paper: FLAN 2021, section 4.1."""
SUPER_GLUE = ("boolq", "cb", "copa", "multirc", "record", "rte", "wic", "wsc")
"""The tasks that the public code holds out in its studies of templates and of the number of training tasks."""
TEMPLATE_COUNTS = (1, 2, 4, 7, 10)
"""Templates of each training task, in the study of templates."""
TASK_COUNTS = tuple(range(5, 60, 5))
"""Training tasks, in the study of their number: 5, 10, …, 55."""
PER_CLUSTER_COUNTS = (1, 2, 3, 4)
"""Tasks of each training cluster, in the study of tasks per cluster."""
WITHIN_CLUSTER_SPLITS = 10
"""Splits that hide a task of each cluster."""
