"""Random graphs end in the same state sync, async, committed at the end, and crashed after any commit and resumed."""

from __future__ import annotations

import asyncio
import operator
import os
from collections import Counter
from typing import Annotated, Any, TypedDict

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from graphflow import END, START, RetryPolicy, Send, StateGraph, append, merge
from graphflow.core.effects import Commit
from graphflow.db import InMemoryDb

EXAMPLES = 1000 if os.environ.get("GRAPHFLOW_FAULTS") == "full" else 60


class S(TypedDict):
    path: Annotated[list[str], append]
    total: Annotated[int, operator.add]
    seen: Annotated[dict[str, int], merge]
    turns: Annotated[dict[str, int], merge]


class Dies(BaseException):
    """The process goes away."""


class Deadly:
    """A database whose process dies in place of its n-th commit."""

    def __init__(self, db: Any, left: int | None = None) -> None:
        self.db, self.left, self.commits = db, left, 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self.db, name)

    def commit(self, effect: Commit) -> None:
        if self.left == self.commits:
            raise Dies
        self.db.commit(effect)
        self.commits += 1


# --- what a graph is made of -------------------------------------------------------------------------------------------

NODES = st.fixed_dictionaries(
    {
        "writes": st.sets(st.sampled_from(["path", "total", "seen"])),
        "is_async": st.booleans(),
        "steps": st.booleans(),
        "fails_first": st.booleans(),
        "rerunnable": st.booleans(),
        "defer": st.booleans(),
    }
)


@st.composite
def shapes(draw):
    """Nodes in layers: edges, joins and fan-outs go to later layers, loops a bounded number of times back."""
    size = draw(st.integers(2, 7))
    nodes = [draw(NODES) for _ in range(size)]
    edges, loops, sends, joins = set(), {}, {}, []
    for at in range(1, size):
        edges.add((draw(st.integers(0, at - 1)), at))
    for _ in range(draw(st.integers(0, 4))):
        left, right = sorted(draw(st.lists(st.integers(0, size - 1), min_size=2, max_size=2, unique=True)))
        edges.add((left, right))
    for _ in range(draw(st.integers(0, 2))):
        source = draw(st.integers(0, size - 1))
        loops[source] = (draw(st.integers(0, source)), draw(st.integers(1, 3)))
    for _ in range(draw(st.integers(0, 2))):
        source = draw(st.integers(0, size - 2))
        sends[source] = (draw(st.integers(source + 1, size - 1)), draw(st.integers(1, 4)))
    if size >= 3 and draw(st.booleans()):
        sources = draw(st.lists(st.integers(0, size - 2), min_size=2, max_size=3, unique=True))
        joins.append((sources, draw(st.integers(max(sources) + 1, size - 1))))
    return {"nodes": nodes, "edges": sorted(edges), "loops": loops, "sends": sends, "joins": joins}


def node_of(name, what, ran, broken):
    def update(state, ctx):
        ran.append(name)
        sent = "n" in state
        if what["fails_first"] and ctx.attempt == 1:
            raise ConnectionError
        number = ctx.step("number", lambda: len(name) + state.get("n", 0)) if what["steps"] else state.get("n", 0)
        turns = state.get("turns", {}).get(name, 0)
        made = {"path": [f"{name}{number}"], "total": number + 1, "seen": {name: turns + number}}
        written = {field: value for field, value in made.items() if field in what["writes"]}
        return written if sent else {**written, "turns": {name: turns + 1}}

    async def aupdate(state, ctx):
        await asyncio.sleep(0)
        return update(state, ctx)

    return aupdate if what["is_async"] and not what["steps"] else update


def graph_of(shape, db, ran, **compiled):
    builder = StateGraph(S)
    nodes = shape["nodes"]
    for at, what in enumerate(nodes):
        policies: dict[str, Any] = {"retry": RetryPolicy(initial=0, jitter=False)} if what["fails_first"] else {}
        node = node_of(f"n{at}", what, ran, shape)
        builder.add_node(f"n{at}", node, rerunnable=what["rerunnable"], defer=what["defer"], **policies)
    builder.add_edge(START, "n0")
    for left, right in shape["edges"]:
        builder.add_edge(f"n{left}", f"n{right}")
    for sources, target in shape["joins"]:
        builder.add_edge([f"n{source}" for source in sources], f"n{target}")
    for source, (target, times) in shape["loops"].items():
        builder.add_conditional_edges(f"n{source}", looping(f"n{source}", f"n{target}", times), [f"n{target}", END])
    for source, (target, count) in shape["sends"].items():
        builder.add_conditional_edges(f"n{source}", fanning(f"n{source}", f"n{target}", count), [f"n{target}", END])
    for at in range(len(nodes)):
        builder.add_edge(f"n{at}", END)
    return builder.compile(db=db, **compiled)


