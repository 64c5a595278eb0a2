"""Session summaries: rolling, bounded, with nothing lost between summary and history, and never in the way of an answer."""

from __future__ import annotations

import asyncio
import itertools
import json
from typing import Any

import pytest

from graphflow import Agent, SummaryPolicy
from graphflow.db import InMemoryDb
from graphflow.errors import LeaseLost, NotOwner, SessionNotFound
from graphflow.messages import FilePart, ImagePart, Message, TextPart, ToolCall
from graphflow.models import OfflineModel
from graphflow.models.base import Reply
from graphflow.testing import ScriptedModel
from graphflow_nodes.conversation import message_tokens


def talker() -> ScriptedModel:
    return ScriptedModel(f"answer {n}" for n in itertools.count())


def summariser(reply: Any = None) -> ScriptedModel:
    return ScriptedModel(itertools.repeat(reply or "They talked."))


def agent_of(db: Any, model: Any, other: Any, **policy: Any) -> Agent:
    chosen = SummaryPolicy(model=other, **{"after_messages": 6, "keep_last": 2, **policy})
    return Agent(model, db=db, session_id="s", enable_session_summaries=True, summary=chosen)


def size(request: Any) -> int:
    return sum(len(message.text) for message in request.messages)


def said(request: Any) -> list[str]:
    return [message.text for message in request.messages if message.role != "system"]


def test_summary_and_history_hold_everything_between_them(way, db):
    model, other = talker(), ScriptedModel(lambda request, n=n: f"S{n}({request.messages[1].text})" for n in range(99))
    agent = agent_of(db, model, other)
    for n in range(12):
        way.run(agent, f"message {n}")
        seen = "\n".join(message.text for message in model.requests[-1].messages)
        told = {f"message {k}" for k in range(n + 1)} | {f"answer {k}" for k in range(n)}
        lost = {
            text
            for text in told
            if text not in seen and not any(text in message.text for r in other.requests for message in r.messages)
        }
        assert lost == set()
        assert said(model.requests[-1]).count(f"message {n}") == 1
    folded = [line for request in other.requests for line in request.messages[1].text.splitlines()]
    assert len(folded) == len(set(folded)), "each message is summarised once"
    assert agent.get_session_summary().startswith(f"S{len(other.requests) - 1}(")


def test_the_next_summary_is_made_of_the_last_and_what_is_new(way, db):
    other = ScriptedModel(json.dumps({"summary": f"summary {n}", "topics": ["tea"]}) for n in range(9))
    agent = agent_of(db, talker(), other)
    for n in range(8):
        way.run(agent, f"message {n}")
    first, second, *_ = other.requests
    assert "Summary so far" not in first.messages[0].text
    assert first.messages[1].text.startswith("user: message 0\nassistant: answer 0\n")
    assert second.messages[0].text.endswith("Summary so far:\nsummary 0")
    assert "message 0" not in second.messages[1].text
    assert db.get_session("s").summary == agent.get_session_summary() == f"summary {len(other.requests) - 1}"
    assert (
        agent.model.requests[-1].messages[0].text == f"Summary of the conversation so far:\nsummary {len(other.requests) - 1}"
    )


def test_prompts_stay_bounded_and_what_is_summarised_grows_no_faster_than_what_is_said():
    model, other = talker(), summariser("word " * 400)
    agent = agent_of(InMemoryDb(), model, other, after_messages=20, keep_last=6)
    sizes, spent = [], []
    for n in range(150):
        agent.run(f"message {n} " + "x" * 80)
        sizes.append(size(model.requests[-1]))
        spent.append(sum(map(size, other.requests)))
    assert max(sizes[25:]) <= max(sizes[25:50]) + 200
    assert spent[149] - spent[99] <= 1.3 * (spent[99] - spent[49])


