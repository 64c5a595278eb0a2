"""A guided tour in the terminal: a process is killed in the middle of a conversation, another one goes on, and nothing is lost.

    make demo            (or: python examples/demo.py)

It needs no key and no network, and takes a few seconds. Everything that is claimed is checked; it ends with 1 if a check fails.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

from replay_conversation import CONVERSATION, Turn, read_turns
from rich.console import Console, Group
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from graphflow import Agent, Message
from graphflow.db import SqliteDb

EXAMPLES = Path(__file__).parent
KILLED_IN = 37
"""The turn in which the first process dies."""

out = Console(highlight=False)
checks: list[tuple[bool, str]] = []


def check(holds: bool, claim: str) -> None:
    """Note whether something holds that was claimed."""
    checks.append((holds, claim))


def run_example(name: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run another example in a process of its own and show what it prints."""
    env = {**os.environ, "COLUMNS": str(out.width - 4)}
    done = subprocess.run([sys.executable, EXAMPLES / name, *arguments], env=env, capture_output=True, text=True)
    command = Text(" ".join(["python", f"examples/{name}", *(Path(argument).name for argument in arguments)]))
    result = "killed by SIGKILL" if done.returncode == -signal.SIGKILL else f"exit code {done.returncode}"
    out.print(Panel(Text(f"{done.stdout}{done.stderr}".rstrip()), title=command, title_align="left", subtitle=result))
    return done


def conversation_of(db: SqliteDb, turns: list[Turn]) -> dict[str, list[Message]]:
    """What is stored in each session."""
    return {session_id: db.get_messages(session_id) for session_id in dict.fromkeys(turn.session_id for turn in turns)}


# --- one: a conversation -----------------------------------------------------------------------------------------------------


def replay(folder: Path) -> None:
    """Replay a conversation in a process that dies, look at what is stored, and go on in another process."""
    turns = read_turns(json.loads(CONVERSATION.read_text("utf-8")))
    command = ("replay_conversation.py", "--db", str(folder / "replay.db"), "--journal", str(folder / "journal.jsonl"))
    db = SqliteDb(folder / "replay.db")
    agent = Agent("offline", name="listener", db=db)
    killed_turn = turns[KILLED_IN - 1]

    out.rule("[bold]1. The first process")
    died = run_example(*command, "--kill-after", str(KILLED_IN))
    before = conversation_of(db, turns)
    run_before = db.get_runs(killed_turn.session_id)[-1]
    waiting = agent.graph.get_state(killed_turn.session_id, user_id=killed_turn.user_id)
    check(died.returncode == -signal.SIGKILL, f"the first process was killed with SIGKILL in turn {KILLED_IN}")
    last = before[killed_turn.session_id][-1:]
    check(
        [m.text for m in last if m.role == "user"] == [killed_turn.text],
        "the input of that turn was stored before the model was asked",
    )
    check(waiting.next == ("history",), "the run is known to be unfinished, and from where it goes on")
    out.print(stored_table("In the database now", before, turns))
    left = " and ".join(waiting.next)
    out.print(
        f"The run of turn {KILLED_IN} is stored as [yellow]{run_before.status}[/]; what runs next is [yellow]{left}[/].\n"
    )

    out.rule("[bold]2. The second process")
    finished = run_example(*command)
    after = conversation_of(db, turns)
    out.print(stored_table("In the database now", after, turns))
    check(finished.returncode == 0, "the second process went on to the end")
    check_conversation(turns, before, after)
    run_after = db.get_run(run_before.run_id)
    check(run_after is not None and run_after.status == "completed", "the run that was killed is the run that was completed")
    check(db.check().ok, "every row in the database matches its checksum")
    owners = {turn.session_id: turn.user_id for turn in turns}
    check({id: getattr(db.get_session(id), "user_id", None) for id in owners} == owners, "each session belongs to its speaker")

    out.rule("[bold]3. Which node ran when")
    lines = [json.loads(line) for line in (folder / "journal.jsonl").read_text("utf-8").splitlines()]
    show_journal(lines)
    db.close()


