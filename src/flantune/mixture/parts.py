"""A mixture as a tree of parts: which tasks each part has, and each leaf's share of the whole.

A leaf is a task in a part: the same task may be asked without exemplars in one part and with them in another. Within a
part without subparts, tasks count by their rates; sibling parts count by their shares, or if they have none, by the sum
of the rates below them. Paper: Flan 2022 (Longpre et al.), section 3, and seqio's mixtures.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field, replace
from math import inf
from typing import TYPE_CHECKING, NamedTuple, Protocol

from flantune.errors import ConfigError, did_you_mean
from flantune.mixture.rates import capped_size, quotas
from flantune.mixture.taxonomy import plain_name
from flantune.settings.mixture_settings import PartSettings
from flantune.settings.plain_words import first_names
from flantune.tasks.naming import is_named

if TYPE_CHECKING:
    from flantune.settings.mixture_settings import MixtureSettings


class Member(Protocol):
    """What a part needs to know of a task; ``flantune.types.Task`` is one."""

    @property
    def name(self) -> str:
        """Its name."""

    @property
    def collection(self) -> str:
        """The collection it comes from."""

    @property
    def clusters(self) -> tuple[str, ...]:
        """Its clusters."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Leaf:
    """A task in a part.

    Attributes:
        place: Index of the task in the order given.
        path: Names of the parts it is in, from the outermost on; empty without parts.
        form: The part's settings, with missing ones inherited from above.
        examples: Size of the task: rows, or prompts.
        rows: How many of them are ever drawn.
        quota: Its size as far as it counts, a whole number.
        rate: Its weight within its part, after temperature, before parts are weighted.
        share: Share of all draws, between 0 and 1.
    """

    place: int
    path: tuple[str, ...]
    form: PartSettings
    examples: int
    rows: int
    quota: int
    rate: float
    share: float = 0.0

    @property
    def part(self) -> str:
        """The dotted path: ``flan2021.zero_shot``; empty without parts."""
        return ".".join(self.path)


class Size(NamedTuple):
    """The size of a task in a part.

    Attributes:
        examples: Rows, or prompts; 0: the task is not in the part.
        templates: Number of templates.
    """

    examples: int
    templates: int = 1


SizeOf = Callable[[int, tuple[str, ...], PartSettings], Size]
"""The size of the task with this index in the part with this path and form."""

INHERITED = (
    *("max_examples", "max_rate", "cap", "rates", "temperature"),
    *("train_shots", "show_options", "options_layout", "shuffle_options", "exemplar_format", "trigger", "templates"),
)
"""Settings of a part that its subparts inherit."""


KNOWN_COLLECTIONS = ("flan2021", "t0", "natural_instructions", "cot", "dialogue", "programs", "more")
"""Collections that a part may name even if the run file has none of their tasks."""


def plan_leaves(
    settings: MixtureSettings, parts: Mapping[str, PartSettings], members: Sequence[Member], *, size: SizeOf
) -> tuple[Leaf, ...]:
    """Every task in every part that it belongs to, with its share of the whole; parts and tasks sorted by name.

    The share of a part without tasks goes to its sibling parts.

    Args:
        settings: Caps, rates and limits.
        parts: The tree; empty: all tasks are at the top.
        members: The tasks.
        size: The size of a task in a part.

    Raises:
        ConfigError: A task is in no part, no part has a task, ``only`` names none, or rows do not suffice.

    Paper: seqio: share(leaf) = Σ over its parts of rate / Σ rates × the part's share.
    """
    root = PartSettings(
        max_examples=settings.max_examples,
        max_rate=settings.max_rate,
        cap=settings.cap,
        rates=settings.rates,
        temperature=settings.temperature,
        parts=dict(parts),
    )
    tree = _grow(root, (), range(len(members)), members, size)
    _check_all_placed(tree, members)
    leaves = tuple(_allocate(tree, 1.0, _limits(tree, settings)))
    return _only(leaves, settings.only, known=tuple(part_paths(parts)))


def check_selectors(parts: Mapping[str, PartSettings], members: Sequence[Member]) -> None:
    """Makes sure that everything the parts of a tree name exists, since a typo would silently empty a part.

    Raises:
        ConfigError: A part names a collection, cluster or task that no task has; all are listed.
    """
    problems = list(_strangers(parts, members, "mixture.parts"))
    if problems:
        raise ConfigError("\n".join(problems), hint="`flantune tasks list RUN_FILE` prints what is there")


