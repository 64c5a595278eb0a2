"""SVG pictures: a whole file that any browser reads, with every node and every way, whatever the names are."""

from __future__ import annotations

import re
from collections.abc import Callable
from itertools import combinations
from xml.etree import ElementTree

import pytest

from graphflow import END, Agent, Command, StateGraph
from graphflow.core.plan import Plan
from graphflow.draw import draw_svg

Area = tuple[float, float, float, float]


class Drawing:
    """An SVG file, read back."""

    def __init__(self, text: str) -> None:
        self.root = ElementTree.fromstring(text)
        self.width, self.height = (float(self.root.attrib[name]) for name in ("width", "height"))
        self.words: list[str] = []
        self.titles: list[str] = []
        self.frames: dict[str, Area] = {}
        """Title and place of every rectangle that has one."""
        self.points: list[tuple[float, float]] = []
        self.dashed: list[bool] = []
        """For each line, whether it is dashed."""
        self.heads = 0
        self._read(self.root, 0, 0, "")

    def _read(self, parent: ElementTree.Element, left: float, top: float, title: str) -> None:
        for element in parent:
            tag = element.tag.split("}")[1]
            if tag == "title":
                title = element.text or ""
                self.titles.append(title)
            elif tag == "text":
                self.words.append(element.text or "")
            elif tag == "g":
                move = re.fullmatch(r"translate\((\S+) (\S+)\)", element.get("transform", "translate(0 0)"))
                assert move is not None
                self._read(element, left + float(move[1]), top + float(move[2]), "")
            elif tag == "rect" and title and "x" in element.attrib:
                x, y, width, height = (float(element.attrib[name]) for name in ("x", "y", "width", "height"))
                self.frames[title] = (left + x, top + y, left + x + width, top + y + height)
            elif tag == "path" and element.get("fill") == "none":
                numbers = [float(number) for number in re.findall(r"-?[\d.]+", element.attrib["d"])]
                self.points += [(left + x, top + y) for x, y in zip(numbers[::2], numbers[1::2], strict=True)]
                self.dashed.append("stroke-dasharray" in element.attrib)
            elif tag == "path":
                self.heads += 1

    def check(self) -> None:
        """Everything is on the sheet, and every line has a head."""
        assert len(self.dashed) == self.heads
        assert all(0 <= x <= self.width and 0 <= y <= self.height for x, y in self.points)
        for left, top, right, bottom in self.frames.values():
            assert 0 <= left < right <= self.width and 0 <= top < bottom <= self.height


def overlap(one: Area, other: Area) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]


def is_inside(inner: Area, outer: Area) -> bool:
    return inner[0] >= outer[0] and inner[1] >= outer[1] and inner[2] <= outer[2] and inner[3] <= outer[3]


def test_an_agent_is_drawn_with_its_loop() -> None:
    def look(place: str) -> str:
        """Look."""
        return place

    graph = Agent("offline", tools=[look], name="guide").graph
    drawing = Drawing(graph.draw_svg())
    drawing.check()
    assert drawing.words == ["START", "history", "model", "tools", "END"]
    assert drawing.dashed == [False, False, True, True, False]
    assert drawing.frames["model"][3] < drawing.frames["tools"][1], "what follows is below"


def test_a_notebook_shows_the_picture(chain: Callable[..., Plan], build: Callable[..., StateGraph]) -> None:
    graph = build("a").add_edge("a", END).compile()
    assert graph._repr_svg_() == graph.draw_svg() == draw_svg(graph.plan)


def test_labels_deferred_nodes_and_joins_are_told(build: Callable[..., StateGraph]) -> None:
    made = build("a", "b").add_edge("a", "b").add_node("last", lambda state: None, defer=True).add_edge(["a", "b"], "last")
    made.add_conditional_edges("last", lambda state: END, {"once more": "a", "enough": END})
    drawing = Drawing(made.compile().draw_svg())
    drawing.check()
    assert {"once more", "enough", "deferred", "all"} <= set(drawing.words)


HARD_NAMES = ['say "hi"', "<b>&amp; co</b>", "a & b", "]]>", "ünï 日本語", "👩‍🚀 e\u0301", "new\nline", "bell\x07", "x" * 300]


@pytest.mark.parametrize("name", HARD_NAMES)
def test_no_name_breaks_the_picture(name: str, build: Callable[..., StateGraph]) -> None:
    made = build(name, "last").add_edge("last", END).add_conditional_edges(name, lambda state: END, {name: "last"})
    drawing = Drawing(made.compile(name=name).draw_svg())
    drawing.check()
    shown = "".join(letter if letter.isprintable() else " " if letter.isspace() else "?" for letter in name)
    assert drawing.titles.count(shown) == 3, "of the file, the node and the label"
    assert drawing.width < 800


def test_a_nested_graph_is_inside_its_node(deep: Plan) -> None:
    drawing = Drawing(draw_svg(deep))
    drawing.check()
    frames = drawing.frames
    assert is_inside(frames["search"], frames["team"]) and is_inside(frames["ask"], frames["team"])
    assert is_inside(frames["rank"], frames["search"]) and not overlap(frames["ask"], frames["search"])
    assert not overlap(frames["intake"], frames["team"])
    assert drawing.words.count("START") == drawing.words.count("END") == 3


def test_a_wide_graph_leads_from_left_to_right(wide: Callable[[int], Plan]) -> None:
    narrow, broad = Drawing(draw_svg(wide(5))), Drawing(draw_svg(wide(100)))
    for drawing in (narrow, broad):
        drawing.check()
        assert not any(overlap(one, other) for one, other in combinations(drawing.frames.values(), 2))
    assert narrow.frames["split"][3] < narrow.frames["worker 0"][1]
    assert broad.frames["split"][2] < broad.frames["worker 0"][0]
    assert len(broad.dashed) == 203


def test_a_graph_of_free_commands_stays_small(build: Callable[..., StateGraph]) -> None:
    def roam(state: dict[str, object]) -> Command:
        return Command(goto="agent 1")

    made = build("first").add_edge("first", "agent 0")
    for number in range(100):
        made.add_node(f"agent {number}", roam)
    drawing = Drawing(made.compile().draw_svg())
    drawing.check()
    assert drawing.words.count("any") == 1
    assert len(drawing.dashed) == 2 + 100 + 102, "each to the circle, and from there to each node and to END"
