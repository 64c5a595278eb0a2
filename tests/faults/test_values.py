"""Bad and strange values come back equal in value and type, or are refused with a typed error; on all databases alike."""

from __future__ import annotations

import collections
import dataclasses
import decimal
import enum
import itertools
import math
import struct
import sys
import threading
import uuid
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, time, timedelta, timezone
from pathlib import Path
from typing import Any, NamedTuple, TypedDict
from zoneinfo import ZoneInfo

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import seed as seeded
from hypothesis import strategies as st
from pydantic import BaseModel

from graphflow import END, START, StateGraph
from graphflow.db import InMemoryDb, PostgresDb, SqliteDb
from graphflow.errors import GraphflowError, InvalidUpdate, SerializationError
from graphflow.messages import ImagePart, Message, ToolCall
from tests.faults.scale import SEED, rounds


class Anything(TypedDict):
    value: Any
    told: bool


class Model(BaseModel):
    a: int


@dataclasses.dataclass
class Data:
    a: int


class Pair(NamedTuple):
    a: int
    b: int


class Colour(enum.Enum):
    RED = 1


class Text(str):
    pass


class Broken:
    def __repr__(self) -> str:
        raise RuntimeError("no words")


def nested(levels: int, make: Callable[[Any], Any]) -> Any:
    value: Any = 0
    for _ in range(levels):
        value = make(value)
    return value


def circular() -> Any:
    value: list[Any] = []
    value.append(value)
    return value


BAD: dict[str, Callable[[], Any]] = {
    "NUL": lambda: "a\0b",
    "only NUL": lambda: "\0",
    "lone surrogate": lambda: "\ud800",
    "reversed surrogates": lambda: "\udc00\ud800",
    "escape-like text": lambda: "\\u0000 \\x00 \\ud800",
    "tag-like text": lambda: '{"$":["set",[1]]}',
    "noncharacters": lambda: "\uffff\U0010ffff",
    "right to left": lambda: "\u202eabc\u200b",
    "line separators": lambda: "\u2028\u2029\x85\r\n",
    "combining": lambda: "e\u0301" + "\u0300" * 200,
    "quote and backslash": lambda: "'\"\\`; DROP TABLE gf_sessions; --",
    "percent": lambda: "%s %(name)s %% {0} :name ?",
    "empty text": lambda: "",
    "a megabyte": lambda: "x" * 2**20,
    "text key NUL": lambda: {"a\0": 1},
    "surrogate key": lambda: {"\ud800": 1},
    "tag as key": lambda: {"$": ["set", [1]]},
    "tag and more": lambda: {"$": 1, "b": 2},
    "empty key": lambda: {"": None},
    "int keys": lambda: {1: 2, -3: 4},
    "mixed keys": lambda: {1: "a", "1": "b", None: "c", 2.5: "d"},
    "tuple keys": lambda: {(1, "a"): {(): 0}},
    "NaN": lambda: math.nan,
    "infinity": lambda: [math.inf, -math.inf],
    "NaN as key": lambda: {math.inf: 1},
    "negative zero": lambda: -0.0,
    "smallest float": lambda: 5e-324,
    "largest float": lambda: sys.float_info.max,
    "float like int": lambda: 1e22,
    "huge int": lambda: 10**5000,
    "2**64": lambda: [2**63, 2**64, -(2**64)],
    "bool among ints": lambda: [True, 1, 0, False],
    "bytes": lambda: bytes(range(256)),
    "bytearray": lambda: bytearray(b"x"),
    "memoryview": lambda: memoryview(b"x"),
    "tuple": lambda: (1, (2, ())),
    "set": lambda: {1, "a", (2,)},
    "frozenset": lambda: frozenset({frozenset()}),
    "deque": lambda: collections.deque([1]),
    "counter": lambda: collections.Counter("aab"),
    "ordered dict": lambda: collections.OrderedDict(a=1),
    "default dict": lambda: collections.defaultdict(list, a=[1]),
    "named tuple": lambda: Pair(1, 2),
    "text subclass": lambda: Text("x"),
    "enum": lambda: Colour.RED,
    "model": lambda: Model(a=1),
    "dataclass": lambda: Data(1),
    "class": lambda: Model,
    "function": lambda: len,
    "object": lambda: object(),
    "without words": lambda: Broken(),
    "lock": lambda: threading.Lock(),
    "generator": lambda: (n for n in ()),
    "exception": lambda: ValueError("x"),
    "path": lambda: Path("/tmp"),
    "circular": circular,
    "deep list": lambda: nested(150, lambda v: [v]),
    "too deep list": lambda: nested(400, lambda v: [v]),
    "too deep dict": lambda: nested(100_000, lambda v: {"a": v}),
    "deep tuple": lambda: nested(60, lambda v: (v,)),
    "naive datetime": lambda: datetime(1, 1, 1),
    "last datetime": lambda: datetime.max.replace(tzinfo=UTC),
    "zone and fold": lambda: datetime(2026, 10, 25, 2, 30, tzinfo=ZoneInfo("Europe/Berlin"), fold=1),
    "odd offset": lambda: datetime(2026, 1, 1, tzinfo=timezone(timedelta(seconds=3601))),
    "date": lambda: date.min,
    "time": lambda: time(23, 59, 59, 999999, UTC),
    "timedelta": lambda: timedelta.min,
    "decimals": lambda: [decimal.Decimal("1.00"), decimal.Decimal("NaN"), decimal.Decimal("-0E+99")],
    "uuid": lambda: uuid.UUID(int=0),
    "complex": lambda: complex(math.nan, -0.0),
    "message": lambda: Message("assistant", "x", tool_calls=(ToolCall("1", "f", {"a": {1, 2}}),)),
    "picture": lambda: Message("user", [ImagePart(data=b"\0\xff")]),
    "missing zone": lambda: ZoneInfo("Europe/Berlin"),
    "range": lambda: range(3),
    "ellipsis": lambda: ...,
    "not implemented": lambda: NotImplemented,
    "slice": lambda: slice(1, 2),
}


