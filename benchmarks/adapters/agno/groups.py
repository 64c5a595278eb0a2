"""agno's teams and workflows."""

from __future__ import annotations

import json
from collections.abc import Callable
from itertools import cycle, repeat
from typing import Any

from agno.agent import Agent
from agno.models.response import ModelResponse
from agno.team import Team
from agno.workflow import Step, StepInput, StepOutput, Workflow

from benchmarks.adapters.agno.model import Scripted
from benchmarks.adapters.agno.stores import db_on
from benchmarks.store import Store
from benchmarks.work import ANSWER, MEMBERS, STEPS, step

Ask = Callable[[str, str], Any]


class Leading(Scripted):
    """Gives each member a task, then answers; and again."""

    def __init__(self) -> None:
        super().__init__(repeat(ANSWER))
        self._asks = cycle([True, False])

    def invoke(self, *_: Any, **__: Any) -> ModelResponse:
        """The next of its replies."""
        if not next(self._asks):
            return ModelResponse(role="assistant", content=ANSWER)
        return ModelResponse(role="assistant", content="", tool_calls=[_delegation(name) for name in MEMBERS])


def _delegation(name: str) -> dict[str, Any]:
    arguments = json.dumps({"member_id": name, "task": "Look."})
    function = {"name": "delegate_task_to_member", "arguments": arguments}
    return {"id": f"call-{name}", "type": "function", "function": function}


def team(store: Store) -> Ask:
    """A leader who asks each member once."""
    members = [Agent(model=Scripted(repeat(ANSWER)), name=name, id=name, telemetry=False) for name in MEMBERS]
    made = Team(members=members, model=Leading(), db=db_on(store, "sync"), telemetry=False)
    return lambda question, session: made.run(question, session_id=session)


def workflow(store: Store) -> Ask:
    """Steps that are functions, one after the other."""

    def work(given: StepInput) -> StepOutput:
        return StepOutput(content=step(str(given.previous_step_content or given.input)))

    steps = [Step(name=f"step-{number}", executor=work) for number in range(STEPS)]
    made = Workflow(name="workflow", steps=steps, db=db_on(store, "sync"), telemetry=False)
    return lambda question, session: made.run(question, session_id=session)
