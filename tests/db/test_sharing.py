"""What occurs in several places of a state is written once, and comes back in all of them."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Annotated, Any, TypedDict

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel

from graphflow import END, START, Send, StateGraph
from graphflow.core.control import MISSING
from graphflow.core.reducers import append, apply_op
from graphflow.core.state import state_schema
from graphflow.core.stored import TaskResult, TaskRow
from graphflow.db import SqliteDb, retention
from graphflow.db.codec import encode_delta, write_value
from graphflow.db.jsontext import loads
from graphflow.db.rows import decode_task, encode_task, input_digest
from graphflow.db.typed import difference
from graphflow.errors import SerializationError
from tests.conftest import Way

ROW = {"text": "x" * 1_000, "cells": [1, None, (2, 3)]}


def stored(value: Any) -> Any:
    return loads(write_value(value, "value"))


def test_an_object_that_occurs_again_is_written_once_and_is_one_object_again() -> None:
    text = write_value([ROW, {"row": ROW}, ROW], "value")
    assert text.count("x" * 1_000) == 1
    again = loads(text)
    assert again == [ROW, {"row": ROW}, ROW] and again[0] is again[1]["row"] is again[2]


def test_equal_objects_are_not_shared() -> None:
    one, other = stored([[1, [2]], [1, [2]]])
    one[1].append(3)
    assert other == [1, [2]]


def test_parts_of_what_is_shared_are_shared() -> None:
    part = [1, (2,)]
    whole = {"part": part, "more": {"$": [part]}}
    value = [[whole, part], whole, (part, whole), {3: whole, (1,): part}]
    again = stored(value)
    assert difference(value, again) is None
    assert again[1] is again[0][0] and again[1]["part"] is again[0][1]


def grown(parts: list[Any], shape: tuple[int, list[int], Any]) -> list[Any]:
    """The parts and one more, made of some of them."""
    kind, members, leaf = shape
    chosen = [parts[at % len(parts)] for at in members]
    made: Any = [[leaf, *chosen], {f"k{at}": item for at, item in enumerate(chosen)}, (leaf, *chosen)][kind % 3]
    return [*parts, made if kind < 3 else {"$": made, 5: leaf}]


leaves = st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary()
shapes = st.lists(st.tuples(st.integers(0, 3), st.lists(st.integers(0, 20), max_size=4), leaves), max_size=9)


@settings(max_examples=200, deadline=None)
@given(shapes)
def test_whatever_is_woven_from_shared_parts_comes_back(made_of: list[tuple[int, list[int], Any]]) -> None:
    parts: list[Any] = [[]]
    for shape in made_of:
        parts = grown(parts, shape)
    again = stored(parts)
    assert difference(parts, again) is None
    text = write_value(parts, "value")
    assert write_value(again, "value") == text, "what was one object is one object again"


def test_what_doubles_at_each_level_is_written_in_a_line() -> None:
    value: Any = ["leaf"]
    for _ in range(16):
        value = [value, value]
    assert len(write_value(value, "value")) < 1_000
    assert stored(value) == value


def nested(depth: int) -> Any:
    value: Any = [1]
    for _ in range(depth - 1):
        value = [value]
    return value


def test_what_occurs_again_may_not_be_nested_too_deeply_there_either() -> None:
    deep = nested(195)
    assert stored([deep, [deep]]) == [deep, [deep]]
    for value in ([deep, nested(8), [[[[[[deep]]]]]]], [[[[[[[deep]]]]]], deep]):
        with pytest.raises(SerializationError, match="nested too deeply"):
            write_value(value, "value")


def test_what_is_shared_at_every_level_still_fits_the_parser() -> None:
    value: Any = nested(188)
    for _ in range(12):
        value = [value, value]
    text = write_value(value, "value")
    assert text.count("anchor") == 12 and loads(text) == value


class Lists(TypedDict):
    one: Annotated[list[Any], append]
    two: list[Any]
    three: list[Any]


def test_channels_that_hold_the_same_list_do_not_grow_together() -> None:
    both = [ROW, [1]]
    delta = loads(encode_delta(state_schema(Lists), {"one": {"set": both}, "two": {"set": both}, "three": {"set": [both]}}))
    one, two, three = (apply_op(MISSING, delta[name]) for name in ("one", "two", "three"))
    assert one[0] is two[0] is three[0][0]
    apply_op(one, {"append": [2]})
    assert (one, two, three) == ([*both, 2], both, [both])


class Item(BaseModel):
    name: str


def keep(old, new):  # type: ignore[no-untyped-def]
    return new


class Mixed(TypedDict):
    items: Annotated[list[list[Any] | Item], keep]
    rows: list[Any]


def test_nothing_refers_to_what_was_packed_in_vain() -> None:
    row = [[1]]
    # The list is packed as it is until the model, and then once more by its declared type.
    result = TaskResult([("items", [row, Item(name="b")]), ("rows", [row, row])])
    schema = state_schema(Mixed)
    text = encode_task(TaskRow("t", "node", "result", result), schema)
    assert decode_task("result", text, schema) == result and "alias" in text


def test_inputs_are_equal_however_they_were_put_together() -> None:
    schema = state_schema(Lists)
    one = TaskResult([("two", [ROW, ROW]), ("three", [ROW])])
    other = TaskResult([("three", [dict(ROW)]), ("two", [dict(ROW), dict(ROW)])])
    assert input_digest(one, schema) == input_digest(other, schema)


def test_chains_of_what_was_shared_are_folded() -> None:
    first, second = [1, ["first"]], [2, ["second"]]
    deltas = [
        {"a": {"set": [first]}, "b": {"set": [first, {"$": first}]}},
        {"a": {"set": [second]}, "b": {"append": [second, second]}, "c": {"merge": {"x": second}}},
    ]
    text = retention.snapshot_of([write_value(delta, "state") for delta in deltas], {"b"})
    assert text.count("first") == 1 and text.count("second") == 1
    made = loads(text)
    assert made == {"a": {"set": [second]}, "b": {"set": [first, {"$": first}, second, second]}, "c": {"merge": {"x": second}}}


@pytest.mark.parametrize("tag", ['["alias",0]', '["anchor",0]', '["alias"]', '["alias",[]]', '["anchor",{},1]'])
def test_a_text_that_refers_to_nothing_is_an_error(tag: str) -> None:
    with pytest.raises(SerializationError):
        loads(f'[{{"$":{tag}}}]')


WORDS: list[Callable[[], Any]] = [
    lambda: ["NaN", math.nan, "-Infinity", -math.inf],
    lambda: "NaN and Infinity are words",
    lambda: ["9" * 10_000, 7],
    lambda: [10**4_299, "9" * 2_000, 10**4_300, -(10**9_000)],
    lambda: {"9" * 5_000: "\ud800" * 3_000},
]


@pytest.mark.parametrize("make", WORDS)
def test_numbers_and_texts_that_look_like_them_come_back(make: Callable[[], Any]) -> None:
    assert difference([make(), ROW], stored([make(), ROW])) is None


class Rows(TypedDict):
    rows: Annotated[list[Any], append]
    newest: Any
    turns: int


@pytest.mark.parametrize("durability", ["sync", "exit"])
def test_a_state_that_holds_its_rows_many_times_is_stored_once(way: Way, tmp_path: Any, durability: str) -> None:
    def spread(state: Any) -> dict[str, Any]:
        return {"rows": [state["newest"]] * 50, "newest": state["newest"], "turns": state["turns"] + 1}

    builder = StateGraph(Rows).add_node("spread", spread).add_node("end", lambda state: {}).add_edge(START, "spread")
    builder.add_conditional_edges("spread", lambda state: "spread" if state["turns"] < 4 else Send("end", dict(state)))
    builder.add_edge("end", END)
    file = tmp_path / "rows.db"
    db = SqliteDb(file)
    graph = builder.compile(db=db)
    done = way.invoke(graph, {"newest": ROW, "turns": 0}, session_id="s", durability=durability)
    assert done["rows"] == [ROW] * 200
    db.close()
    again = SqliteDb(file)
    state = builder.compile(db=again).get_state("s").values
    assert state["rows"] == [ROW] * 200 and state["newest"] == ROW and again.check().ok
    again.close()
    assert file.read_bytes().count(b"x" * 1_000) < 20
