"""User memories: what users say about themselves is kept beside the answer, and known in all their sessions and no others."""

from __future__ import annotations

import asyncio
import itertools
import json
import threading
from typing import Any

import pytest

from graphflow import Agent, HistoryPolicy, MemoryPolicy
from graphflow.errors import ModelError
from graphflow.messages import ToolCall
from graphflow.models import OfflineModel
from graphflow.models.base import Reply
from graphflow.testing import ScriptedModel


def texts(memories: list[Any]) -> list[str]:
    return [memory.memory for memory in memories]


def system(request: Any) -> str:
    return "\n".join(message.text for message in request.messages if message.role == "system")


def agent_of(db: Any, keeper: Any, model: Any = None, **settings: Any) -> Agent:
    talker = model or ScriptedModel(f"answer {n}" for n in itertools.count())
    return Agent(talker, db=db, update_memory_on_run=True, memory=MemoryPolicy(model=keeper, **settings))


def test_what_a_user_says_is_known_in_their_other_sessions(way, db):
    keeper = ScriptedModel([json.dumps({"add": [{"memory": "Loves pizza", "topics": ["food"]}]}), "{}"])
    agent = agent_of(db, keeper)
    first = way.run(agent, "I love pizza", session_id="a", user_id="ann")
    (memory,) = agent.get_user_memories("ann")
    assert (memory.memory, memory.topics, memory.run_id) == ("Loves pizza", ("food",), first.run_id)
    assert memory.message_id == first.messages[0].id, "it tells which message it comes from"
    way.run(agent, "What food do I like?", session_id="b", user_id="ann")
    assert "- Loves pizza" in system(agent.model.requests[-1])


def test_nobody_knows_what_others_said(way, db):
    keeper = ScriptedModel(["Loves pizza", "{}"])
    agent = agent_of(db, keeper)
    way.run(agent, "I love pizza", session_id="a", user_id="ann")
    way.run(agent, "What food do I like?", session_id="b", user_id="bob")
    assert "pizza" not in system(agent.model.requests[-1]) + system(keeper.requests[-1])
    assert agent.get_user_memories("bob") == []


def test_memories_are_added_changed_and_dropped(way, db):
    oslo, tea = (db.add_user_memory("ann", text) for text in ("Lives in Oslo", "Likes tea"))
    answer = {"add": ["Has a dog"], "change": [{"id": oslo, "memory": "Lives in Rome"}], "drop": [tea, "no such id"]}
    keeper = ScriptedModel([f"```json\n{json.dumps(answer)}\n```"])
    agent = agent_of(db, keeper)
    events = way.events(agent, "I moved to Rome, got a dog and am off tea", session_id="a", user_id="ann")
    assert sorted(texts(agent.get_user_memories("ann"))) == ["Has a dog", "Lives in Rome"]
    assert f"- [{oslo}] Lives in Oslo" in system(keeper.requests[0])
    assert sorted(event.action for event in events if event.type == "memory_updated") == ["added", "changed", "dropped"]
    assert "".join(event.text for event in events if event.type == "token") == "answer 0"


@pytest.mark.parametrize(
    ("reply", "kept"),
    [
        ("Loves pizza", ["Loves pizza"]),
        ("- Loves pizza\n* Has a cat\n\n1. Is 40", ["Loves pizza", "Has a cat", "Is 40"]),
        ('["Loves pizza"]', ["Loves pizza"]),
        ('{"memories": [{"memory": "Loves pizza"}]}', ["Loves pizza"]),
        ("None.", []),
        ("Nothing to remember.", []),
        ("{}", []),
        ('{"add": [], "change": [{"id": 3}], "drop": "x"}', []),
        ("", []),
        ('Here is what I found:\n```json\n{"add": ["Loves pizza"]}\n```\nAnything else?', ["Loves pizza"]),
        ('Here you are:\n```\n["Loves pizza"]\n```', ["Loves pizza"]),
        ('{"add": ["Loves pizza"]}\nThese facts will matter [for later].', ["Loves pizza"]),
        ('Of {all} that was said: {"add": ["Loves pizza"]}', ["Loves pizza"]),
        ('<think>\nShe says {much}.\nPizza?\n</think>\n{"add": ["Loves pizza"]}', ["Loves pizza"]),
        ("She says much.\n</think>\nLoves pizza", ["Loves pizza"]),
        ("<think>\nShe says much.", []),
        ('{"add": [{"memory": "Lives in a caf\\udce9"}]}', ["Lives in a caf\\udce9"]),
        ('{"change": 5, "add": {"memory": "x"}, "drop": 5}', []),
        ('{"add": [5, null, {"memory": 5}, {"topics": 5}], "change": [5, {"id": {}}], "drop": [5]}', []),
        ("null", []),
        ("---\n5\n- Loves pizza", ["Loves pizza"]),
        ("I found no facts about the user.", []),
        ("There are no new facts to add that would matter in later conversations.", []),
        ("I don't see any lasting information in this message.", []),
        ("There is nothing new to remember.", []),
        ("Has no children\nThere is no meat in the house", ["Has no children", "There is no meat in the house"]),
    ],
)
def test_an_answer_may_be_json_or_plain_text(reply, kept, db):
    agent = agent_of(db, ScriptedModel([reply]))
    agent.run("hello", session_id="a", user_id="ann")
    assert texts(agent.get_user_memories("ann")) == kept


