"""OpenAIChat with the real openai client, over HTTP, against a small server."""

from __future__ import annotations

import asyncio
import gc
import json
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from email.utils import formatdate
from typing import Any, Literal

import pytest
from pydantic import BaseModel, Field

from graphflow import Agent, tool
from graphflow.db import InMemoryDb
from graphflow.errors import ModelError
from graphflow.messages import FilePart, ImagePart, Message, TextPart, ToolCall
from graphflow.models.base import Piece, Reply, Request, Restart, Token, ToolSpec, Usage
from graphflow.models.openai import OpenAIChat, asked_pause, retry_after
from graphflow.models.openai_format import Transient, request_fields, response_format
from graphflow.models.structured import parse_output
from tests.forking import fork
from tests.models.openai_server import (
    Behaviour,
    OpenAIServer,
    breaks_off,
    calls,
    fails,
    never_answers,
    says,
    sends,
    streams,
)

KEY = "sk-very-secret-key"
HELLO = Request([Message("user", "hi")])
ADD = ToolSpec("add", "Add two numbers.", {"type": "object", "properties": {"a": {"type": "integer"}}})
AT_ONCE = {"retry-after": "0"}

Asking = Callable[[OpenAIChat, Request], list[Piece]]


def respond(model: OpenAIChat, request: Request) -> list[Piece]:
    return [model.respond(request)]


def arespond(model: OpenAIChat, request: Request) -> list[Piece]:
    return [asyncio.run(model.arespond(request))]


def stream(model: OpenAIChat, request: Request) -> list[Piece]:
    return list(model.stream(request))


def astream(model: OpenAIChat, request: Request) -> list[Piece]:
    async def collect() -> list[Piece]:
        return [piece async for piece in model.astream(request)]

    return asyncio.run(collect())


all_ways = pytest.mark.parametrize("ask", [respond, arespond, stream, astream])
both_streams = pytest.mark.parametrize("ask", [stream, astream])
both_whole = pytest.mark.parametrize("ask", [respond, arespond])


@pytest.fixture(scope="module")
def server() -> Iterator[OpenAIServer]:
    with OpenAIServer(says()) as server:
        yield server


def model_at(server: OpenAIServer, **settings: Any) -> OpenAIChat:
    usual: dict[str, Any] = {"api_key": KEY, "base_url": server.base_url, "backoff": 0.01}
    return OpenAIChat("m1", **usual | settings)


def reply_of(server: OpenAIServer, ask: Asking, *script: Behaviour, request: Request = HELLO, **settings: Any) -> Reply:
    server.play(*script)
    reply = ask(model_at(server, **settings), request)[-1]
    assert isinstance(reply, Reply)
    return reply


# --- answers


@all_ways
def test_an_answer_carries_text_reasoning_and_usage(server: OpenAIServer, ask: Asking) -> None:
    reply = reply_of(server, ask, says("Hello, Alice!", reasoning_content="She said her name."))
    assert reply == Reply("Hello, Alice!", (), Usage(11, 7), "She said her name.")


@both_streams
def test_the_streamed_tokens_joined_are_the_content(server: OpenAIServer, ask: Asking) -> None:
    server.play(says("Hello, Alice!", reasoning_content="hm"))
    *tokens, reply = ask(model_at(server), HELLO)
    texts = [token.text for token in tokens if isinstance(token, Token) and not token.reasoning]
    assert len(texts) > 1 and "".join(texts) == "Hello, Alice!"
    assert tokens[0] == Token("hm", reasoning=True)
    assert isinstance(reply, Reply) and reply.content == "Hello, Alice!"
    assert server.requests[0]["stream_options"] == {"include_usage": True}


@all_ways
def test_parallel_tool_calls_are_put_together_from_their_pieces(server: OpenAIServer, ask: Asking) -> None:
    script = calls(("c1", "add", '{"a": 1, "b": 2}'), ("c2", "get_weather", '{"city": "Zürich"}'), ("c3", "now", ""))
    reply = reply_of(server, ask, script)
    expected = [
        ToolCall("c1", "add", {"a": 1, "b": 2}),
        ToolCall("c2", "get_weather", {"city": "Zürich"}),
        ToolCall("c3", "now"),
    ]
    assert list(reply.tool_calls) == expected
    assert reply.content == ""


@both_streams
def test_pieces_of_two_tool_calls_may_be_mixed(server: OpenAIServer, ask: Asking) -> None:
    def piece(index: int, **fields: Any) -> dict[str, Any]:
        return {"tool_calls": [{"index": index, **fields}]}

    script = streams(
        piece(0, id="c1", function={"name": "add", "arguments": ""}),
        piece(1, id="c2", function={"name": "sub", "arguments": '{"a"'}),
        piece(0, function={"arguments": '{"a": 1'}),
        piece(1, function={"arguments": ": 2}"}),
        piece(0, function={"arguments": "}"}),
        {"finish_reason": "tool_calls"},
    )
    assert list(reply_of(server, ask, script).tool_calls) == [ToolCall("c1", "add", {"a": 1}), ToolCall("c2", "sub", {"a": 2})]


