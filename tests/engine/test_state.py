"""State: what a class declares, what may be written, how writes are merged."""

from __future__ import annotations

import operator
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date
from typing import Annotated, Any, Literal, NotRequired, TypedDict

import pytest
from pydantic import BaseModel, ConfigDict, Field, field_validator

from graphflow import (
    END,
    START,
    Command,
    Message,
    Overwrite,
    RemoveMessage,
    StateGraph,
    add_messages,
    append,
    logged,
    merge,
    per_run,
    untracked,
)
from graphflow.db import SqliteDb
from graphflow.errors import GraphError, InvalidUpdate


def one_node(state: type, node: Callable[..., Any]) -> Any:
    """A graph of a single node."""
    return StateGraph(state).add_node("node", node).add_edge(START, "node").add_edge("node", END).compile()


def two_nodes(state: type, first: Callable[..., Any], second: Callable[..., Any]) -> Any:
    """A graph of two nodes that run in the same superstep."""
    builder = StateGraph(state).add_node("first", first).add_node("second", second)
    for name in ("first", "second"):
        builder.add_edge(START, name).add_edge(name, END)
    return builder.compile()


class Words(TypedDict):
    topic: str
    words: Annotated[list[str], append]
    count: Annotated[int, operator.add]
    facts: Annotated[dict[str, int], merge]
    extra: NotRequired[float]


@dataclass
class Page:
    title: str
    lines: Annotated[list[str], operator.add] = field(default_factory=list)
    number: int = 1


class Order(BaseModel):
    item: str
    amount: int = Field(default=1, ge=1)
    log: Annotated[list[str], append] = []

    @field_validator("item")
    @classmethod
    def lower(cls, value: str) -> str:
        return value.lower()


def test_reducers_merge_what_parallel_nodes_write_in_order_of_declaration(way):
    graph = two_nodes(
        Words,
        lambda s: {"words": ["a"], "count": 1, "facts": {"x": 1, "y": 1}},
        lambda s: {"words": ["b"], "count": 2, "facts": {"y": 2}},
    )
    result = way.invoke(graph, {"topic": "tea", "words": ["start"], "count": 10})
    assert result.value == {"topic": "tea", "words": ["start", "a", "b"], "count": 13, "facts": {"x": 1, "y": 2}}


def test_channels_with_a_reducer_start_empty_and_plain_ones_hold_nothing(way):
    seen = {}
    graph = one_node(Words, lambda s: seen.update(s))
    way.invoke(graph, {})
    assert seen == {"words": [], "count": 0, "facts": {}}


def test_a_dataclass_state_is_given_as_a_dataclass_and_may_be_returned(way):
    def node(page: Page) -> Page:
        assert isinstance(page, Page)
        return Page(title=page.title.upper(), lines=["new"], number=page.number + 1)

    result = way.invoke(one_node(Page, node), Page("hello", ["old"]))
    assert result.value == Page("HELLO", ["old", "new"], 2)


def test_a_node_may_change_its_copy_of_the_state_and_give_it_back(way):
    def turn(page: Page) -> Page:
        page.number += 1
        return page

    def more(order: Order) -> Order:
        order.amount += 1
        return order

    assert way.invoke(one_node(Page, turn), Page("hello", ["old"])).value == Page("hello", ["old"], 2)
    assert way.invoke(one_node(Order, more), {"item": "tea", "log": ["old"]}).value == Order(item="tea", amount=2, log=["old"])


def test_a_dataclass_field_without_a_value_is_named(way):
    with pytest.raises(InvalidUpdate, match="title") as caught:
        way.invoke(one_node(Page, lambda page: None), {"number": 3})
    assert caught.value.field == "title"


def test_a_pydantic_state_is_given_as_the_model_and_its_constraints_hold(way):
    def node(order: Order) -> dict[str, Any]:
        assert isinstance(order, Order)
        return {"amount": order.amount + 1, "log": ["more"]}

    result = way.invoke(one_node(Order, node), {"item": "tea"})
    assert result.value == Order(item="tea", amount=2, log=["more"])
    with pytest.raises(InvalidUpdate, match="greater than or equal to 1"):
        way.invoke(one_node(Order, lambda order: {"amount": 0}), {"item": "tea"})


def test_a_pydantic_field_validator_is_applied_to_what_is_written(way):
    result = way.invoke(one_node(Order, lambda order: {"item": "COFFEE"}), {"item": "TEA"})
    assert result.value.item == "coffee"


@pytest.mark.parametrize(
    ("update", "field"),
    [
        ({"topic": 5}, "topic"),
        ({"words": "text"}, "words"),
        ({"words": ["a", 1]}, "words"),
        ({"count": "3"}, "count"),
        ({"facts": {"a": "b"}}, "facts"),
        ({"facts": [1]}, "facts"),
        ({"extra": "x"}, "extra"),
    ],
)
def test_a_wrong_type_names_field_and_node(way, update, field):
    with pytest.raises(InvalidUpdate) as caught:
        way.invoke(one_node(Words, lambda s: update), {})
    assert caught.value.field == field
    assert caught.value.nodes == ("node",)
    assert repr(field) in str(caught.value) and "'node'" in str(caught.value)


