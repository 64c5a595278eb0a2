"""The catalogue of all cases, by name, in the order they are shown."""

from __future__ import annotations

from collections.abc import Iterable
from importlib import import_module

from benchmarks.figure import Case

NAMES = ("machine", "durable", "chat", "fresh", "imports", "agent")


def case_of(name: str) -> Case:
    """A case. Loaded when it is asked for, so that a process that measures one does not carry the others."""
    case: Case = import_module(f"benchmarks.cases.{name}").CASE
    return case


def chosen(names: Iterable[str]) -> list[tuple[Case, list[str]]]:
    """Cases with those of their parts that were named ("machine" or "machine.loop"); none named is all. Raises ValueError."""
    wanted = set(names) or set(NAMES)
    known = {name: case_of(name) for name in NAMES}
    parts = {f"{name}.{part}" for name, case in known.items() for part in case.parts}
    if unknown := wanted - parts - set(NAMES):
        raise ValueError(f"there is no case {sorted(unknown)[0]!r}; the cases are {', '.join([*NAMES, *sorted(parts)])}")
    picked = [
        (case, [part for part in case.parts if name in wanted or f"{name}.{part}" in wanted]) for name, case in known.items()
    ]
    return [(case, own) for case, own in picked if own]
