"""Who hears what of a run: events that nobody listens to are not made."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

Types = frozenset[str] | None
"""Types of events; None: all."""


BETWEEN: Final = frozenset(
    {"run_started", "node_started", "node_completed", "checkpoint"}
    | {"interrupted", "run_completed", "run_failed", "run_cancelled"}
)
"""The types of events that the machine tells between the executions of nodes."""
SUPERSTEP: Final = frozenset({"node_started", "node_completed", "memory_updated", "summary_updated", "checkpoint"})
"""The types of events that the begin and the end of a superstep are told with."""


@dataclass(frozen=True, slots=True)
class Tells:
    """What a machine has to tell of what it does."""

    run: bool
    """That a run begins."""
    superstep: bool
    """Anything of a superstep; below, what of it."""
    begin: bool
    end: bool
    state: bool

    @classmethod
    def of(cls, heard: Types) -> Tells:
        """What those hear of who hear these types."""
        if heard is None:
            return cls(True, True, True, True, True)
        whats = (type in heard for type in ("node_started", "node_completed", "checkpoint"))
        return cls("run_started" in heard, not heard.isdisjoint(SUPERSTEP), *whats)


@dataclass(frozen=True, slots=True)
class Audience:
    """The types of events that are heard of the outermost graph, and of those inside it."""

    outermost: Types
    nested: Types
    contents_only: bool = False
    """Whether of an event only what it tells reaches anybody (an update, a state, a text), not the event itself."""
    _tells: tuple[Tells, Tells] = field(init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_tells", (Tells.of(self.outermost), Tells.of(self.nested)))

    def tells(self, ns: str) -> Tells:
        """What a machine tells whose graph has this namespace."""
        return self._tells[1 if ns else 0]

    @property
    def between_only(self) -> bool:
        """Whether nothing is heard that is told while a node runs."""
        return self.outermost is not None and self.outermost <= BETWEEN and self.nested == frozenset()

    def types(self, ns: str) -> Types:
        """The types of events from a namespace that are heard."""
        return self.nested if ns else self.outermost

    def hears(self, type: str, ns: str) -> bool:
        """Whether an event of a type from a namespace is heard."""
        types = self.types(ns)
        return types is None or type in types


NOBODY: Final = Audience(frozenset(), frozenset())
EVERYBODY: Final = Audience(None, None)
