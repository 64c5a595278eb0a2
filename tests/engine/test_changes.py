"""A graph that changed before resume: refused with a typed error or gone on with and told of; never silently something else."""

from __future__ import annotations

import operator
import warnings
from collections.abc import Callable
from typing import Annotated, Any, Literal, TypedDict

import pytest
from pydantic import AfterValidator, BaseModel

from graphflow import (
    END,
    START,
    Agent,
    Reply,
    Send,
    StateGraph,
    Team,
    ToolCall,
    add_messages,
    append,
    interrupt,
    logged,
    merge,
    per_run,
    tool,
    untracked,
)
from graphflow.core.changes import differences
from graphflow.db import InMemoryDb
from graphflow.errors import GraphChanged, GraphChangedWarning, GraphflowError
from graphflow.messages import Message
from graphflow.testing import ScriptedModel
from graphflow.workflow import Step, Workflow

Declared = dict[str, Any]

FIELDS: Declared = {
    "path": Annotated[list[str], append],
    "count": int,
    "tags": Annotated[dict[str, int], merge],
    "total": Annotated[int, operator.add],
    "notes": Annotated[list[Message], add_messages, logged],
}


def visit(name: str) -> Callable[..., Declared]:
    return lambda state: {"path": [name]}


def ask(state: Any) -> Declared:
    return {"path": [f"asked {interrupt('sure?')}"]}


def first(state: Any) -> Declared:
    return {"path": ["first"], "count": 3, "tags": {"a": 1}, "total": 2, "notes": [("user", "hello")]}


class Design:
    """A graph that can be changed before it is built: first → ask and side (in parallel) → join → last."""

    def __init__(self, **fields: Any) -> None:
        self.fields: Declared = {**FIELDS, **fields}
        self.nodes: dict[str, Any] = {"first": first, "ask": ask, "side": visit("side"), "both": visit("both")}
        self.nodes["last"] = visit("last")
        self.edges: list[tuple[Any, str]] = [(START, "first"), (["ask", "side"], "both"), ("both", "last"), ("last", END)]
        self.router: Any = lambda state: ["ask", "side"]
        self.targets: Any = ["ask", "side"]
        self.chooser = "first"
        self.aliases: dict[str, str] = {}

    def rename(self, old: str, new: str) -> Design:
        self.nodes = {new if name == old else name: node for name, node in self.nodes.items()}

        def renamed(end: Any) -> Any:
            return [renamed(one) for one in end] if isinstance(end, list) else new if end == old else end

        self.edges = [(renamed(source), renamed(target)) for source, target in self.edges]
        self.targets = renamed(self.targets)
        self.chooser = renamed(self.chooser)
        targets = self.targets
        self.router = lambda state: targets
        return self

    def without(self, *names: str) -> Design:
        self.fields = {name: hint for name, hint in self.fields.items() if name not in names}
        return self

    def build(self, db: Any) -> Any:
        builder = StateGraph(TypedDict("State", self.fields), name="g")  # type: ignore[operator]
        for name, node in self.nodes.items():
            builder.add_node(name, node)
        for source, target in self.edges:
            builder.add_edge(source, target)
        builder.add_conditional_edges(self.chooser, self.router, self.targets)
        return builder.compile(db=db, aliases=self.aliases)


def changed(**attributes: Any) -> Design:
    design = Design()
    for name, value in attributes.items():
        setattr(design, name, value)
    return design


EDGES = Design().edges
NEW = {"path": [], "count": 0}
PATH = ["first", "asked yes", "side", "both", "last"]


def aliased() -> Design:
    design = Design().rename("ask", "question")
    design.aliases = {"ask": "question"}
    return design


def without_join() -> Design:
    return changed(edges=[(START, "first"), ("ask", "both"), ("side", "both"), ("both", "last"), ("last", END)])


