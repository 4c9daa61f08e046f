"""How much of each task, and what is held out: an index becomes a prompt."""

from flantune.mixture.holdout import Excluded, HoldoutSplit, check_unseen, hold_out
from flantune.mixture.mixture import Draw, Draws, Mixture
from flantune.mixture.permutation import permute
from flantune.mixture.taxonomy import Taxonomy, load_taxonomy
from flantune.mixture.tree import mixture_tree

__all__ = [
    "Draw",
    "Draws",
    "Excluded",
    "HoldoutSplit",
    "Mixture",
    "Taxonomy",
    "check_unseen",
    "hold_out",
    "load_taxonomy",
    "mixture_tree",
    "permute",
]
