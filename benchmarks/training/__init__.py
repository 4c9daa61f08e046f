"""Parts of the training benchmarks: one workload, one process a side, and the floor that the machine sets."""