EXTRA = [*EDGES[:2], ("both", "extra"), ("extra", "last"), ("last", END)]
WITHOUT_LAST = {name: node for name, node in Design().nodes.items() if name != "last"}
EARLY_JOIN = [EDGES[0], (["first", "ask", "side"], "both"), *EDGES[2:]]

CHANGES: dict[str, tuple[Design, str | type[Exception], list[str]]] = {
    # what changed: the new graph, "goes on" or the error, what is said
    "a pending node renamed": (
        Design().rename("ask", "question"),
        GraphChanged,
        ["'ask' is pending but gone", "aliases={'ask': 'question'}"],
    ),
    "two pending nodes renamed": (
        Design().rename("ask", "question").rename("side", "beside"),
        GraphChanged,
        ["'ask' is pending but gone", "'side' is pending but gone", "node 'question' is new"],
    ),
    "a pending node renamed, as declared": (
        aliased(),
        "goes on",
        ["node 'ask' is called 'question' now, as aliases say"],
    ),
    "a later node renamed": (
        Design().rename("last", "final"),
        "goes on",
        ["node 'last' seems to be called 'final' now"],
    ),
    "an earlier node renamed": (
        Design().rename("first", "begin"),
        "goes on",
        ["node 'first' seems to be called 'begin' now"],
    ),
    "a node put in": (
        changed(nodes={**Design().nodes, "extra": visit("extra")}, edges=EXTRA),
        "goes on",
        ["node 'extra' is new", "edge both -> last is gone", "edge both -> extra is new", "edge extra -> last is new"],
    ),
    "a node taken out": (
        changed(nodes=WITHOUT_LAST, edges=[*EDGES[:2], ("both", END)]),
        "goes on",
        ["node 'last' is gone", "edge both -> last is gone", "edge last -> __end__ is gone"],
    ),
    "an edge put in": (
        changed(edges=[*EDGES, ("both", END)]),
        "goes on",
        ["edge both -> __end__ is new"],
    ),
    "a join made edges": (
        without_join(),
        "goes on",
        ["join ask, side -> both is gone", "edge ask -> both is new"],
    ),
    "a join that waits for what ran before": (
        changed(edges=EARLY_JOIN),
        GraphChanged,
        ["the new join before 'both' would wait for 'first', which ran before", "join ask, first, side -> both is new"],
    ),
    "other targets of a choice": (
        changed(targets=["ask", "side", "last"]),
        "goes on",
        ["branch first -> ask, side is gone", "branch first -> ask, last, side is new"],
    ),
    "a field put in": (
        Design(extra=str),
        "goes on",
        ["field 'extra' is new"],
    ),
    "a field taken out": (
        Design().without("total"),
        "goes on",
        ["field 'total' is gone (what is stored of it is kept)"],
    ),
    "a field renamed": (
        Design(sum=Annotated[int, operator.add]).without("total"),
        "goes on",
        ["field 'total' is gone (what is stored of it is kept)", "field 'sum' is new"],
    ),
    "another type, which does not fit": (
        Design(count=str),
        GraphChanged,
        ["field 'count' holds 3", "the type of field 'count' was int and is str"],
    ),
    "another type, which fits": (
        Design(count=int | None),
        "goes on",
        ["the type of field 'count' was int and is int | None"],
    ),
    "another type of items": (
        Design(tags=Annotated[dict[str, str], merge]),
        GraphChanged,
        ["field 'tags' holds {'a': 1}", "the type of field 'tags' was dict[str, int] and is dict[str, str]"],
    ),
    "a list made a text": (
        Design(path=str),
        GraphChanged,
        ["field 'path'"],
    ),
    "a dict made a list": (
        Design(tags=Annotated[list[str], append]),
        GraphChanged,
        ["field 'tags'"],
    ),
    "another reducer": (
        Design(total=Annotated[int, max]),
        "goes on",
        ["the reducer of field 'total' was add and is max"],
    ),
    "no reducer": (
        Design(total=int),
        "goes on",
        ["the reducer of field 'total' was add and is none"],
    ),
    "another lifetime": (
        Design(count=Annotated[int, untracked]),
        "goes on",
        ["the lifetime of field 'count' was session and is untracked"],
    ),
    "a logged field that is not logged now": (
        Design(notes=Annotated[list[Message], add_messages]),
        GraphChanged,
        ["field 'notes' was declared otherwise"],
    ),
    "a field that is logged now": (
        Design(path=Annotated[list[Message], add_messages, logged]),
        GraphChanged,
        ["field 'path' was declared otherwise"],
    ),
}


