"""What a node may say besides its update: where to go, whom to fan out to, and that it must wait."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextvars import ContextVar
from dataclasses import dataclass
from types import GenericAlias
from typing import TYPE_CHECKING, Any, ClassVar, Final

from graphflow.core.comparison import MISSING as MISSING

if TYPE_CHECKING:
    from graphflow.core.effects import Flow
    from graphflow.core.steps import Uses
    from graphflow.core.stored import SideWrite
    from graphflow.core.tasks import Task

START: Final = "__start__"
"""The source of the edges that a run enters by."""
END: Final = "__end__"
"""The target that ends a branch of a run."""
STOP: Final = "__stop__"
"""The target of a ready-made node's Command that ends the whole graph, whatever else would run next."""


@dataclass(frozen=True, slots=True)
class Send:
    """Run ``node`` once in the next superstep with ``arg`` as its input instead of the state.

    Returned (alone or in lists) by a router or as ``Command(goto=…)``; each Send is a task of its own.
    ``arg`` is stored with the checkpoint, so it may be any value the codec can keep.
    """

    node: str
    arg: Any


@dataclass(frozen=True, slots=True)
class Overwrite:
    """Written to a channel with a reducer, replaces the value instead of being merged into it."""

    value: Any


@dataclass(frozen=True, slots=True)
class Command:
    """An update together with where to go next.

    ``goto`` (a node, a Send, or a sequence of them) adds to the node's static edges. ``resume`` turns
    ``invoke(Command(resume=x))`` into ``resume(x)``. ``graph=Command.PARENT`` addresses the graph around a nested one.
    """

    PARENT: ClassVar[str] = "__parent__"
    __class_getitem__: ClassVar[Any] = classmethod(GenericAlias)

    update: Mapping[str, Any] | Any = None
    goto: str | Send | Sequence[str | Send] = ()
    resume: Any = MISSING
    graph: str | None = None


@dataclass(frozen=True, slots=True)
class Update:
    """An update together with side writes: what else is stored with this task, in the transaction of its superstep.

    ``values`` is what a node could return instead (a dict, a Command, None). ``writes`` are records of ``core.stored``:
    ``SummaryWrite``, ``MemoryWrite``. Whatever happens, each is applied once or, if the superstep is not committed, not at
    all. Needs a stored session, else NoDatabase.
    """

    values: Mapping[str, Any] | Any = None
    writes: Sequence[SideWrite] = ()


@dataclass(frozen=True, slots=True)
class Interrupt:
    """A question that a run waits for. ``resume(session_id, answers={interrupt.id: …})`` answers it."""

    id: str
    value: Any
    node: str
    ns: str = ""
    """The namespace of the nested graph that asks; empty for the outermost one."""
    schema: Mapping[str, Any] | None = None
    """The JSON schema that the answer has to fit, when the node gave a ``response_schema``."""

    @property
    def nth(self) -> int:
        """Which question of its task it is, from 0."""
        return int(self.id.rpartition("-")[2])


class Parted(BaseException):
    """Ends the current execution of a node before it returns. Not an Exception, so nodes cannot swallow it."""


class Suspended(Parted):
    """The node waits for answers: to its own question or, ``nested``, to those of a graph inside it, which keeps them."""

    def __init__(self, *interrupts: Interrupt, nested: bool = False) -> None:
        super().__init__(*interrupts)
        self.interrupts = interrupts
        self.nested = nested


class Left(Parted):
    """A graph inside the node was left by ``Command(graph=Command.PARENT)``: the commands are the node's result."""

    def __init__(self, commands: list[Command]) -> None:
        super().__init__(commands)
        self.commands = commands


class Cancelled(BaseException):
    """Ends a run that was cancelled or whose stream was left; the committed work is kept."""


current_task: ContextVar[Task | None] = ContextVar("graphflow_task", default=None)
"""The task whose node is executing in this context."""


@dataclass(frozen=True, slots=True)
class OpenStep:
    """A recorded step that is being computed."""

    name: str
    node: str
    task_id: str
    run_id: str


current_step: ContextVar[OpenStep | None] = ContextVar("graphflow_step", default=None)
"""The recorded step whose function is executing in this context."""


def interrupt(payload: Any, response_schema: Any = None) -> Any:
    """Ask the world a question from inside a node; returns the answer that ``resume`` gives.

    Without an answer the node ends here (the run's status becomes ``paused``) and, when it is resumed, runs again from its
    first line; the n-th call in a task gets the n-th answer. ``payload`` is any value the codec can keep. Needs a session
    to be answered.

    ``response_schema`` is the type the answer has to have: a pydantic model, TypedDict, dataclass, ``Literal["yes", "no"]``,
    ``int`` … Its JSON schema is shown as ``Interrupt.schema``. An answer that does not fit it is an InvalidAnswer of
    ``resume``, before anything is written; one that fits comes back as that type (a dict as the model). What JSON schema
    cannot say (a validator of yours) is checked when the node runs again: then InvalidAnswer is the node's error.
    """
    task = current_task.get()
    if task is None:
        raise RuntimeError("interrupt() was called outside of a node; call it inside a node of a running graph")
    return task.ask(payload, response_schema)


MEASURED: Final = frozenset({"input_tokens", "output_tokens", "seconds", "nodes"})
"""The metrics of every run: numbers, or numbers by node."""


