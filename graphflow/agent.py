"""Agent: a model with instructions and tools, compiled to a graph whose sessions are stored."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from operator import attrgetter
from typing import TYPE_CHECKING, Any

from graphflow.assistant import PAST, Assistant
from graphflow.lazy import deferred
from graphflow.output import RunOutput as RunOutput
from graphflow.output import RunStatus as RunStatus
from graphflow.output import ToolExecution as ToolExecution
from graphflow.settings import check_settings, history_of

if TYPE_CHECKING:
    from graphflow.contextpolicies import HistoryPolicy, MemoryPolicy, SummaryPolicy
    from graphflow.core.reducers import Reducer
    from graphflow.db.base import Db
    from graphflow.drive.world import Emitter
    from graphflow.graph import Graph
    from graphflow.models.base import Model
    from graphflow_nodes.model import Instructions

agentgraph = deferred("graphflow.agentgraph")

_COMPILED = attrgetter(
    *("name", "instructions", "tools", "db", "history", "output_schema", "tool_call_limit", "on_tool_error", "on_event"),
    "session_state_reducers",
    *PAST,
)
"""Gives the settings of an agent that its graph is made of."""


class Agent(Assistant):
    """A model with instructions, tools and, given a ``db``, sessions that survive.

    ``model``: a Model, a text like ``"openai:gpt-5-mini"`` or ``"offline"``, or None for what the environment says
    (``GRAPHFLOW_MODEL``, ``OPENAI_API_KEY``). ``instructions``: text, lines, or a function of the Context, def or async def,
    that gives them. ``tools``: functions or ``@tool``s. ``name``: what the database lists its sessions under
    (``component_id``). ``description``: what it is for, as
    the leader of a team reads it (without one, the beginning of the instructions). ``db``: keeps sessions and memories;
    without one a run lives as long as its call. ``session_id``, ``user_id``: defaults for its runs; an Agent never keeps the id
    of a run, so a server may share one. ``add_history_to_context``, ``num_history_runs``: whether the messages of the last runs
    go into the context, and of how many (None: all); ``history`` says it more finely and goes before. ``session_state``: keys a
    session begins with; ``session_state_reducers``: how a key that several tools change at once is put together, ``{"calls":
    operator.add}`` (see ``keyed``); ``enable_agentic_state``: a tool with which the model writes to it.
    ``enable_session_summaries``: keep a rolling summary of each session, in the context in the place of the beginning
    (``add_session_summary_to_context``; settings: ``summary``). ``update_memory_on_run``: keep what the user says about
    themselves, beside the answer, and bring it into the context of all their sessions (settings: ``memory``);
    ``enable_agentic_memory``: tools with which the model does so. ``output_schema``: a pydantic model (or other type) the
    answer has to be. ``tool_call_limit``: tool calls of one run before the model has to answer. ``on_tool_error``: "message"
    shows a raising tool's error to the model, "raise" fails the run. ``on_event``: called with every Event.

    Making one costs microseconds: the graph is compiled when it is first used, and anew after a setting was changed (the list
    of tools in place, too). Raises ValueError for a setting that cannot be.
    """

    __slots__ = (
        "db",
        "description",
        "instructions",
        "on_event",
        "on_tool_error",
        "output_schema",
        "session_id",
        "session_state",
        "session_state_reducers",
        "tool_call_limit",
        "tools",
        "user_id",
    )

    def __init__(
        self,
        model: Model | str | None = None,
        *,
        name: str | None = None,
        description: str | None = None,
        instructions: Instructions = None,
        tools: Sequence[Callable[..., Any]] = (),
        db: Db | None = None,
        session_id: str | None = None,
        user_id: str | None = None,
        session_state: Mapping[str, Any] | None = None,
        session_state_reducers: Mapping[str, Reducer] | None = None,
        add_history_to_context: bool = True,
        num_history_runs: int | None = 3,
        history: HistoryPolicy | None = None,
        enable_session_summaries: bool = False,
        add_session_summary_to_context: bool | None = None,
        summary: SummaryPolicy | None = None,
        update_memory_on_run: bool = False,
        enable_agentic_memory: bool = False,
        memory: MemoryPolicy | None = None,
        enable_agentic_state: bool = False,
        output_schema: type[Any] | None = None,
        tool_call_limit: int = 25,
        on_tool_error: str = "message",
        on_event: Emitter | None = None,
    ) -> None:
        self.model = model
        self.name = name
        self.description = description
        self.instructions = instructions
        self.tools = tools
        self.db = db
        self.session_id = session_id
        self.user_id = user_id
        self.session_state = session_state
        self.session_state_reducers = session_state_reducers
        self.add_history_to_context = add_history_to_context
        self.history = history_of(history, num_history_runs)
        self.enable_session_summaries = enable_session_summaries
        self.add_session_summary_to_context = add_session_summary_to_context
        self.summary = summary
        self.update_memory_on_run = update_memory_on_run
        self.enable_agentic_memory = enable_agentic_memory
        self.memory = memory
        self.enable_agentic_state = enable_agentic_state
        self.output_schema = output_schema
        self.tool_call_limit = tool_call_limit
        self.on_tool_error = on_tool_error
        self.on_event = on_event
        self._edited = self._graphs = self._printed = self._resolved = None
        check_settings(self)

    @property
    def component_id(self) -> str:  # type: ignore[override]
        """What the database lists this agent's sessions under."""
        return self.name or "agent"

    def _settings(self) -> tuple[Any, ...]:
        settings: tuple[Any, ...] = _COMPILED(self)
        return (*settings, *self.tools) if type(self.tools) is list else settings

    def _compile(self, with_history: bool) -> Graph:
        graph: Graph = agentgraph.compile_agent(self, with_history)
        return graph
