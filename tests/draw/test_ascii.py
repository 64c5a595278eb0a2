"""Pictures of plain text: within 100 columns where that can be, and every line ends where it should."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from graphflow import END, START, Agent, StateGraph
from graphflow.core.plan import Plan
from graphflow.draw import draw_ascii
from graphflow.draw.ascii import _draw_net, _gap, _nets
from graphflow.draw.canvas import Canvas
from graphflow.draw.layout import Span


def picture(text: str) -> str:
    """A picture as it is written in a test: the lines between the first and the last, up to the bar at their ends."""
    return "".join(line.strip()[1:-1].rstrip() + "\n" for line in text.strip().splitlines())


def test_an_agent_is_drawn_with_its_loop() -> None:
    def look(place: str) -> str:
        """Look."""
        return place

    drawn = Agent("offline", tools=[look]).graph.draw_ascii()
    assert drawn == picture("""
        |     (START)         |
        |        |            |
        |        v            |
        |   +---------+       |
        |   | history |       |
        |   +---------+       |
        |        |            |
        |+-------+            |
        ||       v            |
        ||   +-------+        |
        |^   | model |        |
        ||   +-------+        |
        ||       :            |
        ||       +........+   |
        ||       v        :   |
        ||  +-------+     v   |
        |^  | tools |   (END) |
        ||  +-------+         |
        ||      |             |
        |+------+             |
    """)


def test_a_fan_out_and_its_join(wide: Callable[[int], Plan]) -> None:
    assert draw_ascii(wide(3)) == picture("""
        |                   (START)                   |
        |                      |                      |
        |                      v                      |
        |                  +-------+                  |
        |                  | split |                  |
        |                  +-------+                  |
        |                      |                      |
        |      +---------------+---------------+      |
        |      v               v               v      |
        |+-----------+   +-----------+   +-----------+|
        || worker 0  |   | worker 1  |   | worker 2  ||
        |+-----------+   +-----------+   +-----------+|
        |      |               |               |      |
        |      +---------------+---------------+      |
        |                      v                      |
        |                    (all)                    |
        |                      |                      |
        |                      v                      |
        |                 +---------+                 |
        |                 | gather  |                 |
        |                 +---------+                 |
        |                      |                      |
        |                      v                      |
        |                    (END)                    |
    """)


def test_a_self_loop_and_labels(build: Callable[..., StateGraph]) -> None:
    made = build("a").add_conditional_edges("a", lambda state: END, {"again": "a", "done": END})
    assert made.compile().draw_ascii() == picture("""
        |(START)         |
        |  |             |
        |  | +.....+     |
        |  v v     :     |
        | +---+    :     |
        | | a |  again   |
        | +---+    :     |
        |   :      :     |
        |   +......+     |
        |   :            |
        | done           |
        |   :            |
        |   v            |
        | (END)          |
    """)


def test_lines_to_the_same_ends_share_a_bar(build: Callable[..., StateGraph]) -> None:
    made = build("a", "b", "x", "y").add_edge(START, "b")
    for source in "ab":
        made.add_edge(source, "x").add_edge(source, "y")
    assert made.add_edge("x", END).add_edge("y", END).compile().draw_ascii() == picture("""
        |   (START)   |
        |      |      |
        |  +---+---+  |
        |  v       v  |
        |+---+   +---+|
        || a |   | b ||
        |+---+   +---+|
        |  |       |  |
        |  +-------+  |
        |  v       v  |
        |+---+   +---+|
        || x |   | y ||
        |+---+   +---+|
        |  |       |  |
        |  +---+---+  |
        |      v      |
        |    (END)    |
    """)


@settings(deadline=None)
@given(st.sets(st.tuples(st.integers(0, 5), st.integers(0, 5)), min_size=1))
def test_whoever_follows_the_lines_comes_to_the_ends_they_lead_to_and_no_other(pairs: set[tuple[int, int]]) -> None:
    """Between two layers, whatever lines there are: a plus is where lines meet, and where they only cross there is none."""
    spans = [Span(1, 4 * begin, 4 * end, True, False, False) for begin, end in pairs]
    canvas, height = Canvas(lying=False), _gap(spans)
    nets = _nets(spans)
    for net in nets:
        _draw_net(canvas, net, 0, height)
    rows = [row.ljust(80) for row in canvas.rows()]
    for begin in {begin for begin, _ in pairs}:
        ends = {4 * end for other, end in pairs if other == begin}
        assert ends <= followed(rows, 4 * begin) <= {4 * end for _, end in meeting(pairs, begin)}


def meeting(pairs: set[tuple[int, int]], begin: int) -> set[tuple[int, int]]:
    """The pairs whose lines may touch: those that share a beginning or an end with the others, from ``begin`` on."""
    found = {pair for pair in pairs if pair[0] == begin}
    while grown := {p for p in pairs for f in found if p[0] == f[0] or p[1] == f[1]} - found:
        found |= grown
    return found


def followed(rows: list[str], begin: int) -> set[int]:
    """The columns of the last row that the line from a column of the first row leads to."""
    seen, pending = set(), [(begin, 0, 0, 1)]
    while pending:
        x, y, right, down = pending.pop()
        if (x, y, right, down) in seen or not 0 <= x < 80 or not 0 <= y < len(rows) or rows[y][x] == " ":
            continue
        seen.add((x, y, right, down))
        ways = [(right, down)] if rows[y][x] != "+" else [(1, 0), (-1, 0), (0, 1), (0, -1)]
        for right_now, down_now in ways:
            reached = rows[y + down_now][x + right_now] if 0 <= y + down_now < len(rows) and x + right_now >= 0 else " "
            if reached == ("|" if right_now else "-") and rows[y][x] == "+":
                continue
            pending.append((x + right_now, y + down_now, right_now, down_now))
    return {x for x, y, _, _ in seen if y == len(rows) - 1}


def test_a_wide_graph_leads_from_left_to_right(wide: Callable[[int], Plan]) -> None:
    drawn = draw_ascii(wide(12))
    assert max(map(len, drawn.splitlines())) < 100
    assert re.search(r"^\(START\)-+>\| split \|-+\+ .*>\(all\)-+>\| gather \|-+>\(END\)$", drawn, re.M)
    assert [len(re.findall(rf"->\| worker {number} +\|-", drawn)) for number in range(12)] == [1] * 12


def test_a_nested_graph_is_inside_its_node(deep: Plan) -> None:
    lines = draw_ascii(deep).splitlines()
    place = {
        name: (row, line.index(name))
        for name in ("intake", "team", "ask", "search", "find", "rank", "report")
        for row, line in enumerate(lines)
        if f" {name} " in line
    }
    assert sorted(place, key=place.__getitem__) == ["intake", "team", "ask", "search", "find", "rank", "report"]
    assert sum("(START)" in line for line in lines) == 3
    assert lines[place["find"][0]].count("|") >= 6, "three frames, one in the other"


@pytest.mark.parametrize("name", ['say "hi"', "ünï 日本語", "👩‍🚀 e\u0301", "new\nline", "bell\x07", "x" * 300, "a+b-|c"])
def test_no_name_breaks_the_picture(name: str, build: Callable[..., StateGraph]) -> None:
    made = build(name, "last").add_edge("last", END).add_conditional_edges(name, lambda state: END, {name: "last"})
    drawn = made.compile().draw_ascii()
    frame = next(line for line in drawn.splitlines() if line.strip().startswith("+--"))
    assert len(frame) < 60 and "\x07" not in drawn
    assert drawn.splitlines().count(frame) >= 2, "the frame is as wide below as above"


def test_plain_names_make_plain_text(wide: Callable[[int], Plan], deep: Plan, chain: Callable[..., Plan]) -> None:
    for plan in (wide(40), deep, chain("a very long name " * 20, "b")):
        assert draw_ascii(plan).isascii()


def test_lines_do_not_end_in_spaces(wide: Callable[[int], Plan], deep: Plan) -> None:
    assert not re.search(r" $", draw_ascii(deep) + draw_ascii(wide(3)) + draw_ascii(wide(40)), re.M)