def test_without_a_user_nothing_is_kept_and_a_warning_says_so(way, db):
    agent = agent_of(db, ScriptedModel(["Loves pizza"]))
    with pytest.warns(UserWarning, match="give the run a user_id="):
        assert way.run(agent, "I love pizza", session_id="a").content == "answer 0"
    assert db._read(lambda tx: tx.one("SELECT COUNT(*) FROM gf_memories", {})) == (0,)


def test_a_failing_keeper_does_not_fail_the_answer(way, db):
    agent = agent_of(db, ScriptedModel([RuntimeError("no quota")]))
    events = way.events(agent, "I love pizza", session_id="a", user_id="ann")
    output = events[-1].output
    assert (output.content, output.metrics["memory_error"]) == ("answer 0", "RuntimeError: no quota")
    assert "memory_failed" in [event.type for event in events]


@pytest.mark.parametrize(
    "reply", ['{"add": [{"memory": "Loves pi', '["Loves pizza", "Lov', "```json\nLoves pizza\n```", "{'add': []}"]
)
def test_json_that_cannot_be_read_is_no_fact_and_does_not_fail_the_answer(way, db, reply):
    agent = agent_of(db, ScriptedModel([reply]))
    events = way.events(agent, "I love pizza", session_id="a", user_id="ann")
    assert events[-1].output.content == "answer 0"
    assert "neither JSON nor plain text" in events[-1].output.metrics["memory_error"]
    assert agent.get_user_memories("ann") == []


def test_words_that_a_keeper_failed_on_are_not_looked_at_again(way, db):
    keeper = ScriptedModel([RuntimeError("no quota"), "Loves opera"])
    agent = agent_of(db, keeper)
    for said in ("I love pizza", "I love opera"):
        way.run(agent, said, session_id="a", user_id="ann")
    assert "pizza" not in keeper.requests[1].messages[-1].text
    assert texts(agent.get_user_memories("ann")) == ["Loves opera"]
    assert "no quota" in db.get_runs("a")[0].metrics["memory_error"]


def test_remember_runs_beside_the_model(db):
    meet = threading.Barrier(2, timeout=20)

    def wait(text: str) -> Any:
        def reply(request: Any) -> str:
            meet.wait()
            return text

        return reply

    agent = agent_of(db, ScriptedModel([wait("Loves pizza")]), ScriptedModel([wait("hello")]))
    assert agent.run("I love pizza", session_id="a", user_id="ann").content == "hello"
    assert texts(agent.get_user_memories("ann")) == ["Loves pizza"]


def test_what_was_kept_beside_a_failing_answer_is_neither_lost_nor_doubled(way, db):
    keeper = ScriptedModel(["Loves pizza"])
    agent = agent_of(db, keeper, ScriptedModel([ModelError("down"), "hello"]))
    with pytest.raises(ModelError):
        way.run(agent, "I love pizza", session_id="a", user_id="ann")
    assert way.resume(agent, "a", user_id="ann").content == "hello"
    assert texts(agent.get_user_memories("ann")) == ["Loves pizza"]
    assert len(keeper.requests) == 1, "the finished task was not run again"


def test_many_sessions_that_say_the_same_at_once_store_it_once(db):
    agent = agent_of(db, ScriptedModel(itertools.repeat("Loves pizza")))

    async def talk() -> None:
        await asyncio.gather(*(agent.arun("I love pizza", session_id=f"s{n}", user_id="ann") for n in range(8)))

    asyncio.run(talk())
    assert texts(agent.get_user_memories("ann")) == ["Loves pizza"]


