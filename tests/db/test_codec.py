"""What is loaded is equal to what was stored, in value and in exact type; anything else is refused before it is written."""

from __future__ import annotations

import collections
import dataclasses
import enum
import json
import math
import re
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple, TypedDict
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, ConfigDict, Field, PrivateAttr, SecretStr
from typing_extensions import TypedDict as ExtendedTypedDict

from graphflow.core.control import MISSING, Interrupt, Overwrite, Send
from graphflow.core.reducers import append, merge, merge_keys
from graphflow.core.state import StateSchema, state_schema, untracked
from graphflow.core.stored import Frontier, TaskResult, TaskRow
from graphflow.db.codec import channel_codecs, encode_delta, encode_snapshot, write
from graphflow.db.jsontext import dumps, loads
from graphflow.db.rows import decode_entry, decode_frontier, decode_task, encode_entry, encode_frontier, encode_task
from graphflow.db.typed import difference
from graphflow.errors import SerializationError
from graphflow.messages import FilePart, ImagePart, Message, RemoveMessage, TextPart, ToolCall


def schema_of(hint: Any) -> StateSchema:
    return state_schema(TypedDict("State", {"x": hint}))


def round_trip(hint: Any, value: Any) -> Any:
    schema = schema_of(hint)
    text = encode_delta(schema, {"x": {"set": value}})
    text.encode("utf-8")
    assert "\0" not in text
    return channel_codecs(schema)["x"].unpack(loads(text)["x"]["set"], "state.x")


def assert_same(value: Any, again: Any) -> None:
    assert difference(value, again) is None, f"{value!r} came back as {again!r}"


class Color(enum.Enum):
    RED = "red"
    BLUE = 2


class Level(enum.IntEnum):
    LOW = 1


class Item(BaseModel):
    name: str
    when: datetime | None = None
    tags: set[str] = set()
    price: Decimal = Decimal(0)


class Special(Item):
    more: int = 0


class Aliased(BaseModel):
    full_name: str = Field(alias="fullName")


class Loose(BaseModel):
    model_config = ConfigDict(extra="allow")
    a: int


class Hiding(BaseModel):
    shown: int
    hidden: int = Field(default=0, exclude=True)


class Keeping(BaseModel):
    _private: int = PrivateAttr(default=0)


class Strict(BaseModel):
    model_config = ConfigDict(strict=True)
    pair: tuple[int, str]
    at: datetime


class Cat(BaseModel):
    kind: Literal["cat"] = "cat"
    lives: int = 9


class Dog(BaseModel):
    kind: Literal["dog"] = "dog"
    lives: int = 1


class One(BaseModel):
    n: int


class Two(BaseModel):
    n: int


class Point(NamedTuple):
    x: int
    y: int


@dataclasses.dataclass
class Box:
    size: int
    inner: Item | None = None
    corners: tuple[Point, ...] = ()


class Row(ExtendedTypedDict):
    id: int
    at: datetime


class Text(str):
    pass


NAN = float("nan")
CET = timezone(timedelta(hours=1))
BERLIN = ZoneInfo("Europe/Berlin")

ANYTHING = [
    None,
    True,
    0,
    -1,
    10**4000,
    10**5000,
    -(10**5000),
    1.5,
    -0.0,
    NAN,
    math.inf,
    -math.inf,
    5e-324,
    "",
    "nul \0 and lone \ud800 surrogate",
    "emoji 🦊 and ß",
    b"",
    b"\x00\xff",
    (),
    (1, (2, [3])),
    [],
    [(), {}, set()],
    {"$": 1},
    {"$": ["dict", []]},
    {"$": None},
    {1: "a", "1": "b", None: "c", (1, 2): "d"},
    {"a": {"b": [1, 2.5, None, {"c": (1,)}]}},
    {1, 2},
    frozenset({"a", (1, 2)}),
    datetime(2024, 1, 2, 3, 4, 5, 6),
    datetime(2024, 1, 2, tzinfo=UTC),
    datetime(2024, 1, 2, tzinfo=CET),
    datetime(2024, 10, 27, 2, 30, tzinfo=BERLIN, fold=1),
    datetime(2024, 10, 27, 2, 30, fold=1),
    date(2024, 2, 29),
    time(1, 2, 3, 4),
    time(1, 2, tzinfo=CET, fold=1),
    timedelta(days=-1, microseconds=1),
    Decimal("1.10"),
    Decimal("NaN"),
    Decimal("-Infinity"),
    UUID(int=7),
    complex(1, -0.0),
    complex(NAN, math.inf),
    Message("user", "hello", id="m1"),
    Message("assistant", "", tool_calls=(ToolCall("c1", "look", {"at": (1, 2), "$": 1}),)),
    Message("tool", "found", name="look", tool_call_id="c1"),
    Message("user", [TextPart(text="see"), ImagePart(data=b"png"), FilePart(url="https://x.example/a.pdf", name="a.pdf")]),
    Message("user", []),
    RemoveMessage(id="m1"),
    ToolCall("c", "f", {}),
    ImagePart(url="https://x.example/i.png"),
    Send("node", {"a": (1,)}),
    Interrupt("i1", {"ask": {1, 2}}, "node"),
]