@pytest.mark.parametrize("index", [{"index": 0}, {}], ids=["one index for all", "no index"])
def test_whole_tool_calls_without_indexes_of_their_own_stay_apart(server: OpenAIServer, index: dict[str, int]) -> None:
    def call(id: str, name: str) -> dict[str, Any]:
        return {"tool_calls": [{**index, "id": id, "function": {"name": name, "arguments": "{}"}}]}

    reply = reply_of(server, stream, streams(call("c1", "add"), call("c2", "sub"), {"finish_reason": "tool_calls"}))
    assert list(reply.tool_calls) == [ToolCall("c1", "add"), ToolCall("c2", "sub")]


def test_a_tool_call_without_an_id_gets_one(server: OpenAIServer) -> None:
    (call,) = reply_of(server, respond, calls(("", "add", "{}"))).tool_calls
    assert call.id and call.name == "add"


def answer(message: dict[str, Any], **fields: Any) -> str:
    """The body of an answer, in a form that is up to the test."""
    return json.dumps({"choices": [{"index": 0, "message": message, "finish_reason": "stop"}], **fields})


@both_whole
@pytest.mark.parametrize(
    "usage", [{"prompt_tokens": "n/a", "completion_tokens": 7}, {"prompt_tokens": [1]}, "n/a", [7]], ids=str
)
def test_usage_that_cannot_be_read_is_absent(server: OpenAIServer, ask: Asking, usage: Any) -> None:
    reply = reply_of(server, ask, sends(answer({"content": "hello"}, usage=usage)), max_retries=0)
    assert reply == Reply("hello", (), Usage(0, 7 if "completion_tokens" in usage else 0))


@all_ways
@pytest.mark.parametrize(
    ("given", "read"), [({"a": 1}, {"a": 1}), ({}, {}), ("null", {}), (None, {}), ('{"a": null}', {"a": None})], ids=str
)
def test_arguments_may_be_an_object_or_null(server: OpenAIServer, ask: Asking, given: Any, read: Any) -> None:
    call = {"index": 0, "id": "c1", "type": "function", "function": {"name": "add", "arguments": given}}
    streamed = streams({"tool_calls": [call]}, {"finish_reason": "tool_calls"})
    script = streamed if ask in (stream, astream) else sends(answer({"tool_calls": [call]}))
    assert reply_of(server, ask, script, max_retries=0).tool_calls == (ToolCall("c1", "add", read),)


@both_whole
@pytest.mark.parametrize(
    "message",
    [
        {"content": "hello", "tool_calls": 5},
        {"content": "hello", "tool_calls": [None]},
        {"content": "hello", "refusal": 5, "reasoning": {}},
    ],
    ids=str,
)
def test_fields_that_a_server_got_wrong_are_absent(server: OpenAIServer, ask: Asking, message: dict[str, Any]) -> None:
    assert reply_of(server, ask, sends(answer(message)), max_retries=0) == Reply("hello")


@both_whole
def test_a_call_is_read_whatever_its_id_and_index_are(server: OpenAIServer, ask: Asking) -> None:
    call = {"index": {}, "id": 5, "function": {"name": "add", "arguments": "{}"}}
    (read,) = reply_of(server, ask, sends(answer({"tool_calls": [call]})), max_retries=0).tool_calls
    assert read.id and (read.name, read.arguments) == ("add", {})


# --- what is sent


def test_the_request_holds_the_messages_in_the_form_of_the_api(server: OpenAIServer) -> None:
    messages = [
        Message("system", "Be brief."),
        Message("user", [TextPart(text="See:"), ImagePart(data=b"png"), ImagePart(url="https://e.org/a.png")], name="Alice B."),
        Message(
            "user", [FilePart(data=b"pdf", media_type="application/pdf", name="a.pdf"), FilePart(url="https://e.org/b.pdf")]
        ),
        Message("assistant", "", tool_calls=[ToolCall("c1", "add", {"a": 1})]),
        Message("tool", "3", tool_call_id="c1", name="add"),
    ]
    server.play(says())
    model = model_at(server, temperature=0.5, max_tokens=9, extra={"seed": 7, "reasoning_effort": "low"})
    model.respond(Request(messages, [ADD]))
    sent = server.requests[0]
    assert sent.pop("messages") == [
        {"role": "system", "content": "Be brief."},
        {
            "role": "user",
            "name": "Alice_B_",
            "content": [
                {"type": "text", "text": "See:"},
                {"type": "image_url", "image_url": {"url": "data:image/png;base64,cG5n"}},
                {"type": "image_url", "image_url": {"url": "https://e.org/a.png"}},
            ],
        },
        {
            "role": "user",
            "content": [
                {"type": "file", "file": {"filename": "a.pdf", "file_data": "data:application/pdf;base64,cGRm"}},
                {"type": "file", "file": {"filename": "file", "file_data": "https://e.org/b.pdf"}},
            ],
        },
        {
            "role": "assistant",
            "content": None,
            "tool_calls": [{"id": "c1", "type": "function", "function": {"name": "add", "arguments": '{"a": 1}'}}],
        },
        {"role": "tool", "tool_call_id": "c1", "content": "3"},
    ]
    tool = {"type": "function", "function": {"name": "add", "description": ADD.description, "parameters": dict(ADD.parameters)}}
    assert sent == {
        "model": "m1",
        "temperature": 0.5,
        "max_tokens": 9,
        "seed": 7,
        "reasoning_effort": "low",
        "tools": [tool],
    }
    assert server.headers[0]["authorization"] == f"Bearer {KEY}"


