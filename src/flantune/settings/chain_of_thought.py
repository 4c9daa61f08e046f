"""Settings of the chain-of-thought files of Flan 2022."""

from __future__ import annotations

from flantune.settings.sections import Section
from flantune.settings.setting_types import AnyPath, Natural


class ChainOfThoughtSettings(Section):
    """A folder of Flan 2022's chain-of-thought files, `<set>_train.tsv`: the collection "cot" with these rows."""

    folder: AnyPath
    """The folder of the files. A task whose file is absent has no data; see `missing`, `include` and `exclude`."""
    test_examples: Natural = 0
    """This many rows at the end of each dataset are for evaluation, not training; 0: all are trained on, as in Flan
    2022."""