@pytest.mark.parametrize("value", ANYTHING, ids=lambda value: type(value).__name__)
def test_any_keeps_json_and_the_types_of_the_table_exactly(value: Any) -> None:
    assert_same(value, round_trip(Any, value))
    assert_same([value], round_trip(Any, [value]))
    assert_same({"k": (value,)}, round_trip(dict[str, Any], {"k": (value,)}))


json_like = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(st.characters())
    | st.binary()
    | st.datetimes(timezones=st.sampled_from([None, UTC, CET, BERLIN]))
    | st.dates()
    | st.times()
    | st.timedeltas()
    | st.decimals()
    | st.uuids()
    | st.complex_numbers(),
    lambda inner: (
        st.lists(inner)
        | st.dictionaries(st.text(st.characters()) | st.sampled_from(["$", "a"]), inner)
        | st.lists(inner).map(tuple)
        | st.dictionaries(st.integers() | st.text(st.characters()), inner)
    ),
    max_leaves=12,
)


@settings(max_examples=150, deadline=None)
@given(json_like)
def test_nested_values_come_back_as_they_were(value: Any) -> None:
    assert_same(value, round_trip(Any, value))


@settings(max_examples=60, deadline=None)
@given(st.frozensets(st.integers() | st.text(st.characters()) | st.tuples(st.integers(), st.text(st.characters()))))
def test_sets_come_back_as_they_were(value: frozenset[Any]) -> None:
    assert round_trip(Any, value) == value
    assert round_trip(Any, set(value)) == set(value)


TYPED = [
    (int, 3),
    (float, 3.0),
    (float, math.inf),
    (str | None, None),
    (list[dict[str, int | None]], [{"a": 1, "b": None}]),
    (Item, Item(name="a", when=datetime(2024, 1, 1, tzinfo=UTC), tags={"x", "y"}, price=Decimal("1.10"))),
    (list[Item], [Item(name="a"), Item(name="\ud800")]),
    (dict[str, Item | None], {"a": Item(name="a"), "b": None}),
    (dict[int, Item], {1: Item(name="a")}),
    (Special, Special(name="a", more=3)),
    (Aliased, Aliased(fullName="Ada")),
    (Loose, Loose(a=1, b=(2,))),
    (Strict, Strict(pair=(1, "a"), at=datetime(2024, 1, 1))),
    (Cat | Dog, Dog()),
    (list[Annotated[Cat | Dog, Field(discriminator="kind")]], [Cat(), Dog(lives=3)]),
    (Box, Box(3, Item(name="a"), (Point(1, 2),))),
    (list[Box | None], [None, Box(1)]),
    (Point, Point(1, 2)),
    (Row, {"id": 1, "at": datetime(2024, 1, 1)}),
    (Color, Color.RED),
    (list[Color], [Color.BLUE, Color.RED]),
    (dict[str, Level], {"a": Level.LOW}),
    (Literal["a", "b"], "a"),
    (collections.Counter[str], collections.Counter("aab")),
    (collections.OrderedDict[str, int], collections.OrderedDict(b=1, a=2)),
    (collections.deque[int], collections.deque([1, 2])),
    (Path, Path("/a/b")),
    (re.Pattern[str], re.compile("a+")),
    (tuple[int, ...], (1, 2)),
    (frozenset[datetime], frozenset({datetime(2024, 1, 1)})),
    (Annotated[int, Field(gt=0)], 3),
]


