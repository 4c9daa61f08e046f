"""What a model can do: each trait is found by trying on first use, and kept with the model.

Architectures differ in more than their configs say, so flantune tests a model instead of relying on names. Traits are
the functions marked with ``trait``:

- ``heads.find_head``: how hidden states become logits;
- ``rope.following_ropes``: which rotary positions follow the longest prompt of a batch;
- ``checks.causality.reads_ahead``: whether it sees later tokens;
- ``attention.lines.keeps_segments_apart``: whether it reads packed rows as one flat line;
- ``forms.last_layer.find_narrowed``: which parts of its last layer can be computed at chosen positions only;
- ``scoring.check.scoring_layout``: how options are read;
- ``writing.check.writing_method``: how answers are generated side by side.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Generic, TypeVar, cast
from weakref import WeakKeyDictionary

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from flantune.models.language_model import LanguageModel

T = TypeVar("T")


@dataclass(frozen=True, slots=True, eq=False)
class Traits:
    """The traits found for one model so far.

    Attributes:
        found: The value of each trait, by the trait and what else it depends on.
    """

    found: dict[tuple[Trait[Any], Hashable], object] = field(default_factory=dict)


_kept: WeakKeyDictionary[PreTrainedModel, Traits] = WeakKeyDictionary()


def traits_of(model: PreTrainedModel) -> Traits:
    """The traits of a model, shared by every ``LanguageModel`` around it and discarded with it."""
    return _kept.setdefault(model, Traits())


@dataclass(frozen=True, eq=False)
class Trait(Generic[T]):
    """One property of a model. Called with a model, it tries once and then returns what was found.

    Attributes:
        find: Tries it.
        depends_on: What else of a ``LanguageModel`` besides its model requires another trial.
    """

    find: Callable[[LanguageModel], T]
    depends_on: Callable[[LanguageModel], Hashable] = lambda _: None

    def __call__(self, lm: LanguageModel) -> T:
        """The trait of the model, tried now if it was not before."""
        found, key = traits_of(lm.model).found, (self, self.depends_on(lm))
        if key not in found:
            found[key] = self.find(lm)
        return cast("T", found[key])

    def settle(self, lm: LanguageModel, outcome: T) -> None:
        """Sets the trait when something else has shown what the model can do."""
        traits_of(lm.model).found[self, self.depends_on(lm)] = outcome


def trait(find: Callable[[LanguageModel], T]) -> Trait[T]:
    """Marks a function that finds a trait of a model, usually by trying."""
    return Trait(find)


def trait_by(
    depends_on: Callable[[LanguageModel], Hashable],
) -> Callable[[Callable[[LanguageModel], T]], Trait[T]]:
    """Like ``trait``, for traits that depend on more than the model, such as the arithmetic."""
    return lambda find: Trait(find, depends_on)