def test_a_wrong_type_in_the_input_is_refused_too(way):
    with pytest.raises(InvalidUpdate, match="the input wrote 5 to 'topic'"):
        way.invoke(one_node(Words, lambda s: None), {"topic": 5})


def test_an_unknown_key_suggests_the_nearest_field(way):
    with pytest.raises(InvalidUpdate, match="did you mean 'topic'"):
        way.invoke(one_node(Words, lambda s: {"topik": "x"}), {})
    with pytest.raises(InvalidUpdate, match="the input wrote 'topik'"):
        way.invoke(one_node(Words, lambda s: None), {"topik": "x"})


def test_two_writes_to_a_plain_field_name_the_field_and_both_nodes(way):
    graph = two_nodes(Words, lambda s: {"topic": "a"}, lambda s: {"topic": "b"})
    with pytest.raises(InvalidUpdate, match="reducer") as caught:
        way.invoke(graph, {})
    assert (caught.value.field, caught.value.nodes) == ("topic", ("first", "second"))


@pytest.mark.parametrize("value", [5, "text", [1], object()])
def test_a_node_that_returns_no_update_is_told_what_to_return(way, value):
    with pytest.raises(InvalidUpdate, match="node"):
        way.invoke(one_node(Words, lambda s: value), {})


@pytest.mark.parametrize(
    ("value", "told"),
    [
        ([{"words": ["a"]}, 1], "returned int as item 1 of a list; "),
        (("a", "b"), "returned str as item 0 of a tuple; "),
        (Command(5), "returned int as the update of a Command; "),
        (5, "returned int; a node returns a dict of the fields it changes, a Command, None, or a list of these"),
    ],
)
def test_what_is_no_update_is_named_with_its_place(way, value, told):
    with pytest.raises(InvalidUpdate, match=told):
        way.invoke(one_node(Words, lambda s: value), {})


def test_a_list_of_updates_is_written_in_its_order(way):
    assert way.invoke(one_node(Words, lambda s: [{"words": ["a"]}, None, {"words": ["b"]}]), {})["words"] == ["a", "b"]


def test_overwrite_replaces_and_must_be_alone(way):
    graph = one_node(Words, lambda s: {"words": Overwrite(["only"])})
    assert way.invoke(graph, {"words": ["a", "b"]})["words"] == ["only"]
    both = two_nodes(Words, lambda s: {"words": Overwrite(["x"])}, lambda s: {"words": ["y"]})
    with pytest.raises(InvalidUpdate, match="Overwrite"):
        way.invoke(both, {})
    with pytest.raises(InvalidUpdate):
        way.invoke(one_node(Words, lambda s: {"words": Overwrite("text")}), {})


def biggest(old: int | None, new: int) -> int:
    return new if old is None else max(old, new)


def joined(old, new):
    return f"{old}{new}"


class Custom(TypedDict):
    top: Annotated[int, biggest]
    text: Annotated[str, joined]
    seen: Annotated[set[str], operator.or_]
    length: Annotated[str, lambda old, new: old + "x" * new]


def test_any_callable_is_a_reducer(way):
    graph = two_nodes(
        Custom, lambda s: {"top": 3, "text": "a", "seen": {"p"}}, lambda s: {"top": 2, "text": "b", "seen": {"q"}}
    )
    result = way.invoke(graph, {"top": 1})
    assert result.value == {"top": 3, "text": "ab", "seen": {"p", "q"}, "length": ""}


def test_a_custom_reducers_second_parameter_says_what_may_be_written(way):
    with pytest.raises(InvalidUpdate, match="top"):
        way.invoke(one_node(Custom, lambda s: {"top": "high"}), {})


def test_an_async_reducer_is_refused():
    async def later(old: int, new: int) -> int:
        return new

    with pytest.raises(GraphError, match=r"S\.n: a reducer is a plain def, and <function .*later.* is an async def"):
        StateGraph(TypedDict("S", {"n": Annotated[int, later]}))


def test_a_custom_reducer_without_annotations_has_its_result_checked(way):
    assert way.invoke(one_node(Custom, lambda s: {"length": 3}), {})["length"] == "xxx"
    graph = one_node(TypedDict("S", {"n": Annotated[int, lambda old, new: "text"]}), lambda s: {"n": 1})
    with pytest.raises(InvalidUpdate, match="with what node 'node' wrote, the reducer '<lambda>' gave 'text' for 'n'"):
        way.invoke(graph, {})
    with pytest.raises(InvalidUpdate, match="with what the input wrote, the reducer '<lambda>' gave 'text' for 'n'"):
        way.invoke(graph, {"n": 1})


def test_a_first_write_that_no_reducer_was_asked_about_is_the_nodes_own(way):
    graph = one_node(TypedDict("S", {"d": Annotated[date, lambda old, new: new]}), lambda s: {"d": "text"})
    with pytest.raises(InvalidUpdate, match="node 'node' wrote 'text' to 'd', declared as date"):
        way.invoke(graph, {})