def begun(stage: str) -> tuple[Any, dict[str, Any]]:
    """A stored run of the first design: at its question with a sibling done, or failed with nothing of the superstep done."""
    db, design = InMemoryDb(), Design()
    if stage == "failed":
        design.nodes["side"] = design.nodes["ask"] = lambda state: 1 / 0
        with pytest.raises(ZeroDivisionError):
            design.build(db).invoke(NEW, session_id="s")
    else:
        assert design.build(db).invoke(NEW, session_id="s").status == "paused"
    return db, db.export_session("s")


@pytest.mark.parametrize("stage", ["paused", "failed"])
@pytest.mark.parametrize("what", CHANGES)
def test_a_change_before_resume_is_refused_or_told(what: str, stage: str) -> None:
    design, outcome, said = CHANGES[what]
    db, before = begun(stage)
    graph = design.build(db)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        if outcome == "goes on":
            result = graph.resume("s") if stage == "failed" else None
            assert result is None or result.status == "paused"
            done = graph.resume("s", "yes")
            path = [step for step in PATH if step != "last" or "last" in design.nodes]
            assert done.status == "completed" and [step for step in done["path"] if step in path][: len(path)] == path
        else:
            with pytest.raises(GraphChanged) as error:
                graph.resume("s", *(("yes",) if stage == "paused" else ()))
            assert db.export_session("s") == before, "nothing was written"
    texts = [str(warning.message) for warning in caught if warning.category is GraphChangedWarning]
    told = str(error.value) if outcome is GraphChanged else texts[0]
    assert [text for text in said if text not in told] == [], told


def test_no_change_is_no_warning(way, db) -> None:  # type: ignore[no-untyped-def]
    way.invoke(Design().build(db), NEW, session_id="s")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert way.resume(Design().build(db), "s", "yes")["path"] == PATH


def test_the_differences_are_known_to_another_process(way, db) -> None:  # type: ignore[no-untyped-def]
    """What the graph looked like stands in the database."""
    way.invoke(Design().build(db), NEW, session_id="s")
    db._graphs.clear()
    with pytest.raises(GraphChanged, match="node 'ask' seems to be called 'question' now") as error:
        way.resume(Design().rename("ask", "question").build(db), "s", "yes")
    assert error.value.changes == ("node 'ask' seems to be called 'question' now (aliases={'ask': 'question'} says so)",)


def test_a_graph_that_nobody_stored_is_refused_all_the_same(db) -> None:  # type: ignore[no-untyped-def]
    Design().build(db).invoke(NEW, session_id="s")
    db._graphs.clear()
    db._write(lambda tx: tx.execute("DELETE FROM gf_graphs"))
    with pytest.raises(GraphChanged, match="node 'ask' is pending but gone"):
        Design().rename("ask", "question").build(db).resume("s", "yes")


def test_an_outline_is_written_once_for_each_graph_and_process(db) -> None:  # type: ignore[no-untyped-def]
    graph = Design().build(db)
    written: list[str] = []
    sql = db._statements().insert_graph
    write = db._write_once

    def counting(work: Callable[[Any], Any]) -> Any:
        def counted(tx: Any) -> Any:
            execute = tx.execute

            def noting(text: str, *parameters: Any) -> Any:
                if text == sql:
                    written.append(text)
                return execute(text, *parameters)

            tx.execute = noting
            try:
                return work(tx)
            finally:
                tx.execute = execute

        return write(counted)

    db._write_once = counting
    for n in range(3):
        graph.invoke(NEW, session_id=f"s{n}")
    assert len(written) == 1


