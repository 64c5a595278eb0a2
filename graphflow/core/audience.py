"""Who hears what of a run: events that nobody listens to are not made."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

Types = frozenset[str] | None
"""Types of events; None: all."""


@dataclass(frozen=True, slots=True)
class Audience:
    """The types of events that are heard of the outermost graph, and of those inside it."""

    outermost: Types
    nested: Types

    def hears(self, type: str, ns: str = "") -> bool:
        """Whether an event of a type from a namespace is heard."""
        types = self.nested if ns else self.outermost
        return types is None or type in types


NOBODY: Final = Audience(frozenset(), frozenset())
EVERYBODY: Final = Audience(None, None)
