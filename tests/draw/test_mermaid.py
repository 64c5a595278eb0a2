"""Pictures: everything a graph can do is in them, and no name of a node can break them."""

from __future__ import annotations

import re
from itertools import pairwise
from typing import Any, TypedDict

import pytest

from graphflow import END, START, Command, Send, StateGraph
from graphflow.agent import Agent
from graphflow.core.plan import Plan
from graphflow.draw import draw_mermaid


class State(TypedDict):
    """One field is enough to draw."""

    done: bool


def work(state: State) -> None:
    """A node that does nothing."""


def builder(*names: str) -> StateGraph:
    """A graph with these nodes, entered at the first."""
    made = StateGraph(State)
    for name in names:
        made.add_node(name, work)
    return made.add_edge(START, names[0])


def lines_of(made: StateGraph) -> list[str]:
    return [line.strip() for line in made.compile().draw_mermaid().splitlines()]


def test_a_picture_is_a_flowchart_from_start_to_end() -> None:
    made = builder("fetch", "answer").add_edge("fetch", "answer").add_edge("answer", END)
    assert made.compile().draw_mermaid() == (
        "flowchart TD\n"
        '    start(["START"])\n'
        '    fetch["fetch"]\n'
        '    answer["answer"]\n'
        '    finish(["END"])\n'
        "    start --> fetch\n"
        "    fetch --> answer\n"
        "    answer --> finish\n"
    )


def test_the_method_draws_the_plan() -> None:
    graph = builder("a").add_edge("a", END).compile()
    assert graph.draw_mermaid() == draw_mermaid(graph.plan)


def test_a_join_is_a_circle_that_waits_for_all() -> None:
    made = builder("a", "b", "c").add_edge(START, "b").add_edge(["a", "b"], "c").add_edge("c", END)
    assert [line for line in lines_of(made) if "join" in line] == [
        'join_0(("all"))',
        "a --> join_0",
        "b --> join_0",
        "join_0 --> c",
    ]


def test_the_ways_of_a_router_are_dashed_and_bear_its_results() -> None:
    made = builder("judge", "write").add_edge("write", "judge")
    made.add_conditional_edges("judge", lambda state: state["done"], {True: END, False: "write", "again": "write"})
    dashed = [line for line in lines_of(made) if "-.->" in line]
    assert dashed == ['judge -.->|"True"| finish', 'judge -.->|"False / again"| write']


def test_a_result_that_is_the_nodes_own_name_needs_no_label() -> None:
    made = builder("judge", "write").add_edge("write", "judge")
    made.add_conditional_edges("judge", lambda state: END, ["write", END])
    assert [line for line in lines_of(made) if "judge -" in line] == ["judge -.-> write", "judge -.-> finish"]


def test_a_router_without_targets_may_reach_any_node() -> None:
    made = builder("judge", "write").add_edge("write", END).add_conditional_edges("judge", lambda state: "write")
    assert {"judge -.-> judge", "judge -.-> write", "judge -.-> finish"} <= set(lines_of(made))


def test_the_targets_of_sends_are_dashed() -> None:
    def fan_out(state: State) -> list[Send]:
        return [Send("work", 1), Send("work", 2)]

    made = builder("plan", "work").add_conditional_edges("plan", fan_out, ["work"]).add_edge("work", END)
    assert "plan -.-> work" in lines_of(made)


def test_the_destinations_of_commands_are_dashed() -> None:
    made = StateGraph(State).add_node("pick", work, destinations=["left", END]).add_node("left", work).add_node("right", work)
    made.add_edge(START, "pick").add_edge(START, "right").add_edge("left", END).add_edge("right", END)
    assert [line for line in lines_of(made) if line.startswith("pick")][1:] == ["pick -.-> left", "pick -.-> finish"]


def test_a_command_without_destinations_may_reach_any_other_node() -> None:
    def pick(state: State) -> Command:
        return Command(goto="left")

    made = StateGraph(State).add_node("pick", pick).add_node("left", work)
    made.add_edge(START, "pick").add_edge("left", END)
    assert [line for line in lines_of(made) if line.startswith("pick -")] == ["pick -.-> left", "pick -.-> finish"]


def test_a_command_beside_an_edge_leads_to_what_no_edge_leads_to() -> None:
    def pick(state: State) -> Command:
        return Command(goto="aside")

    made = StateGraph(State).add_node("pick", pick).add_node("usual", work).add_node("aside", work)
    made.add_edge(START, "pick").add_edge("pick", "usual").add_edge("usual", END).add_edge("aside", END)
    assert [line for line in lines_of(made) if line.startswith("pick -")] == ["pick --> usual", "pick -.-> aside"]


def test_end_is_drawn_only_where_an_edge_leads_to_it() -> None:
    def pick(state: State) -> Command:
        return Command()

    made = StateGraph(State).add_node("pick", pick).add_edge(START, "pick").add_edge("pick", "pick")
    assert "END" not in made.compile().draw_mermaid()


