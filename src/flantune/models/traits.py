"""What a model can do: each trait is found by trying when it is first asked for, and kept with the model.

Architectures differ in more than their configs say, so flantune tries a model out instead of knowing names. Traits are
the functions marked with ``trait``:

- ``heads.find_head``: how hidden states become logits;
- ``rope.following_ropes``: which rotary positions follow the longest prompt of a batch;
- ``checks.causality.reads_ahead``: whether it sees the tokens that follow;
- ``attention.lines.keeps_segments_apart``: whether it reads packed rows as one flat line;
- ``forms.last_layer.find_narrowed``: what of its last layer can be computed at chosen places only;
- ``scoring.check.scoring_layout``: how options may be read;
- ``writing.check.writing_method``: how answers may be written side by side.
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
    """What was found out about one model; a trait that is not there yet was not asked for yet.

    Attributes:
        found: What each trait turned out to be, by the trait and what else it depends on.
    """

    found: dict[tuple[Trait[Any], Hashable], object] = field(default_factory=dict)


_kept: WeakKeyDictionary[PreTrainedModel, Traits] = WeakKeyDictionary()


def traits_of(model: PreTrainedModel) -> Traits:
    """The traits of a model: the same for every ``LanguageModel`` around it, and forgotten with it."""
    return _kept.setdefault(model, Traits())


@dataclass(frozen=True, eq=False)
class Trait(Generic[T]):
    """One thing to know about a model. Called with a model, it tries once and gives what was found from then on.

    Attributes:
        find: Tries it.
        depends_on: What else of a ``LanguageModel`` than its model makes another trial necessary.
    """

    find: Callable[[LanguageModel], T]
    depends_on: Callable[[LanguageModel], Hashable] = lambda _: None

    def __call__(self, lm: LanguageModel) -> T:
        """What is known of the model, tried now if it was not before."""
        found, key = traits_of(lm.model).found, (self, self.depends_on(lm))
        if key not in found:
            found[key] = self.find(lm)
        return cast("T", found[key])

    def settle(self, lm: LanguageModel, outcome: T) -> None:
        """Something else showed what the model can do: from here on this is what is known."""
        traits_of(lm.model).found[self, self.depends_on(lm)] = outcome


def trait(find: Callable[[LanguageModel], T]) -> Trait[T]:
    """Marks a function that finds out something about a model, as a rule by trying."""
    return Trait(find)


def trait_by(
    depends_on: Callable[[LanguageModel], Hashable],
) -> Callable[[Callable[[LanguageModel], T]], Trait[T]]:
    """Like ``trait``, for what differs with more than the model, such as the arithmetic."""
    return lambda find: Trait(find, depends_on)
