"""Tasks: one execution of one node in one superstep, what all tasks of a run share, and how a task ended."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from copy import deepcopy
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from graphflow.core.answers import answer_form
from graphflow.core.audience import NOBODY, Audience
from graphflow.core.comparison import MISSING, changed_keys
from graphflow.core.control import Command, Interrupt, Suspended, current_step
from graphflow.core.ids import digest
from graphflow.core.state import Values
from graphflow.core.stopping import Stop
from graphflow.core.stored import RunWrite, TaskResult, Weight
from graphflow.errors import StepError

if TYPE_CHECKING:
    from graphflow.core.ledger import Ledger
    from graphflow.core.plan import NodePlan
    from graphflow.core.steps import StepBook


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
    before: str = ""
    """The fingerprint of the graph that the stored run was begun with, or the one before a new run, where that is another."""
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
    audience: Audience = NOBODY
    """Who hears of the run; what nobody hears is not made."""
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
    watched: bool = False
    """Whether nodes that change in place what they were given are found out (``core.ownership``)."""
    within: Task | None = None
    """The task that this nested graph runs in, when that, or one around it, is an attempt that may be given up."""

    def hears(self, type: str) -> bool:
        """Whether anybody hears of events of this type from this graph."""
        return self.audience.hears(type, self.ns)


NO_ANSWERS: Mapping[int, Any] = {}
"""What most tasks have been answered."""


PER_CALL: Final = re.compile(r":\d+\.\d+(/|$)")
"""In the namespace of a nested graph that begins anew at each call; others keep their state as long as the session."""


def task_id(session: str, ns: str, origin: int, node: str, position: int) -> str:
    """What a task is called, the same whenever it runs again: a hash of where it stands."""
    return digest(f"{session}\n{ns}\n{origin}\n{node}\n{position}", 12)


def namespace(outer: str, node: str, origin: int, position: int) -> str:
    """The namespace of the nested graph that a task of the namespace ``outer`` runs."""
    return f"{outer}/{node}:{origin}.{position}" if outer else f"{node}:{origin}.{position}"


def lasting_namespace(outer: str, node: str) -> str:
    """The namespace of a nested graph that keeps its state between calls; without task ids, that of a message log."""
    return f"{outer}/{node}" if outer else node


def in_namespace(node: str, ns: str) -> str:
    """The beginning of a namespace that names this node, and its task where it is called anew each time; empty when it is
    another's.
    """
    match = re.match(rf"{re.escape(node)}(:\d+\.\d+)?(/|$)", ns)
    return "" if match is None else match[0]


class Task:
    """One execution of one node in one superstep.

    ``input`` is the state as the node sees it, or (``sent``) the argument of a Send. ``id`` is the same whenever the task
    runs again. ``world`` is what the driver performs the task's effects with, ``calls`` counts the graphs the node has called,
    ``runs`` are those that have a message log of their own, ``noted`` is what goes into the metrics of the run, ``session`` is
    the task's own copy of session_state, once it has asked for one.
    """

    __slots__ = (
        "_id",
        "answers",
        "asked",
        "attempt",
        "calls",
        "input",
        "node",
        "noted",
        "origin",
        "position",
        "run",
        "runs",
        "sent",
        "session",
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
        self.session: dict[str, Any] | None = None
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

    def session_state(self) -> dict[str, Any]:
        """The session's dict: a copy of its own for this task, whose changes become part of the task's update."""
        if self.session is None:
            self.session = deepcopy(self.run.values.get("session_state") or {})
        return self.session

    def session_changes(self) -> dict[str, Any]:
        """The keys of session_state that this task changed; ``MISSING`` for those it deleted."""
        if self.session is None:
            return {}
        return changed_keys(self.run.values.get("session_state") or {}, self.session)

    def change_session(self, changes: Mapping[str, Any]) -> None:
        """Make changes that ``session_changes`` told."""
        for key, value in changes.items():
            if value is MISSING:
                self.session_state().pop(key, None)
            else:
                self.session_state()[key] = value

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

    @property
    def answered(self) -> list[tuple[Interrupt, Any]]:
        """The task's questions that have an answer, with it, in their order; whether or not the node still asks them."""
        questions = {} if self.run.ledger is None else self.run.ledger.questions
        return [(questions[self.id, nth], answer) for nth, answer in sorted(self.answers.items())]

    def pass_over(self, count: int) -> None:
        """Count answers as taken that the node asks for no more, so that what it asks next is a new question."""
        self.asked += count


@dataclass(slots=True, eq=False)
class Outcome:
    """How a task ended: with a value, an error, or questions."""

    task: Task
    value: Any = None
    seconds: float = 0.0
    usage: Any = None
    """Tokens of the models the task asked (models.base.Usage), or None."""
    error: Exception | None = None
    interrupts: tuple[Interrupt, ...] = ()
    nested: bool = False
    """Whether the questions are those of a graph inside the node, which keeps them itself."""
    result: TaskResult | None = None
    """What the value means, once it was checked."""
    leaving: Command | None = None
    """Where the task goes in the graph around this one, which it leaves."""
