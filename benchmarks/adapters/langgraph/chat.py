"""langgraph's conversations, as its documentation writes one: a list of messages with a reducer, and one node."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from typing import Annotated, Any, TypedDict

from langchain_core.messages import AIMessage, AnyMessage, HumanMessage
from langgraph.channels import DeltaChannel
from langgraph.graph import END, START, StateGraph
from langgraph.graph.message import _messages_delta_reducer, add_messages

from benchmarks.adapters.langgraph.stores import saver_on
from benchmarks.conversation import SESSION
from benchmarks.store import Store

WRITING = {"durability": "exit"}
"""Options of turns that are only to leave a conversation behind: by default each writes the whole state several times."""


class Whole(TypedDict):
    """The list is stored whole, again and again."""

    messages: Annotated[list[AnyMessage], add_messages]


class Delta(TypedDict):
    """What was added is stored."""

    messages: Annotated[list[AnyMessage], DeltaChannel(_messages_delta_reducer)]


def app_of(node: Callable[..., Any], channel: str, saver: Any) -> Any:
    """The graph."""
    graph = StateGraph(Delta if channel == "delta" else Whole)
    graph.add_node("model", node)
    graph.add_edge(START, "model")
    graph.add_edge("model", END)
    return graph.compile(checkpointer=saver)


class Chat:
    """A graph on a checkpointer."""

    def __init__(self, store: Store, answers: Iterator[str], channel: str = "whole", **run: str) -> None:
        self._app = app_of(lambda state: {"messages": [AIMessage(next(answers))]}, channel, saver_on(store))
        self._run = run

    def turn(self, question: str, session: str = SESSION) -> Any:
        """One question and its answer."""
        config = {"configurable": {"thread_id": session}}
        return self._app.invoke({"messages": [HumanMessage(question)]}, config, **self._run)

    def needed(self) -> int:
        """The state, which is the whole conversation: nothing less can be read."""
        return len(self._app.get_state({"configurable": {"thread_id": SESSION}}).values["messages"])

    all = needed


async def service(
    store: Store, pool: int, answers: Iterator[str], channel: str = "whole", **run: str
) -> Callable[[str, str], Awaitable[Any]]:
    """The same on a pool of connections."""
    from langgraph.checkpoint.postgres.aio import AsyncPostgresSaver  # noqa: PLC0415 - see stores
    from psycopg.rows import dict_row  # noqa: PLC0415
    from psycopg_pool import AsyncConnectionPool  # noqa: PLC0415

    options: dict[str, Any] = {"autocommit": True, "prepare_threshold": 0, "row_factory": dict_row}
    connections: Any = AsyncConnectionPool(store.conninfo, min_size=pool, max_size=pool, kwargs=options, open=False)
    await connections.open(wait=True)
    saver = AsyncPostgresSaver(connections)
    await saver.setup()

    async def model(state: Any) -> dict[str, Any]:
        return {"messages": [AIMessage(next(answers))]}

    app = app_of(model, channel, saver)

    async def turn(session: str, question: str) -> Any:
        config = {"configurable": {"thread_id": session}}
        return await app.ainvoke({"messages": [HumanMessage(question)]}, config, **run)

    return turn
