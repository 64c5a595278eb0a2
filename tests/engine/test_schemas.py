"""Schemas beside the state: input, output, context, a node's own view; and states that change between deployments."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, Any, Literal, TypedDict

import pytest
from pydantic import BaseModel, Field, model_validator

from graphflow import END, START, Message, Send, StateGraph, add_messages, append, interrupt
from graphflow.errors import GraphError, InvalidUpdate, KeyReused


class State(TypedDict):
    question: str
    limit: int
    notes: Annotated[list[str], append]
    answer: str


class Ask(TypedDict):
    question: str


class OnlyHigh(TypedDict):
    high: int


class Answer(TypedDict):
    answer: str


class AskModel(BaseModel):
    question: str = Field(min_length=3)
    limit: int = 5


@dataclass
class AskData:
    question: str
    limit: int = 5


def answering(db=None, state=State, node=None, **schemas):
    builder = StateGraph(state, **schemas)
    builder.add_node("work", node or (lambda state: {"notes": ["private"], "answer": f"{state['question']}!"}))
    builder.add_edge(START, "work")
    builder.add_edge("work", END)
    return builder.compile(db=db)


# --- what an input has to be, whatever form the state has ---------------------------------------------------------------


class Span(BaseModel):
    low: int = Field(ge=0)
    high: int = 9

    @model_validator(mode="after")
    def ordered(self):
        assert self.low <= self.high, "out of order"
        return self


@dataclass
class SpanData:
    low: int
    high: int = 9

    def __post_init__(self):
        if self.low > self.high:
            raise ValueError("out of order")


class SpanDict(TypedDict):
    low: int
    high: int


BAD = {
    "a model without a field": (Span, {}, {"high": 1}, "'low'"),
    "a model with a wrong value": (Span, {}, {"low": -1}, "'low'.*greater than or equal to 0"),
    "a model that refuses the whole": (Span, {}, {"low": 10}, "out of order"),
    "a dataclass without a field": (SpanData, {}, {"high": 1}, "'low'"),
    "a dataclass with a wrong value": (SpanData, {}, {"low": "1"}, "'low'.*integer"),
    "a dataclass that refuses the whole": (SpanData, {}, {"low": 10}, "out of order"),
    "a dict with a wrong value": (SpanDict, {}, {"low": "1"}, "'low'.*integer"),
    "a dict whose first node wants a field": (SpanDict, {"node": SpanData}, {"high": 1}, "'low'"),
    "an input schema without a field": (SpanDict, {"input_schema": SpanData}, {"high": 1}, "'low'"),
    "an input schema that does not give what the state needs": (Span, {"input_schema": OnlyHigh}, {"high": 1}, "'low'"),
    "an input schema that refuses the whole": (SpanDict, {"input_schema": Span}, {"low": 10}, "out of order"),
}


@pytest.mark.parametrize("case", BAD)
@pytest.mark.parametrize("options", [{}, {"durability": "exit"}, {"idempotency_key": "k"}])
def test_an_input_that_the_state_cannot_be_made_of_is_refused_before_anything_is_written(way, db, case, options):
    state, schemas, given, words = BAD[case]
    ran = []

    def work(state):
        ran.append(state)

    work.__annotations__["state"] = schemas.get("node", state)
    graph = answering(db, state, work, **{name: schema for name, schema in schemas.items() if name != "node"})
    with pytest.raises(InvalidUpdate, match=words):
        way.invoke(graph, given, session_id="s", **options)
    with pytest.raises(InvalidUpdate, match=words):
        way.stream(graph, given, session_id="s", **options)
    assert not ran and db.get_session("s") is None


def test_what_the_first_node_does_not_look_at_may_be_filled_in_by_it(way, db):
    def fill(state: OnlyHigh) -> dict[str, int]:
        return {"low": state["high"] - 1}

    graph = answering(db, Span, fill)
    assert way.invoke(graph, {"high": 3}, session_id="s").value == Span(low=2, high=3)
    seen = way.stream(graph, {"high": 3}, session_id="t", stream_mode="values")
    assert seen == [{"high": 3}, Span(low=2, high=3)]


def test_a_later_run_needs_only_what_the_session_does_not_have(way, db):
    graph = answering(db, Span, lambda state: {"high": state.high + 1})
    way.invoke(graph, {"low": 1}, session_id="s")
    assert way.invoke(graph, {}, session_id="s").value == Span(low=1, high=11)
    with pytest.raises(InvalidUpdate, match="out of order"):
        way.invoke(graph, {"low": 12}, session_id="s")
    assert len(db.get_runs("s")) == 2


# --- input -------------------------------------------------------------------------------------------------------------


def test_an_input_has_only_the_fields_of_its_schema(way, db):
    graph = answering(db, input_schema=Ask)
    assert way.invoke(graph, {"question": "tea"}, session_id="s")["answer"] == "tea!"
    with pytest.raises(InvalidUpdate, match=r"'answer'.*private field of Ask"):
        way.invoke(graph, {"question": "tea", "answer": "mine"}, session_id="t")
    with pytest.raises(InvalidUpdate, match=r"'qestion'.*did you mean 'question'"):
        way.invoke(graph, {"qestion": "tea"}, session_id="t")
    assert db.get_session("t") is None


@pytest.mark.parametrize("schema", [AskModel, AskData])
def test_defaults_of_the_input_are_used_where_the_state_holds_nothing(way, db, schema):
    graph = answering(db, input_schema=schema)
    assert way.invoke(graph, {"question": "tea"}, session_id="s")["limit"] == 5
    assert way.invoke(graph, {"question": "tea", "limit": 7}, session_id="s")["limit"] == 7
    assert way.invoke(graph, {"question": "tea"}, session_id="s")["limit"] == 7
    assert way.invoke(graph, schema(question="tea", limit=8), session_id="s")["limit"] == 8


class StateModel(BaseModel):
    question: str
    limit: int = 1
    notes: Annotated[list[str], append] = []
    answer: str = ""


@dataclass
class StateData:
    question: str
    limit: int = 1
    notes: Annotated[list[str], append] = field(default_factory=list)
    answer: str = ""


@pytest.mark.parametrize("state", [State, StateModel, StateData])
@pytest.mark.parametrize("schema", [Ask, AskModel, AskData])
def test_a_key_stands_for_an_instance_of_the_input_schema_too(way, db, state, schema):
    graph = answering(db, state, lambda state: {"answer": "done"}, input_schema=schema)
    given = schema(question="tea") if schema is Ask else schema(question="tea", limit=6)
    first = way.invoke(graph, given, idempotency_key="k")
    same = {"question": "tea"} if schema is Ask else {"question": "tea", "limit": 6}
    again = [way.invoke(graph, asked, session_id=first.session_id, idempotency_key="k") for asked in (given, same)]
    assert [result.run_id for result in again] == [first.run_id] * 2
    assert first["answer"] == "done" and first.get("limit") == (6 if schema is not Ask else None if state is State else 1)
    with pytest.raises(KeyReused, match="another input"):
        way.invoke(graph, {**same, "question": "coffee"}, idempotency_key="k")
    with pytest.raises(InvalidUpdate, match="private field"):
        way.invoke(graph, {**same, "answer": "mine"}, idempotency_key="other")
    assert db.count_sessions() == 1


@pytest.mark.parametrize("state", [State, StateModel, StateData])
def test_a_key_stands_for_an_instance_of_the_state_too(way, db, state):
    graph = answering(db, state, lambda state: {"answer": "done"})
    given = state(question="tea")
    assert len({way.invoke(graph, given, idempotency_key="k").run_id for _ in range(2)}) == 1


def test_a_key_stands_for_what_the_input_says_and_not_for_defaults(way, db):
    class Made(BaseModel):
        question: str
        limit: int = Field(default_factory=lambda: next(numbers))

    numbers = iter(range(100))
    graph = answering(db, input_schema=Made)
    assert len({way.invoke(graph, {"question": "tea"}, idempotency_key="k").run_id for _ in range(2)}) == 1


@pytest.mark.parametrize("schema", [AskModel, AskData])
def test_an_incomplete_input_names_what_is_missing(way, schema):
    with pytest.raises(InvalidUpdate, match=r"no 'question'"):
        way.invoke(answering(input_schema=schema), {"limit": 1})


def test_an_input_is_checked_by_its_own_schema(way):
    class Model(BaseModel):
        question: Literal["tea", "coffee"]
        limit: int = Field(default=1, le=3)

        @model_validator(mode="after")
        def fits(self):
            if self.question == "tea" and self.limit == 2:
                raise ValueError("no two teas")
            return self

    graph = answering(input_schema=Model)
    assert way.invoke(graph, {"question": "tea", "limit": 3})["limit"] == 3
    for wrong, words in (
        ({"question": "water"}, "'question'"),
        ({"question": "tea", "limit": 4}, "limit"),
        ({"question": "tea", "limit": 2}, "no two teas"),
        ({"question": 3}, "'question'"),
    ):
        with pytest.raises(InvalidUpdate, match=words):
            way.invoke(graph, wrong)


def test_messages_of_an_input_are_taken_as_the_state_takes_them(way):
    class Chat(TypedDict):
        messages: Annotated[list[Message], add_messages]
        topic: str

    class Input(TypedDict):
        messages: list[Message]

    graph = answering(state=Chat, node=lambda state: {"topic": state["messages"][0].content}, input_schema=Input)
    assert way.invoke(graph, {"messages": [("user", "hi")]})["topic"] == "hi"


# --- output ------------------------------------------------------------------------------------------------------------


def test_a_result_has_only_the_fields_of_its_schema(way, db):
    graph = answering(db, input_schema=Ask, output_schema=Answer)
    result = way.invoke(graph, {"question": "tea"}, session_id="s")
    assert result.value == {"answer": "tea!"} and "notes" not in result and result.get("notes") is None
    assert list(result) == ["answer"] and dict(result) == {**result} == {"answer": "tea!"}
    assert way.get_state(graph, "s").values["notes"] == ["private"]


def test_a_result_comes_in_the_form_of_its_schema(way):
    class Out(BaseModel):
        answer: str

    result = way.invoke(answering(output_schema=Out), {"question": "tea"})
    assert result.value == Out(answer="tea!") and isinstance(result.value, Out)


@pytest.mark.parametrize("which", ["input_schema", "output_schema"])
def test_a_field_that_the_state_has_not_is_refused(which):
    class Wrong(TypedDict):
        anwser: str

    with pytest.raises(GraphError, match=rf"{which} Wrong.*'anwser'.*did you mean 'answer'"):
        answering(**{which: Wrong})


# --- a node's own view -------------------------------------------------------------------------------------------------


class Part(TypedDict):
    question: str


@dataclass
class PartData:
    question: str
    notes: list[str] = field(default_factory=list)


class PartModel(BaseModel):
    question: str


def test_a_node_sees_the_part_that_its_annotation_names(way):
    seen = []

    def typed(state: Part):
        seen.append(state)

    def data(state: PartData):
        seen.append(state)
        state.notes = ["from data"]
        return state

    async def model(state: PartModel, ctx):
        seen.append(state)

    class Callable:
        def __call__(self, state: Part):
            seen.append(state)

        def method(self, state: PartData):
            seen.append(state)

    def whole(state: State):
        seen.append(sorted(state))

    builder = StateGraph(State)
    nodes = {"typed": typed, "data": data, "model": model, "object": Callable(), "method": Callable().method, "whole": whole}
    for name, node in nodes.items():
        builder.add_node(name, node)
    for left, right in zip([START, *nodes], [*nodes, END], strict=True):
        builder.add_edge(left, right)
    result = way.invoke(builder.compile(), {"question": "tea", "limit": 3})
    part = {"question": "tea"}
    assert seen == [
        part,
        PartData("tea", ["from data"]),
        PartModel(**part),
        part,
        PartData("tea", ["from data"]),
        ["limit", "notes", "question"],
    ]
    assert isinstance(seen[2], PartModel) and result["notes"] == ["from data"]


def test_an_annotation_that_is_no_part_of_the_state_describes_what_a_send_brings(way):
    class Job(TypedDict):
        n: int
        notes: list[str]

    seen = []

    def work(job: Job):
        seen.append(job)

    builder = StateGraph(State)
    builder.add_node("fan", lambda state: None)
    builder.add_node("work", work)
    builder.add_edge(START, "fan")
    builder.add_conditional_edges("fan", lambda state: Send("work", {"n": 1, "notes": []}), ["work"])
    builder.add_edge("work", END)
    way.invoke(builder.compile(), {"question": "tea"})
    assert seen == [{"n": 1, "notes": []}]


def test_the_argument_of_a_send_is_not_cut_to_the_view(way):
    seen = []

    def work(state: Part):
        seen.append(state)

    builder = StateGraph(State)
    builder.add_node("fan", lambda state: None)
    builder.add_node("work", work)
    builder.add_edge(START, "fan")
    builder.add_conditional_edges("fan", lambda state: Send("work", {"question": "a", "more": 1}), ["work"])
    builder.add_edge("work", END)
    way.invoke(builder.compile(), {})
    assert seen == [{"question": "a", "more": 1}]


# --- context -----------------------------------------------------------------------------------------------------------


class CtxDict(TypedDict, total=False):
    user_name: str


class CtxRequired(TypedDict):
    user_name: str


@dataclass
class CtxData:
    user_name: str
    temperature: float = 0.5
    client: Any = None


class CtxModel(BaseModel):
    user_name: str
    temperature: float = Field(default=0.5, le=1)


def contextual(db, schema, seen):
    def look(state, ctx):
        seen.append(ctx.context)
        return {"answer": "done"}

    return answering(db, node=look, context_schema=schema)


@pytest.mark.parametrize(
    "schema, given, expected",
    [
        (CtxDict, None, {}),
        (CtxRequired, {"user_name": "Ann"}, {"user_name": "Ann"}),
        (CtxData, {"user_name": "Ann"}, CtxData("Ann")),
        (CtxData, CtxData("Ann", 0.1), CtxData("Ann", 0.1)),
        (CtxModel, {"user_name": "Ann", "temperature": 1}, CtxModel(user_name="Ann", temperature=1.0)),
    ],
    ids=repr,
)
def test_a_context_comes_to_the_nodes_as_its_schema(way, db, schema, given, expected):
    seen = []
    way.invoke(contextual(db, schema, seen), {}, session_id="s", context=given)
    assert seen == [expected] and type(seen[0]) is type(expected)


@pytest.mark.parametrize("schema", [CtxRequired, CtxData, CtxModel])
@pytest.mark.parametrize("given", [None, {}, {"user_nam": "Ann"}, {"user_name": 3}, "Ann"], ids=repr)
def test_a_context_that_does_not_fit_writes_nothing(way, db, schema, given):
    seen = []
    words = "context is a str" if given == "Ann" else "user_nam"
    with pytest.raises(ValueError, match=words):
        way.invoke(contextual(db, schema, seen), {}, session_id="s", context=given)
    assert seen == [] and db.get_session("s") is None


def test_a_context_is_given_again_and_checked_again_on_resume(way, db):
    def ask(state, ctx):
        return {"answer": f"{ctx.context.user_name}: {interrupt('well?')}"}

    graph = answering(db, node=ask, context_schema=CtxData)
    way.invoke(graph, {}, session_id="s", context={"user_name": "Ann"})
    with pytest.raises(ValueError, match="user_name"):
        way.resume(graph, "s", "yes")
    assert way.resume(graph, "s", "yes", context={"user_name": "Bob"})["answer"] == "Bob: yes"


class Thing:
    """Something JSON has no word for."""


# --- JSON schemas ------------------------------------------------------------------------------------------------------


def test_json_schemas_tell_input_output_and_context():
    graph = answering(input_schema=AskModel, output_schema=Answer, context_schema=CtxRequired)
    given = graph.input_json_schema()
    assert given["title"] == "AskModel" and given["type"] == "object" and given["required"] == ["question"]
    assert given["properties"]["question"] == {"type": "string", "minLength": 3}
    assert graph.output_json_schema() == {"title": "Answer", "type": "object", "properties": {"answer": {"type": "string"}}}
    assert graph.context_json_schema()["required"] == ["user_name"]
    assert answering().context_json_schema() is None


def test_json_schemas_of_a_state_with_messages_models_and_things_json_has_no_word_for():
    class Rich(TypedDict):
        messages: Annotated[list[Message], add_messages]
        model: AskModel
        models: list[AskModel]
        thing: Thing
        data: AskData
        anything: Any

    schema = answering(state=Rich, node=lambda state: None).input_json_schema()
    assert set(schema["properties"]) == {"messages", "model", "models", "thing", "data", "anything"}
    assert schema["properties"]["thing"] == {}
    assert {"Message", "AskModel", "AskData"} <= set(schema["$defs"])
    assert schema["properties"]["model"] == {"$ref": "#/$defs/AskModel"}


# --- states that change ------------------------------------------------------------------------------------------------


def asking(db, state, update, **compiled):
    def ask(_state):
        interrupt("go on?")
        return update

    builder = StateGraph(state)
    builder.add_node("work", ask)
    builder.add_edge(START, "work")
    builder.add_edge("work", END)
    return builder.compile(db=db, **compiled)


class Old(BaseModel):
    title: str = ""
    notes: Annotated[list[str], append] = []


class Wider(Old):
    stars: int = 3


class Narrower(BaseModel):
    notes: Annotated[list[str], append] = []


class Renamed(BaseModel):
    heading: str = ""
    remarks: Annotated[list[str], append] = []


@pytest.mark.filterwarnings("ignore::graphflow.errors.GraphChangedWarning")
def test_a_new_field_has_its_default_in_stored_sessions(way, db):
    way.invoke(asking(db, Old, {"notes": ["n"]}), {"title": "tea"}, session_id="s")
    graph = asking(db, Wider, {"notes": ["m"]})
    assert way.get_state(graph, "s").values == Wider(title="tea", stars=3)
    assert way.resume(graph, "s", 1).value == Wider(title="tea", notes=["m"], stars=3)


@pytest.mark.filterwarnings("ignore::graphflow.errors.GraphChangedWarning")
def test_a_field_that_went_is_kept_and_comes_back(way, db):
    way.invoke(asking(db, Old, {"notes": ["n"]}), {"title": "tea", "notes": ["given"]}, session_id="s")
    graph = asking(db, Narrower, {"notes": ["m"]})
    assert way.resume(graph, "s", 1).value == Narrower(notes=["given", "m"])
    for turn in range(30):  # over snapshots, too
        way.update_state(graph, "s", {"notes": [f"{turn}" * 50]})
    assert way.get_state(asking(db, Old, {}), "s").values.title == "tea"


@pytest.mark.filterwarnings("ignore::graphflow.errors.GraphChangedWarning")
def test_a_renamed_field_is_found_under_its_old_name(way, db):
    def two(db, state, name, done, **compiled):
        builder = StateGraph(state)
        builder.add_node("done", lambda s: {name: ["done"]} if done(s) else None)
        builder.add_node("ask", lambda s: {name: [interrupt("go on?")]})
        for node in ("done", "ask"):
            builder.add_edge(START, node)
            builder.add_edge(node, END)
        return builder.compile(db=db, **compiled)

    way.invoke(two(db, Old, "notes", lambda s: True), {"title": "tea", "notes": ["given"]}, session_id="s")
    graph = two(db, Renamed, "remarks", lambda s: False, aliases={"title": "heading", "notes": "remarks"})
    assert way.get_state(graph, "s").values == Renamed(heading="tea", remarks=["given"])
    assert way.resume(graph, "s", "yes").value == Renamed(heading="tea", remarks=["given", "done", "yes"])
    for turn in range(30):
        way.update_state(graph, "s", {"remarks": [f"{turn}" * 50]})
    state = way.get_state(graph, "s").values
    assert state.heading == "tea" and state.remarks[:3] == ["given", "done", "yes"] and len(state.remarks) == 33
    assert len(way.get_state_history(graph, "s")) == 32


def test_an_alias_for_nothing_is_refused(db):
    with pytest.raises(GraphError, match=r"'titel'.*'heding'"):
        asking(db, Renamed, {}, aliases={"titel": "heding"})
