"""An agent with tools: calls run in parallel, tools keep things in the session, and one of them asks a person first.

    python examples/tools.py

Runs without a key: the "offline" model calls a tool when its name is said and its arguments can be found. With OPENAI_API_KEY
or GRAPHFLOW_MODEL set, a language model does so with judgement.
"""

import os
import time

from graphflow import Agent, Context, tool
from graphflow.db import InMemoryDb

MODEL = None if os.environ.get("GRAPHFLOW_MODEL") or os.environ.get("OPENAI_API_KEY") else "offline"
MEASURED = {"Oslo": "snow", "Paris": "rain", "Rome": "sun"}


def weather(city: str, ctx: Context) -> str:
    """The weather in a city."""
    time.sleep(0.5)  # as long as a real service might take
    ctx.session_state[city] = MEASURED.get(city, "fog")  # each call writes a key of its own, so they may run at the same time
    return f"{city} has {ctx.session_state[city]}"


@tool(requires_confirmation=True)
def book(city: str) -> str:
    """Book a journey to a city."""
    return f"a ticket to {city}"


agent = Agent(MODEL, tools=[weather, book], db=InMemoryDb(), session_id="journey")

started = time.perf_counter()
answer = agent.run("What is the weather in Oslo, Paris and Rome?")
seconds = time.perf_counter() - started
print(answer.content)
print(f"{len(answer.tools)} calls of half a second each took {seconds:.1f} seconds")
print("in the session:", agent.get_session_state())


def say(text: str, answer: bool | str) -> None:
    """Say something, and give this answer to what is asked about the calls that it leads to."""
    output = agent.run(text)
    while output.status == "paused":
        for question in output.interrupts:
            print(f"{output.status}: {question.value['tool']} {question.value['arguments']} needs {question.value['asks']}")
        output = agent.resume(answers={question.id: answer for question in output.interrupts})
    print(output.content)


say("Please book Rome", True)
say("Please book Oslo", "too cold")
