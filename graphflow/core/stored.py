"""What is stored of a session: where its run stands, what tasks left behind, and what comes of loading it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from graphflow.core.control import Send
from graphflow.core.state import Values
from graphflow.core.updates import Write
from graphflow.messages import Message, RemoveMessage

LogEntry = Message | RemoveMessage
Range = tuple[int, int]
"""First and last seq, both included, of rows of a session's message log."""


OWN_ORIGINS: Final = 2**61
"""Origins of frontiers from here on are numbers of a run's own: no checkpoint came before them."""


@dataclass(slots=True)
class Frontier:
    """What runs next, as it stands in a checkpoint."""

    origin: int
    """The seq the tasks' ids derive from: that of the superstep that made this frontier."""
    next: list[str | Send] = field(default_factory=list)
    """The tasks, in task-path order: a node name, or a Send."""
    joins: dict[str, list[str]] = field(default_factory=dict)
    """For each join that is waiting (by its key): the sources that have arrived."""
    deferred: list[str] = field(default_factory=list)
    """Nodes that run when nothing else is left."""
    refresh: list[str] = field(default_factory=list)
    """Rerunnable nodes whose untracked output a resumed run has to make again."""
    caller: str = ""
    """The task that a nested graph which keeps its state between calls was called by last, as ``namespace`` names it."""
    added: dict[str, list[Any]] = field(default_factory=dict)
    """For channels of a nested graph that it shares with its parent and that custom reducers fold: what was written to them."""
    start: int | None = None
    """The checkpoint that holds what a nested graph began with and nothing else, when it will be compared with its end."""


@dataclass(frozen=True, slots=True)
class SummaryWrite:
    """A side write: the summary of the session's conversation up to row ``upto_seq`` of its message log."""

    text: str
    upto_seq: int
    topics: tuple[str, ...] = ()
    ns: str = ""
    """The message log it is of; filled in by the machine."""


@dataclass(frozen=True, slots=True)
class MemoryWrite:
    """A side write: something to add to, change in or drop from what is known about the user of the run.

    "add" needs ``memory``; the same text of the same user is stored once, however often it is added. "change" and "drop" name
    the ``memory_id`` and its ``version`` as it was read: when it has moved on since, a drop does nothing, and a change leaves
    it alone and adds its text beside it, so that nothing the user said is lost. Of a drop and a change of the same memory in
    one superstep the drop counts, whichever comes first.
    """

    action: Literal["add", "change", "drop"]
    memory: str = ""
    topics: tuple[str, ...] = ()
    memory_id: str | None = None
    version: int = 0
    message_id: str | None = None
    """The message that it comes from."""
    user_id: str | None = None
    """Always the user of the run; filled in by the machine."""
    key: str = ""
    """The id of what is added; filled in by the machine: the same whenever the task runs again."""


@dataclass(frozen=True, slots=True)
class RunWrite:
    """A side write: a finished run of a nested graph that has a message log of its own, such as a member of a team.

    Made by nested graphs, not by nodes. Runs of one superstep are appended whole, in task order.
    """

    run_id: str
    parent_run_id: str
    component_id: str
    ns: str
    """The message log: the names of the nodes around the graph, without task ids."""
    messages: tuple[Message, ...]


SideWrite = SummaryWrite | MemoryWrite | RunWrite


@dataclass(slots=True)
class TaskResult:
    """What a finished task leaves behind: its checked writes, where it wants to go, and its side writes."""

    writes: list[Write]
    goto: tuple[str | Send, ...] = ()
    side: tuple[SideWrite, ...] = ()


@dataclass(slots=True)
class TaskRow:
    """A finished task, a recorded step, a question or an answer inside an unfinished superstep.

    ``kind`` is "result" (value: TaskResult), "step" (the step's value), "interrupt" (an Interrupt) or "answer"; of no task
    are "held" (a nested graph pauses where it stands, under this fencing number) and "passed" (whoever resumed went past what
    held it, under this number). ``name`` and ``nth`` tell the steps and answers of one task apart.
    """

    task_id: str
    node: str
    kind: str
    value: Any
    name: str = ""
    nth: int = 0
    ns: str | None = None
    """The namespace, when it is another than that of the commit or of the load."""
    origin: int | None = None
    """The origin of the frontier in that namespace."""


@dataclass(slots=True)
class Weight:
    """How heavy the stored deltas are beside the last snapshot; the store keeps it up and writes a snapshot when they
    outweigh it.
    """

    snapshot_seq: int = -1
    snapshot_bytes: int = 0
    delta_bytes: int = 0
    session: int | None = None
    """The store's own number of the session, once it is known: a short way to its row."""
    run: int | None = None
    """The store's own number of the run that the head belongs to."""
    foreign: dict[str, Any] = field(default_factory=dict)
    """Stored channels that the code no longer knows, in stored form: kept for the next snapshot."""
    texts: tuple[str, ...] = field(default=(), compare=False)
    """The last snapshot and the deltas since, as they are stored, for a store that asks for it; empty when they are long."""


@dataclass(slots=True)
class Run:
    """The stored run that a session's head belongs to."""

    run_id: str
    status: str
    first_message: int
    fingerprint: str
    component_id: str | None = None
    metrics: Mapping[str, Any] = field(default_factory=dict)
    """What its calls measured until it stopped last."""


@dataclass(slots=True)
class Stored:
    """A session as loaded at one of its checkpoints."""

    session_id: str
    session_type: str
    user_id: str | None
    status: str
    head: int
    """The last checkpoint of the session, or of the nested graph that was asked for."""
    epoch: int
    seq: int
    """The checkpoint the rest was read at (the head, unless another was asked for)."""
    frontier: Frontier
    values: Values
    ranges: dict[str, list[Range]]
    """For each logged channel: the log rows its value is made of; the value itself is filled in by ``Load(with_log=True)``."""
    log_head: int
    weight: Weight
    run: Run | None
    tasks: list[TaskRow]
    created_at: float
    """When the checkpoint was written, seconds since 1970."""
    ns: str = ""
    questions: list[TaskRow] = field(default_factory=list)
    """Questions of graphs inside this one that have no answer yet."""
    inner_rows: bool = False
    """Whether graphs inside this one have task rows."""
    holder: str | None = None
    """Who runs the session at the moment, when that is another process: its words for a person. None when it is free."""
    recalled: bool = False
    """Whether this is how the process left the session, and not what the database said just now."""