def test_a_failing_summary_does_not_fail_the_answer_is_told_and_tried_again(way, db):
    other = ScriptedModel([RuntimeError("no quota"), "at last", "later"])
    agent = agent_of(db, talker(), other)
    outputs = [way.run(agent, f"message {n}") for n in range(3)]
    assert [out.content for out in outputs] == ["answer 0", "answer 1", "answer 2"]
    events = way.events(agent, "message 3")
    output = events[-1].output
    assert output.content == "answer 3"
    assert output.metrics["summary_error"] == "RuntimeError: no quota"
    (failed,) = [event for event in events if event.type == "summary_failed"]
    assert str(failed.error) == "no quota"
    assert agent.get_session_summary() is None
    assert db.get_run(output.run_id).metrics["summary_error"] == "RuntimeError: no quota"
    assert way.run(agent, "message 4").content == "answer 4"
    assert agent.get_session_summary() == "at last"
    assert "user: message 0" in other.requests[-1].messages[1].text


def test_the_summariser_is_not_heard_in_the_stream(way, db):
    agent = agent_of(db, talker(), summariser())
    told = []
    for n in range(5):
        events = way.events(agent, f"message {n}")
        assert "".join(event.text for event in events if event.type == "token") == f"answer {n}"
        told += [event.summary for event in events if event.type == "summary_updated"]
    assert told == ["They talked."]
    assert agent.get_session_summary() == "They talked."


def test_a_turn_without_a_summary_costs_no_superstep_more(way, db):
    agent = agent_of(db, talker(), summariser())
    plain = Agent(talker(), db=db, session_id="plain")
    way.run(agent, "hello")
    way.run(plain, "hello")
    assert agent.graph.get_state("s").seq == plain.graph.get_state("plain").seq


def test_calls_of_tools_are_not_parted_from_their_answers(way, db):
    def look(what: str) -> str:
        return f"{what} is 7"

    def replies() -> Any:
        for n in itertools.count():
            yield Reply(tool_calls=[ToolCall(f"c{n}", "look", {"what": f"x{n}"})])
            yield f"answer {n}"

    model = ScriptedModel(replies())
    agent = Agent(
        model,
        db=db,
        session_id="s",
        tools=[look],
        enable_session_summaries=True,
        summary=SummaryPolicy(model=summariser(), after_messages=5, keep_last=2),
    )
    for n in range(8):
        way.run(agent, f"message {n}")
    for request in model.requests:
        called: set[Any] = set()
        for message in request.messages:
            called |= {call.id for call in message.tool_calls}
            assert message.role != "tool" or message.tool_call_id in called


def test_a_summary_may_be_asked_for(way, db):
    other = ScriptedModel(["short", "longer"])
    agent = agent_of(db, talker(), other)
    with pytest.raises(SessionNotFound):
        way.summarize(agent)
    way.run(agent, "hello", user_id="ann")
    with pytest.raises(NotOwner):
        way.summarize(agent, user_id="bob")
    assert way.summarize(agent, user_id="ann") == "short"
    assert way.summarize(agent, user_id="ann") == "short", "nothing new was said"
    assert len(other.requests) == 1
    assert agent.get_session_summary(user_id="ann") == "short"
    way.run(agent, "more", user_id="ann")
    assert said(agent.model.requests[-1]) == ["more"]
    assert len(db.get_runs("s")) == 2, "a summary is no run"


@pytest.mark.parametrize(
    "reply",
    [
        "They talked.",
        "<think>\nWhat did they do?\n</think>\nThey talked.",
        'Here it is:\n```json\n{"summary": "They talked.", "topics": []}\n```',
        '<think>{"summary": "?"}</think>{"summary": "They talked."}\nIs there more?',
    ],
)
def test_a_summary_is_what_a_model_says_of_it_and_not_what_stands_around(reply, db):
    agent = agent_of(db, talker(), ScriptedModel([reply]))
    agent.run("hello")
    assert agent.summarize("s") == "They talked."


