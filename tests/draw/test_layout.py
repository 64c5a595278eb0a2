"""The layout: whatever the graph, nothing lies on anything else, and every line goes from its source to its target."""

from __future__ import annotations

from itertools import combinations, pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from graphflow.draw.layout import Box, Layout, Metric, Wire, lay_out, spread

METRIC = Metric(shapes=3, bends=2, ports=2, inset=1, port_of=id, gap=lambda spans: 2 + len(spans))


@st.composite
def layouts(draw: st.DrawFn) -> Layout:
    """A graph of up to a dozen boxes of any size, with loops, parallel lines and labels."""
    sizes = draw(st.lists(st.tuples(st.integers(1, 12), st.integers(1, 6)), min_size=1, max_size=12))
    boxes = [Box(str(index), *size) for index, size in enumerate(sizes)]
    key = st.sampled_from([box.key for box in boxes])
    label = st.none() | st.tuples(st.integers(1, 9), st.integers(1, 2))
    wires = draw(st.lists(st.builds(Wire, key, key, st.booleans(), label), max_size=25))
    return lay_out(boxes, wires, METRIC)


@settings(max_examples=60, deadline=None)
@given(layouts())
def test_nothing_lies_on_anything_else(layout: Layout) -> None:
    placed = {box for route in layout.routes for box in route.boxes} | set(layout.boxes)
    for one, other in combinations(placed, 2):
        if one.rank == other.rank:
            assert 2 * abs(one.centre - other.centre) >= one.across + other.across
    for box in placed:
        begin, end = layout.layers[box.rank]
        assert begin <= box.start and box.start + box.along <= end
        assert box.centre - box.across // 2 >= 0 and box.centre + box.across / 2 <= layout.across + 1
    assert all(upper[1] < lower[0] for upper, lower in pairwise(layout.layers))
    assert layout.layers[-1][1] <= layout.along


@settings(max_examples=60, deadline=None)
@given(layouts())
def test_every_line_goes_from_its_source_to_its_target(layout: Layout) -> None:
    for route in layout.routes:
        first, last = route.boxes[0], route.boxes[-1]
        assert (first.key, last.key) == (route.wire.source, route.wire.target)
        for box, place in ((first, route.spans[0].begin), (last, route.spans[-1].end)):
            assert 2 * abs(box.centre - place) <= box.across
        assert route.spans[0].gap == first.rank + 1 and route.spans[-1].gap == last.rank
        assert route.spans[0].begins_above and not route.spans[-1].ends_above
        for before, after in pairwise(route.spans):
            assert before.end == after.begin
            assert abs(before.gap - after.gap) == 1 or before.ends_above is not after.begins_above


@settings(max_examples=60, deadline=None)
@given(layouts())
def test_lines_lead_downwards_but_where_they_close_a_circle(layout: Layout) -> None:
    below: dict[str, set[str]] = {}
    for route in layout.routes:
        if not route.back:
            assert route.boxes[0].rank < route.boxes[-1].rank
            below.setdefault(route.wire.source, set()).add(route.wire.target)
    for route in layout.routes:
        reached, pending = set(), [route.wire.target]
        while pending:
            key = pending.pop()
            if key not in reached:
                reached.add(key)
                pending += below.get(key, ())
        assert not route.back or route.wire.source in reached, "a line leads up without closing a circle"


def test_a_chain_is_straight() -> None:
    boxes = [Box(key, across, 3) for key, across in (("a", 5), ("b", 21), ("c", 9), ("d", 3))]
    layout = lay_out(boxes, [Wire("a", "b"), Wire("b", "c"), Wire("c", "d")], METRIC)
    assert len({box.centre for box in layout.boxes}) == 1
    assert all(span.begin == span.end for route in layout.routes for span in route.spans)


def test_lines_that_need_not_cross_do_not() -> None:
    boxes = [Box(key, 5, 1) for key in ("top", "a", "b", "x", "y")]
    wires = [Wire("top", "a"), Wire("top", "b"), Wire("a", "y"), Wire("b", "x")]
    place = {box.key: box.centre for box in lay_out(boxes, wires, METRIC).boxes}
    assert (place["a"] < place["b"]) == (place["y"] < place["x"])


def test_a_long_line_goes_round_what_is_between() -> None:
    boxes = [Box(key, 9, 3) for key in "abcd"]
    wires = [Wire("a", "b"), Wire("b", "c"), Wire("c", "d"), Wire("a", "d"), Wire("d", "a")]
    layout = lay_out(boxes, wires, METRIC)
    for route, ranks in zip(layout.routes[3:], ([1, 2], [3, 2, 1, 0]), strict=True):
        bends = route.boxes[1:-1]
        assert [bend.rank for bend in bends] == ranks
        assert len({bend.centre for bend in bends}) == 1


@given(st.lists(st.tuples(st.integers(-50, 50), st.integers(1, 9), st.integers(0, 9)), min_size=1, max_size=9))
def test_spread_keeps_the_order_and_the_distances(items: list[tuple[int, int, int]]) -> None:
    wanted, weights, distances = zip(*items, strict=True)
    places = spread(wanted, weights, distances[1:])
    assert all(right - left >= distance for (left, right), distance in zip(pairwise(places), distances[1:], strict=True))
    if all(b - a >= distance for (a, b), distance in zip(pairwise(wanted), distances[1:], strict=True)):
        assert places == list(wanted)