# --- what a model wants to see again


SIGNED = {"google": {"thought_signature": "c2ln"}}


def thoughtful(ask: Asking | None = None) -> Behaviour:
    """Calls of two tools as models that think give them: with their thoughts, and a signature beside the first call."""
    made: list[dict[str, Any]] = [
        {"index": n, "id": f"c{n}", "type": "function", "function": {"name": "add", "arguments": f'{{"a": {n}}}'}}
        for n in (0, 1)
    ]
    made[0]["extra_content"] = SIGNED
    if ask in (respond, arespond):
        return sends(answer({"reasoning_content": "hm, hm", "tool_calls": made}))
    return streams(
        {"reasoning_content": "hm, "},
        {"reasoning_content": "hm"},
        {"tool_calls": made[:1]},
        {"tool_calls": made[1:]},
        {"finish_reason": "tool_calls"},
    )


def said_back(server: OpenAIServer, request: int = -1) -> dict[str, Any]:
    """The model's message with calls, as a request gave it back."""
    (message,) = [each for each in server.requests[request]["messages"] if each.get("tool_calls")]
    return message


@all_ways
def test_what_was_beside_calls_goes_back_with_what_the_tools_said(server: OpenAIServer, ask: Asking) -> None:
    reply = reply_of(server, ask, thoughtful(ask))
    said = Message("assistant", "", tool_calls=reply.tool_calls, provider_details=reply.provider_details)
    results = [Message("tool", "1", tool_call_id=call.id) for call in reply.tool_calls]
    reply_of(server, ask, says("done"), request=Request([*HELLO.messages, said, *results]))
    again = said_back(server)
    assert again["reasoning_content"] == "hm, hm"
    assert [call.get("extra_content") for call in again["tool_calls"]] == [SIGNED, None]


def test_what_was_beside_calls_is_for_the_model_that_said_it_and_for_its_turn(server: OpenAIServer) -> None:
    reply = reply_of(server, respond, thoughtful(respond))
    said = Message("assistant", "", tool_calls=reply.tool_calls, provider_details=reply.provider_details)
    results = [Message("tool", "1", tool_call_id=call.id) for call in reply.tool_calls]
    server.play(says())
    OpenAIChat("m2", api_key=KEY, base_url=server.base_url).respond(Request([*HELLO.messages, said, *results]))
    model_at(server).respond(Request([*HELLO.messages, said, *results, Message("assistant", "so"), Message("user", "and?")]))
    for request in (-1, -2):
        again = said_back(server, request)
        assert "reasoning_content" not in again and not any("extra_content" in call for call in again["tool_calls"])


def test_a_reply_with_nothing_beside_its_calls_has_no_details(server: OpenAIServer) -> None:
    assert reply_of(server, respond, calls(("c1", "add", "{}"))).provider_details is None
    assert reply_of(server, respond, says("hi", reasoning_content="hm")).provider_details is None, "there is nothing to answer"


def test_a_run_that_is_resumed_elsewhere_gives_back_what_the_model_wants(server: OpenAIServer, db: Any) -> None:
    @tool(requires_confirmation=True)
    def add(a: int) -> int:
        return a + 1

    def agent() -> Agent:
        return Agent(model_at(server), tools=[add], db=db, session_id="s")

    server.play(thoughtful(respond), says("done"))
    paused = agent().run("add")
    assert agent().resume(answers={question.id: True for question in paused.interrupts}).content == "done"
    again = said_back(server)
    assert again["reasoning_content"] == "hm, hm" and again["tool_calls"][0]["extra_content"] == SIGNED


@all_ways
def test_an_answer_cut_at_the_limit_of_tokens_says_so(server: OpenAIServer, ask: Asking) -> None:
    whole = sends(json.dumps({"choices": [{"index": 0, "message": {"content": "half an"}, "finish_reason": "length"}]}))
    script = whole if ask in (respond, arespond) else streams({"content": "half an"}, {"finish_reason": "length"})
    reply = reply_of(server, ask, script)
    assert (reply.content, reply.cut) == ("half an", True)
    assert not reply_of(server, ask, says("whole")).cut
    server.play(whole)
    output = Agent(model_at(server)).run("hi")
    assert (output.content, output.metrics["answer_cut"]) == ("half an", True)