def test_a_new_run_on_a_state_that_does_not_fit_is_refused(way, db) -> None:  # type: ignore[no-untyped-def]
    def graph(hint: Any) -> Any:
        builder = StateGraph(TypedDict("S", {"count": hint, "other": int}))  # type: ignore[operator]
        return builder.add_node("n", lambda state: {}).add_edge(START, "n").add_edge("n", END).compile(db=db)

    way.invoke(graph(int), {"count": 3}, session_id="s")
    with pytest.raises(GraphChanged, match="field 'count' holds 3, which its declared type does not take"):
        way.invoke(graph(str), {"other": 1}, session_id="s")
    assert way.invoke(graph(float | int), {"other": 1}, session_id="s")["count"] == 3


def test_what_a_new_run_empties_may_be_declared_otherwise(way, db) -> None:  # type: ignore[no-untyped-def]
    def graph(hint: Any) -> Any:
        builder = StateGraph(TypedDict("S", {"draft": Annotated[hint, per_run], "other": int}))  # type: ignore[operator]
        return builder.add_node("n", lambda state: {}).add_edge(START, "n").add_edge("n", END).compile(db=db)

    way.invoke(graph(int), {"draft": 3}, session_id="s")
    assert way.invoke(graph(str), {"draft": "three"}, session_id="s")["draft"] == "three"


def nested(db: Any, hint: Any, *, join: bool = False, persist: bool = False) -> Any:
    """A graph in a graph: first, and a question after it; ``join``: a node that waits for both."""
    builder = StateGraph(TypedDict("Inner", {"count": hint, "path": Annotated[list[str], append]}))  # type: ignore[operator]
    builder.add_node("first", lambda state: {"path": ["first"], **({"count": 3} if hint is int else {})})
    builder.add_node("ask", ask)
    builder.add_node("both", visit("both"))
    builder.add_edge(START, "first").add_edge("first", "ask")
    if join:
        builder.add_edge(["first", "ask"], "both")
    else:
        builder.add_edge("ask", "both")
    inner = builder.add_edge("both", END).compile(name="inner")
    outer = StateGraph(TypedDict("Outer", {"path": Annotated[list[str], append]}), name="outer")
    return outer.add_node("in", inner, persist=persist).add_edge(START, "in").add_edge("in", END).compile(db=db)


def test_what_does_not_fit_inside_a_nested_graph_is_refused(way, db) -> None:  # type: ignore[no-untyped-def]
    way.invoke(nested(db, int), {}, session_id="s")
    with (
        pytest.warns(GraphChangedWarning),
        pytest.raises(GraphChanged, match="field 'count' holds 3, which its declared type does not take"),
    ):
        way.resume(nested(db, str), "s", "yes")
    with pytest.warns(GraphChangedWarning):
        assert way.resume(nested(db, int | float), "s")["path"] == ["first", "asked yes", "both"]


def test_a_new_join_inside_a_nested_graph_does_not_wait_for_ever(way, db) -> None:  # type: ignore[no-untyped-def]
    way.invoke(nested(db, int), {}, session_id="s")
    refused = pytest.raises(GraphChanged, match="the new join before 'both' would wait for 'first'")
    with pytest.warns(GraphChangedWarning), refused:
        way.resume(nested(db, int, join=True), "s", "yes")


def test_what_a_nested_graph_kept_has_to_fit_when_it_is_called_again(way, db) -> None:  # type: ignore[no-untyped-def]
    way.invoke(nested(db, int, persist=True), {}, session_id="s")
    way.resume(nested(db, int, persist=True), "s", "yes")
    with pytest.raises(GraphChanged, match="field 'count' holds 3, which its declared type does not take"):
        way.invoke(nested(db, str, persist=True), {}, session_id="s")


