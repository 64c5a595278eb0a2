"""ScriptedModel and FakeClock: what tests of agents rely on."""

from __future__ import annotations

import itertools
from concurrent.futures import ThreadPoolExecutor

import pytest

from graphflow.errors import ModelError
from graphflow.messages import Message, ToolCall
from graphflow.models.base import Reply, Request, Token
from graphflow.testing import FakeClock, ScriptedModel


def ask(text: str) -> Request:
    return Request([Message("user", text)])


def test_replies_come_in_order_and_requests_are_kept() -> None:
    wish = Reply(tool_calls=[ToolCall("c1", "add", {"a": 1})])
    model = ScriptedModel(["one", wish])
    assert model.respond(ask("first")) == Reply("one")
    assert model.respond(ask("second")) is wish
    assert [request.messages[0].text for request in model.requests] == ["first", "second"]


def test_a_function_of_the_request_decides_the_reply() -> None:
    model = ScriptedModel([lambda request: request.messages[-1].text.upper(), lambda request: ValueError("no")])
    assert model.respond(ask("hi")).content == "HI"
    with pytest.raises(ValueError, match="no"):
        model.respond(ask("hi"))


@pytest.mark.parametrize("failure", [TimeoutError, TimeoutError("late")])
def test_an_exception_is_raised_and_the_script_goes_on(failure: BaseException | type[BaseException]) -> None:
    model = ScriptedModel([failure, "later"])
    with pytest.raises(TimeoutError):
        list(model.stream(ask("hi")))
    assert model.respond(ask("again")).content == "later"


def test_running_out_of_replies_is_an_error_that_counts_them() -> None:
    model = ScriptedModel(["one", "two"])
    model.respond(ask("a"))
    model.respond(ask("b"))
    with pytest.raises(ModelError, match="all 2 of its replies were used when request number 3 came, ending with 'c'"):
        model.respond(ask("c"))
    assert len(model.requests) == 3


@pytest.mark.parametrize("text", ["Hello,  dear\n\nAlice! ", " x", "", "one", "\n"])
def test_streamed_words_joined_are_the_content(text: str) -> None:
    *tokens, reply = ScriptedModel([text]).stream(ask("hi"))
    assert reply == Reply(text)
    assert "".join(token.text for token in tokens if isinstance(token, Token)) == text
    assert len(tokens) >= len(text.split())


def test_threads_get_each_reply_once() -> None:
    model = ScriptedModel(map(str, range(400)))
    with ThreadPoolExecutor(8) as pool:
        replies = list(pool.map(lambda number: model.respond(ask(str(number))).content, range(400)))
    assert sorted(replies, key=int) == [str(number) for number in range(400)]
    assert len(model.requests) == 400


def test_a_script_may_be_endless() -> None:
    model = ScriptedModel(itertools.repeat("ok"))
    assert {model.respond(ask("hi")).content for _ in range(5)} == {"ok"}


def test_what_is_no_reply_is_refused() -> None:
    with pytest.raises(ValueError, match=r"ScriptedModel\(\['hello'\]\)"):
        ScriptedModel("hello")
    with pytest.raises(ModelError, match="cannot play 7"):
        ScriptedModel([lambda request: 7]).respond(ask("hi"))


def test_a_fake_clock_moves_only_by_hand() -> None:
    clock = FakeClock(100)
    assert (clock(), clock()) == (100, 100)
    clock.advance(2.5)
    assert clock() == 102.5
    with pytest.raises(ValueError, match="does not go back"):
        clock.advance(-1)
