"""The node that shows a person what a step of a workflow made, and waits for a word on it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from graphflow.core.control import Context
from graphflow.core.effects import Flow
from graphflow.core.plan import Function, flow
from graphflow.errors import GraphChanged, StepRejected
from graphflow_nodes.stepdata import StepOutput, plain
from graphflow_nodes.workflow import AGAIN, DONE, Changes, Node, Place, called, settled


def review(place: Place, node: str, question: Any, skip: bool) -> Node:
    """A node after a step that shows its output to a person and waits for a word on it.

    True accepts it; a run that it ends (``stop=True``) is ended then. A text is a note: the step runs again and is given it.
    ``{"content": …}`` puts another content in its place. False rejects it: the run fails with StepRejected or, where the step
    may be skipped, goes on without it.
    ``question``: True, a text, or a function of the StepOutput that gives one (or nothing, when nobody has to be asked).
    """
    name = place.name

    @flow
    def ask(state: Any, ctx: Context) -> Flow[Any]:
        outputs = state["outputs"]
        if name not in outputs:
            raise _renamed(name, outputs, ctx)
        record = outputs[name]
        output = place.outline.output(name, outputs)
        text = (yield from called(question, output, ctx)) if isinstance(question, Function) else question
        answer = True
        if text and not record.get("skipped"):
            payload = {"step": name, "asks": "review", "content": plain(None if output is None else output.content)}
            answer = _answer(place, ctx, {**payload, "question": text} if isinstance(text, str) else payload)
        update: Changes = {"ways": {node: {"to": DONE}}}
        changed = record
        if isinstance(answer, str):
            return {"ways": {node: {"to": AGAIN}}, "outputs": {name: {**record, "note": answer}}}
        if answer is False:
            if not skip:
                raise StepRejected(
                    f"the output of step {name!r} was rejected, so the run ends here; begin a new one, or fork the session to "
                    "be asked again. (A text instead of False lets the step run again with that note.)"
                )
            changed = {"n": record["n"], "content": None, "skipped": True, "error": "rejected by the reviewer"}
        elif isinstance(answer, Mapping):
            given = StepOutput(answer["content"], bool(record.get("stop")))
            changed = {**place.outline.record(name, given, ctx.stored), "n": record["n"]}
        if changed is not record:
            update["outputs"] = {name: changed}
        if not changed.get("skipped"):
            update["previous"] = name
        outputs = {**outputs, name: changed}
        return (yield from settled(place, state, ctx, update, outputs, stop=bool(changed.get("stop"))))

    return ask


def _renamed(name: str, outputs: Mapping[str, Any], ctx: Context) -> GraphChanged:
    change = f"step {name!r} has no output in the stored run, whose steps are {', '.join(map(repr, outputs))}"
    return GraphChanged(
        f"the run of session {ctx.session_id!r} waits at the review of a step that was called otherwise when it ran: {change}. "
        "Outputs are kept by the names of their steps: give the step its old name until the run has ended, or begin anew with "
        "on_unfinished='abandon'",
        changes=(change,),
    )


def _answer(place: Place, ctx: Context, payload: dict[str, Any]) -> Any:
    """A reviewer's word, a content as the step's type wants it. Anything else is no answer, so the question is asked again."""
    answer = ctx.ask(payload)
    while not isinstance(answer, bool | str):
        problem = f"{answer!r} is no answer: give True, False, a text that says what to change, or {{'content': …}}"
        if isinstance(answer, Mapping) and set(answer) == {"content"}:
            try:
                return {"content": place.outline.edited(place.name, answer["content"])}
            except ValidationError as error:
                first = error.errors(include_url=False)[0]
                at = "".join(f"[{part!r}]" for part in first["loc"])
                problem = f"{answer['content']!r} is no content of step {place.name!r}: content{at}: {first['msg']}"
        answer = ctx.ask({**payload, "problem": problem})
    return answer
