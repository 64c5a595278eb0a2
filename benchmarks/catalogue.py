"""The catalogue of all cases, in the order they are shown."""

from __future__ import annotations

from collections.abc import Iterable
from importlib import import_module

from benchmarks.figure import Case, Part

NAMES = (
    *("imports", "construct", "steps", "durable", "chat", "fresh", "fan_out", "throughput", "run", "groups", "shapes"),
    "memory",
)


def case_of(name: str) -> Case:
    """A case. Loaded when it is asked for, so that a process that measures one does not carry the others."""
    case: Case = import_module(f"benchmarks.cases.{name}").CASE
    return case


def chosen(words: Iterable[str], *, long: bool = False) -> list[tuple[Case, list[Part]]]:
    """Cases with those of their parts that were named: ``C``, ``steps`` or ``steps.loop-sync``; none named is all.

    Parts that take minutes are among them when they are named, or with ``long``. Raises ValueError for an unknown name.
    """
    wanted, cases = set(words), [case_of(name) for name in NAMES]
    known = {word for case in cases for part in case.parts for word in _words(case, part)}
    if unknown := wanted - known:
        raise ValueError(f"there is no case {sorted(unknown)[0]!r}; the cases are {', '.join(NAMES)}")
    picked = [(case, [part for part in case.parts if _is_wanted(case, part, wanted, long)]) for case in cases]
    return [(case, parts) for case, parts in picked if parts]


def _words(case: Case, part: Part) -> tuple[str, str, str]:
    return case.letter, case.name, f"{case.name}.{part.name}"


def _is_wanted(case: Case, part: Part, wanted: set[str], long: bool) -> bool:
    if f"{case.name}.{part.name}" in wanted:
        return True
    return (long or not part.long) and (not wanted or not wanted.isdisjoint(_words(case, part)))