def _strangers(parts: Mapping[str, PartSettings], members: Sequence[Member], where: str) -> Iterator[str]:
    names = [member.name for member in members]
    clusters = sorted({name for member in members for name in member.clusters})
    plain = {plain_name(name) for name in clusters}
    collections = sorted({*KNOWN_COLLECTIONS, *(member.collection for member in members)} - {""})
    for name, part in parts.items():
        wrong = [("collection", one, collections) for one in part.collections if one not in collections]
        wrong += [("cluster", one, clusters) for one in part.clusters if plain_name(one) not in plain]
        wrong += [("task", one, names) for one in part.tasks if not any(is_named(other, (one,)) for other in names)]
        for kind, one, known in wrong:
            near = did_you_mean(one, known) or f"available: {', '.join(known[:8])}{' …' if len(known) > 8 else ''}"
            yield f'{where}.{name}.{kind}s: no {kind} "{one}"; {near}'
        yield from _strangers(part.parts, members, f"{where}.{name}.parts")


def part_paths(parts: Mapping[str, PartSettings], above: str = "") -> Iterator[str]:
    """Dotted paths of all parts of a tree.

    >>> list(part_paths({"cot": PartSettings(parts={"forward": PartSettings()})}))
    ['cot', 'cot.forward']
    """
    for name, part in parts.items():
        yield above + name
        yield from part_paths(part.parts, f"{above}{name}.")


_SELECTORS = "a part names its tasks by `collections`, `clusters` or `tasks`"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Node:
    """A part with its contents; ``leaves`` are all leaves below it."""

    path: tuple[str, ...]
    share: float | None
    own: tuple[Leaf, ...] = ()
    parts: tuple[_Node, ...] = ()
    unplaced: frozenset[int] = field(default_factory=frozenset)

    @property
    def leaves(self) -> tuple[Leaf, ...]:
        return (*self.own, *(leaf for part in self.parts for leaf in part.leaves))

    @property
    def weight(self) -> float:
        return self.share if self.share is not None else sum(leaf.rate for leaf in self.leaves)


def _grow(
    form: PartSettings, path: tuple[str, ...], above: Sequence[int], members: Sequence[Member], size: SizeOf
) -> _Node:
    chosen = [place for place in above if _belongs(members[place], form)]
    if not form.parts:
        order = sorted(chosen, key=lambda place: members[place].name)
        own = (_leaf(place, path, form, size(place, path, form)) for place in order)
        return _Node(path=path, share=form.share, own=tuple(leaf for leaf in own if leaf.examples))
    parts = tuple(
        _grow(_inherited(form, form.parts[name]), (*path, name), chosen, members, size) for name in sorted(form.parts)
    )
    placed = {place for part in form.parts.values() for place in chosen if _belongs(members[place], part)}
    lost = frozenset(chosen) - placed
    return _Node(
        path=path,
        share=form.share,
        parts=tuple(part for part in parts if part.leaves),
        unplaced=lost.union(*(part.unplaced for part in parts)),
    )


def _belongs(member: Member, part: PartSettings) -> bool:
    if not (part.collections or part.clusters or part.tasks):
        return True
    return (
        member.collection in part.collections
        or bool({plain_name(name) for name in member.clusters} & {plain_name(name) for name in part.clusters})
        or is_named(member.name, part.tasks)
    )


def _inherited(above: PartSettings, part: PartSettings) -> PartSettings:
    missing = {name: getattr(above, name) for name in INHERITED if getattr(part, name) is None}
    return part.model_copy(update=missing)


def forms_of(part: PartSettings) -> Iterator[PartSettings]:
    """A part and all parts below it, each with missing settings inherited from above."""
    yield part
    for inner in part.parts.values():
        yield from forms_of(_inherited(part, inner))


def _leaf(place: int, path: tuple[str, ...], form: PartSettings, size: Size) -> Leaf:
    capped = capped_size(size.examples, max_examples=form.max_examples or 0)
    kind = form.rates or "examples-proportional"
    (quota,) = quotas([capped], max_rate=form.max_rate or 0, rates=kind, templates=[size.templates])
    return Leaf(
        place=place,
        path=path,
        form=form,
        examples=size.examples,
        rows=capped if form.cap == "rows" else size.examples,
        quota=quota,
        rate=float(quota) ** (1 / (form.temperature or 1.0)),
    )


