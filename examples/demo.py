"""A guided tour: a team is killed in the middle of its work and goes on in another process; a workflow waits for a person.

    make demo            (or: python examples/demo.py)

It needs no key and no network. Each part runs in a process of its own, as it would on a server. What is claimed is checked, and
it ends with 1 if a check fails.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.panel import Panel
from rich.text import Text

from graphflow import Agent, RunOutput, SummaryPolicy, Team, Workflow
from graphflow.db import SqliteDb
from graphflow.workflow import Step, StepInput

USER, TALK, NEWS = "ann", "ann-rivers", "news-1"
"""A user, the session of her talk with the team, and the session of the workflow."""
SAID = ["My name is Ann and I love long rivers.", "I live in Vienna.", "Next week I have a holiday."]
QUESTION = "Ask the surveyor about the river length of Danube and the traveller about the river towns of Danube"
LENGTH, TOWNS = "2850 km", "Vienna, Budapest, Belgrade"

out = Console(highlight=False)


# --- what is run ----------------------------------------------------------------------------------------------------


def team(folder: Path) -> Team:
    """A leader with two members, with history, a summary and memories. Every call of a tool writes a line to a log."""

    def river_length(river: str) -> str:
        """The length of a river."""
        note(folder, f"river_length {river}")
        return LENGTH

    def river_towns(river: str) -> str:
        """The towns on a river."""
        note(folder, f"river_towns {river}")
        if "DIE" in os.environ:
            wait_for_the_surveyor(folder)
            os.kill(os.getpid(), signal.SIGKILL)
        return TOWNS

    surveyor = Agent(name="surveyor", instructions="You know how long a river is.", tools=[river_length])
    traveller = Agent(name="traveller", instructions="You know the towns on a river.", tools=[river_towns])
    return Team(
        [surveyor, traveller],
        name="rivers",
        model="offline",
        db=SqliteDb(folder / "demo.db"),
        user_id=USER,
        enable_session_summaries=True,
        summary=SummaryPolicy(after_messages=4, keep_last=2),
        update_memory_on_run=True,
    )


def workflow(folder: Path) -> Workflow:
    """Facts, a draft that a person has to agree to, and the sending."""

    def look_up(given: StepInput) -> str:
        note(folder, "look_up")
        return f"The Danube: {LENGTH}; {TOWNS}"

    def draft(given: StepInput) -> str:
        return f"{given.message}. {given.review_note or ''}".rstrip(". ") + "."

    def send(given: StepInput) -> str:
        return f"sent: {given.message}"

    steps = [look_up, Step("draft", draft, review="May this be sent?"), send]
    return Workflow(steps, name="news", db=SqliteDb(folder / "demo.db"))


def note(folder: Path, line: str) -> None:
    """Write to the log, so that one can count."""
    with (folder / "log.txt").open("a") as log:
        print(line, file=log)


def wait_for_the_surveyor(folder: Path) -> None:
    """Until the database has the other member's answer."""
    watching, deadline = team(folder), time.monotonic() + 20
    while [task.state for task in watching.graph.get_state(TALK, user_id=USER).tasks].count("done") == 0:
        if time.monotonic() > deadline:
            sys.exit("the answer of the surveyor was not stored")
        time.sleep(0.02)


def talk(folder: Path) -> None:
    """The first process: a conversation, and a question in the middle of which it dies."""
    rivers = team(folder)
    for text in SAID:
        show(text, rivers.run(text, session_id=TALK))
    print(f"{USER}: {QUESTION}", flush=True)
    os.environ["DIE"] = "yes"
    rivers.run(QUESTION, session_id=TALK)


def go_on(folder: Path) -> None:
    """The second process: the run that was killed, and two more questions, one in a new session."""
    rivers = team(folder)
    print("the run that was killed:", rivers.resume(TALK).content)
    show("What is my name?", rivers.run("What is my name?", session_id=TALK))
    show("What do I love?", rivers.run("What do I love?", session_id="ann-new"))


def begin(folder: Path) -> None:
    """The third process: a workflow, until it needs a person."""
    show("news about the Danube", workflow(folder).run("news", session_id=NEWS))


def answer(folder: Path) -> None:
    """The fourth process: the person wants a change, and agrees to that."""
    show("(a note) Come and see it", workflow(folder).resume(NEWS, "Come and see it"))
    show("(agrees)", workflow(folder).resume(NEWS, True))


def show(said: str, output: RunOutput) -> None:
    """What was said, and what came of it."""
    print(f"{USER}: {said}")
    for question in output.interrupts:
        print(f"   {output.status}: {question.value['question']} {question.value['content']!r}")
    if output.content:
        print(f"   {output.content}")


# --- the tour -------------------------------------------------------------------------------------------------------

checks: list[tuple[bool, str]] = []


def check(holds: bool, claim: str) -> None:
    """Note whether something holds that was claimed."""
    checks.append((holds, claim))