def same(a: Any, b: Any) -> bool:
    """Whether two values are equal in value and exact type, down to the last item; found out without the library's help."""
    if type(a) is not type(b):
        return False
    match a:
        case float():
            return struct.pack("d", a) == struct.pack("d", b) or (math.isnan(a) and math.isnan(b))
        case complex():
            return same(a.real, b.real) and same(a.imag, b.imag)
        case decimal.Decimal():
            return a.as_tuple() == b.as_tuple()
        case datetime() | time():
            return a.replace(tzinfo=None) == b.replace(tzinfo=None) and a.fold == b.fold and repr(a.tzinfo) == repr(b.tzinfo)
        case dict():
            return same(list(a), list(b)) and same(list(a.values()), list(b.values()))
        case list() | tuple():
            return len(a) == len(b) and all(map(same, a, b))
        case set() | frozenset():
            return len(a) == len(b) and all(any(same(item, other) for other in b) for item in a)
        case Message():
            return a == b and same([call.arguments for call in a.tool_calls], [call.arguments for call in b.tool_calls])
    return bool(a == b)


def graph_on(db: Any) -> Any:
    """A graph that stores what it is given, and looks at it again in a second step."""
    builder = StateGraph(Anything, name="keep").add_node("keep", lambda state: {"told": True})
    return builder.add_edge(START, "keep").add_edge("keep", END).compile(db=db)


class Trial:
    """Stores values in several databases and says what came of each."""

    def __init__(self, databases: dict[str, Any]) -> None:
        self.graphs = {name: graph_on(db) for name, db in databases.items()}
        self._numbers = itertools.count()

    def outcome(self, name: str, value: Any) -> tuple[str, str]:
        """("equal", "") or the error's type and message."""
        graph = self.graphs[name]
        session_id = f"s{next(self._numbers)}"
        try:
            graph.invoke({"value": value, "told": False}, session_id=session_id)
        except GraphflowError as error:
            assert isinstance(error, SerializationError | InvalidUpdate), error
            assert "value" in str(error), "the error says where"
            assert graph.db.get_session(session_id) is None, "nothing was written"
            return type(error).__name__, str(error).replace(session_id, "s")
        again = graph.get_state(session_id).values["value"]
        assert same(value, again), f"{value!r} came back as {again!r}"
        graph.db.delete_session(session_id)
        return "equal", ""

    def alike(self, make: Callable[[], Any]) -> str:
        """What came of the value: the same on all databases."""
        outcomes = {self.outcome(name, make()) for name in self.graphs}
        assert len(outcomes) == 1, outcomes
        return outcomes.pop()[0]


@pytest.fixture(scope="module")
def trial(postgres_server: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Trial]:
    with postgres_server.schema() as schema:
        databases = {
            "sqlite": SqliteDb(tmp_path_factory.mktemp("values") / "s.db", synchronous="normal"),
            "postgres": PostgresDb(postgres_server.url_within(schema)),
            "memory": InMemoryDb(),
        }
        yield Trial(databases)
        for db in databases.values():
            db.close()


@pytest.mark.parametrize("name", BAD)
def test_a_bad_value_comes_back_equal_or_is_refused_with_its_path(trial: Trial, name: str) -> None:
    trial.alike(BAD[name])


def test_there_are_enough_bad_values_and_both_outcomes(trial: Trial) -> None:
    outcomes = collections.Counter(trial.alike(make) for make in BAD.values())
    assert sum(outcomes.values()) >= 60 and outcomes["equal"] >= 40 and outcomes["SerializationError"] >= 20, outcomes


TEXT = st.text(st.characters(codec=None, exclude_categories=()), max_size=20)
PLAIN = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.integers(-(10**400), 10**400),
    st.floats(),
    st.complex_numbers(),
    st.decimals(),
    TEXT,
    st.binary(max_size=20),
    st.datetimes(timezones=st.none() | st.timezones()),
    st.dates(),
    st.times(),
    st.timedeltas(),
    st.uuids(),
    st.sampled_from([Text("x"), Colour.RED, Pair(1, 2), collections.Counter("ab"), bytearray(b"x"), object, len, Model(a=1)]),
)
HASHABLE = st.none() | st.booleans() | st.integers() | TEXT | st.binary(max_size=5) | st.tuples(st.integers(), TEXT)
VALUES = st.recursive(
    PLAIN,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(TEXT, inner, max_size=4)
        | st.dictionaries(HASHABLE, inner, max_size=3)
        | st.lists(inner, max_size=3).map(tuple)
        | st.sets(HASHABLE, max_size=3)
        | st.frozensets(HASHABLE, max_size=3)
        | st.sampled_from(["$", "a"]).flatmap(lambda key: inner.map(lambda value: {key: value}))
    ),
    max_leaves=12,
)


@pytest.mark.timeout(3600)
def test_generated_values_come_back_equal_or_are_refused(trial: Trial) -> None:
    print(f"seed {SEED}")
    outcomes: collections.Counter[str] = collections.Counter()

    @seeded(SEED)
    @settings(max_examples=rounds(100, 10_000), deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(VALUES)
    def try_all(value: Any) -> None:
        outcomes[trial.alike(lambda: value)] += 1

    try_all()
    print(dict(outcomes))
    assert outcomes["equal"] > rounds(30, 3_000)
