"""What print_response shows: messages, members, steps, tools, questions, errors and figures, on any terminal and on none."""

from __future__ import annotations

import asyncio
import io
import os
import re
import subprocess
import sys
from typing import Any

import pytest
from rich.console import Console

from graphflow import Agent, MemoryPolicy, SummaryPolicy, Team, ToolCall, Workflow, tool
from graphflow.db import InMemoryDb
from graphflow.drive.stream import Event
from graphflow.models.base import Reply
from graphflow.printing.live import live
from graphflow.printing.panels import Panels
from graphflow.printing.text import in_a_line, shown
from graphflow.printing.view import RunView
from graphflow.testing import ScriptedModel
from graphflow.workflow import Loop, Parallel, Step, Steps

DELEGATE = "delegate_task_to_member"


def calls(*wanted: tuple[str, dict[str, Any]]) -> Reply:
    return Reply(tool_calls=[ToolCall(f"call-{n}", name, arguments) for n, (name, arguments) in enumerate(wanted)])


def look(place: str) -> str:
    """Look."""
    return f"{place} is nice"


@tool(requires_confirmation=True)
def book(place: str) -> str:
    """Book."""
    return place


@tool(user_input=["day"])
def visit(place: str, day: str) -> str:
    """Visit."""
    return place


def rivers() -> Team:
    surveyor = Agent(
        ScriptedModel([calls(("look", {"place": "Danube"})), "It is **2,850 km** long"]), name="surveyor", tools=[look]
    )
    guide = Agent(ScriptedModel(["Vienna lies on it"]), name="guide")
    lead = ScriptedModel([calls((DELEGATE, {"member_id": "guide", "task": "the towns"})), "One town"])
    travellers = Team([guide], name="travellers", model=lead)
    tasks = (("surveyor", "the length"), ("travellers", "which towns"))
    leader = ScriptedModel([calls(*((DELEGATE, {"member_id": id, "task": task}) for id, task in tasks)), "Long, with one town"])
    return Team([surveyor, travellers], model=leader, db=InMemoryDb(), session_id="rivers")


def pipeline(**settings: Any) -> Workflow:
    def note(given: Any) -> str:
        return f"notes on {given.input}"

    branch = Steps("count", [Step("words", note), Step("lines", note)])
    steps = [
        note,
        Parallel(Step("ask", note), branch, name="research"),
        Loop(Step("mend", note), max_iterations=2, name="edit"),
    ]
    return Workflow([*steps, Step("out", note, **settings)], db=InMemoryDb(), session_id="tea")


def view_of(runner: Any, input: Any = "Tell me") -> RunView:
    view = RunView(input, clock=iter(range(1000)).__next__)  # type: ignore[arg-type]
    for event in runner.run(input, stream=True):
        view.take(event)
    return view


def drawn(view: RunView, width: int = 80, live: bool = False, height: int = 100) -> str:
    out = Console(file=io.StringIO(), width=width, height=height, force_terminal=False)
    panels = Panels(view)
    panels.live = live
    out.print(panels)
    return out.file.getvalue()  # type: ignore[attr-defined,no-any-return]


def titles(text: str) -> list[str]:
    return re.findall(r"╭─ (.*?) ─", text)


def test_each_member_has_a_panel_with_its_name_task_tools_and_answer():
    text = drawn(view_of(rivers()))
    assert sorted(titles(text)) == ["Message", "Response", "surveyor", "travellers", "travellers > guide"]
    assert titles(text)[0] == "Message" and titles(text)[-1] == "Response"
    surveyor = re.split(r"╭─ surveyor", text)[1].split("╭─")[0]
    assert (
        "the length" in surveyor and "✓ look(place='Danube') → Danube is nice" in surveyor and "It is 2,850 km long" in surveyor
    )
    assert re.search(r"╰─ \d+\.0 s ─", surveyor), "how long it took"
    assert text.index("╭─ travellers ─") < text.index("╭─ travellers > guide"), "below the one that leads it"
    assert "Vienna lies on it" in text and "Long, with one town" in text.split("╭─ Response")[1]


