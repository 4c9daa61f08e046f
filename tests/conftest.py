"""What all tests share: patience, Ctrl-C that means the same everywhere, and no time lost to old objects."""

import gc
import signal
import threading
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, settings

from tests.stranger import Stranger

collect_ignore = ["preloaded.py"]

HUNG_AFTER_S = 1200
"""How long a test waits for a process, a page or a file. No test may fail for being slow, on any machine at any load:
this ends what hangs, and nothing else."""

# A property is no less true when an example takes longer than hypothesis expects.
settings.register_profile("patient", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("patient")

# A shell ignores Ctrl-C in what it starts in the background, and so do all children of it. Tests that press Ctrl-C, in
# this process or in one they start, must mean the same there.
if threading.current_thread() is threading.main_thread() and signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files with slow tests come first: what is left at the end is short, so that all processes end together."""
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: item.path not in slow)


def pytest_collection_finish() -> None:
    """What is there before the first test stays to the last: no search for garbage looks at all of it again."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session")
def stranger(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stranger]:
    """A Python that has torch and transformers but no flantune."""
    found = Stranger(tmp_path_factory.mktemp("stranger"))
    yield found
    found.close()