def test_few_memories_are_all_in_the_context_and_of_many_those_that_fit(way, db):
    for n in range(12):
        db.add_user_memory("ann", f"fact {n}" + (" about tea" if n == 4 else ""))
    agent = agent_of(db, ScriptedModel(itertools.repeat("{}")), limit=3, all_upto=20)
    way.run(agent, "tell me about tea", session_id="a", user_id="ann")
    assert system(agent.model.requests[-1]).count("- fact") == 12
    agent.memory = MemoryPolicy(model=agent.memory.model, limit=3, all_upto=5)
    way.run(agent, "tell me about tea", session_id="a", user_id="ann")
    shown = system(agent.model.requests[-1])
    assert shown.count("- fact") == 3 and "- fact 4 about tea" in shown


def test_the_context_is_instructions_memories_summary_history_and_the_run(way, db):
    db.add_user_memory("ann", "Likes tea")
    agent = agent_of(db, ScriptedModel(itertools.repeat("{}")))
    agent.instructions, agent.enable_session_summaries = "Be brief.", True
    way.run(agent, "first", session_id="a", user_id="ann")
    agent.summary = None
    agent_model, agent.model = agent.model, ScriptedModel(["sum"])
    way.summarize(agent, "a", user_id="ann")
    agent.model = agent_model
    way.run(agent, "second", session_id="a", user_id="ann")
    way.run(agent, "third", session_id="a", user_id="ann")
    request = agent.model.requests[-1]
    assert [message.role for message in request.messages] == ["system", "user", "assistant", "user"]
    told = request.messages[0].text
    assert told.index("Be brief.") < told.index("Likes tea") < told.index("sum")
    assert [message.text for message in request.messages[1:]] == ["second", "answer 1", "third"]


def test_deleting_a_user_makes_the_agent_forget(way, db):
    agent = agent_of(db, ScriptedModel(["Loves pizza", "{}"]))
    way.run(agent, "I love pizza", session_id="a", user_id="ann")
    db.delete_user("ann")
    way.run(agent, "hello", session_id="b", user_id="ann")
    assert "pizza" not in system(agent.model.requests[-1])


def test_the_offline_model_keeps_what_is_said_and_not_what_is_asked(way, db):
    agent = Agent(OfflineModel(), db=db, update_memory_on_run=True, user_id="ann")
    way.run(agent, "Hi, my name is Ann. What is the weather?", session_id="a")
    way.run(agent, "I have two cats.", session_id="b")
    way.run(agent, "I have two cats.", session_id="c")
    assert texts(agent.get_user_memories()) == ["my name is Ann.", "I have two cats."]
    assert "Ann" in way.run(agent, "What is my name?", session_id="d").content


def test_an_agent_without_a_database_answers_all_the_same(way):
    agent = Agent(OfflineModel(), update_memory_on_run=True, enable_session_summaries=True, enable_agentic_memory=True)
    assert "Ann" in way.run(agent, "My name is Ann").content


# --- tools -----------------------------------------------------------------------------------------------------------------


def calls(*wanted: tuple[str, dict[str, Any]]) -> Reply:
    return Reply(tool_calls=[ToolCall(f"call-{n}", name, arguments) for n, (name, arguments) in enumerate(wanted)])


def test_a_model_keeps_memories_with_tools(way, db):
    id, gone = db.add_user_memory("ann", "Lives in Oslo"), db.add_user_memory("ann", "Likes tea")
    model = ScriptedModel(
        [
            calls(
                ("add_memory", {"memory": "Has a dog"}),
                ("change_memory", {"memory_id": id, "memory": "Lives in Rome"}),
                ("drop_memory", {"memory_id": f"[{gone}]"}),
                ("drop_memory", {"memory_id": "unknown"}),
            ),
            "done",
        ]
    )
    agent = Agent(model, db=db, enable_agentic_memory=True, user_id="ann")
    output = way.run(agent, "I moved", session_id="a")
    assert f"- [{id}] Lives in Oslo" in system(model.requests[0])
    assert [tool.result for tool in output.tools] == ["Remembered.", "Changed.", "Forgotten.", "There is no memory 'unknown'."]
    assert sorted(texts(agent.get_user_memories())) == ["Has a dog", "Lives in Rome"]
    assert "remember" not in agent.graph.plan.nodes


@pytest.mark.parametrize("order", [1, -1])
def test_what_is_dropped_beside_a_change_of_it_is_forgotten(way, db, order):
    id, _ = db.add_user_memory("ann", "Likes tea"), db.add_user_memory("ann", "Lives in Oslo")
    asked = [("change_memory", {"memory_id": id, "memory": "Likes green tea"}), ("drop_memory", {"memory_id": id})][::order]
    agent = Agent(ScriptedModel([calls(*asked), "done"]), db=db, enable_agentic_memory=True, user_id="ann")
    output = way.run(agent, "Forget the tea", session_id="a")
    assert [tool.result for tool in output.tools] == ["Changed.", "Forgotten."][::order]
    assert texts(agent.get_user_memories()) == ["Lives in Oslo"]


