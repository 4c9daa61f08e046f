"""The papers' experiments, as functions from tasks and configs to splits and configs."""