@pytest.mark.parametrize(
    ("base_url", "field"),
    [
        (None, "max_completion_tokens"),
        ("https://api.openai.com/v1", "max_completion_tokens"),
        ("https://eu.api.openai.com/v1", "max_completion_tokens"),
        ("https://ours.openai.azure.com/openai/v1/", "max_completion_tokens"),
        ("http://localhost:8000/v1", "max_tokens"),
        ("https://notopenai.com/v1", "max_tokens"),
    ],
)
def test_the_limit_of_tokens_has_the_name_that_the_server_knows(
    base_url: str | None, field: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)
    names = {"max_tokens", "max_completion_tokens"}
    assert names & OpenAIChat("m", base_url=base_url, max_tokens=9)._fields.keys() == {field}
    if base_url is not None:
        assert names & OpenAIChat("m", client_options={"base_url": base_url}, max_tokens=9)._fields.keys() == {field}
        monkeypatch.setenv("OPENAI_BASE_URL", base_url)
        assert names & OpenAIChat("m", max_tokens=9)._fields.keys() == {field}


def test_retries_of_the_client_are_refused() -> None:
    with pytest.raises(ValueError, match="give max_retries= beside it"):
        OpenAIChat("m", client_options={"max_retries": 2})


HALF = "caf\udce9"
"""What os.fsdecode makes of a name that is not UTF-8."""


@all_ways
def test_half_a_surrogate_pair_goes_out_as_a_replacement(server: OpenAIServer, ask: Asking) -> None:
    messages = [
        Message("system", HALF),
        Message("user", [TextPart(text=HALF), FilePart(data=b"pdf", media_type="application/pdf", name=HALF)], name=HALF),
        Message("assistant", "", tool_calls=[ToolCall("c1", "add", {HALF: [HALF], "town": "Zürich 🫖"})]),
        Message("tool", "\ud83e\uded6 and \ud83e", tool_call_id="c1"),
    ]
    server.play(says())
    request = Request(messages, [ToolSpec("add", HALF, {"type": "object", "properties": {"a": {"enum": [HALF]}}})])
    assert ask(model_at(server), request)[-1].content == "hello"  # type: ignore[union-attr]
    system, user, assistant, tool = server.requests[0]["messages"]
    whole = "caf\ufffd"
    assert system["content"] == user["content"][0]["text"] == user["content"][1]["file"]["filename"] == whole
    assert json.loads(assistant["tool_calls"][0]["function"]["arguments"]) == {whole: [whole], "town": "Zürich 🫖"}
    assert tool["content"] == "🫖 and \ufffd", "two halves that belong together are what they mean"
    assert server.requests[0]["tools"][0]["function"]["description"] == whole
    assert messages[0].content == HALF


def test_a_session_goes_on_after_a_reply_and_a_tool_result_with_half_a_surrogate_pair(server: OpenAIServer) -> None:
    def name_of_file() -> str:
        """The name of the file."""
        return HALF

    says_half = {"choices": [{"index": 0, "message": {"content": HALF}, "finish_reason": "stop"}]}
    server.play(calls(("c1", "name_of_file", "{}")), sends(json.dumps(says_half)), says("still here"))
    agent = Agent(model_at(server), tools=[name_of_file], db=InMemoryDb(), session_id="s1")
    assert agent.run("Which file?").content == HALF
    assert agent.run("And now?").content == "still here"
    assert [message.text for message in agent.get_chat_history()][2:4] == [HALF, HALF], "what is stored is what was said"


def test_a_tool_that_is_not_there_is_named_in_letters_that_the_api_takes(server: OpenAIServer) -> None:
    def now() -> str:
        """The time."""
        return "noon"

    name = "multi_tool_use.parallel"
    server.play(calls(("c1", name, "{}"), ("c2", "ü" * 70, "{}")), says("I see"))
    agent = Agent(model_at(server), tools=[now], db=InMemoryDb(), session_id="s1")
    assert agent.run("Do both").content == "I see"
    called = server.requests[1]["messages"][1]["tool_calls"]
    assert [call["function"]["name"] for call in called] == ["multi_tool_use_parallel", "_" * 64]
    _, asked, told, *_ = agent.get_chat_history()
    assert asked.tool_calls[0].name == told.name == name, "what is stored is what was called"


@all_ways
def test_other_text_that_cannot_be_sent_is_a_model_error(server: OpenAIServer, ask: Asking) -> None:
    server.play(says())
    with pytest.raises(ModelError, match="text that cannot be sent: check api_key=, extra="):
        ask(model_at(server, extra={"user": HALF}), HELLO)
    with pytest.raises(ModelError, match="text that cannot be sent: check api_key=, extra="):
        ask(model_at(server, api_key="sk-ключ"), HELLO)
    assert server.requests == []