class Context:
    """What a node may know and do besides its state; the optional second parameter of a node, or a parameter of a tool.

    ``task_key`` is the same each time the same task runs again (after a crash, a retry, an interrupt): use it as the
    idempotency key of side effects. ``context`` is what the caller gave as ``context=``; it is never stored.
    """

    __slots__ = ("_emit", "_task", "_uses")

    def __init__(self, task: Task, emit: Any = None) -> None:
        self._task = task
        self._emit = emit
        self._uses: Uses | None = None

    @property
    def task(self) -> Task:
        """The task itself, for flow nodes of the library."""
        return self._task

    @property
    def session_id(self) -> str | None:
        """The session, or None when the run is not stored."""
        return self._task.run.session_id

    @property
    def user_id(self) -> str | None:
        """The user this run is for."""
        return self._task.run.user_id

    @property
    def run_id(self) -> str:
        """The run this task belongs to."""
        return self._task.run.run_id

    @property
    def node(self) -> str:
        """The name of the node."""
        return self._task.node.name

    @property
    def attempt(self) -> int:
        """1 for the first execution, 2 for the first retry."""
        return self._task.attempt

    @property
    def cancelled(self) -> bool:
        """Whether the run has been asked to stop: a node that takes long may look, and return what it has.

        An async node has a second for that when its run is cancelled; then it is left where it awaits.
        """
        return self._task.run.stop.requested

    @property
    def position(self) -> int:
        """The task's place among those of its superstep, from 0."""
        return self._task.position

    @property
    def task_key(self) -> str:
        """The same each time the same task runs again, different for every other task anywhere."""
        return self._task.id

    @property
    def context(self) -> Any:
        """What the caller gave as ``context=``."""
        return self._task.run.context

    @property
    def db(self) -> Any:
        """The database of the graph, or None."""
        return self._task.run.db

    @property
    def ns(self) -> str:
        """The namespace of the graph this task belongs to; empty for the outermost one."""
        return self._task.run.ns

    @property
    def log_ns(self) -> str:
        """The namespace of the message log of this task's graph: the names of the nodes around it, without task ids."""
        return self._task.run.log_ns

    @property
    def is_member(self) -> bool:
        """Whether this graph is that of a team's member, so that its input is the leader's and not the user's."""
        return self._task.run.speaker is not None

    @property
    def stored(self) -> bool:
        """Whether this run belongs to a session in a database."""
        return self._task.run.db is not None and self._task.run.session_id is not None

    @property
    def first_message(self) -> int:
        """The seq, in the session's message log, of this run's first message: history is what comes before it."""
        return self._task.run.first_message

    @property
    def listening(self) -> bool:
        """Whether anybody consumes events of this run."""
        return self._emit is not None

    @property
    def options(self) -> Mapping[str, Any]:
        """Settings of this call, for ready-made nodes."""
        return self._task.run.options

    @property
    def values(self) -> Mapping[str, Any]:
        """The whole state as of the start of the superstep; for a node that was given something else by a Send."""
        return self._task.run.values

    @property
    def session_state(self) -> dict[str, Any]:
        """The session's dict: a copy of its own for this task; keys changed in it become part of the task's update."""
        return self._task.session_state()

    def ask(self, payload: Any, response_schema: Any = None) -> Any:
        """``interrupt(payload, response_schema)``."""
        return self._task.ask(payload, response_schema)

    def step(self, name: str, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
        """Call ``fn(*args, **kwargs)`` once, however often the node runs: its result is stored before it is returned, and
        given back when the task runs again (after an interrupt, a retry or a crash).

        Steps are told apart by task, ``name`` and how often the name was used before in this execution, so a name may be
        used in a loop, but not twice at the same time (StepError). ``fn`` is def or async def and may not ask a question. What
        it raises is raised and not recorded; a use that failed counts as a use. The result has to come back equal from the
        database, else SerializationError; a later use gets a copy. A step that a crash interrupts runs again with the
        same ``task_key``, so hand that to whatever should happen only once. Without a database, and with durability
        "exit", the result is kept in memory while the run lasts. Blocks: async nodes use ``astep``.
        """
        return self._task.world.perform(self.recorded(name, fn, *args, **kwargs))

    async def astep(self, name: str, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
        """``step`` for async nodes; a plain def ``fn`` runs in a thread."""
        return await self._task.world.aperform(self.recorded(name, fn, *args, **kwargs))

    def recorded(self, name: str, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Flow[Any]:
        """``step`` for flow nodes: ``value = yield from ctx.recorded(name, fn, ...)``; ``fn`` may be a flow, too."""
        steps = self._task.run.steps
        if steps is None:
            raise RuntimeError("steps are recorded inside a running graph, and this Context belongs to none")
        if self._uses is None:
            self._uses = steps.uses()
        return steps.recorded(self._task, self._uses, name, fn, args, kwargs)

    def note(self, name: str, value: Any) -> None:
        """Add something to the metrics of the run, where whoever watches it will look; also from a graph inside another.

        Raises ValueError for the names of what every run measures: input_tokens, output_tokens, seconds, nodes.
        """
        if name in MEASURED:
            raise ValueError(f"note({name!r}, …): every run measures its {name}; give what you note another name")
        self._task.note({name: value})

    def write(self, data: Any) -> None:
        """Send ``data`` to whoever streams this run (stream mode ``custom``); when nobody does, nothing happens."""
        self._task.check_open()
        if self._emit is not None:
            self._emit("custom", self._task.node.name, {"data": data}, self._task.run.ns)