def check_conversation(turns: list[Turn], before: dict[str, list[Message]], after: dict[str, list[Message]]) -> None:
    """No turn is missing, doubled, unanswered or changed."""
    wanted: dict[str, list[str]] = {}
    for turn in turns:
        wanted.setdefault(turn.session_id, []).append(turn.text)
    said = {id: [message.text for message in messages if message.role == "user"] for id, messages in after.items()}
    check(said == wanted, f"all {len(turns)} turns are stored, each once, in the order they were said")
    roles = {id: [message.role for message in messages] for id, messages in after.items()}
    answered = all(roles[id] == ["user", "assistant"] * len(texts) for id, texts in wanted.items())
    check(answered, "every turn has one answer")
    check(all(after[id][: len(kept)] == kept for id, kept in before.items()), "what was stored before the kill is unchanged")


def stored_table(title: str, stored: dict[str, list[Message]], turns: list[Turn]) -> Table:
    """How much of each session is stored."""
    table = Table("session", "owner", "turns", "messages stored", title=title, title_justify="left")
    owners = {turn.session_id: turn.user_id for turn in turns}
    expected = Counter(turn.session_id for turn in turns)
    for session_id, messages in stored.items():
        missing = 2 * expected[session_id] - len(messages)
        table.add_row(
            session_id,
            owners[session_id],
            str(expected[session_id]),
            f"{len(messages)}" + (f" ({missing} to come)" if missing else ""),
        )
    return table


def show_journal(lines: list[dict[str, Any]]) -> None:
    """What ran around the kill, and whether anything finished ran twice. A task that runs again keeps its id."""
    completed = {(line["task"], line["pid"]) for line in lines if line["type"] == "node_completed"}
    started = [line for line in lines if line["type"] == "node_started"]
    pids = list(dict.fromkeys(line["pid"] for line in lines))
    times = Counter(line["task"] for line in started)
    around = [index for index, line in enumerate(started) if times[line["task"]] > 1]
    table = Table("process", "session", "node", "")
    for line in started[max(0, around[0] - 2) : around[-1] + 3]:
        is_done = (line["task"], line["pid"]) in completed
        note = "[green]finished[/]" if is_done else "[red]killed while it ran[/]"
        if times[line["task"]] > 1 and line["node"] == "history" and line["pid"] == pids[-1]:
            note += " (it only reads, so it reads again)"
        table.add_row(("first", "second")[pids.index(line["pid"])], line["session"], line["node"], note)
    out.print(table)
    check(len(pids) == 2, "two processes took part")
    answers = Counter(line["task"] for line in lines if line["node"] == "model" and line["type"] == "node_completed")
    check(set(answers.values()) == {1}, "no answer that was finished was made a second time")
    again = {line["task"]: times[line["task"]] for line in started if line["node"] == "model" and times[line["task"]] > 1}
    check(list(again.values()) == [2], "only the call that was cut off was made again")


# --- two: tasks side by side -------------------------------------------------------------------------------------------------


def crash() -> None:
    """The same with tasks that run at the same time."""
    out.rule("[bold]4. Tasks side by side")
    done = run_example("resume_after_crash.py")
    check(done.returncode == 0, "of three tasks at the same time, the two that were finished were not run again")


def main() -> int:
    """The whole tour."""
    picture = Agent("offline", name="listener").graph.draw_mermaid()
    text = (
        "An agent is a graph. This is the one that listens below, as `graphflow draw` writes it (paste it into mermaid.live):\n"
    )
    out.print(Panel(Group(Text(text), Text(picture.rstrip(), style="cyan")), title="graphflow", title_align="left"))
    with tempfile.TemporaryDirectory() as folder:
        replay(Path(folder))
    crash()
    out.rule("[bold]What was checked")
    for holds, claim in checks:
        out.print("[green]✓[/]" if holds else "[bold red]✗ FAILED:[/]", Text(claim))
    failed = sum(not holds for holds, _ in checks)
    out.print(f"\n{len(checks)} checks, {failed} failed" if failed else f"\nall {len(checks)} checks hold")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
