"""Graph: the face of the machine. Every operation is one flow; the sync method and its ``a…`` twin only differ in the
driver.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator, KeysView, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Literal, TypedDict, Unpack

from graphflow import draw, drive
from graphflow.core import cancelling, runs, sessions
from graphflow.core import options as checks
from graphflow.core.audience import EVERYBODY, NOBODY, Audience
from graphflow.core.calls import CallOptions, Ended
from graphflow.core.control import MISSING, Command, Interrupt, current_step, current_task
from graphflow.core.effects import Flow, T
from graphflow.core.ids import check_resumed, new_id
from graphflow.core.nested import call_graph, plan_at
from graphflow.core.plan import Plan
from graphflow.core.schemas import context_value, json_schema
from graphflow.core.state import Values, state_schema
from graphflow.db.base import Db
from graphflow.drive.stream import StreamMode, View
from graphflow.drive.world import Emitter, World, guarded
from graphflow.ending import finishing
from graphflow.errors import NoDatabase
from graphflow.snapshots import Snapshot, all_shown, shown

if TYPE_CHECKING:
    from graphflow.draw.network import Network


class RunOptions(TypedDict, total=False):
    """What a call may say besides input and session; see ``Graph.invoke``."""

    user_id: str | None
    context: Any
    recursion_limit: int
    max_concurrency: int | None
    on_unfinished: Literal["raise", "abandon"] | None
    on_busy: Literal["wait", "reject", "cancel"]
    durability: Literal["sync", "exit"]
    idempotency_key: str | None


# Not frozen: every run makes one, and that would take several times as long.
@dataclass(slots=True, unsafe_hash=True)
class GraphResult:
    """What a run left. ``result["field"]`` reads the state; ``value`` is the whole state in the form it was declared."""

    values: Values
    value: Any
    status: str
    """completed, paused (at the ``interrupts``, or without any before what is next), cancelled, or that of a stored run that
    had already ended.
    """
    interrupts: tuple[Interrupt, ...]
    session_id: str | None
    run_id: str
    seq: int
    """The number of the last checkpoint."""
    metrics: Mapping[str, Any] = field(default_factory=dict)

    def __getitem__(self, key: str) -> Any:
        return self.values[key]

    def __contains__(self, key: object) -> bool:
        return key in self.values

    def __iter__(self) -> Iterator[str]:
        return iter(self.values)

    def keys(self) -> KeysView[str]:
        """The fields that hold something; with them ``dict(result)`` and ``{**result}`` are the state as a dict."""
        return self.values.keys()

    def get(self, key: str, default: Any = None) -> Any:
        """The field's value, or ``default`` when it holds nothing."""
        return self.values.get(key, default)


