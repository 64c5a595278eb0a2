"""What steps of a workflow are given, what they give, and how that is kept in the state of the workflow's graph."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Generic, TypedDict, TypeVar

from pydantic import BaseModel, TypeAdapter, ValidationError
from pydantic_core import to_jsonable_python

from graphflow.core.control import MISSING, Context
from graphflow.core.hints import hint, one
from graphflow.core.reducers import add_messages, merge, merge_keys
from graphflow.core.state import logged, per_run, untracked
from graphflow.errors import GraphError, SerializationError, UnknownTarget
from graphflow.messages import FilePart, ImagePart, Message, RemoveMessage, TextPart, ToolCall

T = TypeVar("T")
Record = dict[str, Any]
"""What is stored of a step's output: ``content``, or ``json`` and ``from`` (the step whose code tells the type), or ``all``
(the branches whose contents it is, of which those count that ran after the output number ``since``), or ``parts`` or
``inner``; ``n`` (its place in the order of outputs); what else there is.
"""
_KEPT_AS_THEY_ARE = (Message, RemoveMessage, ToolCall, TextPart, ImagePart, FilePart)


class BranchState(TypedDict):
    """The channels of the graph of a branch."""

    input: Annotated[dict[str, Any], per_run]
    """The input of the run, as a record."""
    live: Annotated[Any, untracked]
    """The input itself, when its type is not declared: good in the process that was given it."""
    outputs: Annotated[dict[str, Any], merge, per_run]
    """The record of each step that ran, by its name."""
    previous: Annotated[str | None, per_run]
    """The step whose content the next one is given."""
    ways: Annotated[dict[str, Any], merge, per_run]
    """Where conditions, routers, loops and reviews stand, by node."""
    history: Annotated[list[Message], untracked]
    """Inputs and outputs of earlier runs, when that is switched on."""
    session_state: Annotated[dict[str, Any], merge_keys]
    """The session's dict."""


class WorkflowState(BranchState):
    """The channels of a workflow's graph."""

    messages: Annotated[list[Message], add_messages, logged]
    """The input and the output of the run, as text, for the session's log."""


@dataclass(frozen=True, slots=True)
class StepOutput(Generic[T]):
    """What a step gives. ``content`` is any value the database keeps, or an object of the type that the step declares.

    A step may return a plain value instead, which is its content. ``stop=True`` ends the run of the workflow that the step
    belongs to, whatever groups it is in: its status is ``completed`` and its content this one (of several branches of a
    Parallel that do so, that of the first in the order of declaration). A workflow inside another is a step of it: its run
    ends, and the one around it goes on with that content. A step with a ``review`` is asked about first.
    ``name`` is filled in by the workflow. A step with ``on_error="skip"`` that failed is ``skipped`` and has an ``error``; it
    has no content, and the next step is given that of the step before.
    """

    content: T = None  # type: ignore[assignment]
    stop: bool = False
    name: str = ""
    skipped: bool = False
    error: str | None = None


@dataclass(frozen=True, slots=True)
class EarlierRun:
    """An earlier run of the session, as text. ``content`` is None when it did not come to its end."""

    input: str
    content: str | None


class WorkflowSession:
    """The session a step runs in."""

    __slots__ = ("_ctx", "history")

    def __init__(self, ctx: Context, history: Sequence[Message]) -> None:
        self._ctx = ctx
        self.history = earlier_runs(history)
        """Earlier runs, oldest first; empty unless ``add_workflow_history`` is on."""

    @property
    def session_id(self) -> str | None:
        """The session, or None when the run is not stored."""
        return self._ctx.session_id

    @property
    def user_id(self) -> str | None:
        """The user this run is for."""
        return self._ctx.user_id

    @property
    def session_state(self) -> dict[str, Any]:
        """The session's dict, the same as ``ctx.session_state``: keys changed in it are part of what the step writes."""
        return self._ctx.session_state


def earlier_runs(messages: Sequence[Message]) -> tuple[EarlierRun, ...]:
    """The runs that messages of a workflow's log tell of."""
    runs: list[EarlierRun] = []
    for message in messages:
        if message.role == "user":
            runs.append(EarlierRun(message.text, None))
        elif runs:
            runs[-1] = EarlierRun(runs[-1].input, message.text)
    return tuple(runs)


