"""The findings of ``flantune check`` as lines for a terminal: one page for any number of tasks."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from flantune.commands.check_repeats import label_line
from flantune.commands.cost_lines import cost_lines
from flantune.report.numbers import plural
from flantune.settings.plain_words import first_names

if TYPE_CHECKING:
    from flantune.commands.check import RunCheck
    from flantune.commands.check_data import Found, MissingTask
    from flantune.commands.check_lengths import Lengths

_NAMED = 5
_LISTED = 12


def check_lines(check: RunCheck) -> Iterator[str]:
    """The facts, then the findings, the worst first, then a summary."""
    for about, text in _facts(check):
        yield f"{about:14} {text}"
    for severity in ("error", "warning", "note"):
        of_kind = _alike([one for one in check.found if one.severity == severity])
        for several in of_kind[:_LISTED]:
            yield from _found(several)
        if len(of_kind) > _LISTED:
            yield f"{severity}: and {sum(map(len, of_kind[_LISTED:])):,} more; --json lists all"
    warnings = sum(one.severity == "warning" for one in check.found)
    verdict = "a run would stop" if check.errors else "nothing would stop a run"
    yield f"{plural(check.errors, 'error')}, {plural(warnings, 'warning')}: {verdict}"


def _alike(found: Sequence[Found]) -> list[list[Found]]:
    """Findings of one rule of the linter together; all others separately."""
    groups: dict[object, list[Found]] = {}
    for number, one in enumerate(found):
        groups.setdefault(one.rule or number, []).append(one)
    return list(groups.values())


def _found(several: Sequence[Found]) -> Iterator[str]:
    one, more = several[0], len(several) - 1
    yield f"{one.severity}: {one.text}" + (f" (and {more:,} more like it; --json lists all)" if more else "")
    if one.hint:
        yield f"    hint: {one.hint}"


def _facts(check: RunCheck) -> Iterator[tuple[str, str]]:
    kept = sum(sum(one.kept.values()) for one in check.rows)
    bad = sum(sum(one.bad.values()) for one in check.rows)
    yield (
        "tasks",
        f"{check.tasks:,}; {len(check.rows):,} with data: {plural(kept, 'example')}, {plural(bad, 'bad row')}",
    )
    for reason, count in check.left_out.items():
        yield "left out", f"{plural(count, 'task')}: {reason}"
    if check.missing:
        share = sum(one.share for one in check.missing)
        largest = sorted(check.missing, key=lambda one: -one.share)
        yield "missing", f"{plural(len(largest), 'task')}, at most {share:.1%} of the mixture: {_named(largest)}"
    for number, fold in enumerate(check.folds):
        held = ", ".join(fold.held_out)
        counts = f"{len(fold.train):,} trained on, {len(fold.unseen):,} unseen, {fold.excluded:,} neither"
        if not fold.held_out:
            yield "held out", f"nothing: {plural(len(fold.train), 'task')} trained on, {fold.excluded:,} not"
        elif number < _NAMED:
            yield f"fold {number}", f"{held}: {counts}"
        elif number == _NAMED:
            yield "folds", f"and {len(check.folds) - _NAMED:,} more"
    yield from _mixture(check)
    if check.lengths:
        yield "lengths", _lengths(check.lengths)
    if check.cost:
        yield from cost_lines(check.cost)
    if check.overlapping is not None:
        rows = sum(rows for rows, _ in check.overlapping.values())
        dirty = sum(dirty for _, dirty in check.overlapping.values())
        short = (
            f"; of {plural(check.too_short, 'short one')} only exact copies were looked for" if check.too_short else ""
        )
        yield "contamination", f"{dirty:,} of {plural(rows, 'test row')} overlap with training rows{short}"
    labeled = [line for line in map(label_line, check.repeats) if line]
    yield from (("labels", line) for line in labeled[:_NAMED])
    if len(labeled) > _NAMED:
        yield "labels", f"and of {len(labeled) - _NAMED:,} more tasks; --json lists all"


def _mixture(check: RunCheck) -> Iterator[tuple[str, str]]:
    if not check.mixture:
        return
    shares: Counter[str] = Counter()
    epochs: Counter[str] = Counter()
    parts: Counter[str] = Counter()
    for one in check.mixture:
        shares[one.task] += one.share  # type: ignore[assignment] # shares add up like counts
        epochs[one.task] += one.epochs  # type: ignore[assignment]
        parts[one.part.partition(".")[0]] += one.share  # type: ignore[assignment]
    if len(parts) > 1:
        yield "parts", ", ".join(f"{name} {share:.1%}" for name, share in parts.most_common())
    named = ", ".join(f"{name} {share:.1%}" for name, share in shares.most_common(_NAMED))
    yield "mixture", f"{plural(len(shares), 'task')}; largest: {named}"
    ((most, times),) = epochs.most_common(1)
    yield "repetition", f"most often seen: {most}, each of its rows {times:,.1f} times"
    yield "licences", ", ".join(f"{share:.0%} {use}" for use, share in check.licences.items()) + " (of the draws)"


def _lengths(lengths: Lengths) -> str:
    inputs, targets = (f"{middle:,} ({most:,}; {top:,})" for middle, most, top in (lengths.inputs, lengths.targets))
    cut = f"{lengths.shortened:.1%} shortened, {lengths.left_out:.1%} left out"
    return f"inputs {inputs} tokens, targets {targets}: median (95th percentile; longest); {cut}"


def _named(missing: Sequence[MissingTask]) -> str:
    return first_names([one.task for one in missing], most=_NAMED)
