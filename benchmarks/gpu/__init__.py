"""Parts of ``gpu_day``: each runs in a process of its own and tells what it measured."""
