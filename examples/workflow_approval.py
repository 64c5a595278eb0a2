"""A person in the loop: a workflow waits for a word on its draft, over three processes.

    python examples/workflow_approval.py

The first process drafts an announcement and ends: the run is paused, stored in a database. The second brings a reviewer's
note, so the draft is written again, and ends, too. The third brings the agreement, and the announcement is sent. The figures
are looked up once: what was finished before a pause is not done again. Needs no key: a function writes; with OPENAI_API_KEY
or GRAPHFLOW_MODEL set, a language model does.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

from graphflow import Agent, RunOutput
from graphflow.db import SqliteDb
from graphflow.workflow import Step, StepInput, Workflow

MODEL = None if os.environ.get("GRAPHFLOW_MODEL") or os.environ.get("OPENAI_API_KEY") else "offline"
OFFLINE = "offline" in (MODEL, os.environ.get("GRAPHFLOW_MODEL"))
SESSION = "announcement-1"
WORDS = {
    "begin": "Announce the new harbour line.",
    "note": "Please name the price.",
    "agree": True,
}
"""What each process brings."""


def build(folder: Path) -> Workflow:
    """The workflow, on a database in this folder."""

    def look_up(given: StepInput) -> dict[str, str]:
        """Find the figures. Writes a line to a log, so that one can count."""
        with (folder / "log.txt").open("a") as log:
            print("looked up", file=log)
        return {"order": given.input, "line": "harbour line", "price": "2 euro", "from": "1 May"}

    def draft(given: StepInput) -> str:
        """Write it; with the reviewer's note in mind when there is one."""
        facts = given.get_step_content("look_up")
        text = f"From {facts['from']} on, the {facts['line']} runs."
        return f"{text} A ticket costs {facts['price']}." if "price" in (given.review_note or "") else text

    def send(given: StepInput) -> str:
        """Send it off."""
        return f"sent: {given.message}"

    # An agent is given the facts and, when its answer was not good enough, that answer and the reviewer's note.
    writer = Agent(MODEL, instructions="Write what is ordered, in two sentences, from the facts you are given.")
    steps = [look_up, Step("draft", draft if OFFLINE else writer, review="May this be sent?"), send]
    return Workflow(steps, name="announcement", db=SqliteDb(folder / "announcement.db"))


def go_on(word: str, folder: Path) -> RunOutput:
    """Begin the run, or go on with it: what a web server would do in one request."""
    workflow = build(folder)
    brought = WORDS[word]
    output = workflow.run(brought, session_id=SESSION) if word == "begin" else workflow.resume(SESSION, brought)
    workflow.db.close()
    return output


def show(word: str, output: RunOutput) -> None:
    """Say what the process did."""
    print(f"process {os.getpid()} brings {WORDS[word]!r}: the run is {output.status}")
    for question in output.interrupts:
        print(f"   {question.value['question']} {question.value['content']!r}")
    if output.content is not None:
        print(f"   {output.content}")


def main() -> int:
    """Let three processes work on one run, and check what they left."""
    with tempfile.TemporaryDirectory() as name:
        for word in WORDS:
            subprocess.run([sys.executable, __file__, word, name], check=True)
        folder = Path(name)
        looked_up = (folder / "log.txt").read_text().count("looked up")
        db = SqliteDb(folder / "announcement.db")
        session = db.get_session(SESSION)
        sent = session.messages[-1].text if session is not None else "nothing"
        db.close()
    print(f"the figures were looked up {looked_up} time(s)")
    return 0 if looked_up == 1 and "2 euro" in sent else 1


if __name__ == "__main__":
    if len(sys.argv) > 1:
        show(sys.argv[1], go_on(sys.argv[1], Path(sys.argv[2])))
    else:
        sys.exit(main())