def in_a_process(part: str, title: str, folder: Path) -> int:
    """Run a part in a process of its own and show what it prints."""
    done = subprocess.run([sys.executable, __file__, part, folder], capture_output=True, text=True)
    end = "killed by SIGKILL" if done.returncode == -signal.SIGKILL else f"exit code {done.returncode}"
    out.print(Panel(Text(f"{done.stdout}{done.stderr}".rstrip()), title=Text(title), title_align="left", subtitle=end))
    return done.returncode


def ways(rivers: Team) -> str:
    """Which node may follow which. (The members are graphs of their own; ``rivers.graph.draw_svg()`` draws all of it.)"""
    names = {"__start__": "START", "__end__": "END"}
    found: dict[str, list[str]] = {}
    for source, target in rivers.graph_builder().edges:
        found.setdefault(names.get(source, source), []).append(names.get(target, target))
    return "\n".join(f"{source:>10} → {', '.join(targets)}" for source, targets in found.items())


def look_after_the_kill(rivers: Team) -> None:
    """What is stored when the first process is dead."""
    state = rivers.graph.get_state(TALK, user_id=USER)
    tasks = {task.node: task.state for task in state.tasks}
    out.print(f"In the database: the run is [yellow]{state.status}[/], {', '.join(f'{n} is {s}' for n, s in tasks.items())}.\n")
    stored = [message.text for message in rivers.db.get_messages(TALK)]
    check(QUESTION in stored, "the question was stored before it was worked on")
    check(tasks.get("surveyor") == "done", "the member that had finished is stored as done, though its sibling was not")


def look_at_the_end(rivers: Team, folder: Path, killed: str) -> None:
    """What is stored when the second process has gone on."""
    db, log = rivers.db, (folder / "log.txt").read_text().splitlines()
    run = db.get_run(killed)
    check(run is not None and run.status == "completed", "the run that was killed is the run that was completed")
    check(log.count("river_length Danube") == 1, "the finished member did not work again: its tool was called once")
    check(log.count("river_towns Danube") == 2, "only what was cut off was done again: that tool was called twice")
    said = [message.text for message in db.get_messages(TALK) if message.role == "user"]
    check(said == [*SAID, QUESTION, "What is my name?"], "every message is stored once, in order")
    answers = [message.text for message in db.get_messages(TALK) if message.role == "assistant" and message.text]
    check(LENGTH in answers[3] and TOWNS in answers[3], "the answer has what both members found")
    summary = rivers.get_session_summary(TALK) or ""
    out.print(f"[bold]Summary:[/] {summary}")
    memories = [memory.memory for memory in rivers.get_user_memories()]
    out.print(f"[bold]Memories of {USER}:[/] {'; '.join(memories)}\n")
    check("Ann" in summary and "Ann" in answers[4], "the beginning of the talk is summed up, and her name is still known")
    new = db.get_messages("ann-new")[-1].text
    check(any("long rivers" in memory for memory in memories) and "long rivers" in new, "a new session knows what she loves")


def main() -> int:
    """The whole tour."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        rivers = team(folder)
        out.print(Panel(Text(ways(rivers)), title="A team is a graph", title_align="left"))
        died = in_a_process("talk", "1. The first process: a talk, until it is killed", folder)
        check(died == -signal.SIGKILL, "the first process was killed while a member worked")
        look_after_the_kill(rivers)
        killed = rivers.db.get_runs(TALK)[-1].run_id
        check(in_a_process("go_on", "2. Another process goes on", folder) == 0, "another process went on with it")
        look_at_the_end(rivers, folder, killed)
        in_a_process("begin", "3. A workflow, until it needs a person", folder)
        check(workflow(folder).graph.get_state(NEWS).status == "paused", "the workflow waits, and no process has to")
        in_a_process("answer", "4. Another process brings the answers", folder)
        sent = rivers.db.get_messages(NEWS)[-1].text
        check(sent.startswith("sent:") and "Come and see it" in sent, "the note changed the draft, and it was sent")
        check((folder / "log.txt").read_text().count("look_up") == 1, "the step before was not run again")
        check(rivers.db.check().ok, "every row in the database matches its checksum")
        rivers.db.close()
    out.rule("[bold]What was checked")
    for holds, claim in checks:
        out.print("[green]✓[/]" if holds else "[bold red]✗ FAILED:[/]", Text(claim))
    failed = sum(not holds for holds, _ in checks)
    out.print(f"\n{len(checks)} checks, {failed} failed" if failed else f"\nall {len(checks)} checks hold")
    return 1 if failed else 0


PARTS: dict[str, Any] = {"talk": talk, "go_on": go_on, "begin": begin, "answer": answer}

if __name__ == "__main__":
    if len(sys.argv) > 2:
        PARTS[sys.argv[1]](Path(sys.argv[2]))
    else:
        sys.exit(main())
