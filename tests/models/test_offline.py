"""OfflineModel: what it can be relied on to do, and what it never does."""

from __future__ import annotations

import asyncio
import json
from datetime import date
from typing import Annotated, Any, Literal

import pytest
from pydantic import BaseModel, Field, field_validator

from graphflow import Agent
from graphflow.errors import ModelError
from graphflow.messages import Message, ToolCall
from graphflow.models import OfflineModel
from graphflow.models.base import Reply, Request, Token, Usage
from graphflow.tools import as_tool, tool_table
from graphflow_nodes.team import delegation_tool


def said(*texts: str, system: str | None = None) -> list[Message]:
    """A conversation: the user and the assistant in turn, the user last."""
    messages = [Message("system", system)] if system else []
    for position, text in enumerate(texts):
        messages.append(Message("user" if (len(texts) - position) % 2 else "assistant", text))
    return messages


def answer(*texts: str, system: str | None = None) -> str:
    return OfflineModel().respond(Request(said(*texts, system=system))).content


# --- answers


@pytest.mark.parametrize("told", ["My name is Alice", "Hi, my name is Alice", "Hello! I'm Alice.", "Hey, call me Alice"])
@pytest.mark.parametrize("question", ["What's my name?", "what is my name", "Do you remember my name?", "Hi. Who am I?"])
def test_it_knows_a_name_that_was_told(told: str, question: str) -> None:
    assert "Alice" in answer(told, "Nice to meet you.", question)


MEMORIES = [
    "- I love pizza, especially margherita",
    "Memories:\n- Alice loves pizza\n- Alice lives in Rome",
    "<memories>\n* The user loves pizza.\n* The user has a dog.\n</memories>",
    "Summary of the conversation so far: The user lives in Rome. They talked about tea. The user loves pizza.",
]


@pytest.mark.parametrize("memories", MEMORIES)
def test_it_answers_from_memories_and_summary_in_the_system_message(memories: str) -> None:
    reply = answer("What food do I like?", system=f"You are a helpful assistant. You like food.\n\n{memories}")
    assert "pizza" in reply and "Rome" not in reply


def test_it_answers_from_the_history_and_turns_to_the_second_person() -> None:
    told = ("I love pizza, especially margherita", "Noted.", "I was in Rome with my dog", "Nice.")
    assert answer(*told, "What food do I like?") == "You love pizza, especially margherita."
    assert answer(*told, "Where was my dog?") == "You were in Rome with your dog."


def test_of_several_sentences_the_one_that_fits_best_answers() -> None:
    told = ("I live in Paris. I work as a baker.", "ok", "I love jazz. My sister lives in Oslo.", "ok")
    assert answer(*told, "Where do I live?") == "You live in Paris."
    assert answer(*told, "Where does my sister live?") == "Your sister lives in Oslo."
    assert answer(*told, "What is my job?") == "You work as a baker."
    assert answer(*told, "What music do I like?") == "You love jazz."


def test_the_newest_of_equal_sentences_wins() -> None:
    assert answer("My name is Alice", "ok", "My name is Bob", "ok", "What's my name?") == "Your name is Bob."
    assert answer("My name is Al", "ok", "What's my name?", system="- The user's name is Bo") == "Your name is Al."
    again = ("My name is Al", "ok", "My name is Bo", "ok", "My name is Al", "ok", "What's my name?")
    assert answer(*again) == "Your name is Al."


def test_two_questions_get_two_answers() -> None:
    reply = answer("I'm Alice and I live in Rome", "ok", "I love pizza", "ok", "What is my name? And what food do I like?")
    assert "Alice" in reply and "pizza" in reply


def test_asked_what_it_knows_it_tells_what_the_user_said_of_themselves() -> None:
    reply = answer("I like tea", "ok", "The sky is blue", "ok", "My dog is old", "ok", "What do you know about me?")
    assert reply == "You like tea. Your dog is old."


@pytest.mark.parametrize(
    "question", ["What is the capital of France?", "What's your name?", "Tell me more.", "How do I boil rice?"]
)
def test_it_claims_nothing_that_was_not_said(question: str) -> None:
    told = "Hi, my name is Alice. I have some friends."
    assert answer(told, "ok", question) == f"I cannot answer that from our conversation: {question}"