def _allocate(node: _Node, mass: float, limits: Mapping[tuple[int, tuple[str, ...]], float]) -> Iterator[Leaf]:
    """The leaves of a part with their shares of ``mass``."""
    for leaf, share in zip(
        node.own, _fill([leaf.rate for leaf in node.own], mass, [_most(leaf, limits) for leaf in node.own]), strict=True
    ):
        yield replace(leaf, share=share)
    most = [sum(_most(leaf, limits) for leaf in part.leaves) for part in node.parts]
    for part, share in zip(node.parts, _fill([part.weight for part in node.parts], mass, most), strict=True):
        yield from _allocate(part, share, limits)


def _most(leaf: Leaf, limits: Mapping[tuple[int, tuple[str, ...]], float]) -> float:
    return limits.get((leaf.place, leaf.path), inf)


def _fill(weights: Sequence[float], mass: float, most: Sequence[float]) -> list[float]:
    """Divides ``mass`` in proportion to the weights, up to a limit for each; the rest goes to the others.

    >>> _fill([2, 1, 1], 1.0, [0.1, inf, inf])
    [0.1, 0.45, 0.45]
    """
    found = [0.0] * len(weights)
    free = set(range(len(weights)))
    while free:
        total = sum(weights[at] for at in free)
        full = {at for at in free if mass * weights[at] / total > most[at]}
        for at in full or free:
            found[at] = most[at] if full else mass * weights[at] / total
        if not full:
            break
        mass -= sum(found[at] for at in full)
        free -= full
    return found


def _limits(tree: _Node, settings: MixtureSettings) -> dict[tuple[int, tuple[str, ...]], float]:
    """The largest share of each leaf, so that no task's rows are drawn more often than allowed."""
    if not settings.max_epochs:
        return {}
    plain = tuple(_allocate(tree, 1.0, {}))
    whole: dict[int, float] = {}
    rows: dict[int, int] = {}
    for leaf in plain:
        whole[leaf.place] = whole.get(leaf.place, 0.0) + leaf.share
        rows[leaf.place] = max(rows.get(leaf.place, 0), leaf.rows)
    each = {place: settings.max_epochs * count / settings.planned_draws for place, count in rows.items()}
    if sum(each.values()) < 1:
        there = round(sum(rows.values()) * settings.max_epochs)
        raise ConfigError(
            f"the rows do not suffice: {settings.planned_draws:,} draws are planned, and {sum(rows.values()):,} rows"
            f" repeated at most {settings.max_epochs:g} times give {there:,}",
            where="mixture.max_epochs",
            hint="raise mixture.max_epochs, plan fewer draws, or add tasks",
        )
    return {(leaf.place, leaf.path): each[leaf.place] * leaf.share / whole[leaf.place] for leaf in plain}


def _only(leaves: Sequence[Leaf], names: Sequence[str], *, known: Sequence[str]) -> tuple[Leaf, ...]:
    """The leaves of some parts, with their relative shares."""
    if not names:
        return tuple(leaves)
    unknown = [f'no part "{name}"; {did_you_mean(name, known)}'.rstrip("; ") for name in names if name not in known]
    if unknown:
        raise ConfigError("\n".join(unknown), where="mixture.only", hint=f"the parts are: {', '.join(known)}")
    kept = [leaf for leaf in leaves if any(f"{leaf.part}.".startswith(f"{name}.") for name in names)]
    if not kept:
        raise ConfigError(f"no task is in {', '.join(names)}", where="mixture.only", hint=_SELECTORS)
    total = sum(leaf.share for leaf in kept)
    return tuple(replace(leaf, share=leaf.share / total) for leaf in kept)


def _check_all_placed(tree: _Node, members: Sequence[Member]) -> None:
    if tree.unplaced:
        raise ConfigError(
            f"in no part of the mixture: {_listed(tree.unplaced, members)}",
            where="mixture.parts",
            hint=f"{_SELECTORS}; or take these out with data.exclude",
        )
    if idle := set(range(len(members))) - {leaf.place for leaf in tree.leaves}:
        raise ConfigError(
            f"no template for their parts of the mixture: {_listed(idle, members)}",
            where="mixture.parts",
            hint="`templates` and `template_names` of their parts leave none: name these tasks in another part as well",
        )


def _listed(places: Set[int], members: Sequence[Member]) -> str:
    return first_names(sorted(members[place].name for place in places), most=10)