def test_names_with_line_breaks_are_compared(way, db) -> None:  # type: ignore[no-untyped-def]
    def graph(*names: str) -> Any:
        builder = StateGraph(TypedDict("S", {"path": Annotated[list[str], append]}))  # type: ignore[operator]
        for name, follows in zip((START, *names), (*names, END), strict=True):
            if name != START:
                builder.add_node(name, ask if name.startswith("draft") else visit(name))
            builder.add_edge(name, follows)
        return builder.compile(db=db)

    way.invoke(graph("draft\nreview"), {}, session_id="s")
    with pytest.warns(GraphChangedWarning, match="node 'last' is new"):
        assert way.resume(graph("draft\nreview", "last"), "s", "yes")["path"] == ["asked yes", "last"]


def short(text: str) -> str:
    """For a validator."""
    return text[:9]


def test_a_fingerprint_holds_no_place_in_memory() -> None:
    class Tag:
        """A mark of the user's, which says nothing of itself."""

    def graph(tag: Any) -> Any:
        class State(BaseModel):
            name: Annotated[str, AfterValidator(short), tag] = ""  # type: ignore[valid-type]

        return StateGraph(State).add_node("n", lambda state: {}).add_edge(START, "n").add_edge("n", END).compile()

    kept = [Tag(), Tag()]
    assert graph(kept[0]).fingerprint == graph(kept[1]).fingerprint and "0x" not in graph(kept[0]).plan.outline


def test_an_agent_may_change_between_turns(way, db) -> None:  # type: ignore[no-untyped-def]
    def note(text: str) -> str:
        """Note it."""
        return text

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for tools in ([], [note], []):
            way.run(Agent(ScriptedModel(["hi"]), tools=tools, db=db, session_id="s"), "hello", session_state={"n": 1})
    assert len(db.get_messages("s")) == 6


def test_sends_to_a_node_that_is_gone_are_named(db) -> None:  # type: ignore[no-untyped-def]
    def graph(name: Literal["work", "job"]) -> Any:
        def work(item: int) -> Declared:
            raise ConnectionError("no")

        builder = StateGraph(TypedDict("S", {"x": int})).add_node(name, work).add_edge(name, END)  # type: ignore[operator]
        return builder.add_conditional_edges(START, lambda s: [Send(name, 1)], [name]).compile(db=db)

    with pytest.raises(ConnectionError):
        graph("work").invoke({"x": 1}, session_id="s")
    with pytest.raises(GraphChanged, match="node 'work' is pending but gone"):
        graph("job").resume("s")


def test_outlines_of_any_names_are_compared() -> None:
    plan = Design().build(InMemoryDb()).plan
    before = f"{plan.outline}\nedge first -> b\nnode b -> c\nsomething else"
    assert [change.text for change in differences(before, plan)] == [
        "node 'b -> c' is gone",
        "the edge first -> b is gone",
        "the something else is gone",
    ]
    assert issubclass(GraphChanged, GraphflowError)


# --- graphs inside graphs ------------------------------------------------------------------------------------------------


@tool(requires_confirmation=True)
def pay(amount: int) -> str:
    """Pay."""
    return "paid"


def member(name: str, *tools: Any) -> Agent:
    asks = Reply(tool_calls=[ToolCall("p", "pay", {"amount": 5})])
    return Agent(ScriptedModel([asks] if tools == (pay,) else ["it is paid"]), name=name, tools=tools)


def crew(db: Any, worker: Agent, *replies: Any) -> Team:
    """A team of a worker, who has something to do, and of another member."""
    return Team([worker, member("other")], model=ScriptedModel(replies), db=db, session_id="s", name="crew")


def paused_crew(db: Any, worker: str = "researcher") -> None:
    task = ToolCall("1", "delegate_task_to_member", {"member_id": worker, "task": "pay"})
    assert crew(db, member(worker, pay), Reply(tool_calls=[task])).run("q").status == "paused"