class Chat(TypedDict):
    messages: Annotated[list[Message], add_messages]


def test_messages_are_added_replaced_and_removed_by_id(way):
    def node(state):
        first = state["messages"][0]
        return {"messages": [Message("user", "changed", id=first.id), ("assistant", "hello"), RemoveMessage(id="gone")]}

    result = way.invoke(one_node(Chat, node), {"messages": [("user", "hi"), Message("user", "x", id="gone")]})
    assert [(m.role, m.content) for m in result["messages"]] == [("user", "changed"), ("assistant", "hello")]
    ids = [m.id for m in result["messages"]]
    assert all(ids) and len(set(ids)) == 2


def test_messages_may_be_pairs_dicts_or_one_message(way):
    given = {"messages": {"role": "user", "content": "dict"}}
    assert way.invoke(one_node(Chat, lambda s: {"messages": ("assistant", "pair")}), given)["messages"][1].text == "pair"
    with pytest.raises(InvalidUpdate, match="messages"):
        way.invoke(one_node(Chat, lambda s: {"messages": "just text"}), {})


def test_removing_an_unknown_message_is_an_error(way):
    with pytest.raises(InvalidUpdate, match="nobody"):
        way.invoke(one_node(Chat, lambda s: {"messages": RemoveMessage(id="nobody")}), {})


def test_a_node_gets_its_own_copy_of_the_top_level(way):
    def spoil(state):
        state["topic"] = "spoiled"
        state["new"] = 1

    assert way.invoke(one_node(Words, spoil), {"topic": "tea"})["topic"] == "tea"


def test_classes_that_are_no_state_are_refused():
    class Plain:
        x: int

    class Empty(TypedDict):
        pass

    for wrong in (Plain, Empty, dict, "Words"):
        with pytest.raises(GraphError):
            StateGraph(wrong)
    with pytest.raises(GraphError, match="logged"):
        StateGraph(TypedDict("S", {"x": Annotated[list[str], append, logged]}))


class Lives(TypedDict):
    kept: int
    fresh: Annotated[list[str], append, per_run]
    secret: Annotated[str, untracked]
    mode: Literal["a", "b"]


def test_lifetimes_session_per_run_and_untracked(way, db):
    graph = one_node_db(Lives, lambda s: {"fresh": ["node"]}, db)
    way.invoke(graph, {"kept": 1, "fresh": ["in"], "secret": "s3cret", "mode": "a"}, session_id="s")
    second = way.invoke(graph, {"fresh": ["again"]}, session_id="s")
    assert second.value == {"kept": 1, "fresh": ["again", "node"], "mode": "a"}
    assert "secret" not in way.get_state(graph, "s").values


def one_node_db(state: type, node: Callable[..., Any], db: Any) -> Any:
    return StateGraph(state).add_node("node", node).add_edge(START, "node").add_edge("node", END).compile(db=db)


def test_a_secret_is_nowhere_in_the_database(tmp_path):
    path = tmp_path / "s.db"
    db = SqliteDb(db_file=str(path))
    graph = one_node_db(Lives, lambda s: {"kept": len(s["secret"])}, db)
    assert graph.invoke({"secret": "correct-horse-battery"}, session_id="s")["kept"] == 21
    db.close()
    assert all(b"correct-horse" not in file.read_bytes() for file in tmp_path.iterdir())


class Open(BaseModel):
    """A model that says what type its extra fields have, as pydantic wants that said."""

    model_config = ConfigDict(extra="allow")
    __pydantic_extra__: dict[str, int] = Field(init=False)  # type: ignore[assignment]
    n: int = 0


def test_a_model_with_typed_extra_fields_is_seen_whole(way):
    seen: list[Open] = []

    def node(state: Open) -> dict[str, int]:
        seen.append(state)
        return {"n": state.n + 1}

    result = way.invoke(one_node(Open, node), {"n": 1})
    assert seen == [Open(n=1)] and seen[0].model_dump() == {"n": 1} and repr(seen[0]) == "Open(n=1)"
    assert result.values["n"] == 2
    with pytest.raises(AttributeError):
        _ = seen[0].unknown


def test_a_type_that_cannot_be_checked_is_told_with_the_field_that_has_it():
    class Counted(TypedDict):
        counts: defaultdict

    with pytest.raises(GraphError, match=r"^Counted\.counts: the type <class 'collections.defaultdict'> cannot be checked"):
        StateGraph(Counted).add_node("n", lambda state: None).add_edge(START, "n").add_edge("n", END).compile()


def test_messages_stay_in_the_order_in_which_a_node_put_them(way, db):
    def insert(state):
        *_, last = state["messages"]
        return {"messages": [RemoveMessage(id=last.id), Message("system", "note", id="n"), last]}

    graph = one_node_db(Chat, insert, db)
    given = [Message("user", "hi", id="u"), Message("assistant", "hello", id="a")]
    assert [message.id for message in way.invoke(graph, {"messages": given}, session_id="s")["messages"]] == ["u", "n", "a"]
    assert [message.id for message in graph.get_state("s").values["messages"]] == ["u", "n", "a"]