class StepInput:
    """What a step is given: the input of the run, and what the steps before it made."""

    __slots__ = ("_outline", "name", "state", "workflow_session")

    def __init__(self, outline: Outline, state: Mapping[str, Any], ctx: Context, name: str) -> None:
        self._outline = outline
        self.state = state
        """The channels of the graph, a WorkflowState."""
        self.name = name
        """The step's own name."""
        self.workflow_session = WorkflowSession(ctx, state.get("history") or ())

    @property
    def input(self) -> Any:
        """What the workflow was run with."""
        return self._outline.input(self.state)

    @property
    def previous_step_name(self) -> str | None:
        """The step before; None for the first one."""
        return self.state.get("previous")

    @property
    def previous_step_content(self) -> Any:
        """The content of the step before; None for the first one. After a Parallel: a dict of the contents by branch."""
        previous = self.previous_step_name
        return None if previous is None else self.get_step_content(previous)

    @property
    def message(self) -> Any:
        """What this step works on, and an agent is asked: the content of the step before; where there is none, because this is
        the first step or that one gave None, the input of the run.
        """
        content = self.previous_step_content
        return self.input if content is None else content

    @property
    def review_note(self) -> str | None:
        """What a reviewer said of this step's last output, when the step runs again because of it."""
        return (self.state["outputs"].get(self.name) or {}).get("note")

    def get_step_output(self, name: str) -> StepOutput[Any] | None:
        """The output of a step (the last one, in a loop), or of the last step in a group; None when it did not run.

        Raises UnknownTarget for a name that no step of this workflow has.
        """
        return self._outline.output(name, self.state["outputs"])

    def get_step_content(self, name: str) -> Any:
        """The content of a step; None when it did not run. Raises UnknownTarget."""
        output = self.get_step_output(name)
        return None if output is None else output.content


class Outline:
    """What the code of a workflow tells about its steps: their names, groups and types. Stored data name none of them."""

    def __init__(self, input_type: TypeAdapter[Any] | None = None) -> None:
        self.input_type = input_type
        self.types: dict[str, TypeAdapter[Any] | None] = {}
        """Each step, with the type of its content when that cannot be stored as it is."""
        self.groups: dict[str, tuple[str, ...]] = {}
        """The steps inside each step that consists of others, in the order of declaration."""
        self.inner: dict[str, Outline] = {}
        """The outlines of steps that are workflows themselves."""

    # --- the input -------------------------------------------------------------------------------------------------------

    def take_input(self, value: Any) -> dict[str, Any]:
        """The channels that hold the input of a run. A text is kept once, as the message."""
        if type(value) is str:
            return {"input": {"said": True}}
        if is_object(value):
            return {"input": {"json": _json(TypeAdapter(type(value)), value, "the input of the run")}, "live": value}
        return {"input": {"content": value}}

    def take_declared(self, value: Any, said: Any) -> dict[str, Any]:
        """The channels that hold an input of the declared type; ``said``: what the run was given."""
        if type(value) is type(said) is str and value == said:
            return {"input": {"said": True}}
        assert self.input_type is not None
        return {"input": {"json": _json(self.input_type, value, "the input of the run")}}

    def input(self, state: Mapping[str, Any]) -> Any:
        """The input of the run."""
        record = state.get("input")
        if record is None:
            raise GraphError(
                "the graph of a workflow was begun without the workflow's input: call workflow.run(…), in a node of another "
                "graph too, where it is a part of that node's run"
            )
        if "said" in record:
            return state["messages"][0].text
        if "json" not in record:
            return record["content"]
        if self.input_type is not None:
            return _object(self.input_type, record["json"])
        if state.get("live", MISSING) is MISSING:
            raise SerializationError(
                "this run was begun with an object, and another process cannot know its class: declare it with "
                "Workflow(input_schema=…) and resume",
                path="input",
            )
        return state["live"]

    # --- outputs -----------------------------------------------------------------------------------------------------------

    def record(self, name: str, value: Any, stored: bool) -> Record:
        """What is stored of what a step returned. Raises SerializationError for what would not come back."""
        output = value if isinstance(value, StepOutput) else StepOutput(value)
        record = self._packed(name, output.content, stored)
        if output.stop:
            record["stop"] = True
        return record

    def _packed(self, name: str, content: Any, stored: bool) -> Record:
        adapter = self.types.get(name)
        if adapter is not None:
            try:
                return {"json": _json(adapter, content, f"the content of step {name!r}"), "from": name}
            except SerializationError:
                if is_object(content):
                    raise
        elif stored and is_object(content):
            kind = type(content).__qualname__
            raise SerializationError(
                f"step {name!r} gave {one(kind)}, and what is stored could not be told to be one: declare it "
                f"(def {name}(…) -> {kind}), or return plain data",
                path=f"outputs.{name}",
            )
        return {"content": content}

    def output(self, name: str, outputs: Mapping[str, Record], after: int = 0) -> StepOutput[Any] | None:
        """The output of a step or group, if it ran after the output of that number. Raises UnknownTarget."""
        self._check(name)
        record = outputs.get(name)
        if record is None and name in self.groups:
            latest = self.since(self.groups[name], after, outputs)
            return dataclasses.replace(latest[-1], name=name) if latest else None
        if record is None or record["n"] <= after:
            return None
        return StepOutput(
            self._value(name, record, outputs),
            bool(record.get("stop")),
            name,
            bool(record.get("skipped")),
            record.get("error"),
        )

    def since(self, names: Iterable[str], n: int, outputs: Mapping[str, Record]) -> list[StepOutput[Any]]:
        """The outputs of these steps that came after the n-th, in the order they came."""
        found = [(outputs[name]["n"], name) for name in names if name in outputs and outputs[name]["n"] > n]
        found.sort(key=lambda pair: pair[0])
        return [output for _, name in found if (output := self.output(name, outputs)) is not None]

    def final(self, state: Mapping[str, Any], outputs: Mapping[str, Record], previous: str | None) -> Any:
        """What the run gives: the content it was stopped with, that of the last step, or the input when none ran."""
        name = ending(outputs, previous)
        if name is None:
            return self.input(state)
        output = self.output(name, outputs)
        return None if output is None else output.content

    def stopped_in(self, branch: str, outputs: Mapping[str, Record]) -> str | None:
        """The step of a branch that ended the run, if one did."""
        return stopped({name: outputs[name] for name in self.groups.get(branch, (branch,)) if name in outputs})

    def expanded(self, name: str, outputs: Mapping[str, Record], after: int = 0) -> Record:
        """The record of a step's content, without references to other steps: for the workflow around this one."""
        if name not in outputs:
            made = self.since(self.groups.get(name, ()), after, outputs)
            return self.expanded(made[-1].name, outputs) if made else {"content": None}
        record = outputs[name]
        if record["n"] <= after:
            return {"content": None}
        if "all" in record:
            since = record.get("since", 0)
            return {"parts": {branch: self.expanded(branch, outputs, since) for branch in record["all"]}}
        if "inner" in record:
            return {"inner": record["inner"], "from": name}
        return {key: record[key] for key in ("content", "json", "from", "parts") if key in record}

    def _value(self, name: str, record: Record, outputs: Mapping[str, Record]) -> Any:
        if "all" in record:
            made = {branch: self.output(branch, outputs, record.get("since", 0)) for branch in record["all"]}
            return {branch: None if output is None else output.content for branch, output in made.items()}
        return self.revived(record, name)

    def revived(self, record: Record, name: str = "") -> Any:
        """The content of a record without references."""
        if "parts" in record:
            return {branch: self.revived(part) for branch, part in record["parts"].items()}
        source = record.get("from", name)
        if "inner" in record:
            return self.inner[source].revived(record["inner"])
        if "json" not in record:
            return record.get("content")
        adapter = self.types.get(source)
        if adapter is None:
            raise SerializationError(
                f"the content of step {source!r} was stored as an object, and the step does not declare its type any more; "
                "declare it again",
                path=f"outputs.{source}",
            )
        try:
            return _object(adapter, record["json"])
        except ValidationError as error:
            raise SerializationError(
                f"the stored content of step {source!r} does not fit its type any more: {error}", path=f"outputs.{source}"
            ) from error

    def edited(self, name: str, content: Any) -> Any:
        """A content that a person gives in place of a step's own, as the step's type wants it. Raises ValidationError."""
        adapter = self.types.get(name)
        return content if adapter is None else adapter.validate_python(content)

    def _check(self, name: str) -> None:
        if name in self.types or name in self.groups:
            return
        known = list(dict.fromkeys((*self.types, *self.groups)))
        near = hint(name, known, f"the steps are {', '.join(map(repr, known)) or 'none'}")
        raise UnknownTarget(f"there is no step {name!r} in this workflow; {near}")