def test_an_image_that_the_api_would_drop_is_refused() -> None:
    with pytest.raises(ModelError, match="put the part into a message with the role user"):
        request_fields(Request([Message("tool", [ImagePart(data=b"png")], tool_call_id="c1")]))


class Address(BaseModel):
    """Where somebody lives."""

    street: str = Field(min_length=1)
    zip: str | None = None


class Branch(BaseModel):
    name: str
    parts: list[Branch] = []


class Person(BaseModel):
    name: str
    title: Literal["Dr", "Prof"] | None = None
    home: Address = Field(description="the main one")
    others: list[Address] = []


@all_ways
def test_a_structured_answer_is_asked_for_with_a_strict_schema(server: OpenAIServer, ask: Asking) -> None:
    text = '{"name": "Ann", "title": null, "home": {"street": "Elm", "zip": null}, "others": []}'
    server.play(says(text))
    reply = ask(model_at(server), Request(HELLO.messages, output_schema=Person))[-1]
    assert isinstance(reply, Reply)
    assert Person.model_validate_json(reply.content).home.street == "Elm"
    asked = server.requests[0]["response_format"]
    assert (
        asked["type"] == "json_schema" and asked["json_schema"]["name"] == "Person" and asked["json_schema"]["strict"] is True
    )
    schema = asked["json_schema"]["schema"]
    assert schema["required"] == ["name", "title", "home", "others"] and schema["additionalProperties"] is False
    assert schema["properties"]["home"] == {"anyOf": [{"$ref": "#/$defs/Address"}], "description": "the main one"}
    assert schema["$defs"]["Address"]["required"] == ["street", "zip"]
    assert "default" not in json.dumps(schema) and "minLength" not in json.dumps(schema)


def test_the_schema_of_a_class_that_contains_itself_is_an_object() -> None:
    sent = response_format(Branch)["json_schema"]
    assert sent["strict"] is True and sent["schema"]["type"] == "object"
    assert sent["schema"]["properties"]["parts"]["items"] == {"$ref": "#/$defs/Branch"}
    assert sent["schema"]["$defs"]["Branch"]["required"] == sent["schema"]["required"] == ["name", "parts"]


def test_words_that_strict_schemas_do_not_know_are_left_out() -> None:
    class Said(BaseModel):
        name: str = Field(json_schema_extra={"example": "Ann", "x-unit": "none"}, max_length=9)
        data: bytes = b""

    sent = response_format(Said)["json_schema"]
    assert sent["strict"] is True
    assert sent["schema"]["properties"] == {"name": {"type": "string"}, "data": {"type": "string"}}


def test_a_schema_that_cannot_be_strict_is_sent_as_a_guide() -> None:
    class Loose(BaseModel):
        scores: dict[str, int]

    class Anything(BaseModel):
        value: Any

    for kind in (Loose, Anything):
        sent = response_format(kind)["json_schema"]
        assert sent["strict"] is False and sent["schema"] == kind.model_json_schema()


@all_ways
@pytest.mark.parametrize(
    ("kind", "value", "inside"),
    [
        (list[int], [1, 2], {"type": "array", "items": {"type": "integer"}}),
        (int, 5, {"type": "integer"}),
        (Literal["low", "high"], "low", {"enum": ["low", "high"], "type": "string"}),
        (int | None, None, {"anyOf": [{"type": "integer"}, {"type": "null"}]}),
        (list[Branch], [{"name": "oak é", "parts": []}], {"type": "array", "items": {"$ref": "#/$defs/Branch"}}),
        (Address | Branch, {"name": "oak", "parts": []}, {"anyOf": [{"$ref": f"#/$defs/{k}"} for k in ("Address", "Branch")]}),
    ],
    ids=str,
)
def test_an_answer_that_is_no_object_is_asked_for_inside_one(
    server: OpenAIServer, ask: Asking, kind: Any, value: Any, inside: dict[str, Any]
) -> None:
    said = json.dumps({"answer": value})
    server.play(says(said))
    *tokens, reply = ask(model_at(server), Request(HELLO.messages, output_schema=kind))
    assert isinstance(reply, Reply) and json.loads(reply.content) == value
    assert not tokens or "".join(token.text for token in tokens if isinstance(token, Token)) == said
    sent = server.requests[0]["response_format"]["json_schema"]
    assert sent["strict"] is True
    schema = sent["schema"]
    assert (schema["type"], schema["required"], schema["additionalProperties"]) == ("object", ["answer"], False)
    assert schema["properties"] == {"answer": inside} and ("$defs" in schema) == ("$ref" in json.dumps(inside))


