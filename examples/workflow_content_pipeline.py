"""A workflow that makes a newsletter: research in parallel, a draft, a loop that mends it, a condition, a router.

    python examples/workflow_content_pipeline.py

Runs without a key: the "offline" model finds the line of an agent's notes that answers the question best. With OPENAI_API_KEY
or GRAPHFLOW_MODEL set, the same agents ask a language model. Every step is a node of one graph and is stored when it is
finished. The second issue is made in the same session, so its steps know the first one.
"""

from __future__ import annotations

import os

from pydantic import BaseModel

from graphflow import Agent
from graphflow.db import InMemoryDb
from graphflow.drive.stream import Event
from graphflow.workflow import Condition, Loop, Parallel, Router, Step, StepInput, StepOutput, Steps, Workflow

MODEL = None if os.environ.get("GRAPHFLOW_MODEL") or os.environ.get("OPENAI_API_KEY") else "offline"
NOTES = {
    "history": ["Tea was first drunk in China.", "Coffee was first drunk in Yemen.", "Cocoa was first drunk by the Olmecs."],
    "making": ["Tea is made from leaves.", "Coffee is made from roasted seeds.", "Cocoa is made from fermented beans."],
    "trade": ["Most tea is grown in China.", "Most coffee is grown in Brazil.", "Most cocoa is grown in Ivory Coast."],
}
"""What the desks know."""
QUESTIONS = {"history": "Where was {} first drunk?", "making": "What is {} made from?", "trade": "Where is most {} grown?"}
LONGEST = 60
"""Characters that fit into a note."""


class Order(BaseModel):
    """What the workflow is run with."""

    topic: str
    desks: list[str]


class Draft(BaseModel):
    """What goes from step to step."""

    title: str
    lines: list[str]


def desk(name: str) -> Steps:
    """A branch: a question for the order, and an agent that answers it from its notes."""

    def ask(given: StepInput) -> str:
        return QUESTIONS[name].format(given.input.topic)

    notes = ["Answer in one sentence.", *NOTES[name]]
    clerk = Agent(MODEL, name=f"{name} desk", instructions=notes, add_history_to_context=False)
    return Steps(name, [Step(f"ask {name}", ask), clerk])


async def write(given: StepInput) -> Draft:
    """Make a draft of what the chosen desks found."""
    found = given.previous_step_content
    lines = [found[name].removeprefix("From what I know: ") for name in given.input.desks]
    return Draft(title=f"about {given.input.topic}", lines=lines)


def mend(given: StepInput) -> Draft:
    """Mend one thing at a time, as an editor would."""
    draft: Draft = given.message
    if draft.title[0].islower():
        return draft.model_copy(update={"title": draft.title.capitalize()})
    return draft.model_copy(update={"lines": [line if line.endswith(".") else f"{line}." for line in draft.lines]})


def is_clean(outputs: list[StepOutput]) -> bool:
    """Whether the loop may end."""
    draft: Draft = outputs[-1].content
    return draft.title[0].isupper() and all(line.endswith(".") for line in draft.lines)


def is_long(given: StepInput) -> bool:
    """Whether a list of contents helps."""
    return len(given.message.lines) > 2


def with_contents(given: StepInput) -> Draft:
    """Say at the top how much there is to read."""
    draft: Draft = given.message
    return draft.model_copy(update={"title": f"{draft.title} ({len(draft.lines)} facts)"})


def channels(given: StepInput) -> list[str]:
    """Where it goes: to the archive always, and on a postcard when it fits."""
    fits = sum(map(len, given.message.lines)) <= LONGEST
    return ["archive", "postcard"] if fits else ["archive"]


def archive(given: StepInput) -> Draft:
    """Keep the title in the session, for the next issue."""
    titles = given.workflow_session.session_state.setdefault("titles", [])
    titles.append(given.message.title)
    draft: Draft = given.message
    return draft


def postcard(given: StepInput) -> Draft:
    """A short form."""
    draft: Draft = given.message
    return Draft(title=draft.title.upper(), lines=[" ".join(draft.lines)])


def publish(given: StepInput) -> str:
    """The issue as text, with a word on the one before."""
    before = [run.content.splitlines()[0].lstrip("# ") for run in given.workflow_session.history if run.content]
    last = [f"(Before this one: {', '.join(before)})"] if before else []
    draft: Draft = given.message
    return "\n".join([f"# {draft.title}", *(f"- {line}" for line in draft.lines), *last])


def build() -> Workflow:
    """The workflow, on a database in memory."""
    steps = [
        Parallel(*map(desk, NOTES), name="research"),
        write,
        Loop(mend, max_iterations=4, end_condition=is_clean, forward_output=True, name="edit"),
        Condition(is_long, with_contents),
        Router([archive, postcard], channels),
        publish,
    ]
    return Workflow(steps, name="newsletter", db=InMemoryDb(), input_schema=Order, add_workflow_history=True)


def shown(event: Event) -> str:
    """What came of a step, in a line."""
    said = event.data.get("chosen") or event.content
    text = f"{said.title!r}, {len(said.lines)} line(s)" if isinstance(said, Draft) else str(said).splitlines()[0]
    return text if len(text) <= 80 else f"{text[:79]}…"


def main() -> None:
    """Make two issues in one session and show how they come about."""
    newsletter = build()
    print(newsletter.graph.draw_mermaid())
    for order in (Order(topic="tea", desks=["making", "history", "trade"]), Order(topic="cocoa", desks=["trade"])):
        print(f"--- an issue on {order.topic}")
        for event in newsletter.run(order, session_id="newsletter", stream=True):
            if event.type == "step_completed":
                turn = f" ({event.iteration})" if event.iteration is not None else ""
                print(f"{'   ' * (1 + len(event.within))}{event.name}{turn}: {shown(event)}")
        print(event.output.content, "\n")
    print("titles in the session:", newsletter.get_session_state("newsletter")["titles"])
    tokens = event.output.metrics["input_tokens"] + event.output.metrics["output_tokens"]
    print(f"{len(newsletter.get_chat_history('newsletter'))} messages are stored; the last issue used {tokens} tokens")


if __name__ == "__main__":
    main()