def test_a_delegation_goes_on_under_the_members_new_name(way, db) -> None:  # type: ignore[no-untyped-def]
    paused_crew(db)
    team = crew(db, Agent(ScriptedModel(["it is paid"]), name="scout", tools=[pay]), "done")
    with pytest.raises(GraphChanged, match="node 'researcher' is pending but gone") as error:
        way.resume(team, "s", True)
    assert error.value.changes == (
        "node 'researcher' seems to be called 'scout' now (aliases={'researcher': 'scout'} says so)",
    )
    assert "team.with_graph(team.graph_builder().compile(aliases={'old': 'new'}))" in str(error.value)
    renamed = team.with_graph(team.graph_builder().compile(aliases={"researcher": "scout"}))
    with pytest.warns(GraphChangedWarning, match="node 'researcher' is called 'scout' now, as aliases say"):
        output = way.resume(renamed, "s", True)
    assert (output.content, output.tools[0].result) == ("done", "it is paid")
    assert db.check().ok


def test_what_changed_in_a_member_is_told_with_its_name(way, db) -> None:  # type: ignore[no-untyped-def]
    paused_crew(db)
    stripped = crew(db, member("researcher"), "done")
    with (
        pytest.warns(GraphChangedWarning) as caught,
        pytest.raises(GraphChanged, match=r"graph 'researcher' changed .* node 'tools' is pending but gone.* run on agent\."),
    ):
        way.resume(stripped, "s", True)
    told = str(caught[0].message)
    assert told.endswith(
        "What is different: in 'researcher': node 'tools' is gone; "
        "in 'researcher': the branch model -> __end__, tools is gone; "
        "in 'researcher': the edge tools -> model is gone; in 'researcher': the edge model -> __end__ is new."
    )


def told(before: Any, after: Any) -> list[str]:
    return [change.text for change in differences(before.plan.outline, after.plan)]


def test_names_with_commas_and_colons_are_told_apart() -> None:
    def graph(last: str, work: Any) -> Any:
        builder = StateGraph(TypedDict("State", FIELDS), name="g")  # type: ignore[operator]
        builder.add_sequence([("do: it", work), (last, visit(last))])
        return builder.add_edge(START, "do: it").add_edge(last, END).compile()

    plain, inner, renamed = visit("x"), Design().build(None), Design().rename("last", "final").build(None)
    aliases = "aliases={'wash, dry': 'clean, dry'}"
    assert told(graph("wash, dry", plain), graph("clean, dry", plain)) == [
        f"node 'wash, dry' seems to be called 'clean, dry' now ({aliases} says so)"
    ]
    assert told(graph("a", inner), graph("a", renamed)) == [
        "in 'do: it': node 'last' seems to be called 'final' now (aliases={'last': 'final'} says so)"
    ]
    assert told(graph("a", plain), graph("a", inner)) == ["node 'do: it' is a graph"]
    assert told(graph("a", inner), graph("a", plain)) == ["node 'do: it' was a graph"]


def test_a_join_that_waits_goes_on_under_the_new_names_of_its_nodes(way, db) -> None:  # type: ignore[no-untyped-def]
    def graph(done: str, joined: str, late: Any, **aliases: str) -> Any:
        builder = StateGraph(TypedDict("State", FIELDS), name="g")  # type: ignore[operator]
        for name, node in (("first", visit("first")), (done, visit("done")), ("late", late), (joined, visit("joined"))):
            builder.add_node(name, node)
        builder.add_edge(START, "first").add_edge("first", "late").add_edge(START, done)
        builder.add_edge([done, "late"], joined).add_edge(joined, END)
        return builder.compile(db=db, aliases=aliases)

    with pytest.raises(ZeroDivisionError):
        way.invoke(graph("side", "both", lambda state: 1 / 0), {}, session_id="s")
    with pytest.raises(GraphChanged, match=r"the join 'late\+side>both' is waiting but gone"):
        way.resume(graph("aside", "merge", visit("late")), "s")
    renamed = graph("aside", "merge", visit("late"), side="aside", both="merge")
    with pytest.warns(GraphChangedWarning):
        assert way.resume(renamed, "s")["path"] == ["first", "done", "late", "joined"]