@all_ways
@pytest.mark.parametrize("said", ['{"answer": [1, 2]}', '```json\n{"answer": [1, 2]}\n```', "[1, 2]"])
def test_an_agent_reads_a_list_however_a_server_keeps_to_the_schema(server: OpenAIServer, ask: Asking, said: str) -> None:
    server.play(says(said))
    reply = ask(model_at(server), Request(HELLO.messages, output_schema=list[int]))[-1]
    assert isinstance(reply, Reply) and parse_output(list[int], reply.content) == [1, 2]
    assert Agent(model_at(server), output_schema=list[int]).run("hi").content == [1, 2]


@all_ways
def test_a_field_of_an_object_may_be_called_answer(server: OpenAIServer, ask: Asking) -> None:
    class Told(BaseModel):
        answer: int

    server.play(says('{"answer": 5}'))
    assert ask(model_at(server), Request(HELLO.messages, output_schema=Told))[-1].content == '{"answer": 5}'  # type: ignore[union-attr]


def test_a_refusal_of_a_structured_answer_is_an_error_with_its_text(server: OpenAIServer) -> None:
    script = says(None, refusal="I will not.")
    with pytest.raises(ModelError, match="refused to answer in the asked-for form: I will not"):
        reply_of(server, respond, script, request=Request(HELLO.messages, output_schema=Person))
    assert reply_of(server, stream, script).content == "I will not."


# --- failures that may pass


TRANSIENT: dict[str, Behaviour] = {
    "rate limit": fails(429, headers=AT_ONCE),
    "request timeout": fails(408, headers=AT_ONCE),
    "conflict": fails(409, headers=AT_ONCE),
    "server error": fails(500, headers=AT_ONCE),
    "overload": fails(503, headers={"retry-after-ms": "0"}),
}


@pytest.mark.parametrize("failure", TRANSIENT.values(), ids=TRANSIENT.keys())
@all_ways
def test_a_passing_failure_is_tried_again(server: OpenAIServer, ask: Asking, failure: Behaviour) -> None:
    server.play(failure, failure, says("at last"))
    reply = ask(model_at(server), HELLO)[-1]
    assert isinstance(reply, Reply) and reply.content == "at last"
    assert len(server.requests) == 3


UNREADABLE: dict[str, Behaviour] = {
    "no choices": sends('{"id": "c1", "choices": []}'),
    "nothing": sends("{}"),
    "bad JSON": sends('{"id": "c1", "choi'),
    "a web page": sends("<html>Welcome</html>", "text/html"),
    "bad tool arguments": calls(("c1", "add", '{"a": 1')),
    "tool arguments that are a list": calls(("c1", "add", "[1, 2]")),
    "tool arguments that are too deep": calls(("c1", "add", '{"a":' * 100_000 + "1" + "}" * 100_000)),
    "no number in tool arguments": calls(("c1", "add", '{"a": NaN}')),
    "an infinite number in tool arguments": calls(("c1", "add", '{"a": [-Infinity]}')),
    "too large a number in tool arguments": calls(("c1", "add", '{"a": 1e999}')),
    "a tool without a name": calls(("c1", "", "{}")),
    "too deep": sends('{"choices": ' + "[" * 100_000 + "]" * 100_000 + "}"),
    "choices that are no list": sends('{"id": "c1", "choices": 5}'),
    "a choice that is none": sends('{"id": "c1", "choices": [null]}'),
}


@pytest.mark.parametrize("answer", UNREADABLE.values(), ids=UNREADABLE.keys())
@both_whole
def test_an_answer_that_cannot_be_used_is_asked_for_again(server: OpenAIServer, ask: Asking, answer: Behaviour) -> None:
    assert reply_of(server, ask, answer, says("better")).content == "better"


BROKEN_STREAMS: dict[str, Behaviour] = {
    "no events": sends("", "text/event-stream"),
    "a web page": sends("<html>Welcome</html>", "text/html"),
    "no choices": streams(),
    "bad JSON": streams(then='{"choi'),
    "an error event": streams(then='{"error": {"message": "overloaded", "code": 502}}'),
    "bad tool arguments": calls(("c1", "add", '{"a": 1')),
}


@pytest.mark.parametrize("broken", BROKEN_STREAMS.values(), ids=BROKEN_STREAMS.keys())
@both_streams
def test_a_stream_that_fails_before_its_first_token_begins_again_unnoticed(
    server: OpenAIServer, ask: Asking, broken: Behaviour
) -> None:
    server.play(broken, says("better"))
    pieces = ask(model_at(server), HELLO)
    assert not any(isinstance(piece, Restart) for piece in pieces)
    assert isinstance(pieces[-1], Reply) and pieces[-1].content == "better"


CUT_STREAMS: dict[str, Behaviour] = {
    "connection lost": breaks_off("Hel", "lo"),
    "ends without a finish": streams({"content": "Hel"}, {"content": "lo"}, then=""),
    "done without a finish": streams({"content": "Hel"}, {"content": "lo"}),
    "an error event": streams({"content": "Hel"}, {"content": "lo"}, then='{"error": {"message": "overloaded"}}'),
}