def test_other_messages_are_acknowledged_by_repeating_them() -> None:
    assert answer("Solve this problem") == "Thank you. You said: Solve this problem"
    assert len(answer("so " * 1000)) < 250


def test_the_assistants_own_words_are_no_facts() -> None:
    assert "Bob" not in answer("Hello", "My name is Bob.", "What is my name?")


# --- tools


def get_weather(city: str) -> str:
    """The weather in a city."""
    return f"sunny in {city}"


def add(a: int, b: int) -> int:
    return a + b


def search_web(query: str, limit: int = 5) -> str:
    return query


def convert(amount: float, unit: Literal["meter", "feet"]) -> str:
    return unit


def get_time(zone: str = "UTC") -> str:
    return zone


def send_mail(to: str, subject: str, body: str = "") -> None: ...
def total(numbers: list[float]) -> float:
    return sum(numbers)


TABLE = tool_table([get_weather, add, search_web, convert, get_time, send_mail, total])
TOOLS = [tool.spec() for tool in TABLE.values()]

WISHES: dict[str, list[tuple[str, dict[str, Any]]]] = {
    "what is the weather in Paris": [("get_weather", {"city": "Paris"})],
    "What's the weather like today in New York?": [("get_weather", {"city": "New York"})],
    "In Paris, how is the weather?": [("get_weather", {"city": "Paris"})],
    "weather in Paris and London please": [("get_weather", {"city": "Paris"}), ("get_weather", {"city": "London"})],
    "add 2 and 3": [("add", {"a": 2, "b": 3})],
    "What is 2 plus -3?": [("add", {"a": 2, "b": -3})],
    "please add two and three.": [("add", {"a": 2, "b": 3})],
    "add b=1 to a=4": [("add", {"a": 4, "b": 1})],
    "add 1 and 2, then add 3 and 4": [("add", {"a": 1, "b": 2}), ("add", {"a": 3, "b": 4})],
    "add 1 and 2, then add 1 and 2": [("add", {"a": 1, "b": 2})],
    "What is the weather in Paris and add 2 and 3": [("get_weather", {"city": "Paris"}), ("add", {"a": 2, "b": 3})],
    "search the web for cats and dogs": [("search_web", {"query": "cats and dogs"})],
    "Convert 3.5 meters to feet": [("convert", {"amount": 3.5, "unit": "meter"})],
    "what time is it?": [("get_time", {})],
    "what time is it in Tokyo?": [("get_time", {"zone": "Tokyo"})],
    "send a mail to bob@x.org with subject Hello": [("send_mail", {"to": "bob@x.org", "subject": "Hello"})],
    "the total of 1, 2.5 and 3": [("total", {"numbers": [1, 2.5, 3]})],
    "add 2": [],
    "I like the weather": [],
    "Hello": [],
}


@pytest.mark.parametrize("text", WISHES)
def test_a_tool_is_called_when_the_words_ask_for_it(text: str) -> None:
    reply = OfflineModel().respond(Request([Message("user", text)], TOOLS))
    assert [(call.name, call.arguments) for call in reply.tool_calls] == WISHES[text]
    assert bool(reply.content) == (not WISHES[text])
    assert len({call.id for call in reply.tool_calls}) == len(reply.tool_calls)
    for call in reply.tool_calls:
        TABLE[call.name].bind(call.arguments)


def test_the_more_exact_of_two_tools_is_called() -> None:
    def get_weather_forecast(city: str) -> None: ...

    tools = [as_tool(get_weather).spec(), as_tool(get_weather_forecast).spec()]
    reply = OfflineModel().respond(Request([Message("user", "the weather forecast for Rome")], tools))
    assert [call.name for call in reply.tool_calls] == ["get_weather_forecast"]


