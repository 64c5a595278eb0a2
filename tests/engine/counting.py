"""A database that keeps what it was asked to commit."""

from __future__ import annotations

from typing import Any

from graphflow.core.effects import Advance, Commit


class Counting:
    """A database that keeps the commits it was asked for."""

    def __init__(self, db: Any) -> None:
        self.db, self.commits = db, []

    def __getattr__(self, name: str) -> Any:
        return getattr(self.db, name)

    def commit(self, effect: Commit | Advance) -> None:
        self.commits.append(effect)
        self.db.commit(effect)

    @property
    def spaces(self) -> list[int]:
        """How deep the namespaces are that were committed to, in order."""
        return [len(effect.ns.split("/")) if isinstance(effect, Commit) and effect.ns else 0 for effect in self.commits]