@pytest.mark.parametrize(("hint", "value"), TYPED, ids=lambda value: str(value)[:30])
def test_declared_types_come_back_exactly(hint: Any, value: Any) -> None:
    again = round_trip(hint, value)
    assert_same(value, again)
    assert again == value


class Opaque:
    pass


def nested(depth: int) -> list[Any]:
    value: list[Any] = []
    for _ in range(depth):
        value = [value]
    return value


def endless() -> list[Any]:
    value: list[Any] = []
    value.append(value)
    return value


REFUSED = [
    (Any, Opaque(), "state.x is an Opaque"),
    (Any, [1, {"a": Opaque()}], "state.x[1].a is an Opaque"),
    (dict[str, Any], {"odd key": {1: Opaque()}}, "state.x['odd key'][1] is an Opaque"),
    (Any, Item(name="a"), "declare the field with Item as its type"),
    (Any, Color.RED, "declare the field with Color"),
    (Any, collections.Counter("aab"), "would come back as a plain dict"),
    (Any, collections.OrderedDict(a=1), "would come back as a plain dict"),
    (Any, Point(1, 2), "would come back as a plain tuple"),
    (Any, {"a": [Text("x")]}, "state.x.a[0] is a Text, a kind of str"),
    (list[str], [Text("x")], "state.x[0] is a Text"),
    (int, Level.LOW, "declare the field with Level"),
    (dict[str, int], collections.Counter("aab"), "would come back as a plain dict"),
    (Any, Fraction(1, 3), "cannot be stored"),
    (Any, lambda: 1, "cannot be stored"),
    (Any, {1: {2: object()}}, "state.x[1][2]"),
    (Any, nested(1000), "nested too deeply"),
    (Any, nested(100_000), "nested too deeply"),
    (Any, endless(), "nested too deeply"),
    (Item, Special(name="a"), "state.x is a Special and would come back as an Item"),
    (list[Item], [Item(name="a"), Special(name="a")], "state.x[1] is a Special"),
    (One | Two, Two(n=1), "is a Two and would come back as a One"),
    (Hiding, Hiding(shown=1, hidden=2), "state.x.hidden"),
    (SecretStr, SecretStr("key"), "state.x"),
    (Opaque, Opaque(), "state.x"),
    (list[Box], [Box(1, Special(name="a"))], "state.x[0].inner is a Special"),
]


@pytest.mark.parametrize(("hint", "value", "message"), REFUSED, ids=lambda value: type(value).__name__)
def test_what_would_come_back_different_is_refused_with_its_path(hint: Any, value: Any, message: str) -> None:
    with pytest.raises(SerializationError, match=re.escape(message)) as caught:
        round_trip(hint, value)
    assert caught.value.path.startswith("state.x")


class Keyed(TypedDict):
    kept: Annotated[dict[str, Any], merge_keys]


OUTSIDE_FIELDS = [
    (Item(name="a"), r"is an Item, .* no field declares one here, so write plain data, such as what its model_dump\(\) gives"),
    (Box(1, Item(name="a")), r"such as what dataclasses\.asdict\(…\) gives"),
    (Color.RED, "such as its value"),
    (Text("x"), r"would come back as a plain str.*; write str\(…\)"),
    (Opaque(), "cannot be stored.*; write plain data$"),
]


@pytest.mark.parametrize(("value", "message"), OUTSIDE_FIELDS, ids=lambda value: type(value).__name__)
def test_where_no_field_could_declare_a_type_the_repair_does_not_ask_for_it(value: Any, message: str) -> None:
    schema = state_schema(Keyed)
    step = TaskRow("task", node="n", kind="step", value=value, name="look")
    sent = Frontier(0, [Send("worker", {"item": value})])
    for stored in (
        lambda: encode_task(step, None),
        lambda: encode_delta(schema, {"kept": {"merge": {"item": value}}}),
        lambda: encode_frontier(sent, 0, schema),
    ):
        with pytest.raises(SerializationError, match=message) as caught:
            stored()
        assert "declare the field" not in str(caught.value)
    assert "sent to node 'worker'" in str(caught.value)


