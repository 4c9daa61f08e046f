"""Changes to a mixture's tree of parts for studies; each returns a new tree and does not change the old one."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from fractions import Fraction
from math import gcd
from typing import TYPE_CHECKING

from flantune.mixture.taxonomy import plain_name
from flantune.settings.mixture_settings import PartSettings
from flantune.tasks.naming import is_named

if TYPE_CHECKING:
    from flantune.types import Task

Tree = Mapping[str, PartSettings]


def tree_settings(tree: Tree) -> dict[str, object]:
    """The settings that give a run file's mixture this tree."""
    parts = {name: part.model_dump(mode="json", exclude_defaults=True) for name, part in tree.items()}
    return {"mixture.proportions": "", "mixture.parts": parts}


def pruned(tree: Tree, tasks: Sequence[Task]) -> dict[str, PartSettings]:
    """The tree without named tasks and clusters that do not exist, and without parts that become empty.

    >>> tree = {"a": PartSettings(tasks=("rte", "cb")), "b": PartSettings(tasks=("sst2",))}
    >>> list(pruned(tree, [])), pruned({"all": PartSettings()}, [])["all"] == PartSettings()
    ([], True)
    """
    names = [task.name for task in tasks]
    clusters = {plain_name(cluster) for task in tasks for cluster in task.clusters}
    found = {}
    for name, part in tree.items():
        left = part.model_copy(
            update={
                "tasks": tuple(one for one in part.tasks if any(is_named(other, (one,)) for other in names)),
                "clusters": tuple(one for one in part.clusters if plain_name(one) in clusters),
                "parts": pruned(part.parts, tasks),
            }
        )
        if _chooses(left) == _chooses(part) and bool(left.parts) == bool(part.parts):
            found[name] = left
    return found


def _chooses(part: PartSettings) -> bool:
    return bool(part.collections or part.clusters or part.tasks)


def without_own(tree: Tree, names: Sequence[str]) -> dict[str, PartSettings]:
    """The tree in which no part overrides these settings: all use the run file's.

    >>> without_own({"a": PartSettings(max_examples=10)}, ["max_examples"])["a"].max_examples is None
    True
    """
    return changed(tree, lambda part: part.model_copy(update=dict.fromkeys(names)))


def changed(tree: Tree, change: Callable[[PartSettings], PartSettings | None]) -> dict[str, PartSettings]:
    """The tree with every part changed, from the innermost outwards; a part that becomes None is removed.

    A part that loses all its parts is removed too.
    """
    found = {}
    for name, part in tree.items():
        inner = changed(part.parts, change)
        if part.parts and not inner:
            continue
        made = change(part.model_copy(update={"parts": inner}))
        if made is not None:
            found[name] = made
    return found


def alike(tree: Tree) -> dict[str, PartSettings]:
    """The outermost parts with equal shares."""
    return {name: part.model_copy(update={"share": 1.0}) for name, part in tree.items()}


def without_shares(tree: Tree) -> dict[str, PartSettings]:
    """The outermost parts without shares: they count by the sum of their tasks."""
    return {name: part.model_copy(update={"share": None}) for name, part in tree.items()}


def chosen_tasks(
    tree: Tree, chosen: Sequence[str], others: Sequence[str], *, only: Sequence[str] = ()
) -> dict[str, object]:
    """The settings of a mixture that draws only from some tasks, with their relative shares.

    The whole tree is put below each of two parts, one of which is drawn from. So every run of a study has the same
    tasks, and measures the same ones.

    Args:
        tree: The run file's tree; empty if its tasks are all at the top.
        chosen: Names of the tasks trained on.
        others: Names of all others.
        only: The parts that the run file draws from; empty: all.
    """
    parts = {"chosen": PartSettings(tasks=tuple(chosen), parts=dict(tree))}
    if others:
        parts["others"] = PartSettings(tasks=tuple(others), parts=dict(tree))
    return {**tree_settings(parts), "mixture.only": [f"chosen.{name}" for name in only] or ["chosen"]}


def shots_list(share: float, few: Sequence[int]) -> tuple[int, ...]:
    """Possible numbers of exemplars, one of which is drawn per prompt, such that this share of prompts has exemplars.

    >>> shots_list(0.25, [2]), shots_list(0, [2]), shots_list(1, [2, 3])
    ((0, 0, 0, 2), (0,), (2, 3))
    >>> shots_list(0.5, [2, 3])
    (0, 0, 2, 3)
    """
    part = Fraction(share).limit_denominator(1_000)
    none, each = (part.denominator - part.numerator) * len(few), part.numerator
    common = gcd(none, each)
    return (0,) * (none // common) + tuple(few) * (each // common)


def with_few_shot_share(tree: Tree, share: float, few: Sequence[int]) -> dict[str, PartSettings]:
    """The tree in which this share of each part's prompts has exemplars.

    If sibling parts are for prompts without exemplars (``train_shots = [0]``) and with them, their shares are changed;
    elsewhere ``train_shots`` is.

    Args:
        tree: The tree.
        share: Between 0 and 1.
        few: Numbers of exemplars of a prompt that has some, if no part sets them.
    """
    return {name: _with_share(part, share, few) for name, part in _weighed(tree, share).items()}


def _weighed(tree: Tree, share: float) -> dict[str, PartSettings]:
    """Sibling parts with the shares that result from this share of prompts with exemplars."""
    kinds = {name: has_exemplars(part) for name, part in tree.items()}
    if set(kinds.values()) != {True, False}:
        return dict(tree)
    found = {}
    for name, part in tree.items():
        beside = [tree[other].share or 1.0 for other in tree if kinds[other] == kinds[name]]
        if wanted := share if kinds[name] else 1 - share:
            found[name] = part.model_copy(update={"share": wanted * (part.share or 1.0) / sum(beside)})
    return found


def _with_share(part: PartSettings, share: float, few: Sequence[int]) -> PartSettings:
    if has_exemplars(part) is not None:  # its siblings determine its share
        return part
    if part.parts:
        return part.model_copy(update={"parts": with_few_shot_share(part.parts, share, few)})
    return part.model_copy(update={"train_shots": shots_list(share, few)})


def has_exemplars(part: PartSettings) -> bool | None:
    """Whether all prompts of a part have exemplars (True) or none has (False); None if mixed or not set.

    For tasks with a definition, the encodings determine it: ``template_names = ["definition"]`` shows none.

    >>> has_exemplars(PartSettings(train_shots=(0,))), has_exemplars(PartSettings(train_shots=(0, 2)))
    (False, None)
    >>> has_exemplars(PartSettings(template_names=("*pos*",)))
    True
    """
    found = set(_said(part, None))
    return found.pop() if len(found) == 1 else None


def _said(part: PartSettings, above: tuple[int, ...] | None) -> Iterator[bool | None]:
    shots = part.train_shots or above
    if part.template_names:
        yield _encodings_show(part.template_names)
    elif part.parts:
        for inner in part.parts.values():
            yield from _said(inner, shots)
    elif shots is None or (0 in shots and any(shots)):
        yield None
    else:
        yield any(shots)


def _encodings_show(names: Sequence[str]) -> bool | None:
    shown = {any(word in name for word in ("pos", "neg", "explanation")) for name in names}
    return shown.pop() if len(shown) == 1 else None


def shots_settings(tree: Tree, share: float, few: Sequence[int]) -> dict[str, object]:
    """The settings with which this share of training prompts has exemplars, for mixtures with and without a tree."""
    plain: dict[str, object] = {"prompts.train_shots": list(shots_list(share, few))}
    return {**plain, **tree_settings(with_few_shot_share(tree, share, few))} if tree else plain