@pytest.mark.parametrize("cut", CUT_STREAMS.values(), ids=CUT_STREAMS.keys())
@both_streams
def test_a_stream_cut_after_tokens_says_restart_and_begins_again(server: OpenAIServer, ask: Asking, cut: Behaviour) -> None:
    server.play(cut, says("Hello!"))
    *pieces, reply = ask(model_at(server), HELLO)
    (restart,) = [position for position, piece in enumerate(pieces) if isinstance(piece, Restart)]
    assert pieces[:restart] == [Token("Hel"), Token("lo")]
    assert "".join(piece.text for piece in pieces[restart + 1 :] if isinstance(piece, Token)) == "Hello!"
    assert isinstance(reply, Reply) and reply.content == "Hello!"


@all_ways
@pytest.mark.parametrize("address", ["", "localhost:8000/v1", "no-scheme", "ftp://localhost/v1", "http://"])
def test_an_address_that_is_none_is_told_at_once(server: OpenAIServer, ask: Asking, address: str) -> None:
    with pytest.raises(ModelError, match=r"base_url= .*begin it with http:// or https://$"):
        ask(model_at(server, base_url=address), HELLO)


@all_ways
def test_without_retries_there_is_one_attempt(server: OpenAIServer, ask: Asking) -> None:
    server.play(fails(500, "still down", headers=AT_ONCE))
    with pytest.raises(ModelError, match=r"gave up after 1 attempt:"):
        ask(model_at(server, max_retries=0), HELLO)
    assert len(server.requests) == 1


@all_ways
def test_the_retries_are_bounded_and_the_error_counts_the_attempts(server: OpenAIServer, ask: Asking) -> None:
    server.play(fails(500, "still down", headers=AT_ONCE))
    with pytest.raises(ModelError, match=r"status 500: still down \(gave up after 3 attempts.*raise max_retries="):
        ask(model_at(server, max_retries=2), HELLO)
    assert len(server.requests) == 3


@all_ways
def test_a_server_that_never_answers_is_given_up_after_the_timeout(server: OpenAIServer, ask: Asking) -> None:
    server.play(never_answers())
    with pytest.raises(ModelError, match=r"no answer within 0\.3 seconds"):
        ask(model_at(server, timeout=0.3, max_retries=0), HELLO)


@all_ways
def test_a_server_that_is_not_there_is_a_model_error(ask: Asking) -> None:
    with OpenAIServer(says()) as gone:
        pass
    with pytest.raises(ModelError, match=r"m1 at 127\.0\.0\.1: connection failed"):
        ask(model_at(gone, max_retries=0), HELLO)


# --- the pause between attempts


def test_retry_after_is_read_as_seconds_milliseconds_or_a_date() -> None:
    assert retry_after({"retry-after": "7"}, now=0) == 7
    assert retry_after({"retry-after-ms": "250", "retry-after": "7"}, now=0) == 0.25
    assert retry_after({"retry-after": formatdate(1_000_030, usegmt=True)}, now=1_000_000) == 30
    assert retry_after({"retry-after": formatdate(999_000, usegmt=True)}, now=1_000_000) == 0
    assert retry_after({"retry-after": "soon"}, now=0) is None
    assert retry_after({}, now=0) is None


def test_the_pause_is_at_least_what_the_server_asked_for() -> None:
    assert all(8 <= asked_pause(Transient("busy", 8), otherwise=0.1) <= 10 for _ in range(50))
    assert asked_pause(Transient("busy", 0), otherwise=3) == 3, "the time it named is past"
    assert asked_pause(Transient("busy"), otherwise=3) == 3


@pytest.mark.parametrize("form", ["seconds", "date"])
@all_ways
def test_a_server_that_wants_a_long_pause_is_not_waited_for(server: OpenAIServer, ask: Asking, form: str) -> None:
    header = "3600" if form == "seconds" else formatdate(time.time() + 3600, usegmt=True)
    server.play(fails(429, "slow down", headers={"retry-after": header}))
    with pytest.raises(ModelError, match=r"slow down \(the server asks to wait 3[56]\d\d seconds"):
        ask(model_at(server), HELLO)
    assert len(server.requests) == 1


# --- failures that stay

LASTING = {
    400: "change the request as the provider says",
    401: "check api_key= or OPENAI_API_KEY",
    403: "a model this key may use",
    404: "check the model id and base_url=",
    422: "change the request",
}


@pytest.mark.parametrize("status", LASTING)
@all_ways
def test_a_lasting_failure_is_an_error_at_once_with_status_message_and_repair(
    server: OpenAIServer, ask: Asking, status: int
) -> None:
    server.play(fails(status, "this is why"))
    with pytest.raises(ModelError) as caught:
        ask(model_at(server), HELLO)
    text = str(caught.value)
    assert f"status {status}: this is why" in text and LASTING[status] in text and "m1" in text
    assert len(server.requests) == 1