class Graph:
    """A compiled graph: immutable, and safe to share between threads and event loops. Made by ``StateGraph.compile``.

    Every method that takes a session accepts ``user_id=``; a session that has an owner needs its owner's (else NotOwner).
    """

    __slots__ = ("__weakref__", "db", "on_event", "plan")

    plan: Final[Plan]
    """The lowered form that runs."""
    db: Final[Db | None]
    """The database that keeps its sessions, or None."""
    on_event: Final[Emitter | None]

    def __init__(self, plan: Plan, *, db: Db | None = None, on_event: Emitter | None = None) -> None:
        self.plan = plan
        self.db = checks.database("db", db)
        listener = checks.plain_function("on_event", on_event, "a function of an Event", none="none")
        self.on_event = None if listener is None else guarded(listener)

    def __setattr__(self, name: str, value: Any) -> None:
        if hasattr(self, name):
            raise self._fixed(name)
        super().__setattr__(name, value)

    def __delattr__(self, name: str) -> None:
        raise self._fixed(name)

    def _fixed(self, name: str) -> AttributeError:
        return AttributeError(
            f"graph {self.name!r} cannot be changed, nor can its {name!r}: it may be running in other threads; compile another "
            "one (StateGraph.of(graph) holds its nodes and edges)"
        )

    @property
    def name(self) -> str:
        """The graph's name."""
        return self.plan.name

    @property
    def nodes(self) -> tuple[str, ...]:
        """The names of the nodes, in the order they were added."""
        return tuple(self.plan.nodes)

    @property
    def fingerprint(self) -> str:
        """16 hex digits over nodes, edges, channel types and reducers; stored with each run and compared at resume."""
        return self.plan.fingerprint

    # --- running -------------------------------------------------------------------------------------------------------

    def invoke(self, input: Any, *, session_id: str | None = None, **options: Unpack[RunOptions]) -> GraphResult:
        """Run the graph on ``input`` (a dict of fields, or an instance of the state) to its end or its first question.

        With a ``db``: the run continues the session ``session_id`` (None: a new one, returned in the result), and each
        superstep is committed before the next begins. Options: ``user_id``, ``context`` (given to nodes, never stored),
        ``recursion_limit`` (supersteps, 1,000; it holds for each graph inside as well, whether that is a node or called by one,
        unless its own call gives another), ``max_concurrency`` (tasks at once), ``on_unfinished`` ("raise": a crashed
        or paused run is an UnfinishedRun; "abandon" leaves it behind), ``on_busy`` (another run holds the session:
        "wait" for the database's ``busy_timeout``, first come first served within a process, or "reject"; then SessionBusy;
        "cancel": that run is cancelled, and this one comes next), ``idempotency_key`` (of the request: with it the run is begun
        once per component and user, whoever asks again is given what became of it: its result, after waiting for it if it is
        running; one that failed is resumed; another input is KeyReused), ``durability`` ("sync", or "exit": see ``compile``;
        default: as compiled).
        ``Command(resume=x)`` as input is
        ``resume(session_id, x)``. A node's exception comes out as itself with a note; the run is stored with status
        ``error`` and can be resumed. Killed at any moment, the session stands at the last commit and ``resume`` goes on
        from there.

        Inside a node of another graph, a graph without a ``db`` of its own runs as a part of that node: its steps are stored
        in the outer session, a question it asks pauses the outer run, and after a crash it goes on where it was.
        """
        return drive.sync.run(*self._invoke(input, session_id, options))

    async def ainvoke(self, input: Any, *, session_id: str | None = None, **options: Unpack[RunOptions]) -> GraphResult:
        """``invoke`` for asyncio. Cancelling it keeps the committed work; the run can be resumed."""
        return await drive.aio.run(*self._invoke(input, session_id, options))

    def stream(
        self,
        input: Any,
        *,
        session_id: str | None = None,
        stream_mode: StreamMode | Sequence[StreamMode] = "updates",
        subgraphs: bool = False,
        **options: Unpack[RunOptions],
    ) -> Iterator[Any]:
        """Run the graph and give parts as they come: ``updates`` ({node: update}), ``values`` (states), ``messages``
        (tokens and, for what did not come as tokens, new Messages that nodes wrote: ``(text or Message, {"node", "ns", …})``),
        ``custom`` (ctx.write), ``tasks``, ``checkpoints``, ``events``. A list of modes gives (mode, part) pairs. The order of
        parts is told in ``graphflow.drive.stream``.

        Nested graphs: their tokens, custom data and typed events (which tell their ``ns``) are among the parts. With
        ``subgraphs`` their updates and values are, too, and every part comes as (ns, part) or (ns, mode, part).

        A run that pauses says so in its last part: ``{"__interrupt__": interrupts}`` of ``updates`` and ``values``, the typed
        event ``interrupted`` of ``tasks``, ``checkpoints`` and ``events``. A call whose ``idempotency_key`` has begun a run
        before is told what that came to: its state (in ``updates`` as ``{END: state}``) and the text it answered.

        Leaving the iterator early stops the run; the committed work is kept and ``resume`` goes on.
        """
        parts = View(stream_mode, subgraphs)
        return drive.sync.stream(*self._invoke(input, session_id, options, parts.audience), parts, self.on_event)

    def astream(
        self,
        input: Any,
        *,
        session_id: str | None = None,
        stream_mode: StreamMode | Sequence[StreamMode] = "updates",
        subgraphs: bool = False,
        **options: Unpack[RunOptions],
    ) -> AsyncIterator[Any]:
        """``stream`` for asyncio."""
        parts = View(stream_mode, subgraphs)
        return drive.aio.stream(*self._invoke(input, session_id, options, parts.audience), parts, self.on_event)

    def resume(
        self, session_id: str, answer: Any = MISSING, *, answers: Mapping[str, Any] | None = None, **options: Unpack[RunOptions]
    ) -> GraphResult:
        """Go on with the unfinished run of a session: after a crash, an error, a fork or an edit, or with answers to questions.

        ``answer`` is for exactly one pending question (None is an answer); ``answers={interrupt.id: …}`` for some or all of
        several. Finished work is not run again. A session with nothing unfinished gives the state it has. Raises
        SessionNotFound, InvalidAnswer, GraphChanged.
        """
        return drive.sync.run(*self._resume(session_id, answer, answers, options))

    async def aresume(
        self, session_id: str, answer: Any = MISSING, *, answers: Mapping[str, Any] | None = None, **options: Unpack[RunOptions]
    ) -> GraphResult:
        """``resume`` for asyncio."""
        return await drive.aio.run(*self._resume(session_id, answer, answers, options))

    def stream_resume(
        self,
        session_id: str,
        answer: Any = MISSING,
        *,
        answers: Mapping[str, Any] | None = None,
        stream_mode: StreamMode | Sequence[StreamMode] = "updates",
        subgraphs: bool = False,
        **options: Unpack[RunOptions],
    ) -> Iterator[Any]:
        """``resume``, which gives parts as they come, as ``stream`` does. What was told before the pause is not told again.

        ``stream(Command(resume=x), session_id=…)`` is the same for one answer.
        """
        parts = View(stream_mode, subgraphs)
        return drive.sync.stream(*self._resume(session_id, answer, answers, options, parts.audience), parts, self.on_event)

    def astream_resume(
        self,
        session_id: str,
        answer: Any = MISSING,
        *,
        answers: Mapping[str, Any] | None = None,
        stream_mode: StreamMode | Sequence[StreamMode] = "updates",
        subgraphs: bool = False,
        **options: Unpack[RunOptions],
    ) -> AsyncIterator[Any]:
        """``stream_resume`` for asyncio."""
        parts = View(stream_mode, subgraphs)
        return drive.aio.stream(*self._resume(session_id, answer, answers, options, parts.audience), parts, self.on_event)

    def cancel(self, run_id: str, *, user_id: str | None = None) -> bool:
        """Cancel a run, from any thread or process; whether there was anything to cancel (False: it has ended).

        It stops at its next superstep border, or where it awaits a model, with its state committed, and returns with status
        ``cancelled``, also when that border is its end or a question; ``resume`` goes on with it. An async node (or tool) has a
        second to look at ``ctx.cancelled`` and return what it has, then it is left where it awaits, and runs again at
        ``resume``. A run of another process hears of it within a second; what ends before it hears is completed. A run that is
        paused or has crashed is closed at once. Raises SessionNotFound when there is no such run, NotOwner.
        """
        return drive.sync.run(*self._with_db(cancelling.cancel(self.plan, run_id, user_id, self.db)))

    async def acancel(self, run_id: str, *, user_id: str | None = None) -> bool:
        """``cancel`` for asyncio."""
        return await drive.aio.run(*self._with_db(cancelling.cancel(self.plan, run_id, user_id, self.db)))

    # --- looking and editing ---------------------------------------------------------------------------------------------

    def get_state(self, session_id: str, at: int | None = None, *, ns: str = "", user_id: str | None = None) -> Snapshot:
        """The session as it stands, or as it stood at checkpoint ``at``.

        ``ns``: a nested graph in it instead, as ``Snapshot.tasks`` and events name it; ``at`` is then its own seq.
        """
        return drive.sync.run(*self._look(session_id, user_id, at, ns))

    async def aget_state(self, session_id: str, at: int | None = None, *, ns: str = "", user_id: str | None = None) -> Snapshot:
        """``get_state`` for asyncio."""
        return await drive.aio.run(*self._look(session_id, user_id, at, ns))

    def get_state_history(
        self, session_id: str, limit: int | None = None, *, ns: str = "", user_id: str | None = None
    ) -> list[Snapshot]:
        """The session (or the nested graph ``ns`` in it) at each of its checkpoints, newest first."""
        return drive.sync.run(*self._look_back(session_id, user_id, limit, ns))

    async def aget_state_history(
        self, session_id: str, limit: int | None = None, *, ns: str = "", user_id: str | None = None
    ) -> list[Snapshot]:
        """``get_state_history`` for asyncio."""
        return await drive.aio.run(*self._look_back(session_id, user_id, limit, ns))

    def update_state(self, session_id: str, update: Any, as_node: str | None = None, *, user_id: str | None = None) -> int:
        """Write to the state by hand, through the reducers; returns the new checkpoint's seq.

        ``as_node``: as if that node had written it, so its edges say what ``resume`` runs next (START: as if it were an input).
        What was asked or next before is then given up: the run is paused before what is next now, or completed. Without it what
        is next and what is asked stay as they are. A session that does not exist is made. It is one commit. Raises
        InvalidUpdate, NotOwner, SessionBusy, NoDatabase, and ValueError for an ``as_node`` that is no node.
        """
        return drive.sync.run(*self._with_db(sessions.update_state(self.plan, session_id, user_id, update, as_node, self.db)))

    async def aupdate_state(
        self, session_id: str, update: Any, as_node: str | None = None, *, user_id: str | None = None
    ) -> int:
        """``update_state`` for asyncio."""
        return await drive.aio.run(
            *self._with_db(sessions.update_state(self.plan, session_id, user_id, update, as_node, self.db))
        )

    def fork(self, source: str, /, at: int | None = None, session_id: str | None = None, *, user_id: str | None = None) -> str:
        """A new session with the past of session ``source`` up to checkpoint ``at`` (None: all of it); returns its id.

        ``session_id`` is the new session's id (None: one is made). The source is untouched. A fork of a paused session is
        paused at the same questions, under ids of its own, and is answered independently. At a checkpoint in the middle of a
        run nothing is asked yet: the fork is paused before what is next, which ``resume`` runs; new input meets it as it does
        any paused run (an agent leaves it behind, with its messages in the history). Where a run failed or was cancelled, the
        fork's has done so, too: where it was cancelled, what had finished in the last superstep is not done again; where it
        failed, that superstep begins anew, and asks again.
        """
        return drive.sync.run(*self._with_db(sessions.fork(source, user_id, at, session_id)))

    async def afork(
        self, source: str, /, at: int | None = None, session_id: str | None = None, *, user_id: str | None = None
    ) -> str:
        """``fork`` for asyncio."""
        return await drive.aio.run(*self._with_db(sessions.fork(source, user_id, at, session_id)))

    def clear_cache(self) -> None:
        """Forget the results that nodes with a CachePolicy have kept, in this process."""
        for node in self.plan.nodes.values():
            results = getattr(node.function.call, "results", None)
            if isinstance(results, drive.cache.ResultCache):
                results.clear()

    async def aclear_cache(self) -> None:
        """``clear_cache`` for asyncio."""
        self.clear_cache()

    def input_json_schema(self) -> dict[str, Any]:
        """The JSON schema of what ``invoke`` takes: the fields of ``input_schema``, or of the state."""
        schema = self.plan.input_schema or self.plan.schema
        return json_schema(schema, complete=schema.form != "dict")

    def output_json_schema(self) -> dict[str, Any]:
        """The JSON schema of a result's value: the fields of ``output_schema``, or of the state."""
        return json_schema(self.plan.output_schema or self.plan.schema, complete=False)

    def context_json_schema(self) -> dict[str, Any] | None:
        """The JSON schema of ``context=``; None when the graph was given no ``context_schema``."""
        cls = self.plan.context_schema
        return None if cls is None else json_schema(state_schema(cls), complete=True)

    # --- pictures ------------------------------------------------------------------------------------------------------

    def draw_mermaid(self) -> str:
        """The graph as a Mermaid flowchart: chosen ways are dashed, a circle "all" is a join, a nested graph is a subgraph.
        Paste it into Markdown, or mermaid.live.
        """
        return draw.draw_mermaid(self.plan)

    def draw_ascii(self) -> str:
        """The same picture as plain text, within 100 columns where the graph allows it."""
        return draw.draw_ascii(self.plan)

    def draw_svg(self) -> str:
        """The same picture as an SVG file, which needs no other program; a notebook shows it for a graph by itself."""
        return draw.draw_svg(self.plan)

    _repr_svg_ = draw_svg

    def to_networkx(self) -> Network:
        """The graph as a ``networkx.MultiDiGraph``. Nodes have ``kind`` (start, end, node, flow, graph), ``defer`` and
        ``rerunnable``, edges ``kind`` (edge, branch, join, command) and ``label``.
        """
        return draw.to_networkx(self.plan)

    # --- the flows behind them ---------------------------------------------------------------------------------------------

    def _invoke(
        self, input: Any, session_id: str | None, options: Mapping[str, Any], audience: Audience = NOBODY
    ) -> tuple[Flow[GraphResult], World]:
        if isinstance(input, Command) and input.resume is not MISSING:
            if session_id is None:
                raise ValueError("Command(resume=…) answers a stored session: give its session_id=")
            if input.update is not None or input.goto or input.graph is not None:
                raise ValueError(
                    "Command(resume=…) as an input gives an answer and nothing else; write update= and goto= with "
                    "update_state(session_id, update, as_node=…), or return them from the node that asked"
                )
            return self._resume(session_id, input.resume, None, options, audience)
        call = self.call(options, session_id=session_id, audience=audience)
        return self.begin(input, call, audience is not NOBODY)

    def begin(
        self, input: Any, call: CallOptions, streamed: bool, output: Callable[[Ended], Any] | None = None
    ) -> tuple[Flow[Any], World]:
        """A new run and its surroundings; ``output`` makes of its end what the caller gets.

        Inside a node of another graph, a graph without a database runs as a part of that node; inside a recorded step it
        runs by itself, since its result is recorded.
        """
        task = current_task.get()
        inside = self.db is None and task is not None and current_step.get() is None
        if inside and task is not None and task.world is not None and not streamed:
            called = call_graph(self.plan, input, task, options=call)
            return _put_out(called, output or self.result), task.world.inside(self.on_event)
        return finishing(self.plan, runs.invoke(self.plan, input, call), call, output or self.result), self.world(call)

    def _resume(
        self,
        session_id: str,
        answer: Any,
        answers: Mapping[str, Any] | None,
        options: Mapping[str, Any],
        audience: Audience = NOBODY,
    ) -> tuple[Flow[GraphResult], World]:
        self._need_db()
        if "config" in options:
            raise TypeError(_NO_CONFIG)
        checks.names(options, (*_OF_A_RUN, "answer", "answers"), "option")
        check_resumed(session_id)
        checks.keyed("answers", answers, none="none")
        if options.get("idempotency_key") is not None:
            raise ValueError("an idempotency_key is for beginning a run; resume() needs none")
        call = self.call(options, session_id=session_id, audience=audience)
        return finishing(self.plan, runs.resume(self.plan, call, answer, answers), call, self.result), self.world(call)

    def call(self, options: Mapping[str, Any], *, session_id: str | None = None, audience: Audience = NOBODY) -> CallOptions:
        """What one call says (RunOptions), checked. Raises TypeError for an unknown option, ValueError for a wrong value."""
        if "config" in options:
            raise TypeError(_NO_CONFIG)
        checks.names(options, _OF_A_RUN, "option")
        for name in options:
            if name in _CALL_CHECKS:
                _CALL_CHECKS[name](name, options[name])
        options = {"durability": self.plan.durability, **options}
        heard = audience if self.on_event is None else EVERYBODY
        call = CallOptions(session_id=session_id, db=self.db, audience=heard, run_id=new_id(), **options)
        inherits = call.context is None and self.db is None and current_task.get() is not None
        if self.plan.context_schema is not None and not inherits:
            call.context = context_value(self.plan.context_schema, call.context)
        call.component_id = self.plan.name
        return call

    def world(self, call: CallOptions) -> World:
        """The surroundings of one run."""
        return World(self.db, self.on_event, call)

    def result(self, ended: Ended) -> GraphResult:
        """How a run ended, for users."""
        part = self.plan.output_schema
        values = ended.values if part is None else part.part(ended.values)
        schema = part or self.plan.schema
        shown = schema.view(values) if ended.status == "completed" else schema.shown(values)
        return GraphResult(
            values, shown, ended.status, ended.interrupts, ended.session_id, ended.run_id, ended.seq, ended.metrics
        )

    def _need_db(self) -> Db:
        if self.db is None:
            raise NoDatabase(f"graph {self.plan.name!r} has no database, so nothing was stored; compile it with db=SqliteDb(…)")
        return self.db

    def _with_db(self, flow: Flow[T]) -> tuple[Flow[T], World]:
        return flow, World(self._need_db())

    def _look(self, session_id: str, user_id: str | None, at: int | None, ns: str) -> tuple[Flow[Snapshot], World]:
        plan = plan_at(self.plan, checks.text("ns", ns))
        checks.whole("at", at, none="the last")
        return shown(plan, sessions.get_state(plan, session_id, user_id, at, ns, self.plan)), World(self._need_db())

    def _look_back(
        self, session_id: str, user_id: str | None, limit: int | None, ns: str
    ) -> tuple[Flow[list[Snapshot]], World]:
        plan = plan_at(self.plan, checks.text("ns", ns))
        checks.whole("limit", limit, none="all")
        return all_shown(plan, sessions.get_state_history(plan, session_id, user_id, limit, ns)), World(self._need_db())


def _put_out(flow: Flow[Ended], output: Callable[[Ended], Any]) -> Flow[Any]:
    ended = yield from flow
    return output(ended)


def checked_durability(value: Any) -> Any:
    """The value itself, when it is one."""
    return checks.one_of("durability", value, ("sync", "exit"))


_NO_CONFIG: Final = "there is no option 'config'; write session_id= for its thread_id, context= for what nodes are given"
_OF_A_RUN: Final = ("session_id", *RunOptions.__annotations__)
"""The names of what a call may say."""
_CALL_CHECKS: Mapping[str, Callable[[str, Any], Any]] = {
    "durability": lambda name, value: checked_durability(value),
    "recursion_limit": lambda name, value: checks.whole(name, value, 1),
    "max_concurrency": lambda name, value: checks.whole(name, value, 1, none="no bound"),
    "on_unfinished": lambda name, value: checks.one_of(name, value, ("raise", "abandon"), none="what the graph does by itself"),
    "on_busy": lambda name, value: checks.one_of(name, value, ("wait", "reject", "cancel")),
}
"""What the options of a call may be that can be checked before it begins."""