def test_a_private_value_that_would_be_lost_is_refused() -> None:
    model = Keeping()
    model._private = 3
    with pytest.raises(SerializationError, match=r"state\.x"):
        round_trip(Keeping, model)
    assert_same(Keeping(), round_trip(Keeping, Keeping()))


def test_the_path_of_an_appended_item_counts_from_the_start_of_the_list() -> None:
    schema = state_schema(TypedDict("State", {"items": Annotated[list[Any], append]}))
    values = {"items": [0, 1, 2, {"when": Opaque()}]}
    with pytest.raises(SerializationError, match=r"state\.items\[3\]\.when") as caught:
        encode_delta(schema, {"items": {"append": values["items"][3:]}}, values=values)
    assert caught.value.path == "state.items[3].when"


def test_appended_and_merged_models_are_put_together_again() -> None:
    schema = state_schema(
        TypedDict("State", {"items": Annotated[list[Item], append], "by_name": Annotated[dict[str, Item], merge]})
    )
    delta = {"items": {"append": [Item(name="a")]}, "by_name": {"merge": {"b": Item(name="b", tags={"t"})}}}
    codecs = channel_codecs(schema)
    stored = loads(encode_delta(schema, delta))
    assert codecs["items"].unpack(stored["items"]["append"], "") == delta["items"]["append"]
    assert codecs["by_name"].unpack(stored["by_name"]["merge"], "") == delta["by_name"]["merge"]


def test_a_class_named_in_the_database_is_never_looked_up() -> None:
    for tag in ("os.system", "builtins.eval", "graphflow.messages.Message", "Item"):
        with pytest.raises(SerializationError, match="does not know"):
            loads(json.dumps({"$": [tag, ["x"]]}, separators=(",", ":")))


def test_plain_values_are_stored_as_plain_json() -> None:
    schema = schema_of(dict[str, Any])
    assert encode_delta(schema, {"x": {"set": {"a": [1, "ü", None]}}}) == '{"x":{"set":{"a":[1,"ü",null]}}}'


LONG = pytest.param(10**5_000, id="long")


@pytest.mark.parametrize("value", [None, True, 0, -1.5, "", "\0", "\ud800", "ü", '{"$":', 10**700, LONG, math.nan, -math.inf])
def test_a_delta_without_containers_has_the_text_that_packing_it_gives(value: Any) -> None:
    packed = write(lambda packer: {"x": {"set": packer.pack(value)}}, "state")
    assert encode_delta(schema_of(Any), {"x": {"set": value}}) == packed


def test_untracked_channels_are_in_no_snapshot() -> None:
    schema = state_schema(TypedDict("State", {"key": Annotated[str, untracked], "n": int}))
    text = encode_snapshot(schema, {"key": "secret", "n": 1}, {}, {})
    assert text == '{"n":{"set":1}}'


# --- frontiers, tasks, messages ----------------------------------------------------------------------------------------

FRONTIERS = [
    Frontier(3),
    Frontier(3, ["a"]),
    Frontier(2, ["a", Send("b", {"x": (1, 2)})], {"0": ["a"]}, ["z"], ["history"]),
]


@pytest.mark.parametrize("frontier", FRONTIERS, ids=["empty", "plain", "full"])
def test_a_frontier_comes_back(frontier: Frontier) -> None:
    assert decode_frontier(encode_frontier(frontier, 3, schema_of(int)), 3, schema_of(int)) == frontier


def test_a_finished_frontier_takes_no_room() -> None:
    assert encode_frontier(Frontier(3), 3, schema_of(int)) is None


def test_what_is_untracked_is_not_stored_inside_a_send() -> None:
    schema = state_schema(TypedDict("State", {"key": Annotated[str, untracked], "n": int}))
    frontier = Frontier(0, [Send("worker", {"key": "secret", "n": 1, "other": 2})])
    text = encode_frontier(frontier, 0, schema)
    assert text is not None and "secret" not in text
    assert decode_frontier(text, 0, schema).next == [Send("worker", {"n": 1, "other": 2})]
    assert frontier.next[0].arg["key"] == "secret"


