"""States edited by hand while a nested graph waits: it goes on with what it began with, and takes no edit back."""

from __future__ import annotations

from typing import Annotated, Any, TypedDict

import pytest

from graphflow import END, START, Overwrite, StateGraph, add_messages, append, interrupt
from graphflow.messages import Message


class State(TypedDict, total=False):
    topic: str
    log: Annotated[list[str], append]
    messages: Annotated[list[Message], add_messages]
    facts: dict[str, str]
    answer: str
    beside: str


def asking(state: State) -> dict[str, Any]:
    answer = f"{interrupt('well?')} on {state['topic']}"
    return {"answer": answer, "log": ["asked"], "messages": [Message("assistant", "asked")]}


def inner(first: bool = False) -> Any:
    builder = StateGraph(State, name="inner")
    if first:
        builder.add_node("first", lambda state: {"log": ["first"], "facts": {"from": "inside"}})
        builder.add_node("ask", asking)
        builder.add_edge(START, "first").add_edge("first", "ask")
    else:
        builder.add_node("ask", asking)
        builder.add_edge(START, "ask")
    return builder.add_edge("ask", END).compile()


def around(db: Any, *, persist: bool = False, sibling: bool = False, first: bool = False) -> Any:
    builder = StateGraph(State, name="outer")
    builder.add_node("inner", inner(first), persist=persist)
    builder.add_edge(START, "inner").add_edge("inner", END)
    if sibling:
        builder.add_node("sibling", lambda state: {"beside": "done"})
        builder.add_edge(START, "sibling").add_edge("sibling", END)
    return builder.compile(db=db)


BEGUN: dict[str, Any] = {"topic": "cats", "log": ["in"], "messages": [Message("user", "hello", id="u")]}


@pytest.mark.parametrize("persist", [False, True], ids=["per call", "persist"])
@pytest.mark.parametrize("first", [False, True], ids=["at once", "after a node"])
def test_an_edit_beside_what_waits_stays(way, db, persist, first):
    graph = around(db, persist=persist, first=first)
    assert way.invoke(graph, BEGUN, session_id="s").status == "paused"
    graph.update_state("s", {"topic": "dogs"})
    result = way.resume(graph, "s", answer="yes")
    assert result["topic"] == "dogs"
    assert result["answer"] == "yes on cats", "inside, the state is what it began with"
    assert graph.get_state("s").values["topic"] == "dogs"


def test_what_is_added_by_hand_stays_beside_what_is_added_inside(way, db):
    graph = around(db, first=True)
    way.invoke(graph, BEGUN, session_id="s")
    graph.update_state("s", {"log": ["by hand"], "messages": [Message("user", "and this", id="h")]})
    result = way.resume(graph, "s", answer="yes")
    assert result["log"] == ["in", "by hand", "first", "asked"]
    assert [message.text for message in result["messages"]] == ["hello", "and this", "asked"]


def test_what_is_removed_by_hand_stays_away(way, db):
    graph = around(db)
    way.invoke(graph, {**BEGUN, "facts": {"a": "1"}}, session_id="s")
    graph.update_state("s", {"log": Overwrite([]), "facts": {}})
    result = way.resume(graph, "s", answer="yes")
    assert (result["log"], result["facts"]) == (["asked"], {})


def test_of_two_values_of_one_field_the_later_one_stands(way, db):
    graph = around(db, first=True)
    way.invoke(graph, BEGUN, session_id="s")
    graph.update_state("s", {"facts": {"from": "hand"}})
    assert way.resume(graph, "s", answer="yes")["facts"] == {"from": "inside"}


def test_an_edit_is_no_conflict_with_what_ran_beside(way, db):
    graph = around(db, sibling=True)
    way.invoke(graph, BEGUN, session_id="s")
    graph.update_state("s", {"beside": "edited"})
    result = way.resume(graph, "s", answer="yes")
    assert (result["beside"], result["answer"]) == ("done", "yes on cats")


def test_a_graph_that_asks_twice_takes_back_neither_edit(way, db):
    def twice(state: State) -> dict[str, Any]:
        return {"answer": f"{interrupt('one?')} and {interrupt('two?')}"}

    graph = (
        StateGraph(State, name="outer")
        .add_node("inner", StateGraph(State).add_node("ask", twice).add_edge(START, "ask").add_edge("ask", END).compile())
        .add_edge(START, "inner")
        .add_edge("inner", END)
        .compile(db=db)
    )
    way.invoke(graph, BEGUN, session_id="s")
    graph.update_state("s", {"topic": "dogs"})
    assert way.resume(graph, "s", answer=1).status == "paused"
    graph.update_state("s", {"facts": {"by": "hand"}})
    result = way.resume(graph, "s", answer=2)
    assert (result["topic"], result["facts"], result["answer"]) == ("dogs", {"by": "hand"}, "1 and 2")


def test_an_edit_stays_in_a_copy_of_the_session(way, db):
    graph = around(db)
    way.invoke(graph, BEGUN, session_id="s")
    graph.update_state("s", {"topic": "dogs"})
    copy = graph.fork("s")
    assert way.resume(graph, copy, answer="yes")["topic"] == "dogs"