def looping(source, target, times):
    return lambda state: target if state["turns"].get(source, 0) <= times else END


def fanning(source, target, count):
    return lambda state: [Send(target, {"n": n}) for n in range(count)] if state["turns"].get(source, 0) <= 1 else []


def run(graph, session="s"):
    return graph.invoke({"total": 1}, session_id=session).values


def died(graph, deadly, asynchronous):
    """Run until the process dies, if it does; whether it did."""
    try:
        if asynchronous:
            asyncio.run(graph.ainvoke({"total": 1}, session_id="s"))
        else:
            run(graph)
    except Dies:
        return True
    finally:
        deadly.left = None
    return False


@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))
@given(shape=shapes(), first=st.integers(0, 1000), second=st.integers(1, 3), asynchronous=st.booleans())
def test_however_a_random_graph_is_driven_it_ends_in_the_same_state(shape, first, second, asynchronous):
    expected = graph_of(shape, None, []).invoke({"total": 1}).values
    assert asyncio.run(graph_of(shape, None, []).ainvoke({"total": 1})).values == expected

    counting = Deadly(InMemoryDb())
    assert run(graph_of(shape, counting, [])) == expected
    assert graph_of(shape, counting, []).get_state("s").values == expected
    counting.db.close()

    at_the_end = Deadly(InMemoryDb())
    graph = graph_of(shape, at_the_end, [], durability="exit")
    assert run(graph) == expected and at_the_end.commits == 1
    assert graph.get_state("s").values == expected
    at_the_end.db.close()

    # How many commits a run makes depends on which tasks finish together, so the last ones may not come.
    deadly = Deadly(InMemoryDb(), first % counting.commits)
    graph = graph_of(shape, deadly, [])
    if died(graph, deadly, asynchronous):
        if deadly.commits == 0:
            run(graph)
        deadly.left = deadly.commits + second
        try:
            graph.resume("s")
        except Dies:
            deadly.left = None
            graph.resume("s")
        deadly.left = None
    state = graph.get_state("s")
    assert (state.values, state.status) == (expected, "completed")
    assert deadly.db.check().ok
    deadly.db.close()


@pytest.mark.parametrize("k", range(1, 5))
def test_the_store_of_these_tests_does_die(k):
    deadly = Deadly(InMemoryDb(), k)
    shape = {
        "nodes": [
            {"writes": {"path"}, "is_async": False, "steps": False, "fails_first": False, "rerunnable": False, "defer": False}
        ]
        * 4,
        "edges": [(0, 1), (1, 2), (2, 3)],
        "loops": {},
        "sends": {},
        "joins": [],
    }
    graph = graph_of(shape, deadly, [])
    assert died(graph, deadly, False)
    assert len(graph.get_state("s").values.get("path", [])) == k - 1
    deadly.db.close()


TOLD = ("values", "update", "next", "seq", "stored", "attempt")


async def all_of(parts):
    return [part async for part in parts]


@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))
@given(shape=shapes(), stored=st.booleans(), at_once=st.sampled_from([None, 1, 2]))
def test_a_random_graph_tells_the_same_under_asyncio(shape, stored, at_once):
    """Each event as often, and those about the whole of it in the same order; tasks of a superstep end in any."""
    told = []
    for asynchronous in (False, True):
        db = InMemoryDb() if stored else None
        call = {"session_id": "s", "stream_mode": "events", "max_concurrency": at_once}
        graph, input = graph_of(shape, db, []), {"total": 1}
        events = asyncio.run(all_of(graph.astream(input, **call))) if asynchronous else graph.stream(input, **call)
        said = [(event.type, event.node, {key: event.data[key] for key in TOLD if key in event.data}) for event in events]
        told.append((Counter(map(repr, said)), [one for one in said if not one[1]]))
        if db is not None:
            db.close()
    assert told[0] == told[1]
