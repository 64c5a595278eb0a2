"""What a workflow is made of, as users write it: steps, and groups that say how the steps in them follow each other."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final, Literal, Never

from graphflow.core import options
from graphflow.core.ids import exact
from graphflow.core.plan import Function
from graphflow.core.policies import RetryPolicy, policies
from graphflow.errors import GraphError
from graphflow.graph import Graph
from graphflow.workflow.functions import lowered


class Step:
    """One step: a function, an Agent, a Team, a Graph or a Workflow under a name.

    A function is ``(step_input[, ctx]) -> value | StepOutput``, def or async def; a second parameter that is called
    ``session_state`` is given the session's dict instead of the Context. An Agent or a Team is asked what
    ``step_input.message`` is. A Graph without messages is given the fields that are in it, and its content is a dict of its
    fields; ``input=`` (from StepInput to what it begins with) and ``output=`` (from its state to a content), for a Graph only,
    say otherwise.

    A content is any value that the database keeps, and is the same, in value and type, whether or not the run was resumed. A
    function (also ``output=``) that gives objects of a class says so, ``-> Report`` or ``-> list[Report]``; what is stored then
    is what that type says (an int in a field that is declared a float is a float). What cannot come back equal is a
    SerializationError when it is given. A step that gives None hands nothing on: ``message`` of the next one is the input of
    the run.

    ``retry``: a RetryPolicy, or a list of them; without one nothing is tried again. ``on_error``: "fail" lets an error fail the
    run, and ``resume`` begins with this step; "skip" keeps the error as the step's output and goes on. ``review``: a person
    is asked about the output before the run goes on (``True``, a text to ask with, or a function of the StepOutput that gives
    one, or nothing when nobody has to be asked). The answer True accepts, a text makes the step run again with that note,
    ``{"content": …}`` puts another content in its place, False rejects: the run fails with StepRejected, or skips the step.
    """

    __slots__ = ("input", "name", "on_error", "output", "retry", "review", "what")

    def __init__(
        self,
        name: str = "",
        what: Any = None,
        *,
        retry: RetryPolicy | Sequence[RetryPolicy] | None = None,
        on_error: Literal["fail", "skip"] = "fail",
        review: bool | str | Callable[..., Any] | None = None,
        input: Callable[[Any], Any] | None = None,
        output: Callable[[Any], Any] | None = None,
        **unknown: Never,
    ) -> None:
        for setting in unknown:
            raise _no_setting(name, setting)
        _check_name(name)
        if isinstance(name, str) and (what is None or isinstance(what, Step | Group | str)):
            raise GraphError(f"step {name!r} is {what!r}: give a function, an Agent, a Team, a Graph or a Workflow")
        of = f"step {name!r}"
        options.one_of("on_error", on_error, ("fail", "skip"), of=of)
        if not (review is None or isinstance(review, bool | str) or callable(review)):
            raise options.refused("review", review, "True, a text to ask with, or a function of the StepOutput", of=of)
        options.plain_function("input", input, "a function of the StepInput", none="the message", of=of)
        options.plain_function("output", output, "a function of the state", none="what it left", of=of)
        for setting, mapper, beside in (("input", input, "before"), ("output", output, "after")):
            if mapper is not None and not isinstance(what, Graph):
                repair = f"let a function that is the step {beside} it do that"
                raise GraphError(f"step {name!r} is no Graph, and {setting}= is for a step that is one; {repair}")
        self.name = exact(name)
        self.what = what
        self.retry = policies(name, retry, None, None, None).retry
        self.on_error = on_error
        self.review = lowered(review, f"the review of step {name!r}", "output") if callable(review) else review
        self.input = input
        self.output = output


_ELSEWHERE: Final = {
    **dict.fromkeys(("executor", "agent", "team", "workflow"), ""),
    "max_retries": ", retry=RetryPolicy(…)",
    "skip_on_failure": ", on_error='skip'",
    "requires_confirmation": ", review=True",
}
"""How what other libraries call a setting of a step is said here."""


def _no_setting(name: str, setting: str) -> TypeError:
    said = _ELSEWHERE.get(setting, ", retry=, on_error=, review=, input=, output=")
    called = repr(name) if name else "name"
    return TypeError(f"a step has no setting {setting}=; write Step({called}, what{said})")


class Group:
    """What consists of other steps."""

    __slots__ = ("name",)

    name: str | None
    """Its name; None when it has to be given one."""

    def label(self) -> str:
        """What it is called when it was given no name."""
        return type(self).__name__.lower()

    def parts(self) -> Sequence[Any]:
        """The steps in it, in the order of declaration."""
        raise NotImplementedError


class Steps(Group):
    """Steps one after the other, under a name."""

    __slots__ = ("steps",)

    def __init__(self, name: str, steps: Sequence[Any]) -> None:
        _check_name(name)
        self.name = exact(name)
        self.steps = as_list(steps, f"Steps({name!r})")

    def parts(self) -> Sequence[Any]:
        """The steps, in their order."""
        return self.steps


class Parallel(Group):
    """Steps (or ``Steps``, or any group) that run at the same time.

    The content is a dict of every branch's content, in the order of declaration, under its name; None for a branch in which no
    step ran, also where one ran in an earlier iteration of a loop around it. What branches write to the
    session's dict is merged by key; two that write different values to one key are an InvalidUpdate, unless
    ``session_state_reducers`` says how to put that key together.
    """

    __slots__ = ("branches",)

    def __init__(self, *steps: Any, name: str | None = None) -> None:
        if name is not None:
            _check_name(name)
        self.name = exact(name)
        self.branches = as_list(steps, "Parallel")

    def parts(self) -> Sequence[Any]:
        """The branches, in the order of declaration."""
        return self.branches


class Condition(Group):
    """``steps`` when the evaluator says so, else ``else_steps``.

    ``evaluator``: a function ``(step_input[, ctx]) -> bool``, def or async def, with parameters as a Step's, or a bool. Of
    another value it counts whether it is true, as in an ``if``: None, 0 and what is empty lead to ``else_steps``. The way is
    stored, so a resumed run goes the same one. Where no step runs, the content of the step before goes on.
    """

    __slots__ = ("asked", "else_steps", "evaluator", "steps")

    def __init__(
        self, evaluator: Callable[..., Any] | bool, steps: Any, else_steps: Any = (), *, name: str | None = None
    ) -> None:
        if name is not None:
            _check_name(name)
        self.name = exact(name)
        self.asked = evaluator
        self.evaluator: Function | bool = (
            evaluator if isinstance(evaluator, bool) else lowered(evaluator, f"the evaluator of {self.label()!r}")
        )
        self.steps = as_list(steps, f"Condition {name or self.label()!r}")
        self.else_steps = as_list(else_steps, "else_steps", empty=True)

    def label(self) -> str:
        """The name of the evaluator, where it has one."""
        return _name_of(self.asked, "condition")

    def parts(self) -> Sequence[Any]:
        """The steps of both ways, those for True first."""
        return [*self.steps, *self.else_steps]


class Loop(Group):
    """Steps that run again and again: ``max_iterations`` times, or until ``end_condition`` says that it is enough.

    ``end_condition``: a function of the list of the iteration's StepOutputs, def or async def; the loop ends when what it
    returns is true, as in an ``if``. In each iteration the first
    step is given the content from before the loop or, with ``forward_output``, that of the iteration before. An Agent in a
    loop has a history, which is what the session stores: with a ``db`` it also sees its earlier iterations, without one it sees
    nothing but what it is given. ``add_history_to_context=False`` of the agent makes both the same.
    """

    __slots__ = ("end_condition", "forward_output", "max_iterations", "steps")

    def __init__(
        self,
        steps: Any,
        max_iterations: int = 3,
        end_condition: Callable[..., Any] | None = None,
        forward_output: bool = False,
        *,
        name: str | None = None,
    ) -> None:
        if name is not None:
            _check_name(name)
        self.name = exact(name)
        of = f"Loop {name!r}" if name else "Loop"
        self.steps = as_list(steps, of)
        self.max_iterations = options.whole("max_iterations", max_iterations, 1)
        self.end_condition = None if end_condition is None else lowered(end_condition, f"the end_condition of {of}", "outputs")
        self.forward_output = options.flag("forward_output", forward_output)

    def parts(self) -> Sequence[Any]:
        """The steps, in their order."""
        return self.steps


class Router(Group):
    """One or several of ``choices``. ``selector(step_input[, ctx])``, with parameters as a Step's, returns a choice, its name,
    or a list of them.

    Several run one after the other, in the order of the list. None or an empty list chooses nothing: the content of the step
    before goes on. What is not among the choices is an UnknownTarget.
    """

    __slots__ = ("asked", "choices", "selector")

    def __init__(self, choices: Sequence[Any], selector: Callable[..., Any], *, name: str | None = None) -> None:
        if name is not None:
            _check_name(name)
        self.name = exact(name)
        self.asked = selector
        self.choices = as_list(choices, f"Router {name or self.label()!r}")
        self.selector = lowered(selector, f"the selector of router {name or self.label()!r}")

    def label(self) -> str:
        """The name of the selector, where it has one."""
        return _name_of(self.asked, "router")

    def parts(self) -> Sequence[Any]:
        """The choices, in the order of declaration."""
        return self.choices


def as_list(steps: Any, what: str, *, empty: bool = False) -> list[Any]:
    """Steps as a list; one step stands for a list of one. Raises GraphError when there has to be one and is none."""
    found = list(steps) if isinstance(steps, list | tuple) else [steps]
    if not found and not empty:
        raise GraphError(f"{what} has no steps: give at least one")
    return found


def _check_name(name: Any) -> None:
    if not isinstance(name, str) or not name.strip():
        raise GraphError(f"{name!r} cannot be the name of a step: give a text")


def _name_of(fn: Any, otherwise: str) -> str:
    """The function's own name, where that says something."""
    name = getattr(fn, "__name__", "")
    return name if isinstance(name, str) and name.isidentifier() else otherwise