def test_an_agents_tools_are_a_loop_beside_its_model() -> None:
    def add(a: int, b: int) -> int:
        """Add."""
        return a + b

    drawn = Agent("offline", tools=[add]).graph.draw_mermaid()
    assert re.findall(r"^    (\w+ -\S+ \w+)$", drawn, re.M) == [
        "start --> history",
        "history --> model",
        "model -.-> tools",
        "model -.-> finish",
        "tools --> model",
    ]


HARD_NAMES = [
    *("end", "End", "graph", "subgraph", "style", "class", "click", "default", "start", "finish", "node_3", "join_0", "1st"),
    *("two words", 'a"b', "a|b", "a;b", "a#35;b", "<b>x</b>", "`x`", "a\nb", "-->", "a[b]", "{a}", "%% a", "ünï 日本", "\\"),
    "first+two words>last",
]


@pytest.mark.parametrize("name", HARD_NAMES)
def test_no_name_breaks_the_picture(name: str) -> None:
    """Every line stays one of five plain forms, so nothing in a name can be read as Mermaid's own language."""
    made = builder("first", name, "last").add_edge(["first", name], "last").add_edge("last", END)
    made.add_conditional_edges("first", lambda state: END, {name: name, f"to {name}": "last"})
    end, text = r"[A-Za-z]\w*", r"(?:[\w .,()/?!'+*=-]|#\d+;)+"
    form = re.compile(rf'{end}(?:\["{text}"\]|\(\["{text}"\]\)|\(\("all"\)\)| --> {end}| -\.->(?:\|"{text}"\|)? {end})')
    lines = lines_of(made)
    assert lines[0] == "flowchart TD"
    assert [line for line in lines[1:] if not form.fullmatch(line)] == []


@pytest.mark.parametrize(
    ("name", "drawn"),
    [
        ("1. Research", "1#46; Research"),
        ("2) Write", "2#41; Write"),
        ("- x", "#45; x"),
        ("*bold*", "#42;bold#42;"),
        ("_it_", "#95;it#95;"),
        ("snake_case", "snake_case"),
        ("v1.2-rc", "v1.2-rc"),
    ],
)
def test_names_are_not_read_as_markdown(name: str, drawn: str) -> None:
    assert f'["{drawn}"]' in "\n".join(lines_of(builder(name).add_edge(name, END)))


def test_names_that_differ_stay_apart() -> None:
    drawn = builder(*HARD_NAMES).add_edge(HARD_NAMES[0], END)
    for left, right in pairwise(HARD_NAMES):
        drawn.add_edge(left, right)
    declared = re.findall(r"^    (\w+)[\[(]", draw_mermaid(drawn.plan()), re.M)
    assert len(declared) == len(set(declared)) == len(HARD_NAMES) + 2


def test_text_can_be_read_back_from_its_character_codes() -> None:
    def decoded(line: str) -> Any:
        return re.sub(r"#(\d+);", lambda found: chr(int(found[1])), line)

    drawn = builder('say "hi" <now> & #1;').add_edge('say "hi" <now> & #1;', END).compile().draw_mermaid()
    assert 'node_0["say "hi" <now> & #1;"]' in decoded(drawn)


def test_a_nested_graph_is_a_subgraph(deep: Plan) -> None:
    lines = draw_mermaid(deep).splitlines()
    begin, end = lines.index('    subgraph team["team"]'), lines.index("    end")
    assert lines[begin + 1 : end] == [
        "        direction TB",
        '        team__start(["START"])',
        '        team__ask["ask"]',
        '        subgraph team__search["search"]',
        "            direction TB",
        '            team__search__start(["START"])',
        '            team__search__find["find"]',
        '            team__search__rank["rank"]',
        '            team__search__finish(["END"])',
        "            team__search__start --> team__search__find",
        "            team__search__find --> team__search__rank",
        "            team__search__rank --> team__search__finish",
        "        end",
        '        team__finish(["END"])',
        "        team__start --> team__ask",
        "        team__ask --> team__search",
        '        team__search -.->|"again"| team__ask',
        '        team__search -.->|"fine"| team__finish',
    ]
    assert "    intake --> team" in lines and "    team --> report" in lines


def test_ids_of_nested_nodes_are_their_own() -> None:
    """Names that look like the path of a nested node do not meet it."""
    inner = builder("b", "_b").add_edge("b", "_b").add_edge("_b", END).compile()
    made = builder("a__b").add_node("a", inner).add_node("a_", inner).add_node("node_1", work)
    made.add_edge("a__b", "a").add_edge("a", "a_").add_edge("a_", "node_1").add_edge("node_1", END)
    declared = re.findall(r"^ +(?:subgraph )?(\w+)[\[(]", made.compile().draw_mermaid(), re.M)
    assert len(declared) == len(set(declared)) == 14


def test_many_free_commands_meet_in_one_circle() -> None:
    def roam(state: State) -> Command:
        return Command(goto="b")

    made = StateGraph(State).add_edge(START, "a")
    for name in "abcd":
        made.add_node(name, roam)
    lines = lines_of(made)
    assert 'any_0(("any"))' in lines
    assert [line for line in lines if "any_0 -" in line] == [f"any_0 -.-> {name}" for name in ("b", "c", "d", "finish", "a")]
    assert [line for line in lines if "> any_0" in line] == [f"{name} -.-> any_0" for name in "abcd"]
