from __future__ import annotations

from pathlib import Path

import pytest
from tests.end_to_end.small_world import write_small_world


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("world")
    write_small_world(folder)
    return folder