def last_number(outputs: Mapping[str, Record]) -> int:
    """The place of the latest output."""
    return max((record["n"] for record in outputs.values()), default=0)


def ending(outputs: Mapping[str, Record], previous: str | None) -> str | None:
    """The step whose content is that of the run."""
    return stopped(outputs) or previous


def stopped(outputs: Mapping[str, Record]) -> str | None:
    """The step that ended the run. Several do so only at once, in a Parallel, whose record comes last and says which counts."""
    found = [name for name, record in outputs.items() if record.get("stop")]
    if not found:
        return None
    last = max(found, key=lambda name: outputs[name]["n"])
    by: str = outputs[last].get("by", last)
    return by


def is_object(value: Any) -> bool:
    """Whether a value is of a class of the user's that stored data cannot name."""
    if isinstance(value, BaseModel):
        return type(value) not in _KEPT_AS_THEY_ARE
    return dataclasses.is_dataclass(value) and not isinstance(value, type)


def plain(value: Any) -> Any:
    """The value with the fields of objects in their place, as a question to a person holds it."""
    if is_object(value):
        return to_jsonable_python(value)
    if type(value) is dict:
        return {key: plain(item) for key, item in value.items()}
    return [plain(item) for item in value] if type(value) is list else value


def _json(adapter: TypeAdapter[Any], value: Any, what: str) -> str:
    """The value's JSON, once it is sure that the type gives the same value again."""
    try:
        text = adapter.dump_json(value, round_trip=True, by_alias=False, warnings=False).decode()
        again = _object(adapter, text)
    except (ValueError, TypeError) as error:
        raise SerializationError(f"{what} does not fit the type it is declared with: {error}") from error
    if type(again) is not type(value) or again != value:
        raise SerializationError(
            f"{what} is {one(type(value).__qualname__)} that would come back different; let its type keep every field"
        )
    return text


def _object(adapter: TypeAdapter[Any], text: str) -> Any:
    return adapter.validate_json(text, by_alias=False, by_name=True)
