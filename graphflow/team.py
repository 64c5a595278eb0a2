"""Team: a leader that calls members as tools, compiled to a graph in which each member is a node."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from operator import attrgetter
from typing import Annotated, Any, Literal, Unpack

from graphflow.assistant import PAST, Assistant, PastSettings
from graphflow.builder import StateGraph
from graphflow.contextpolicies import HistoryPolicy
from graphflow.core.calls import CallOptions, Ended
from graphflow.core.control import END
from graphflow.core.reducers import Reducer, merge
from graphflow.core.state import per_run
from graphflow.db.base import Db
from graphflow.drive.world import Emitter
from graphflow.graph import Graph
from graphflow.models.base import Model
from graphflow.models.structured import parse_output
from graphflow.output import RunOutput as RunOutput
from graphflow.output import RunStatus as RunStatus
from graphflow.output import ToolExecution as ToolExecution
from graphflow.settings import check_settings, history_of
from graphflow.states import ConversationState, RecollectingState, with_reducers
from graphflow.surroundings import Surroundings
from graphflow.tools import Tool, tool_table
from graphflow_nodes.model import Instructions, call_tools, respond, wanted_calls
from graphflow_nodes.tasks import TeamTask, do_task, manage_tasks, report_tasks, started_tasks, task_tools
from graphflow_nodes.team import broadcast, delegate, delegation_tool, delegations, member_key, unless_answered

Way = tuple[str, Callable[[Any], Any], Sequence[str]]
"""A way that may lead to the end: a node, its router, and where else that leads."""
Mode = Literal["coordinate", "route", "broadcast", "tasks"]


class TaskState(ConversationState):
    """The channels of a team that works through a list of tasks."""

    tasks: Annotated[dict[str, TeamTask], merge, per_run]
    """The list of this run, by id."""


class RecollectingTaskState(RecollectingState):
    """The channels of a team that works through a list of tasks and recalls."""

    tasks: Annotated[dict[str, TeamTask], merge, per_run]
    """The list of this run, by id."""


@dataclass(frozen=True, slots=True)
class TeamMember:
    """A member under its id, which is what the leader calls it, its node, and the name of its message log."""

    id: str
    runs: Any
    """The Agent, Team, Workflow or Graph."""


_COMPILED = attrgetter(
    *("name", "mode", "model", "instructions", "tools", "db", "history", "output_schema", "share_member_interactions"),
    *("tool_call_limit", "max_iterations", "on_tool_error", "on_event", "session_state_reducers", *PAST),
)
"""Gives the settings of a team that its graph is made of, beside the graphs of its members."""

_NODES = ("history", "recall", "leader", "model", "tools", "broadcast", "tasks", "report", "remember", "summarize", "summary")
"""Names of nodes that no member can have."""


class Team(Assistant):
    """Members led by a model and, given a ``db``, sessions that survive.

    ``members``: Agents, Teams, Workflows (whose input is the task), Graphs whose state has messages. Each has its own
    instructions, tools, model and history; one without a model asks the team's. Its own ``db`` and ids are not used here: its
    steps and its messages are stored in the team's session, in a namespace named after its id. The id is its name in small
    letters and dashes; members without a name are agent-1, team-2 … by their place in the list, and a second one called x
    is x-2. What one is for, the leader is told by its ``description``, else by the beginning of its instructions.
    ``session_state`` is shared with the members, and their ``session_state_reducers`` hold for the team, too.

    ``mode``: "coordinate" (the leader gives members tasks, sees the answers, and answers itself), "route" (the leader picks the
    member whose answer is the answer, unchanged: an object of the member's ``output_schema``, unless the team has one; tools
    that the leader calls beside that run as well), "broadcast" (all members get the input at once, of a conversation what user
    and assistant said, then the leader sums up) or "tasks" (the leader makes a list of tasks with dependencies, has members do
    them, and finishes with the result).
    ``instructions`` and ``tools`` are the leader's. ``share_member_interactions``: members are told what others were asked and
    answered in the same run. ``tool_call_limit``: tool calls and delegations of one run, before the leader has to answer;
    in mode "tasks" it is ``max_iterations`` turns of the leader. The other settings are those of an Agent: summaries, memories
    and the tools about both are the leader's.

    Delegations of one message run in parallel. After a crash a member goes on where it was and a finished one is not run again;
    a question of a member pauses the run. Raises ValueError without members and for a setting that cannot be. Warns of members
    that are to remember what users say (``update_memory_on_run``) when the team is not: they hear its leader.
    """

    __slots__ = (
        "db",
        "description",
        "instructions",
        "max_iterations",
        "members",
        "mode",
        "on_event",
        "on_tool_error",
        "output_schema",
        "session_id",
        "session_state",
        "session_state_reducers",
        "share_member_interactions",
        "tool_call_limit",
        "tools",
        "user_id",
    )

    def __init__(
        self,
        members: Sequence[Any],
        *,
        mode: Mode = "coordinate",
        model: Model | str | None = None,
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
        share_member_interactions: bool = False,
        output_schema: type[Any] | None = None,
        tool_call_limit: int = 25,
        max_iterations: int = 25,
        on_tool_error: str = "message",
        on_event: Emitter | None = None,
        **past: Unpack[PastSettings],
    ) -> None:
        self.members = members
        self.mode = mode
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
        self.share_member_interactions = share_member_interactions
        self.output_schema = output_schema
        self.tool_call_limit = tool_call_limit
        self.max_iterations = max_iterations
        self.on_tool_error = on_tool_error
        self.on_event = on_event
        self._take_past(past)
        self._edited = self._graphs = self._printed = self._resolved = None
        check_settings(self)
        if not (self.update_memory_on_run or self.enable_agentic_memory):
            _warn_of_forgotten(members)

    @property
    def component_id(self) -> str:  # type: ignore[override]
        """What the database lists this team's sessions under."""
        return self.name or "team"

    def _parts(self) -> Sequence[Any]:
        """The members."""
        return self.members

    def _output(self, ended: Ended, call: CallOptions) -> RunOutput:
        output = super()._output(ended, call)
        schema = None if call.options.get("output_schema") or self.output_schema else self._routed_schema(output)
        return output if schema is None else replace(output, content=parse_output(schema, output.content))

    def _routed_schema(self, output: RunOutput) -> type[Any] | None:
        """What the answer has to be by the settings of the member that gave it to the user."""
        if self.mode != "route" or output.status != RunStatus.COMPLETED or not output.messages:
            return None
        spoke = output.messages[-1].name
        answered = (member.runs for member in identified(self.members) if member.id == spoke)
        return next((getattr(runs, "output_schema", None) for runs in answered), None)

    def _settings(self) -> tuple[Any, ...]:
        told = (getattr(member, "description", None) for member in self.members)
        tools = self.tools if type(self.tools) is list else ()
        return (*_COMPILED(self), *tools, *(getattr(member, "graph", member) for member in self.members), *told)

    def _compile(self, with_history: bool) -> Graph:
        members = identified(self.members)
        around = Surroundings(self, with_history)
        plain, recollecting = _STATES[self.mode == "tasks"]
        state = with_reducers(plain if around.extra is None else recollecting, self._session_reducers())
        builder = StateGraph(state, name=self.component_id)
        aliases = around.lead_to(builder, "broadcast" if self.mode == "broadcast" else "leader")
        around.finish(builder, _WIRING[self.mode](self, builder, members, (*self.tools, *around.tools)))
        plan = builder.plan(self.component_id, session_type="team", on_unfinished="abandon", aliases=aliases)
        return Graph(plan, db=self.db, on_event=self.on_event)

    # --- the four modes: each adds its nodes, and gives the ways that may lead to the end ---------------------------------

    def _coordinated(self, builder: StateGraph, members: Sequence[TeamMember], tools: Sequence[Any]) -> list[Way]:
        ids = self._add_delegation(builder, members, tools)
        for node in (*ids, "tools"):
            builder.add_edge(node, "leader")
        return [("leader", delegations(ids), [*ids, "tools"])]

    def _routed(self, builder: StateGraph, members: Sequence[TeamMember], tools: Sequence[Any]) -> list[Way]:
        # No limit for the one delegation there is: a member that has not answered would leave the run without an answer.
        settings = {"final": True, "output_schema": self.output_schema, "tool_call_limit": None}
        ids = self._add_delegation(builder, members, tools, **settings)
        builder.add_conditional_edges("tools", unless_answered(), ["leader", END])
        ends: list[Way] = [(id, _to_the_end, ()) for id in ids]
        return [("leader", delegations(ids, single=True), [*ids, "tools"]), *ends]

    def _broadcast(self, builder: StateGraph, members: Sequence[TeamMember], tools: Sequence[Any]) -> list[Way]:
        ids = [member.id for member in members]
        table = tool_table(tools)
        builder.add_node("broadcast", broadcast(ids), destinations=ids)
        for member in members:
            builder.add_node(member.id, self._delegate(member, ids, tool_call_limit=None))
            builder.add_edge(member.id, "leader")
        self._add_leader(builder, members, table)
        if table:
            self._add_tools(builder, table)
            builder.add_edge("tools", "leader")
        return [("leader", wanted_calls(), ["tools"] if table else [])]

    def _listed(self, builder: StateGraph, members: Sequence[TeamMember], tools: Sequence[Any]) -> list[Way]:
        ids = [member.id for member in members]
        table = tool_table([*task_tools(ids).values(), *tools])
        self._add_leader(builder, members, table)
        builder.add_node("tasks", manage_tasks(ids, output_schema=self.output_schema))
        shares = self.share_member_interactions
        for member in members:
            work = do_task(member.runs, name=member.id, share_member_interactions=shares, **self._given(member))
            builder.add_node(member.id, work)
            builder.add_edge(member.id, "report")
        self._add_tools(builder, table)
        builder.add_edge("tools", "report")
        builder.add_node("report", report_tasks())
        builder.add_edge("report", "leader")
        return [("leader", _to_the_list, ["tasks"]), ("tasks", started_tasks(), [*ids, "tools", "leader"])]

    # --- nodes -----------------------------------------------------------------------------------------------------------

    def _add_leader(self, builder: StateGraph, members: Sequence[TeamMember], table: Mapping[str, Tool]) -> None:
        listing = self.mode == "tasks"
        builder.add_node(
            "leader",
            respond(
                self._model,
                instructions=self.instructions,
                guide=f"{_GUIDE[self.mode]}\n\n{described(members)}",
                tools=table,
                tool_call_limit=_ANY_NUMBER if listing else self.tool_call_limit,
                turn_limit=self.max_iterations if listing else None,
                output_schema=self.output_schema,
            ),
        )

    def _add_delegation(
        self, builder: StateGraph, members: Sequence[TeamMember], tools: Sequence[Any], **settings: Any
    ) -> list[str]:
        """Add the leader, the members it delegates to, and its tools. The ids of the members."""
        ids = [member.id for member in members]
        table = tool_table([delegation_tool(ids), *tools])
        self._add_leader(builder, members, table)
        for member in members:
            builder.add_node(member.id, self._delegate(member, ids, **settings))
        self._add_tools(builder, table)
        return ids

    def _add_tools(self, builder: StateGraph, table: Mapping[str, Tool]) -> None:
        limit = _ANY_NUMBER if self.mode == "tasks" else self.tool_call_limit
        builder.add_node("tools", call_tools(table, on_tool_error=self.on_tool_error, tool_call_limit=limit))

    def _delegate(self, member: TeamMember, ids: Sequence[str], **settings: Any) -> Callable[..., Any]:
        shared_by = ids if self.share_member_interactions else ()
        told = {"tool_call_limit": self.tool_call_limit, **settings}
        return delegate(member.runs, name=member.id, shared_by=shared_by, **told, **self._given(member))

    def _given(self, member: TeamMember) -> dict[str, Any]:
        model = None if self.model is None else self._model
        return {"session_state": getattr(member.runs, "session_state", None), "model": model}


