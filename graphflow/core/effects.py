"""What a flow may ask of the world, and the records it hands over.

A *flow* is a generator: it yields effects and is sent their outcomes (the idea of h11 and of httpx' auth flows: one
description, any number of drivers). The machine, ready-made nodes, and every operation on sessions are flows, so each
exists once and runs under plain calls and under asyncio alike.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from graphflow.core.answers import answer_form
from graphflow.core.control import Command, Context, Interrupt, Send, Suspended, current_step
from graphflow.core.ids import digest
from graphflow.core.reducers import Delta
from graphflow.core.state import StateSchema, Values
from graphflow.core.stopping import Stop
from graphflow.core.updates import Write
from graphflow.errors import StepError
from graphflow.messages import Message, RemoveMessage

if TYPE_CHECKING:
    from graphflow.core.attempts import Attempt
    from graphflow.core.ledger import Ledger
    from graphflow.core.plan import NodePlan
    from graphflow.core.steps import StepBook

T = TypeVar("T")
Flow = Generator[Any, Any, T]
LogEntry = Message | RemoveMessage
Range = tuple[int, int]
"""First and last seq, both included, of rows of a session's message log."""


# --- what is stored ------------------------------------------------------------------------------------------------------


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
    it alone and adds its text beside it, so that nothing the user said is lost.
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

    ``kind`` is "result" (value: TaskResult), "step" (the step's value), "interrupt" (list of Interrupt) or "answer".
    ``name`` and ``nth`` tell the steps and answers of one task apart.
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


@dataclass(slots=True, eq=False)
class Commit:
    """Everything one transaction writes: all of it or nothing.

    The session row must stand at ``head`` and ``epoch`` (compare-and-set), else LeaseLost and nothing is written.
    With ``epoch == 0`` the session must not exist yet and is made. A session that was deleted and begun anew is another one.
    """

    session_id: str
    head: int
    epoch: int
    run_id: str
    ns: str = ""
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
    within: Task | None = None
    """The task that the committing graph runs in, when that may be given up: then nothing is written; NodeTimeout."""
    session: int | None = None
    """What the store calls the session (``Weight.session``), where that is known: another one may bear its id by now."""


@dataclass(slots=True)
class Run:
    """The stored run that a session's head belongs to."""

    run_id: str
    status: str
    first_message: int
    fingerprint: str
    component_id: str | None = None


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


# --- effects on sessions (performed by the store) --------------------------------------------------------------------------


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
class Fence:
    """What nested graphs need to write under the run of the outermost graph."""

    epoch: int = 0
    """The fencing number of the session."""
    weight: Weight = field(default_factory=Weight)
    """Knows the store's own numbers of session and run."""
    passed: int = -1
    """The epoch under which a pause of this superstep was last gone past."""
    rows: bool = False
    """Whether nested graphs of this superstep left task rows, which go with it even when what they belong to was given up."""
    lasting: dict[tuple[str, int], int] = field(default_factory=dict)
    """For each nested graph that keeps its state between calls, and each origin: the position of the task that called it."""


@dataclass(frozen=True, slots=True)
class Speaker:
    """Who speaks in a run that a team has given to one of its members."""

    name: str
    """The member's id, told with its tokens."""
    model: Callable[[], Any] | None = None
    """Gives the model of the team, for members that have none of their own."""
    voice: str | None = None
    """Where its tokens are told instead of in its own namespace: what it says is then the answer of the graph there."""


@dataclass(slots=True, eq=False)
class RunInfo:
    """What every task of a run shares."""

    run_id: str
    session_id: str | None = None
    user_id: str | None = None
    ns: str = ""
    """Where checkpoints and task rows are kept, and who events are from; empty for the outermost graph."""
    context: Any = None
    db: Any = None
    listening: bool = False
    """Whether anybody consumes events; when nobody does, none are made."""
    max_concurrency: int | None = None
    first_message: int = 1
    """The seq in the session's log that this run's first message has."""
    values: Values = field(default_factory=dict)
    """The state as of the start of the current superstep."""
    stop: Stop = field(default_factory=Stop)
    """Whether the run has been asked to stop; nested graphs share it."""
    options: Mapping[str, Any] = field(default_factory=dict)
    """Settings of this call that a ready-made node looks up, e.g. ``num_history_runs``."""
    recursion_limit: int = 1000
    log_ns: str = ""
    """The namespace of the message log: that of the outermost graph, or the path of the nodes around a nested one."""
    resumed: bool = False
    """Whether the run goes on with what an earlier call left, so that nested graphs may have something stored."""
    aliases: Mapping[str, str] = field(default_factory=dict)
    """Old names of the graph's nodes and what they are called now."""
    fence: Fence = field(default_factory=Fence)
    speaker: Speaker | None = None
    """The member of a team whose run this is."""
    durability: str = "sync"
    """Whether each superstep is committed ("sync") or all of them at the end ("exit")."""
    steps: StepBook | None = None
    """The recorded steps of the current superstep; the run's ledger gives it."""
    ledger: Ledger | None = None
    """The books of the run, for graphs inside its tasks."""
    around: Ledger | None = None
    """For a nested graph, the books of the graph around it."""
    within: Task | None = None
    """The task that this nested graph runs in, when that, or one around it, is an attempt that may be given up."""


NO_ANSWERS: Mapping[int, Any] = {}
"""What most tasks have been answered."""


def task_id(session: str, ns: str, origin: int, node: str, position: int) -> str:
    """What a task is called, the same whenever it runs again: a hash of where it stands."""
    return digest(f"{session}\n{ns}\n{origin}\n{node}\n{position}", 12)


def namespace(outer: str, node: str, origin: int, position: int) -> str:
    """The namespace of the nested graph that a task of the namespace ``outer`` runs."""
    return f"{outer}/{node}:{origin}.{position}" if outer else f"{node}:{origin}.{position}"


def lasting_namespace(outer: str, node: str) -> str:
    """The namespace of a nested graph that keeps its state between calls; without task ids, that of a message log."""
    return f"{outer}/{node}" if outer else node


class Task:
    """One execution of one node in one superstep.

    ``input`` is the state as the node sees it, or (``sent``) the argument of a Send. ``id`` is the same whenever the task
    runs again. ``world`` is what the driver performs the task's effects with, ``calls`` counts the graphs the node has called,
    ``runs`` are those that have a message log of their own, ``noted`` is what goes into the metrics of the run.
    """

    __slots__ = (
        "_id",
        "answers",
        "asked",
        "attempt",
        "calls",
        "context",
        "input",
        "node",
        "noted",
        "origin",
        "position",
        "run",
        "runs",
        "sent",
        "world",
    )

    def __init__(self, node: NodePlan, input: Any, position: int, origin: int, run: RunInfo, sent: bool = False) -> None:
        self.node = node
        self.input = input
        self.position = position
        self.origin = origin
        self.run = run
        self.sent = sent
        self.attempt = 1
        self.asked = 0
        self.calls = 0
        self.runs: tuple[RunWrite, ...] = ()
        self.answers: Mapping[int, Any] = NO_ANSWERS
        self.context: Context | None = None
        self.noted: dict[str, Any] | None = None
        self.world: Any = None
        self._id: str | None = None

    @property
    def id(self) -> str:
        """Hash of where the task stands: session, namespace, committed seq, node and position."""
        if self._id is None:
            run = self.run
            self._id = task_id(run.session_id or run.run_id, run.ns, self.origin, self.node.name, self.position)
        return self._id

    @property
    def path(self) -> str:
        """The namespace of a graph that runs in this task: readable, and without the session, so that a fork keeps it."""
        return namespace(self.run.ns, self.node.name, self.origin, self.position)

    def note(self, more: Mapping[str, Any]) -> None:
        """Add something to the metrics of the run."""
        if more:
            self.noted = {**(self.noted or {}), **more}

    def check_open(self) -> None:
        """Raise NodeTimeout when this execution, or one that it is inside of, was given up; only an Attempt can be."""
        if self.run.within is not None:
            self.run.within.check_open()

    def ask(self, payload: Any, response_schema: Any = None) -> Any:
        """The answer to the task's next question; ends the execution when there is none yet."""
        self.check_open()
        form = None if response_schema is None else answer_form(response_schema)
        step = current_step.get()
        if step is not None and step.run_id == self.run.run_id:
            raise StepError(
                f"node {step.node!r} asked a question inside its step {step.name!r}; ask before or after the step, "
                "so that the answer and the step's result can both be kept"
            )
        nth = self.asked
        self.asked += 1
        if nth in self.answers:
            answer = self.answers[nth]
            return answer if form is None else form.read(answer, self.node.name)
        schema = None if form is None else form.json_schema
        raise Suspended(Interrupt(f"{self.id}-{nth}", payload, self.node.name, self.run.ns, schema))


@dataclass(slots=True, eq=False)
class Outcome:
    """How a task ended: with a value, an error, or questions."""

    task: Task
    value: Any = None
    error: Exception | None = None
    interrupts: tuple[Interrupt, ...] = ()
    nested: bool = False
    """Whether the questions are those of a graph inside the node, which keeps them itself."""
    seconds: float = 0.0
    usage: Any = None
    """Tokens of the models the task asked (models.base.Usage), or None."""
    result: TaskResult | None = None
    """What the value means, once it was checked."""
    leaving: Command | None = None
    """Where the task goes in the graph around this one, which it leaves."""


@dataclass(slots=True, eq=False)
class RunTasks:
    """Execute tasks, in parallel when there are several. Outcome: list of Outcome in the order of the tasks.

    ``record`` (when the session is stored and there is more than one task) is the flow that keeps finished outcomes; the
    driver performs it while siblings are still running, for those that finished together at once.
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
    """Call a user's function, def or async def. Outcome: what it returns; what it raises is raised."""

    fn: Callable[..., Any]
    args: tuple[Any, ...]
    kwargs: Mapping[str, Any]
    is_async: bool


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