def test_results_of_tools_are_reported_and_not_asked_for_again() -> None:
    wishes = (ToolCall("c1", "get_weather", {"city": "Paris"}), ToolCall("c2", "add", {"a": 2, "b": 3}))
    messages = [
        Message("user", "What is the weather in Paris and add 2 and 3"),
        Message("assistant", "", tool_calls=wishes),
        Message("tool", "sunny, 21 °C", tool_call_id="c1"),
        Message("tool", "5", tool_call_id="c2", name="add"),
    ]
    reply = OfflineModel().respond(Request(messages, TOOLS))
    assert reply.tool_calls == ()
    assert reply.content == "The result of get_weather is: sunny, 21 °C. The result of add is: 5."


# --- summaries and memories


def test_asked_to_summarise_it_keeps_what_users_said_within_bounds() -> None:
    summary = "You summarise conversations. Fold the new messages into the summary.\n\nSummary so far:\nMy name is Alice."
    messages = [Message("system", summary)]
    for number in range(60):
        messages += [Message("user", f"Message {number}"), Message("assistant", f"Answer {number}")]
    text = OfflineModel().respond(Request(messages)).content
    assert text.startswith("My name is Alice.") and "Message 59." in text
    assert "Answer" not in text and "Fold" not in text and len(text) <= 600


def test_a_transcript_in_one_message_is_summarised_like_the_messages() -> None:
    transcript = "user: Hi, my name is Alice\nassistant: Hello Alice, my name is Bot\nuser: I love pizza"
    expected = "My name is Alice. I love pizza."
    assert answer(transcript, system="Summarise the following conversation in three sentences.") == expected
    assert answer(f"Summarize this conversation:\n{transcript}") == expected


def test_a_summary_answers_later_questions_and_asks_for_none() -> None:
    system = "Be brief.\n\nSummary of the conversation so far:\nMy name is Alice. I love pizza."
    assert answer("What's my name?", system=system) == "Your name is Alice."
    assert answer("I like tea", system=system) == "Thank you. You said: I like tea"


class Memory(BaseModel):
    memory: str
    topics: list[str] = []


class Changes(BaseModel):
    add: list[Memory] = []
    drop: list[str] = []


def test_asked_to_extract_facts_it_gives_the_users_own_statements() -> None:
    messages = said("Hi, I love pizza, especially margherita. The sky is blue.", system="Extract facts about the user.")
    assert OfflineModel().respond(Request(messages)).content == "- I love pizza, especially margherita."
    reply = OfflineModel().respond(Request(messages, output_schema=Changes))
    assert Changes.model_validate_json(reply.content) == Changes(add=[Memory(memory="I love pizza, especially margherita.")])
    question = said("What food do I like?", system="Extract facts about the user.")
    assert Changes.model_validate_json(OfflineModel().respond(Request(question, output_schema=Changes)).content) == Changes()


# --- structured answers


class Profile(BaseModel):
    name: str
    age: int
    city: str | None = None
    hobbies: list[str] = []
    nickname: str | None = None
    married: bool = False


def fill(schema: type[Any], *texts: str, system: str | None = None) -> Any:
    reply = OfflineModel().respond(Request(said(*texts, system=system), output_schema=schema))
    return schema.model_validate_json(reply.content)


def test_a_schema_is_filled_from_the_whole_context() -> None:
    told = ("My name is Alice Smith, I am 30 years old.", "ok", "I live in Paris. My hobbies are chess, tea and jazz.", "ok")
    expected = Profile(name="Alice Smith", age=30, city="Paris", hobbies=["chess", "tea", "jazz"])
    assert fill(Profile, *told, "Give me my profile.") == expected


class Inner(BaseModel):
    value: int = Field(ge=3, le=9)


class Everything(BaseModel):
    text: str
    short: str = Field(min_length=2, max_length=5)
    count: int
    share: Annotated[float, Field(gt=0, lt=1)]
    flag: bool
    when: date
    kind: Literal["a", "b"]
    inner: Inner
    inners: list[Inner] = Field(min_length=1)
    words: list[str]
    maybe: int | None
    table: dict[str, int]
    default: int = 7