def test_a_used_up_quota_is_not_tried_again(server: OpenAIServer) -> None:
    server.play(fails(429, "no credit", code="insufficient_quota", headers=AT_ONCE))
    with pytest.raises(ModelError, match=r"no credit \(check the plan"):
        respond(model_at(server), HELLO)
    assert len(server.requests) == 1


@all_ways
def test_the_api_key_is_in_no_error_and_no_repr(server: OpenAIServer, ask: Asking) -> None:
    server.play(fails(401, f"Incorrect API key provided: {KEY}"))
    with pytest.raises(ModelError) as caught:
        ask(model_at(server), HELLO)
    shown = "".join(str(error) for error in (caught.value, caught.value.__cause__))
    assert "Incorrect API key provided: ***" in shown and KEY not in shown
    assert KEY not in repr(model_at(server)) and "m1" in repr(model_at(server))


def test_no_key_at_all_is_an_error_that_names_the_ways_to_give_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    for ask in (respond, astream):
        with pytest.raises(ModelError, match="set OPENAI_API_KEY or give api_key="):
            ask(OpenAIChat("m1"), HELLO)


@pytest.mark.parametrize("ending", ["length", "content_filter"])
@all_ways
def test_an_answer_that_was_cut_before_it_was_usable_is_an_error(server: OpenAIServer, ask: Asking, ending: str) -> None:
    server.play(says("", finish_reason=ending))
    with pytest.raises(ModelError, match="raise max_tokens=" if ending == "length" else "content filter"):
        ask(model_at(server), HELLO)
    assert len(server.requests) == 1


def test_fewer_retries_than_none_are_refused() -> None:
    with pytest.raises(ValueError, match="max_retries=-1: give a whole number from 0 on"):
        OpenAIChat("m1", max_retries=-1)


# --- clients, loops, processes


def test_one_model_serves_several_event_loops_one_after_the_other_and_at_once(server: OpenAIServer) -> None:
    server.play(says("hi"))
    model = model_at(server)

    async def twice() -> list[str]:
        return [reply.content for reply in await asyncio.gather(model.arespond(HELLO), model.arespond(HELLO))]

    assert asyncio.run(twice()) == asyncio.run(twice()) == ["hi", "hi"]
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(lambda _: asyncio.run(twice()), range(4))) == [["hi", "hi"]] * 4
    assert model.respond(HELLO).content == "hi"


@pytest.mark.filterwarnings("error")
def test_an_ended_loop_leaves_no_open_connection_behind(server: OpenAIServer) -> None:
    server.play(says("hi"))
    model = model_at(server)
    for _ in range(2):
        asyncio.run(model.arespond(HELLO))
        gc.collect()
    assert len(model._async_clients) == 1


def test_a_model_that_is_used_no_more_leaves_no_open_connection_behind(server: OpenAIServer) -> None:
    server.play(says("hi"))
    model = model_at(server)
    model.respond(HELLO)
    client = model._sync_client()
    cycle: list[Any] = [model]
    cycle.append(cycle)
    del model, cycle
    gc.collect()
    assert client.is_closed()


@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
def test_a_forked_process_asks_over_a_connection_of_its_own(server: OpenAIServer) -> None:
    server.play(says("hi"))
    model = model_at(server)
    model.respond(HELLO)

    def asks_too() -> None:
        assert model.respond(HELLO).content == "hi"

    assert fork(asks_too).join() == 0
    model.respond(HELLO)
    before, inside, after = server.connections
    assert before == after != inside


@both_streams
def test_a_stream_that_is_left_early_closes_quietly_and_the_model_goes_on(server: OpenAIServer, ask: Asking) -> None:
    def first(pieces: Iterator[Piece]) -> Piece:
        return next(pieces)

    async def afirst(model: OpenAIChat) -> Piece:
        pieces = model.astream(HELLO)
        piece = await anext(pieces)
        await pieces.aclose()  # type: ignore[attr-defined]
        return piece

    server.play(says("Hello, Alice!"))
    model = model_at(server)
    piece = first(iter(model.stream(HELLO))) if ask is stream else asyncio.run(afirst(model))
    assert piece == Token("Hel")
    assert ask(model, HELLO)[-1] == Reply("Hello, Alice!", (), Usage(11, 7))


def test_a_cancelled_request_is_cancelled_and_not_tried_again(server: OpenAIServer) -> None:
    server.play(never_answers())
    model = model_at(server)

    async def cancel() -> None:
        task = asyncio.create_task(model.arespond(HELLO))
        while not server.requests:
            await asyncio.sleep(0.01)
        task.cancel()
        await task

    with pytest.raises(asyncio.CancelledError):
        asyncio.run(cancel())
    assert len(server.requests) == 1