_STATES: tuple[tuple[type[Any], type[Any]], ...] = (ConversationState, RecollectingState), (TaskState, RecollectingTaskState)
_WIRING: dict[str, Callable[[Team, StateGraph, Sequence[TeamMember], Sequence[Any]], list[Way]]] = {
    "coordinate": Team._coordinated,
    "route": Team._routed,
    "broadcast": Team._broadcast,
    "tasks": Team._listed,
}
_ANY_NUMBER = 2**31


def _to_the_list(state: Any) -> list[str]:
    return ["tasks"] if state["messages"][-1].tool_calls else [END]


def _to_the_end(state: Any) -> list[str]:
    return [END]


# --- members, and what the leader is told of them -----------------------------------------------------------------------


def identified(members: Sequence[Any]) -> list[TeamMember]:
    """The members with their ids: the name as a key, else the kind with the place in the list; a number where one is taken."""
    taken = set(_NODES)
    found = []
    for place, member in enumerate(members, 1):
        kind = type(member).__name__.lower()
        id = base = member_key(getattr(member, "name", None) or "") or f"{kind}-{place}"
        number = 1
        while id in taken:
            number += 1
            id = f"{base}-{number}"
        taken.add(id)
        found.append(TeamMember(id, member))
    return found


def _warn_of_forgotten(members: Sequence[Any]) -> None:
    """Warn of members that are to remember what users say, in a team that does not."""
    for member in members:
        if getattr(member, "update_memory_on_run", False):
            warnings.warn(
                f"the member {member.name or type(member).__name__} has update_memory_on_run=True, but members of a team "
                "remember nothing, because it is the leader who hears the user: give update_memory_on_run=True to the Team",
                UserWarning,
                stacklevel=3,
            )


