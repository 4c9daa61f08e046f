"""One Unicode form for answers and references."""

from __future__ import annotations

import unicodedata
from dataclasses import replace

from flantune.types import Sample


def composed(sample: Sample) -> Sample:
    r"""The sample with its answer and references in composed form (NFC); ASCII texts are unchanged.

    Tokenizers normalize, and data has any form: without this, a right answer with an accent might never match.

    >>> made = Sample(task="t", split="test", row=0, template="t", shots=0, inputs="",
    ...               prediction="cafe\u0301", references=("caf\u00e9",))
    >>> composed(made).prediction == made.references[0]
    True
    """
    if sample.prediction.isascii() and all(map(str.isascii, sample.references)):
        return sample
    return replace(
        sample,
        prediction=_composed(sample.prediction),
        references=tuple(map(_composed, sample.references)),
        options=tuple(map(_composed, sample.options)),
    )


def _composed(text: str) -> str:
    return unicodedata.normalize("NFC", text)
