"""Task files of a user, for tests of what is done with tasks rather than of what such a file may hold."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from json import dumps


def task_text(
    name: str,
    files: Mapping[str, str],
    *,
    cluster: str,
    splits: Mapping[str, str] | None = None,
    options: Sequence[str] = (),
    answer: str = "label",
    inputs: str = "{text}",
) -> str:
    """A task over files of rows with a text and an answer, which is one of the options where there are any."""
    sources = ", ".join(f"{role} = {dumps(file)}" for role, file in files.items())
    roles = "\n".join(f"{role} = {dumps(rows)}" for role, rows in (splits or {one: one for one in files}).items())
    listed = f"[options]\nvalues = {dumps(list(options), ensure_ascii=False)}\n" if options else ""
    return (
        f"name = {dumps(name)}\nclusters = [{dumps(cluster)}]\n"
        f'kind = "{"classification" if options else "generation"}"\n'
        f"[source]\nfiles = {{ {sources} }}\n[splits]\n{roles}\n"
        f'[fields]\ntext = "text"\n{listed}[answer]\ncolumn = {dumps(answer)}\n'
        f"[[templates]]\ninputs = {dumps(inputs)}\n"
    )
