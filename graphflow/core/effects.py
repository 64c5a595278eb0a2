"""What a flow may ask of the world.

A *flow* is a generator: it yields effects and is sent their outcomes (the idea of h11 and of httpx' auth flows: one
description, any number of drivers). The machine, ready-made nodes, and every operation on sessions are flows, so each
exists once and runs under plain calls and under asyncio alike.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar, final

from graphflow.core.reducers import Delta
from graphflow.core.state import StateSchema, Values
from graphflow.core.stored import Frontier, LogEntry, Range, SideWrite, TaskResult, TaskRow, Weight
from graphflow.core.tasks import Outcome, Task

if TYPE_CHECKING:
    from graphflow.core.attempts import Attempt

T = TypeVar("T")
Flow = Generator[Any, Any, T]


# --- effects on sessions (performed by the store) --------------------------------------------------------------------------


@dataclass(slots=True, eq=False)
class NewCheckpoint:
    """The result of one superstep, to be inserted as row ``seq``."""

    seq: int
    delta: Delta
    frontier: Frontier
    log_head: int
    """The last row of the message log that belongs to this checkpoint (after ``Commit.messages``); 0 when there is none."""
    schema: StateSchema
    values: Values
    """The whole state after the superstep, for a snapshot. Logged channels are described by ``ranges``."""
    ranges: dict[str, list[Range]]
    weight: Weight


@dataclass(slots=True, eq=False)
class OpenRun:
    """A run that begins with this commit."""

    run_id: str
    component_id: str | None
    fingerprint: str
    first_message: int
    """The seq that the first message of this run has or will have."""
    parent_run_id: str | None = None
    idempotency_key: str | None = None
    outline: str | None = None
    """What the graph of this fingerprint looks like; stored when it is new."""
    input: TaskResult | None = None
    """What the run was given, for a run with an idempotency key: the key is good for this input only."""


@dataclass(slots=True, eq=False)
class CloseRun:
    """A run that stops with this commit: completed, paused, error, cancelled or abandoned."""

    run_id: str
    status: str
    last_message: int
    error: str | None = None
    metrics: Mapping[str, Any] | None = None
    said: Sequence[LogEntry] = ()
    """What it adds to the log at last, up to ``last_message``; the messages of the commit, another run's, come next."""


@dataclass(slots=True, eq=False)
class Commit:
    """Everything one transaction writes: all of it or nothing.

    The session must stand at ``head`` and ``epoch`` (compare-and-set), else LeaseLost and nothing is written; what is written
    beside its own checkpoints (tasks, side writes, what belongs to a nested graph) needs the epoch alone. With ``epoch == 0``
    the session must not exist yet and is made. A session that was deleted and begun anew is another one.
    """

    session_id: str
    head: int
    epoch: int
    run_id: str
    ns: str = ""
    session: int | None = None
    """What the store calls the session (``Weight.session``), where that is known: another one may bear its id by now."""
    within: Task | None = None
    """The task that the committing graph runs in, when that may be given up: then nothing is written; NodeTimeout."""
    checkpoint: NewCheckpoint | None = None
    messages: Sequence[LogEntry] = ()
    """Appended to the log of ``ns``; the first gets seq ``checkpoint.log_head - len(messages) + 1``."""
    side: Sequence[SideWrite] = ()
    """The side writes of the superstep that is committed, in task order."""
    tasks: Sequence[TaskRow] = ()
    """Stored for the frontier with origin ``origin``; an equal (task, kind, name, nth) is replaced."""
    schema: StateSchema | None = None
    """What the writes of ``tasks`` are typed by; needed when one of them is a "result"."""
    origin: int = -1
    drop_tasks: bool = False
    """Whether task rows of this namespace are deleted: their superstep is being committed."""
    take_over: bool = False
    """Whether the epoch goes up by one, fencing every earlier writer off. SessionBusy when another process holds the session's
    lease. With ``status="running"`` the lease is ours from then on; any other status gives it back.
    """
    user_id: str | None = None
    """Set on a new session, and on one that has no owner yet (only with ``take_over``)."""
    session_type: str = "graph"
    component_id: str | None = None
    opened: OpenRun | None = None
    reopened: str | None = None
    """A run_id whose status goes back to running (resume)."""
    closed: Sequence[CloseRun] = ()
    status: str | None = None
    """The session's status after this commit; None leaves it."""


@final
@dataclass(slots=True, eq=False)
class Advance:
    """A superstep of a run that has its session and keeps it, with nothing beside it: what most commits are.

    One row of the outermost graph. The session must stand at ``epoch`` and just before the checkpoint, else LeaseLost; its own
    number, and that of the run, are known (``checkpoint.weight``).
    """

    session_id: str
    epoch: int
    checkpoint: NewCheckpoint


@dataclass(slots=True, eq=False)
class Load:
    """Read a session. Outcome: Stored, or None when there is none.

    Raises NotOwner when the session has an owner and ``user_id`` is not theirs, CorruptCheckpoint when rows do not verify,
    SessionNotFound when ``at`` names no checkpoint.
    """

    session_id: str
    user_id: str | None
    schema: StateSchema
    ns: str = ""
    at: int | None = None
    with_log: bool = False
    recent: str | None = None
    """The fingerprint of the graph that is to begin a run, if the state that a run of it left here a moment ago will do: what
    is committed next compares, and is refused when the session stands elsewhere (``Stored.recalled``)."""