@pytest.mark.parametrize("text", ["Nothing fits here", "", "Write 1000 words about 2025-01-02"])
def test_every_field_gets_a_value_of_its_type_even_when_nothing_fits(text: str) -> None:
    filled = fill(Everything, text)
    assert isinstance(filled, Everything) and filled.kind == "a"
    assert filled.when == (date(2025, 1, 2) if "2025" in text else date(1970, 1, 1))


def test_values_are_found_by_type_and_name() -> None:
    class Film(BaseModel):
        genre: Literal["drama", "comedy"]
        year: int
        sequel: bool
        ratings: list[int]

    assert fill(Film, "A comedy from 1999, not a sequel") == Film(genre="comedy", year=1999, sequel=False, ratings=[])


def test_a_schema_whose_own_rules_cannot_be_met_is_an_error() -> None:
    class Even(BaseModel):
        number: int

        @field_validator("number")
        @classmethod
        def even(cls, value: int) -> int:
            if value % 2:
                raise ValueError("odd")
            return value

    with pytest.raises(ModelError, match="found nothing that fits Even"):
        fill(Even, "the number is 3")


# --- the protocol


def test_the_same_request_always_gets_the_same_reply_sync_async_and_streamed() -> None:
    model, request = OfflineModel(), Request(said("I love tea,  really", "ok", "What do I love?"))

    async def ask() -> tuple[Reply, list[Any]]:
        return await model.arespond(request), [piece async for piece in model.astream(request)]

    reply = model.respond(request)
    areply, apieces = asyncio.run(ask())
    assert reply == areply == OfflineModel().respond(request)
    assert list(model.stream(request)) == apieces and apieces[-1] == reply
    tokens = [piece.text for piece in apieces if isinstance(piece, Token)]
    assert len(tokens) > 2 and "".join(tokens) == reply.content


def test_usage_counts_words() -> None:
    reply = OfflineModel().respond(Request([Message("system", "Be kind."), Message("user", "I like tea")]))
    assert reply.usage == Usage(5, len(reply.content.split()))


def test_an_empty_request_is_answered() -> None:
    assert OfflineModel().respond(Request([])).content
    assert json.loads(OfflineModel().respond(Request([], output_schema=Changes)).content) == {"add": [], "drop": []}


# --- leading a team


def delegated(text: str, system: str = "") -> list[tuple[str, str]]:
    """Whom a leader gives the text to, and the tasks."""
    tool = delegation_tool(["cook", "tax-adviser", "agent-3"])
    reply = OfflineModel().respond(Request(said(text, system=system), [tool.spec()]))
    return [(call.arguments["member_id"], call.arguments["task"]) for call in reply.tool_calls]


DESK = "The members of the team:\n- cook: name: Cook; Makes soups and bread.\n- tax-adviser: Knows every tax.\n- agent-3"


def test_work_is_given_to_the_members_that_are_named() -> None:
    assert delegated("Ask the cook for a soup of leek, and agent 3 what it thinks", DESK) == [
        ("cook", "for a soup of leek"),
        ("agent-3", "what it thinks"),
    ]
    assert delegated("Cook!", DESK) == [("cook", "Cook!")]


def test_work_is_given_to_the_member_whose_description_fits_best() -> None:
    assert delegated("How do I bake bread?", DESK) == [("cook", "How do I bake bread?")]
    assert delegated("How high is the tax on tea?", DESK) == [("tax-adviser", "How high is the tax on tea?")]
    assert delegated("Hello there", DESK) == []


def test_a_leader_reports_what_its_members_say() -> None:
    call = ToolCall("c", "delegate_task_to_member", {"member_id": "cook", "task": "a soup"})
    answered = [Message("assistant", tool_calls=[call]), Message("tool", "leek soup", tool_call_id="c")]
    assert OfflineModel().respond(Request([*said("A soup, please"), *answered])).content == "Cook says: leek soup."


class Tree(BaseModel):
    """A type that contains itself."""

    value: str
    child: Tree | None = None


def test_a_type_that_contains_itself_has_an_end(way):
    answer = way.run(Agent("offline", output_schema=Tree), "My name is Bob").content
    assert isinstance(answer, Tree) and answer.child is None