def test_a_summary_of_a_session_that_is_deleted_meanwhile_is_not_stored_in_the_next_one_of_that_name(way, db):
    def slow(request):
        db.delete_session("s")
        Agent(ScriptedModel(["new answer"]), db=db, session_id="s").run("new question")
        return "What was said before."

    Agent(ScriptedModel(["old answer"]), db=db, session_id="s").run("old question")
    with pytest.raises(LeaseLost, match="deleted and begun anew"):
        way.summarize(agent_of(db, talker(), summariser(slow)))
    assert db.get_session_summary("s") is None and [m.text for m in db.get_messages("s")] == ["new question", "new answer"]


def test_an_agent_without_summaries_may_be_asked_for_one(way, db):
    agent = Agent(OfflineModel(), db=db, session_id="s")
    way.run(agent, "My name is Alice")
    assert "Alice" in way.summarize(agent)


def test_a_summary_kept_out_of_the_context(way, db):
    model = talker()
    agent = Agent(
        model,
        db=db,
        session_id="s",
        enable_session_summaries=True,
        add_session_summary_to_context=False,
        num_history_runs=1,
        summary=SummaryPolicy(model=summariser(), after_messages=4, keep_last=1),
    )
    for n in range(5):
        way.run(agent, f"message {n}")
    assert agent.get_session_summary() == "They talked."
    assert [message.text for message in model.requests[-1].messages] == ["message 3", "answer 3", "message 4"]


def test_an_agent_that_makes_no_summaries_may_be_told_those_of_others(way, db):
    agent = Agent(talker(), db=db, session_id="s", add_session_summary_to_context=True, num_history_runs=1)
    for n in range(3):
        way.run(agent, f"message {n}")
    # Nobody has made a summary yet: the last runs, and not all of them.
    assert said(agent.model.requests[-1]) == ["message 1", "answer 1", "message 2"]
    other = Agent(summariser(), db=db, session_id="s")
    assert other.summarize() == "They talked."
    way.run(agent, "message 3")
    way.run(agent, "message 4")
    asked = agent.model.requests[-1]
    assert asked.messages[0].text == "Summary of the conversation so far:\nThey talked."
    assert said(asked) == ["message 3", "answer 3", "message 4"]
    assert "summarize" not in agent.graph_builder().nodes


def test_summaries_without_history_in_the_context(way, db):
    model = talker()
    agent = Agent(
        model,
        db=db,
        session_id="s",
        enable_session_summaries=True,
        add_history_to_context=False,
        summary=SummaryPolicy(model=summariser(), after_messages=4, keep_last=1),
    )
    for n in range(5):
        way.run(agent, f"message {n}")
    assert agent.get_session_summary() == "They talked."
    assert said(model.requests[-1]) == ["message 4"]


def test_the_context_has_a_hard_cap_whose_cut_is_told(way, db):
    model = talker()
    agent = agent_of(db, model, ScriptedModel(itertools.repeat(RuntimeError("down"))), max_context_tokens=200)
    for n in range(9):
        output = way.run(agent, f"message {n} " + "y" * 200)
    assert size(model.requests[-1]) < 4 * 300
    assert said(model.requests[-1])[-1].startswith("message 8")
    assert output.metrics["history_cut"] > 0


@pytest.mark.parametrize("bounds", [{"after_tokens": None}, {"after_tokens": 4_000}, {"after_messages": 99}])
def test_what_the_cap_would_cut_is_summarised_before(way, db, bounds):
    model, other = talker(), summariser()
    agent = agent_of(db, model, other, **{"after_messages": 20, "keep_last": 2, "max_context_tokens": 600, **bounds})
    for n in range(9):
        output = way.run(agent, f"message {n} " + "y" * 400)
        assert "history_cut" not in output.metrics, "no message falls between summary and history"
    folded = "\n".join(request.messages[1].text for request in other.requests)
    assert {n for n in range(9) if f"message {n} " not in folded + "\n".join(said(model.requests[-1]))} == set()
    assert "message 0 " in folded
    assert size(model.requests[-1]) < 4 * 1_000