@dataclass(slots=True, eq=False)
class LoadMany:
    """Read the checkpoints of a session, newest first. Outcome: list of Stored (with messages)."""

    session_id: str
    user_id: str | None
    schema: StateSchema
    limit: int | None = None
    ns: str = ""


@dataclass(slots=True, eq=False)
class ReadHistory:
    """Earlier messages of a session, oldest first, tool messages kept with the call they answer. Outcome: list of Message.

    ``before`` is the first seq that no longer counts (the current run's first message). ``last_runs`` takes the messages of
    so many completed or abandoned runs, ``last_messages`` so many messages, ``after`` those with a greater seq, of such runs.
    """

    session_id: str
    before: int
    ns: str = ""
    last_runs: int | None = None
    last_messages: int | None = None
    after: int | None = None
    numbered: bool = False
    """Whether each message comes with its seq, as a (seq, Message) pair; the messages of ``run_id`` count, too."""
    run_id: str | None = None


@dataclass(slots=True, eq=False)
class ReadGraph:
    """What the graph of a fingerprint looked like. Outcome: its ``Plan.outline``, or None when that is not stored."""

    fingerprint: str


@dataclass(slots=True, eq=False)
class ForkSession:
    """Copy a session up to checkpoint ``at`` (None: its last). Outcome: the new session's id.

    Raises NotOwner (as Load does), SessionNotFound, and ValueError when ``new_session_id`` is taken.
    """

    session_id: str
    user_id: str | None
    at: int | None = None
    new_session_id: str | None = None


@dataclass(slots=True, eq=False)
class ReadMessages:
    """All messages of a session, oldest first. Outcome: list of Message. Raises NotOwner (as Load does), SessionNotFound."""

    session_id: str
    user_id: str | None


@dataclass(slots=True, eq=False)
class CancelRun:
    """Ask a run to stop. Outcome: Standing.

    Raises NotOwner when its session has an owner and ``user_id`` is not theirs, SessionNotFound when there is no such run.
    """

    run_id: str
    user_id: str | None
    have_turn: bool = False
    """Whether the caller has this process's turn on the session: then nobody else in it runs the session."""


@dataclass(frozen=True, slots=True)
class Standing:
    """How a run stands that was asked to stop: "asked" (it runs, and will), "idle" (it is paused, or crashed), or "ended"."""

    session_id: str
    state: str


@dataclass(slots=True, eq=False)
class FindKey:
    """The run that an idempotency key has begun. Outcome: KeyedRun, or None when it has begun none."""

    component_id: str | None
    user_id: str | None
    key: str
    input: TaskResult
    schema: StateSchema


@dataclass(frozen=True, slots=True)
class KeyedRun:
    """A run with an idempotency key."""

    run_id: str
    session_id: str
    status: str
    last_seq: int | None
    """Its last checkpoint, once it has ended."""
    metrics: Mapping[str, Any]
    same_input: bool
    """Whether it was begun with the input that was asked about."""


# --- effects on the rest of the world (performed by the driver) ------------------------------------------------------------


@dataclass(slots=True, eq=False)
class RunTasks:
    """Execute several tasks in parallel. Outcome: list of Outcome in the order of the tasks. (A Task is an effect itself: to
    execute it by itself. Outcome: its Outcome.)

    ``record`` (when the session is stored) is the flow that keeps finished outcomes; the driver performs it while siblings are
    still running, for those that finished together at once.
    """

    tasks: list[Task]
    record: Callable[[list[Outcome]], Flow[None]] | None = None


@dataclass(slots=True, eq=False)
class Ask:
    """Ask a model. Outcome: its Reply. Tokens go to whoever listens to the run, unless it is asked quietly: what it says is
    no part of the answer.
    """

    model: Any
    request: Any
    quiet: bool = False


@dataclass(slots=True, eq=False)
class Call:
    """Call a user's function, def or async def. Outcome: what it returns, awaited where it ``is_awaitable``; what it raises is
    raised.
    """

    fn: Callable[..., Any]
    args: tuple[Any, ...]
    kwargs: Mapping[str, Any]
    is_async: bool


def is_awaitable(value: object) -> bool:
    """Whether a value is to be awaited, such as what a plain function gives that stands around an async def."""
    return hasattr(type(value), "__await__")


@dataclass(slots=True, eq=False)
class Spent:
    """Count the tokens that a nested graph used as the task's own."""

    input_tokens: int
    output_tokens: int


@dataclass(slots=True, eq=False)
class RunAttempt:
    """Execute a node's function once, for at most the attempt's ``seconds``. Outcome: its Outcome. Raises NodeTimeout when
    the time is over.
    """

    attempt: Attempt


@dataclass(slots=True, eq=False)
class Keep:
    """Make something durable in the middle of a task, by commits that nothing of the run comes between. Raises
    SerializationError, LeaseLost, and NodeTimeout when the task's attempt has been given up.
    """

    task: Task
    commits: Callable[[], Flow[None]]


@dataclass(slots=True, eq=False)
class Sleep:
    """Wait, unless the run is stopped meanwhile."""

    seconds: float


@dataclass(slots=True, eq=False)
class Emit:
    """Tell whoever listens to the run. ``data`` are the event's own fields."""

    type: str
    node: str
    data: Mapping[str, Any]
    ns: str = ""


@dataclass(slots=True, eq=False)
class Acquire:
    """Take this process's turn on a session, first come first served. The driver gives it back when the flow ends.

    ``on_busy``: "wait" for at most the store's ``busy_timeout``, "reject", or "cancel" the run that has its turn and come next.
    Raises SessionBusy.
    """

    session_id: str
    on_busy: str = "wait"