def test_a_step_of_a_workflow_goes_on_under_its_new_name(way, db) -> None:  # type: ignore[no-untyped-def]
    def workflow(name: str, work: Callable[..., Any]) -> Workflow:
        return Workflow([Step(name, work)], db=db, session_id="w", name="letters")

    with pytest.raises(ZeroDivisionError):
        way.run(workflow("draft", lambda given: 1 / 0), "tea")
    after = workflow("write", lambda given: f"about {given.input}")
    with pytest.raises(GraphChanged, match=r"workflow\.with_graph"):
        way.resume(after, "w")
    renamed = after.with_graph(after.graph_builder().compile(aliases={"draft": "write"}))
    with pytest.warns(GraphChangedWarning, match="as aliases say"):
        assert way.resume(renamed, "w").content == "about tea"


def test_a_node_that_is_called_otherwise_makes_again_what_is_not_stored() -> None:
    db, down = InMemoryDb(), [True]

    class Seen(TypedDict, total=False):
        found: Annotated[str, untracked]
        answer: str

    def say(state: Any) -> Declared:
        if down:
            raise ConnectionError
        return {"answer": state.get("found", "nothing")}

    def graph(name: str, rerunnable: bool = True, **aliases: str) -> Any:
        builder = StateGraph(Seen)
        builder.add_node(name, lambda state: {"found": "tea"}, rerunnable=rerunnable)
        builder.add_node("mid", lambda state: {})
        builder.add_node("say", say)
        for left, right in ((START, name), (name, "mid"), ("mid", "say"), ("say", END)):
            builder.add_edge(left, right)
        return builder.compile(db=db, aliases=aliases)

    for session in ("renamed", "lost", "once"):
        with pytest.raises(ConnectionError):
            graph("look").invoke({}, session_id=session)
    down.clear()
    with pytest.raises(GraphChanged, match="node 'look', which made what is not stored, is gone"):
        graph("find").resume("lost")
    with pytest.warns(GraphChangedWarning):
        assert graph("find", look="find").resume("renamed")["answer"] == "tea"
    assert graph("look", rerunnable=False).resume("once")["answer"] == "nothing", "what is not to be repeated is not"


def test_joins_of_nodes_whose_names_have_signs_in_them_are_told_apart() -> None:
    ran: list[str] = []
    builder = StateGraph(TypedDict("S", {"n": int}))
    for name in ("a", "b+c", "a+b", "c", "50%", "d>e", "first", "second"):
        builder.add_node(name, lambda state, name=name: ran.append(name) or {})
        if name not in ("first", "second"):
            builder.add_edge(START, name)
    builder.add_edge(["a", "b+c"], "first")
    builder.add_edge(["a+b", "c"], "second")
    builder.add_edge(["50%", "d>e"], "second")
    builder.add_edge("first", END)
    builder.add_edge("second", END)
    builder.compile().invoke({})
    assert sorted(ran[-2:]) == ["first", "second"] and len(ran) == 8


def test_a_join_that_waits_is_found_under_new_names_with_signs_in_them() -> None:
    db = InMemoryDb()

    def graph(done: str, **options: Any) -> Any:
        builder = StateGraph(TypedDict("S", {"n": int}))
        for name in (done, "asks", "a+b"):
            builder.add_node(name, (lambda state: interrupt("sure?") and {}) if name == "asks" else lambda state: {})
        builder.add_edge(START, done)
        builder.add_edge(START, "asks")
        builder.add_edge([done, "asks"], "a+b")
        builder.add_edge("a+b", END)
        return builder.compile(db=db, **options)

    graph("x+y").invoke({}, session_id="s")
    with pytest.warns(GraphChangedWarning):
        result = graph("x>y", aliases={"x+y": "x>y"}).resume("s", True)
    assert result.status == "completed" and "a+b" in result.metrics["nodes"]