def test_of_two_changes_of_one_memory_at_once_neither_is_lost(way, db):
    id = db.add_user_memory("ann", "Has pets")
    asked = [("change_memory", {"memory_id": id, "memory": memory}) for memory in ("Has a cat", "Has a dog")]
    agent = Agent(ScriptedModel([calls(*asked), "done"]), db=db, enable_agentic_memory=True, user_id="ann")
    way.run(agent, "A cat and a dog", session_id="a")
    assert sorted(texts(agent.get_user_memories())) == ["Has a cat", "Has a dog"]


def test_a_keeper_that_changes_and_drops_one_memory_drops_it(way, db):
    id = db.add_user_memory("ann", "Likes tea")
    answer = {"change": [{"id": id, "memory": "Likes green tea"}], "drop": [id]}
    way.run(agent_of(db, ScriptedModel([json.dumps(answer)])), "Forget the tea", session_id="a", user_id="ann")
    assert db.get_user_memories("ann") == []


def test_a_model_reads_further_back_in_its_own_session(way, db):
    model = ScriptedModel(["a0", "a1", calls(("get_chat_history", {"last_messages": 4})), "done"])
    agent = Agent(model, db=db, session_id="s", history=HistoryPolicy(runs=1, chat_history_tool=True))
    for text in ("q0", "q1", "q2"):
        output = way.run(agent, text)
    assert output.tools[0].result.splitlines() == ["user: q0", "assistant: a0", "user: q1", "assistant: a1"]


def test_a_model_searches_past_sessions_of_that_user_only(way, db):
    model = ScriptedModel(["ok", "ok", "ok", calls(("search_past_sessions", {"query": "trip to Rome"})), "done"])
    agent = Agent(model, db=db, history=HistoryPolicy(past_sessions_tool=True))
    way.run(agent, "I plan a trip to Rome in May", session_id="a", user_id="ann")
    way.run(agent, "My trips to Rome are a secret", session_id="b", user_id="bob")
    way.run(agent, "Something else", session_id="c", user_id="ann")
    found = way.run(agent, "What did I plan?", session_id="d", user_id="ann").tools[0].result
    assert "session a) user: I plan a trip to Rome in May" in found
    assert "secret" not in found and "Something else" not in found


def test_a_model_writes_the_sessions_state(way, db):
    model = ScriptedModel([calls(("update_session_state", {"changes": {"list": ["milk"], "old": None}})), "done"])
    agent = Agent(model, db=db, session_id="s", session_state={"old": 1}, enable_agentic_state=True)
    assert way.run(agent, "add milk").session_state == {"list": ["milk"]}
    assert agent.get_session_state() == {"list": ["milk"]}


def test_a_plain_agent_has_none_of_this(db):
    graph = Agent(OfflineModel(), db=db).graph
    assert list(graph.plan.nodes) == ["history", "model"]
    assert "memories" not in graph.plan.schema.channels


def test_a_reply_that_was_cut_off_is_no_fact_and_is_told(way, db):
    cut = '{"add": [{"memory": "is allergic to nuts"}, {"memory": "li'
    agent = Agent(ScriptedModel(["hi"]), db=db, update_memory_on_run=True, memory=MemoryPolicy(model=ScriptedModel([cut])))
    output = way.run(agent, "I am allergic to nuts", user_id="ann")
    assert "memory_error" in output.metrics and db.get_user_memories("ann") == []


@pytest.mark.parametrize("fact", ["No dairy, because of an allergy", "No longer lives in Paris", "Nothing beats tea"])
def test_a_fact_may_begin_with_a_no(way, db, fact):
    agent = Agent(ScriptedModel(["hi"]), db=db, update_memory_on_run=True, memory=MemoryPolicy(model=ScriptedModel([fact])))
    way.run(agent, "hello", user_id="ann")
    assert [memory.memory for memory in db.get_user_memories("ann")] == [fact]


@pytest.mark.parametrize("nothing", ["None.", "No new facts.", "Nothing to remember.", "N/A", "no information about the user"])
def test_an_answer_that_there_is_nothing_is_no_fact(way, db, nothing):
    agent = Agent(ScriptedModel(["hi"]), db=db, update_memory_on_run=True, memory=MemoryPolicy(model=ScriptedModel([nothing])))
    way.run(agent, "hello", user_id="ann")
    assert db.get_user_memories("ann") == []