def test_a_member_is_shown_while_it_speaks():
    view, seen = RunView("Tell me"), []
    for event in rivers().run("Tell me", stream=True):
        view.take(event)
        if event.type == "token" and event.ns == "surveyor:1.0":
            seen.append(drawn(view))
    assert "╭─ surveyor" in seen[0] and "It" in seen[0] and "2,850" not in seen[0]
    assert "2,850 km" in seen[-1] and "Long, with" not in seen[-1]


def test_steps_are_lines_in_their_groups_with_their_results():
    lines = [line.strip("│ \n") for line in drawn(view_of(pipeline())).splitlines()]
    steps = [re.sub(r"\s+\d+\.\d s$", "", line) for line in lines if line.startswith("✓")]
    assert steps[0] == "✓ note → notes on Tell me" and steps[1].startswith("✓ research → {'ask'")
    assert {*steps[2:6]} == {f"✓ {name} → notes on Tell me" for name in ("ask", "count", "words", "lines")}
    assert [line.split(" →")[0] for line in steps[6:]] == ["✓ edit (1)", "✓ mend (1)", "✓ edit (2)", "✓ mend (2)", "✓ out"]


def test_a_branch_that_tells_of_itself_before_its_group_is_shown_below_it():
    view = RunView("x")
    for name, within in (("first", ("group",)), ("group", ()), ("second", ("group",)), ("last", ())):
        view.take(Event("step_started", name, "", "r", "s", {"name": name, "within": within, "iteration": None}))
    assert [step.name for step in view.steps.values()] == ["group", "first", "second", "last"]


def test_a_question_says_how_it_is_answered():
    agent = Agent(ScriptedModel([calls(("book", {"place": "Oslo"}))]), tools=[book], db=InMemoryDb(), session_id="s")
    text = drawn(view_of(agent), width=100)
    assert "? book(place='Oslo')" in text and "May book(place='Oslo') be called?" in text
    assert "Answer: resume('s', answer), the answer being True, False, or \"a text that says why not\"" in text
    assert "Response" not in text and " paused · " in text


@pytest.mark.filterwarnings("ignore:.* paused, and without a database:RuntimeWarning")
def test_a_question_that_nothing_stores_says_that_it_cannot_be_answered(capsys):
    agent = Agent(ScriptedModel([calls(("book", {"place": "Oslo"}))]), tools=[book])
    agent.print_response("Book")
    out = " ".join(capsys.readouterr().out.split())
    assert "May book(place='Oslo') be called?" in out and "It cannot be answered" in out and "resume(" not in out


def test_what_was_said_before_a_question_is_shown_though_it_is_no_answer():
    asked = Reply("Let me book that.", [ToolCall("1", "book", {"place": "Oslo"})])
    text = drawn(view_of(Agent(ScriptedModel([asked]), tools=[book], db=InMemoryDb())))
    assert "Let me book that." in text and "May book(place='Oslo') be called?" in text


def test_several_questions_are_told_apart():
    asked = calls(("book", {"place": "Oslo"}), ("visit", {"place": "Rome"}))
    agent = Agent(ScriptedModel([asked]), tools=[book, visit], db=InMemoryDb(), session_id="s")
    view = view_of(agent)
    text = drawn(view, width=200)
    for question in view.questions:
        assert text.count(question.id) == 2
    assert "visit(place='Rome') needs: day" in text and "resume('s', answers={" in text


def test_a_review_shows_what_is_reviewed():
    text = drawn(view_of(pipeline(review="May it go out?")))
    assert "May it go out? (step out)\n" in re.sub(r" *│", "", text) and "notes on Tell me" in text.split("Waiting")[1]


def test_what_is_kept_is_shown():
    text = drawn(view_of(Agent("offline", db=InMemoryDb(), user_id="ann", update_memory_on_run=True), "I love tea"))
    assert "memory added: I love tea" in text