def test_what_the_cap_has_cut_is_summarised_as_well(way, db):
    other = summariser()
    Agent(ScriptedModel(["short"] * 2), db=db, session_id="s").run("z" * 9_000)
    agent = agent_of(db, talker(), other, max_context_tokens=2_000, after_tokens=None)
    assert way.run(agent, "now").metrics["history_cut"] == 1, "what is left is far below every bound"
    assert agent.get_session_summary() == "They talked."
    assert "history_cut" not in way.run(agent, "again").metrics


@pytest.mark.parametrize("option", [{"add_history_to_context": False}, {"num_history_runs": 0}])
def test_calls_that_leave_the_history_out_are_summarised_like_others(way, db, option):
    model, other = talker(), summariser()
    agent = agent_of(db, model, other, after_messages=2, keep_last=1)
    for n in range(6):
        way.run(agent, f"message {n}", **option)
    assert said(model.requests[-1]) == ["message 5"]
    assert agent.get_session_summary() == "They talked."
    folded = [line for request in other.requests for line in request.messages[1].text.splitlines()]
    assert "user: message 4" in folded and len(folded) == len(set(folded))


def test_a_session_that_got_summaries_late_is_caught_up_with(way, db):
    plain = Agent(talker(), db=db, session_id="s")
    for n in range(30):
        way.run(plain, f"message {n} " + "z" * 3000)
    other = ScriptedModel(lambda request: f"sum {request.messages[1].text.count('user:')}" for _ in range(99))
    model = talker()
    agent = agent_of(db, model, other)
    way.run(agent, "now")
    assert len(other.requests) > 1
    assert all(size(request) < 40_000 for request in other.requests)
    way.run(agent, "again")
    assert size(model.requests[-1]) < 10_000


def test_summaries_are_of_the_session_they_belong_to(way, db):
    agent = agent_of(db, OfflineModel(), None)
    way.run(agent, "My name is Alice", session_id="a")
    way.run(agent, "My name is Bob", session_id="b")
    way.summarize(agent, "a")
    assert "Alice" in agent.get_session_summary("a") and agent.get_session_summary("b") is None
    copy = agent.fork("a")
    assert "Alice" in agent.get_session_summary(copy)


def test_parallel_sessions_are_summarised_apart(db):
    agent = agent_of(db, OfflineModel(), None)

    async def talk() -> None:
        await asyncio.gather(*(turns(f"s{k}", k) for k in range(4)))

    async def turns(session: str, k: int) -> None:
        for n in range(6):
            await agent.arun(f"I like number {k}{n}", session_id=session)

    asyncio.run(talk())
    for k in range(4):
        summary = agent.get_session_summary(f"s{k}")
        assert f"number {k}0" in summary
        assert all(f"number {other}0" not in summary for other in range(4) if other != k)


@pytest.mark.parametrize("cut", ['{"summary": "Alice likes tea an', '{"Summary": "Alice"}', "```json\n{"])
def test_a_summary_that_was_cut_off_is_made_again(way, db, cut):
    policy = SummaryPolicy(model=ScriptedModel([cut, '{"summary": "Alice likes tea"}']), after_messages=1, keep_last=0)
    agent = Agent(ScriptedModel(["a", "b"]), db=db, session_id="s", enable_session_summaries=True, summary=policy)
    assert "summary_error" in way.run(agent, "I like tea").metrics and agent.get_session_summary() is None
    assert "summary_error" not in way.run(agent, "I am Alice").metrics and agent.get_session_summary() == "Alice likes tea"


def test_images_and_files_count_against_the_cap_and_are_named_in_what_is_summarised(way, db):
    report = FilePart(data=b"%PDF-" + b"x" * 500_000, name="a.pdf")
    look = Message("user", [TextPart(text="look"), ImagePart(data=b"\x89PNG"), report])
    other = summariser("They sent a photo.")
    way.run(agent_of(db, talker(), other, keep_last=0), [look])
    assert "look [image] [file a.pdf]" in other.requests[0].messages[-1].text
    assert message_tokens(look) > 10_000 and message_tokens(Message("user", "look")) < 10
