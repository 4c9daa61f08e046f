"""The processes that tests start have everything imported: else they would only be slow, and nobody would notice."""

from __future__ import annotations

import sys

from tests.processes import PROCESSES, run_command


def tell(mouth) -> None:
    mouth.send([name for name in ("tests.preloaded", "flantune.training.loop", "peft") if name in sys.modules])


def test_all_is_imported_before_the_fork():
    ear, mouth = PROCESSES.Pipe(duplex=False)
    process = PROCESSES.Process(target=tell, args=(mouth,))
    process.start()
    assert ear.recv() == ["tests.preloaded", "flantune.training.loop", "peft"]
    process.join()


def test_a_command_gives_its_code_and_what_it_wrote(tmp_path):
    code, printed, told = run_command(tmp_path, "run", "nowhere.toml")
    assert (code, printed) == (2, "") and "nowhere.toml" in told


def test_a_stranger_has_no_flantune_and_says_what_went_wrong(stranger):
    assert stranger.run("import sys; print('flantune' in sys.modules, sys.argv[1])", "x") == "False x\n"
    assert stranger.run("import os, torch, transformers; print(os.getcwd())") == "/\n"