def keep_best(old: Item, new: Item) -> Item:
    return new


def keep_any(old, new):
    return new


TASK_SCHEMA = state_schema(
    TypedDict(
        "State",
        {
            "items": Annotated[list[Item], append],
            "best": Annotated[Item, keep_best],
            "loose": Annotated[Item, keep_any],
            "n": int,
            "key": Annotated[str, untracked],
        },
    )
)


def test_the_result_of_a_task_comes_back_typed_and_without_what_is_untracked() -> None:
    writes = [
        ("items", [Item(name="a")]),
        ("items", Overwrite([Item(name="b")])),
        ("best", Item(name="c")),
        ("loose", Item(name="d")),
        ("n", 3),
    ]
    result = TaskResult([*writes, ("key", "secret")], ("next", Send("b", (1,))))
    text = encode_task(TaskRow("t", "node", "result", result), TASK_SCHEMA)
    assert "secret" not in text
    again = decode_task("result", text, TASK_SCHEMA)
    assert again == TaskResult(writes, ("next", Send("b", (1,))))


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        ("step", {"a": (1, 2)}),
        ("step", None),
        ("answer", None),
        ("interrupt", Interrupt("i", {1}, "n")),
        ("interrupt", [Interrupt("i", 1, "n")]),
    ],
)
def test_steps_questions_and_answers_come_back(kind: str, value: Any) -> None:
    assert decode_task(kind, encode_task(TaskRow("t", "node", kind, value), None), TASK_SCHEMA) == value


def test_a_step_that_returns_what_cannot_be_stored_says_which() -> None:
    with pytest.raises(SerializationError, match="step 'fetch' of node 'load'"):
        encode_task(TaskRow("t", "load", "step", Opaque(), name="fetch"), None)


def test_a_deleted_key_of_the_session_state_comes_back_as_deleted() -> None:
    result = TaskResult([("x", {"a": MISSING, "b": 1})])
    text = encode_task(TaskRow("t", "node", "result", result), schema_of(dict[str, Any]))
    (write,) = decode_task("result", text, schema_of(dict[str, Any])).writes
    assert write[1]["a"] is MISSING and write[1]["b"] == 1


MESSAGES = [
    Message("user", "hello", id="r1-7"),
    Message("user", "", id="r1-7"),
    Message("user", "own id", id="mine"),
    Message("user", "no id"),
    Message("assistant", "two\nlines \ud800", id="r1-7", tool_calls=(ToolCall("c", "f", {"a": {1}}),)),
    Message("tool", '{"content":"looks like JSON"}', id="r1-7", name="f", tool_call_id="c"),
    Message("user", [TextPart(text="look"), ImagePart(data=b"png" * 100), FilePart(data=b"pdf", name="a.pdf")], id="r1-7"),
    RemoveMessage(id="r1-3"),
]


@pytest.mark.parametrize("entry", MESSAGES, ids=lambda entry: type(entry).__name__)
def test_a_row_of_the_message_log_comes_back(entry: Any) -> None:
    media: dict[bytes, tuple[str, bytes]] = {}
    role, body = encode_entry(entry, 7, "r1", media)
    assert decode_entry(role, body, 7, "r1", lambda checksum: media[checksum][1]) == entry


def test_the_bytes_of_an_image_are_not_in_the_row_of_its_message() -> None:
    media: dict[bytes, tuple[str, bytes]] = {}
    _, body = encode_entry(Message("user", [ImagePart(data=b"x" * 10_000)], id="r1-7"), 7, "r1", media)
    assert len(body) < 200
    assert [data for _, data in media.values()] == [b"x" * 10_000]


def test_a_plain_message_is_stored_as_its_text() -> None:
    assert encode_entry(Message("user", "hello", id="r1-7"), 7, "r1", {}) == ("user", '"hello"')


def test_text_is_compact_and_valid_utf_8() -> None:
    assert dumps({"a": ["ü", 1]}) == '{"a":["ü",1]}'
    assert dumps("\ud800\0") == '"\\ud800\\u0000"'