def test_only_a_summary_that_failed_is_said_to_be_tried_again():
    failing = {"model": ScriptedModel([ConnectionError("away")] * 2)}
    memory = Agent("offline", db=InMemoryDb(), user_id="ann", update_memory_on_run=True, memory=MemoryPolicy(**failing))
    assert view_of(memory, "I love tea").kept == ["memory failed: away"]
    policy = SummaryPolicy(**failing, after_messages=1, keep_last=0)
    summary = Agent("offline", db=InMemoryDb(), enable_session_summaries=True, summary=policy)
    assert view_of(summary, "I love tea").kept == ["summary failed: away (tried again in the next run)"]


def test_the_last_line_has_the_figures():
    text = drawn(view_of(Agent("offline", db=InMemoryDb(), session_id="s"), "Hello"))
    assert re.search(r"\n \d+\.0 s · \d+ \+ \d+ tokens · session s\n$", text)


def test_a_step_that_was_tried_again_does_not_keep_the_first_words():
    view = RunView("x")
    for type, data in (("token", {"text": "wrong"}), ("attempt_restarted", {}), ("token", {"text": "right"})):
        view.take(Event(type, "model", "", "r", "s", data))
    assert view.top.said == "right"


def test_an_error_is_shown_with_where_and_how_to_go_on_and_then_raised(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    agent = Agent(ScriptedModel([ConnectionError("the model is away")]), db=InMemoryDb(), session_id="s")
    with pytest.raises(ConnectionError):
        agent.print_response("Hello")
    out = capsys.readouterr().out
    assert "ConnectionError: the model is away" in out and "resume('s') goes on" in out and "Traceback" not in out


def test_while_it_is_live_the_newest_lines_are_on_the_screen():
    view = RunView("x")
    view.take(Event("token", "model", "", "r", "s", {"text": "\n\n".join(f"line {n}" for n in range(50))}))
    screen = drawn(view, live=True, height=10)
    assert "line 49" in screen and "line 30" not in screen and len(screen.splitlines()) <= 10
    assert "line 0" in drawn(view) and "line 49" in drawn(view)


@pytest.mark.parametrize("width", [12, 30, 80])
def test_no_line_is_wider_than_the_terminal(width):
    for view in (view_of(rivers()), view_of(pipeline())):
        assert max(map(len, drawn(view, width=width).splitlines())) <= width


def test_text_from_outside_commands_no_terminal():
    agent = Agent(ScriptedModel(["\x1b[2J\x1b]0;title\x07wiped [bold]not bold[/]"]), db=InMemoryDb())
    text = drawn(view_of(agent, "\x1b[31mred"))
    assert "\x1b" not in text and "\x07" not in text and "\\x1b[2J" in text and "[bold]" in text
    assert "\x1b" not in in_a_line("\x1b[2J", 80) + shown({"a": "\x1b[2J"})


def test_objects_are_shown_as_json():
    assert '"city": "Oslo"' in drawn(view_of(pipeline(), {"city": "Oslo"})).split("Steps")[0]


def test_without_a_terminal_it_is_printed_once_without_colours(tmp_path):
    code = "from graphflow import Agent\nAgent('offline').print_response('My name is Ann')"
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "COLUMNS": "60"}
    out = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, check=True).stdout
    assert out.count("╭─ Response") == out.count("╭─ Message") == 1 and "\x1b" not in out and out.endswith("\n")
    assert max(map(len, out.splitlines())) == 60


@pytest.mark.parametrize("stream", [True, False])
def test_an_answer_is_shown_as_it_comes_or_once_it_is_there(capsys, stream):
    agent = Agent(ScriptedModel(["Hello, Ann", "Hello, Bob"]))
    agent.print_response("I am Ann", stream=stream)
    assert "Hello, Ann" in capsys.readouterr().out
    asyncio.run(agent.aprint_response("I am Bob", stream=stream))
    assert "Hello, Bob" in capsys.readouterr().out


def test_no_color_leaves_the_boxes_and_takes_the_colours(monkeypatch):
    monkeypatch.setenv("NO_COLOR", "1")
    out = Console(file=io.StringIO(), width=60, force_terminal=True)
    with live("Hello", out) as show:
        show(Event("token", "model", "", "r", "s", {"text": "Hi"}))
    text = out.file.getvalue()  # type: ignore[attr-defined]
    assert "Hi" in text and not re.search(r"\x1b\[[0-9;]*3[0-9]m", text)
