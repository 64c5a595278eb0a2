"""What users are given when they ask a database about sessions and runs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from functools import cached_property
from typing import Any, Protocol

from graphflow.core.memories import UserMemory as UserMemory
from graphflow.core.status import RunStatus as RunStatus
from graphflow.messages import Message, answer_in


class SessionType(StrEnum):
    """What made a session."""

    AGENT = "agent"
    TEAM = "team"
    WORKFLOW = "workflow"
    GRAPH = "graph"


class Reader(Protocol):
    """Where the parts of a session or run that are read when asked for come from."""

    def get_messages(self, session_id: str, *, user_id: str | None = None) -> list[Message]:
        """The messages of a session, oldest first."""

    def get_runs(self, session_id: str, *, user_id: str | None = None) -> list[RunRecord]:
        """The runs of a session, oldest first."""

    def get_run_messages(self, run_id: str, *, user_id: str | None = None) -> list[Message]:
        """What was said in a run, oldest first."""

    def get_session_state(self, session_id: str, *, user_id: str | None = None) -> dict[str, Any]:
        """The session's dict; empty when it has none."""

    def get_session_summary(self, session_id: str, *, user_id: str | None = None) -> str | None:
        """The latest summary of a session; None when there is none."""

    def is_run(self, session_id: str, owner: str | None, left: int | None) -> bool:
        """Whether somebody runs a session, given its lease's owner and the microseconds it has left."""


@dataclass(frozen=True)
class Session:
    """A stored session.

    ``messages``, ``runs``, ``session_state`` and ``summary`` are read when they are first asked for, as they are then (and are
    empty when the session has been given to another owner meanwhile).
    Times are aware, in UTC; ``updated_at`` is when a run last began, paused or ended, or the session was changed by hand.
    """

    session_id: str
    session_type: SessionType
    user_id: str | None
    component_id: str | None
    name: str | None
    metadata: Mapping[str, Any] | None
    status: str
    """running, paused (it waits for answers, or for ``resume``: before a node, as a fork or after an edit), completed, error,
    cancelled, or crashed: unfinished, and nobody runs it any more."""
    created_at: datetime
    updated_at: datetime
    _db: Reader = field(repr=False, compare=False)

    @cached_property
    def messages(self) -> list[Message]:
        """The conversation, oldest first, without the messages among members of a team."""
        return self._db.get_messages(self.session_id, user_id=self.user_id)

    @cached_property
    def runs(self) -> list[RunRecord]:
        """The runs, oldest first, without those of members."""
        return self._db.get_runs(self.session_id, user_id=self.user_id)

    @cached_property
    def session_state(self) -> dict[str, Any]:
        """The session's dict; empty when it has none."""
        return self._db.get_session_state(self.session_id, user_id=self.user_id)

    @cached_property
    def summary(self) -> str | None:
        """The latest summary of the conversation."""
        return self._db.get_session_summary(self.session_id, user_id=self.user_id)


@dataclass(frozen=True)
class RunRecord:
    """A stored run. ``messages`` and ``content`` are read when they are first asked for."""

    run_id: str
    session_id: str
    ns: str
    number: int
    """1, 2, 3… among the runs of its namespace in the session."""
    status: RunStatus
    """As that of a session, or abandoned."""
    parent_run_id: str | None
    user_id: str | None
    component_id: str | None
    error: str | None
    metrics: Mapping[str, Any]
    created_at: datetime
    ended_at: datetime | None
    _db: Reader = field(repr=False, compare=False)

    @cached_property
    def messages(self) -> list[Message]:
        """What was said in this run, oldest first."""
        return self._db.get_run_messages(self.run_id, user_id=self.user_id)

    @cached_property
    def content(self) -> str | None:
        """The text of the answer; None for a run that is not completed, or whose messages do not end with one."""
        answer = answer_in(self.messages) if self.status == "completed" else None
        return None if answer is None else answer.text


@dataclass(frozen=True)
class SchemaStatus:
    """The version of a database's schema (0: it has no tables of ours), and the latest that this library knows."""

    version: int
    latest: int

    @property
    def usable(self) -> bool:
        """Whether this library can use the database; an older schema is brought up by the first use, or by ``upgrade()``."""
        return self.version <= self.latest

    @property
    def state(self) -> str:
        """How that stands, in words."""
        if self.version > self.latest:
            return "too new, install a newer graphflow"
        if self.version == self.latest:
            return "up to date"
        return "made by the first use" if self.version == 0 else "upgraded by the first use"


@dataclass(frozen=True)
class Repair:
    """What ``db.repair_session()`` did: where the session stands now, and in words what was lost; nothing, if all was sound."""

    session_id: str
    head: int
    lost: tuple[str, ...]


@dataclass(frozen=True)
class CheckReport:
    """What ``db.check()`` found: how many rows it verified, and in words what is wrong with which."""

    checked: int
    problems: tuple[str, ...]

    @property
    def ok(self) -> bool:
        """Whether nothing is wrong."""
        return not self.problems
