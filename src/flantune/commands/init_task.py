"""The text of a task file for a user's own data."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from flantune.prompts.styles import RESERVED_SLOTS

if TYPE_CHECKING:
    from flantune.tasks.recognized import Form, Recognized

_CLUSTERS: Mapping[str, str] = {
    form: f'clusters = ["{name}"]'.ljust(38)
    for form, name in (
        ("conversation", "conversation"),
        ("instruction", "instructions"),
        ("completion", "instructions"),
        ("labels", "classification"),
    )
}
SAID: Mapping[Form, str] = {
    "conversation": "conversations: every reply of the assistant is learned",
    "instruction": "instructions with inputs and outputs",
    "completion": "prompts with their answers",
    "labels": "texts with labels",
}


def task_text(
    found: Recognized, *, name: str, files: Mapping[str, Sequence[str]], splits: Mapping[str, str] | None = None
) -> str:
    """The task file for recognized data.

    Args:
        found: The data.
        name: The task's name.
        files: Split → its files, as they are written in the task file.
        splits: Role → slice of a split; None: those of the data.
    """
    kind = {"conversation": "", "labels": 'kind = "classification"\n'}.get(
        found.form, 'kind = "generation"\nmetrics = ["rougeL", "exact_match"]\n'
    )
    lines = "\n".join(f"{role} = {quoted(text)}" for role, text in (splits or found.splits).items())
    return (
        f"# {SAID[found.form].capitalize()}. Every row is checked by: flantune tasks check run.toml\n\n"
        f"name = {quoted(name)}\n"
        f"{_CLUSTERS[found.form]}# the kind of task: tasks of one kind are held out together\n"
        f'{kind}licence = ""{" " * 26}# of the rows; the report and every exported row show it\n'
        'languages = []                        # ["English"], say\n\n'
        f"[source]\n{_source(found, files)}\n"
        "# Which rows train, which are looked at while tuning (dev), which measure; slices must not overlap.\n"
        f"[splits]\n{lines}\n\n{_BODIES[found.form](found)}"
    )


def quoted(text: str) -> str:
    r"""A text as TOML writes it.

    >>> quoted('a "b"\x7f')
    '"a \\"b\\"\\u007f"'
    """
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def _array(texts: Iterable[str]) -> str:
    return f"[{', '.join(map(quoted, texts))}]"


def _source(found: Recognized, files: Mapping[str, Sequence[str]]) -> str:
    paths = (f"{split} = {quoted(names[0]) if len(names) == 1 else _array(names)}" for split, names in files.items())
    lines = [f"files = {{ {', '.join(paths)} }}"]
    if found.file_format.encoding != "utf-8":
        lines.append(f"encoding = {quoted(found.file_format.encoding)}")
    if found.file_format.delimiter is not None:
        lines.append(f"delimiter = {quoted(found.file_format.delimiter)}")
    return "".join(f"{line}\n" for line in lines)


def _conversation(found: Recognized) -> str:
    column = quoted(found.columns[0]) if len(found.columns) == 1 else _array(found.columns)
    system = f"system = {quoted(found.system)}"
    return (
        f"[conversation]\ncolumn = {column}\n"
        + (f"{system:<37} # a column with instructions to the assistant\n" if found.system else "")
        + 'trains_on = "every"                   # every reply is an example; "last": that one; "drawn": one a visit\n'
        + ('tool_rows = "drop"                    # tool calls cannot be taught\n' if found.tool_rows else "")
    )


def _instruction(found: Recognized) -> str:
    columns = (found.system, *found.columns) if found.system else found.columns
    slots = _slots(columns)
    *asked, last = slots.values()
    first = asked.index(slots[found.columns[0]])
    before = [f"{{% if {one} %}}{{{{ {one} }}}}\n\n{{% endif %}}" for one in asked[:first]]
    after = [f"{{% if {one} %}}\n\n{{{{ {one} }}}}{{% endif %}}" for one in asked[first + 1 :]]
    prompt = "".join((*before, f"{{{{ {asked[first]} }}}}", *after))
    return _body(found, slots) + (
        "# Jinja, since an input may be empty: what is asked, three bars, what is answered.\n"
        f'[[templates]]\nlanguage = "promptsource"\ninputs = """\n{prompt} ||| {{{{ {last} }}}}"""\n'
    )


def _completion(found: Recognized) -> str:
    slots = _slots(found.columns[:1])
    return _body(found, slots) + (
        "# A second [[templates]] with other words makes the model less bound to these.\n"
        f'[[templates]]\ninputs = "{{{slots[found.columns[0]]}}}"\n'
    )


def _labels(found: Recognized) -> str:
    text, label = found.columns
    options = list(dict.fromkeys(found.meant.values())) if found.meant else found.labels
    reading = (
        f"map = {{ {', '.join(f'{quoted(key)} = {quoted(value)}' for key, value in found.meant.items())} }}\n"
        if found.meant
        else 'read = "text"\n'
        '# map = { "0" = "bad", "1" = "good" }  # where labels are numbers: the options are these words then\n'
    )
    return (
        f"[fields]\ntext = {quoted(text)}\n\n"
        f"[options]\nvalues = {_array(options)}\n\n"
        f"[answer]\ncolumn = {quoted(label)}\n{reading}{_drop(found)}\n"
        "# Ways to ask: say what the labels are about. Several ways make the model less bound to one.\n"
        '[[templates]]\ninputs = """\n{text}\n\nWhich of these is it?\n{options}"""\n\n'
        '[[templates]]\ninputs = """\nSay which of these the text belongs to.\n{options}\n\n{text}"""\n'
    )


_BODIES = {"conversation": _conversation, "instruction": _instruction, "completion": _completion, "labels": _labels}


def _body(found: Recognized, slots: Mapping[str, str]) -> str:
    fields = "\n".join(f"{slot} = {quoted(column)}" for column, slot in slots.items())
    return f"[fields]\n{fields}\n\n[answer]\ncolumn = {quoted(found.columns[-1])}\n{_drop(found)}\n"


def _drop(found: Recognized) -> str:
    return f"{f'drop = {_array(found.drop)}':<37} # rows without an answer\n" if found.drop else ""


def _slots(columns: Sequence[str]) -> dict[str, str]:
    """Column → its slot; each has another.

    >>> _slots(["user prompt", "user-prompt", "answer"])
    {'user prompt': 'user_prompt', 'user-prompt': 'user_prompt_2', 'answer': 'answer_text'}
    """
    found: dict[str, str] = {}
    for column in columns:
        slot = _slot(column)
        taken = list(found.values())
        found[column] = next(one for one in (slot, *(f"{slot}_{n}" for n in range(2, 99))) if one not in taken)
    return found


def _slot(column: str) -> str:
    """A name that is valid as a slot.

    >>> _slot("user prompt"), _slot("2nd"), _slot("answer")
    ('user_prompt', '_2nd', 'answer_text')
    """
    plain = re.sub(r"\W", "_", column, flags=re.ASCII)
    if plain in RESERVED_SLOTS:
        return f"{plain}_text"
    return f"_{plain}" if plain[:1].isdigit() else plain