def described(members: Sequence[TeamMember]) -> str:
    """The members for their leader: id, name, purpose, and the names of tools, steps or members of their own."""
    return "\n".join(["The members of the team:", *map(_described, members)])


_LENGTH = 400
"""Characters of a member's instructions that the leader sees."""


def _described(member: TeamMember) -> str:
    runs = member.runs
    name, purpose = getattr(runs, "name", None), _purpose(runs)
    facts = [f"name: {name}"] if name and name != member.id else []
    facts += [purpose] if purpose else []
    if tools := getattr(runs, "tools", None):
        facts.append(f"tools: {', '.join(tool_table(tools))}")
    if steps := getattr(runs, "steps", None):
        facts.append(f"steps: {', '.join(step.name for step in steps)}")
    if isinstance(runs, Team):
        facts.append(f"leads: {', '.join(inner.id for inner in identified(runs.members))}")
    return f"- {member.id}: {'; '.join(facts)}" if facts else f"- {member.id}"


def _purpose(member: Any) -> str:
    """What a member is for: its description, else the beginning of its instructions, where these are there to be read."""
    described, told = getattr(member, "description", None), getattr(member, "instructions", None)
    if described or told is None or callable(told):
        return _on_one_line(described or "")
    words = _on_one_line(told if isinstance(told, str) else " ".join(told))
    return words if len(words) <= _LENGTH else f"{words[: _LENGTH - 1]}…"


def _on_one_line(text: str) -> str:
    return " ".join(text.split())


_GUIDE = {
    "coordinate": "You lead a team. Give its members tasks with delegate_task_to_member, several at once when they do not "
    "depend on each other. You see their answers, the user does not: answer the user yourself. Do alone what needs none.",
    "route": "You lead a team. Hand the user's request to the one member who fits best, with delegate_task_to_member. "
    "The user gets that member's answer as it is.",
    "broadcast": "You lead a team. Each member was given the user's request, and their answers are here as results of "
    "delegate_task_to_member. The user does not see them: answer the user with what they come to, and say where they differ.",
    "tasks": "You lead a team that works through a list of tasks. Split what the user asks for with create_task, and say what "
    "each task depends on. Have members do tasks with execute_task, or several at once with execute_tasks. When all that is "
    "needed is done, call finish with the whole answer: the user sees nothing else.",
}
