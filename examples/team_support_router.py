"""A support desk: the leader picks one specialist, whose answer goes to the customer as it is. A refund needs a person's yes.

    python examples/team_support_router.py

Runs without a key: the "offline" model picks the member whose description shares most words with the message. With
OPENAI_API_KEY (or GRAPHFLOW_MODEL) set, a language model picks, and speaks.
"""

import os

from graphflow import Agent, Team, tool
from graphflow.db import InMemoryDb

MODEL = None if os.environ.get("GRAPHFLOW_MODEL") or os.environ.get("OPENAI_API_KEY") else "offline"


@tool(requires_confirmation=True)
def refund(invoice: str) -> str:
    """Pay the money of an invoice back."""
    return f"the money of invoice {invoice} is on its way"


def desk(db: InMemoryDb) -> Team:
    """The team, as each process would make it."""
    billing = Agent(
        name="billing",
        instructions="Handles every invoice, payment and refund. An invoice is due after 14 days.",
        tools=[refund],
    )
    technical = Agent(
        name="technical",
        instructions="Solves problems with the router and the network. The router restarts when its red button is held for ten "
        "seconds.",
    )
    return Team([billing, technical], mode="route", name="support", model=MODEL, db=db)


db = InMemoryDb()
for customer, question in [
    ("ann", "How does my router restart?"),
    ("ben", "When is an invoice due?"),
    ("ann", "Please refund invoice A-17"),
]:
    print(f"\n{customer}: {question}")
    team = desk(db)
    speaker = ""
    for event in team.run(question, session_id=customer, user_id=customer, stream=True):
        if event.type == "token" and event.ns == "":  # what the member says is what the team says
            if event.data.get("member", "leader") != speaker:
                speaker = event.data.get("member", "leader")
                print(f"{speaker}: ", end="")
            print(event.text, end="", flush=True)
        elif event.type in ("run_completed", "interrupted"):
            output = event.output
    print()
    for asked in output.interrupts:
        print(f"(paused: may {asked.ns.split(':')[0]} call {asked.value['tool']}({asked.value['arguments']})?)")

# a person looks at it later, perhaps in another process
if output.interrupts:
    done = desk(db).resume("ann", True, user_id="ann")
    print(f"{done.messages[-1].name}: {done.content}")
print(f"\n{len(db.get_messages('ann'))} messages in ann's session, {len(db.get_messages('ben'))} in ben's")
