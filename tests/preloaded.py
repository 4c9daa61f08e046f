"""What the process has imported from which those of ``tests/processes.py`` are forked."""

import gc
from importlib import import_module

for name in (
    "peft",
    "transformers.models.llama.modeling_llama",
    "transformers.models.t5.modeling_t5",
    "torch.utils.tensorboard",
    "flantune.commands.evaluate",
    "flantune.commands.run",
    "flantune.demo.start",
    "flantune.models.attention.native",
    "flantune.models.load",
    "flantune.report.page",
    "flantune.training.loop",
    "flantune.training.sharded_files",
    "flantune.training.sharding",
    "tests.end_to_end.tuning_worker",
    "tests.training.team",
):
    import_module(name)
gc.collect()
gc.freeze()
