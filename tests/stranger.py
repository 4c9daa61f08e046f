"""Python as a stranger has it: with torch, transformers and peft, without flantune. Each program runs in a fork."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

_LISTENER = """
import json, os, sys, traceback
import peft, torch, transformers
from transformers import AutoConfig, AutoModelForCausalLM, AutoModelForSeq2SeqLM, AutoTokenizer

def run(job):
    for stream in ("out", "err"):
        os.dup2(os.open(job[stream], os.O_WRONLY | os.O_CREAT | os.O_TRUNC), 1 if stream == "out" else 2)
    os.chdir(job["cwd"])
    sys.argv, sys.path[:0] = ["-c", *job["arguments"]], job["path"]
    try:
        exec(compile(job["program"], "<program>", "exec"), {"__name__": "__main__"})
        return 0
    except BaseException:
        traceback.print_exc()
        return 1
    finally:
        sys.stdout.flush(), sys.stderr.flush()

for line in sys.stdin:
    child = os.fork()
    if not child:
        os._exit(run(json.loads(line)))
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""


class Stranger:
    """A process that has imported the libraries, and forks for each program it is given."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._listener: subprocess.Popen[str] | None = None

    def run(self, program: str, *arguments: str, cwd: Path | str = "/", path: tuple[str, ...] = ()) -> str:
        """What a program prints.

        Args:
            program: Python code.
            arguments: Its ``sys.argv`` after the first.
            cwd: Where it runs.
            path: Folders to import from before all others.

        Raises:
            AssertionError: The program fails; with what it wrote to stderr.
        """
        if self._listener is None:
            command = [sys.executable, "-W", "ignore", "-c", _LISTENER]
            told = (self._folder / "listener").open("w")
            self._listener = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=told, text=True, cwd="/"
            )
        out, err = self._folder / "out", self._folder / "err"
        job = {"program": program, "arguments": arguments, "cwd": str(cwd), "path": path}
        self._listener.stdin.write(json.dumps(job | {"out": str(out), "err": str(err)}) + "\n")
        self._listener.stdin.flush()
        code = self._listener.stdout.readline().strip()
        assert code == "0", code + (err if err.exists() else self._folder / "listener").read_text(encoding="utf-8")
        return out.read_text(encoding="utf-8")

    def close(self) -> None:
        """Ends the process, if it was needed at all."""
        if self._listener is not None:
            self._listener.communicate()
