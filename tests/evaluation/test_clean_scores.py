"""A filter of ``flantune contamination`` in the run folder reaches the fold it was made for."""

from __future__ import annotations

import json

from flantune.contamination.clean import read_clean
from flantune.runs.fold_inputs import fold_inputs
from flantune.runs.folder import RunFolder
from flantune.settings.config import RunConfig


def test_the_run_folders_filter_is_read_fold_by_fold(tmp_path):
    config = RunConfig.model_validate({"holdout": {"folds": [["c", "d"], ["e"]]}})
    folder = RunFolder(tmp_path)
    for clusters in (("c", "d"), ("e",)):
        mixture = folder.fold(clusters).mixture
        mixture.parent.mkdir(parents=True)
        mixture.write_text(
            json.dumps(
                {
                    "held_out": clusters,
                    "clusters": clusters,
                    "breaks": [],
                    "train": ["x"],
                    "unseen": ["t"],
                    "measured_seen": [],
                    "excluded": [],
                    "draws": 1,
                    "tree": {"seed": 0, "cycle": 1, "clusters": []},
                }
            ),
            encoding="utf-8",
        )
    assert [fold.flagged for fold in fold_inputs(folder, config)] == [None, None]
    report = {
        "schema": 1,
        "name": "made",
        "folds": [{"held_out": ["d", "c"], "train": {"x": [4]}, "test": {"t": [1, 7]}}],
    }
    folder.contamination.write_text(json.dumps(report), encoding="utf-8")
    assert read_clean(folder.contamination)[0].test == {"t": frozenset({1, 7})}
    first, second = fold_inputs(folder, config)
    assert (first.flagged, second.flagged) == ({"t": frozenset({1, 7})}, None)
