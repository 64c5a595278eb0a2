"""What the settings of agents, teams and workflows may be, by name: one table for all of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from inspect import signature
from operator import attrgetter
from typing import Any, Final, NamedTuple

from graphflow.contextpolicies import HistoryPolicy, MemoryPolicy, SummaryPolicy, check_model
from graphflow.core import options
from graphflow.core.ids import check_id
from graphflow.lazy import deferred

reducers = deferred("graphflow.core.reducers")

Check = Callable[[str, Any], Any]


def _id(name: str, value: Any) -> Any:
    return None if value is None else check_id(value, name)


def _instructions(name: str, value: Any) -> Any:
    if value is None or isinstance(value, str) or callable(value):
        return value
    if isinstance(value, Sequence) and all(isinstance(line, str) for line in value):
        return value
    raise options.refused(name, value, "a text, a list of texts, or a function of the Context", "none")


def _is_list(value: Any) -> bool:
    return type(value) in (list, tuple) or (isinstance(value, Sequence) and not isinstance(value, str | bytes))


def _tools(name: str, value: Any) -> Any:
    if _is_list(value) and all(map(callable, value)):
        return value
    raise options.refused(name, value, "a list of functions or @tools")


def _members(name: str, value: Any) -> Any:
    if _is_list(value) and value:
        for member in value:
            _check_member(name, member)
        return value
    raise options.refused(name, value, "a list of at least one Agent, Team, Workflow or Graph")


def _check_member(name: str, member: Any) -> None:
    kind = type(member)
    if not (hasattr(kind, "graph") or hasattr(kind, "fingerprint")):  # asked of an agent itself, graph would compile
        raise options.refused(name, member, "Agents, Teams, Workflows or Graphs in the list")
    if getattr(member, "input_schema", None) not in (None, str):
        raise options.refused(name, member, "a Workflow without input_schema: a leader gives its members texts")


def _reducers(name: str, value: Any) -> Any:
    if options.keyed(name, value, none="none") is not None:
        reducers.keyed(**value)
    return value


def _history(name: str, value: Any) -> Any:
    if value is None or type(value) is int:
        return options.whole(name, value, none="all runs")
    return options.instance(name, value, HistoryPolicy, "a HistoryPolicy(…)")


def _policy(kind: type[Any]) -> Check:
    return lambda name, value: options.instance(name, value, kind, f"a {kind.__name__}(…)", none="the defaults")


CHECKS: Final[Mapping[str, Check]] = {
    "name": lambda name, value: options.text(name, value, none="none"),
    "description": lambda name, value: options.text(name, value, none="the beginning of the instructions"),
    "model": lambda name, value: check_model(value),
    "instructions": _instructions,
    "tools": _tools,
    "members": _members,
    "mode": lambda name, value: options.one_of(name, value, ("coordinate", "route", "broadcast", "tasks")),
    "db": options.database,
    "session_id": _id,
    "user_id": _id,
    "session_state": lambda name, value: options.keyed(name, value, none="none"),
    "session_state_reducers": _reducers,
    "add_history_to_context": options.flag,
    "num_history_runs": lambda name, value: options.whole(name, value, none="all"),
    "history": _history,
    "enable_session_summaries": options.flag,
    "add_session_summary_to_context": lambda name, value: options.flag(name, value, none="as enable_session_summaries"),
    "summary": _policy(SummaryPolicy),
    "update_memory_on_run": options.flag,
    "enable_agentic_memory": options.flag,
    "memory": _policy(MemoryPolicy),
    "enable_agentic_state": options.flag,
    "share_member_interactions": options.flag,
    "output_schema": lambda name, value: options.type_of_values(name, value, none="plain text"),
    "input_schema": lambda name, value: options.type_of_values(name, value, none="any value"),
    "tool_call_limit": options.whole,
    "max_iterations": lambda name, value: options.whole(name, value, 1),
    "on_tool_error": lambda name, value: options.one_of(name, value, ("message", "raise")),
    "on_event": lambda name, value: options.plain_function(name, value, "a function of an Event", none="none"),
    "add_workflow_history": options.flag,
}
"""The check of each setting; ids raise InvalidId, a model ModelError, the others ValueError."""


def check_settings(of: object) -> None:
    """Refuse settings of an agent, team or workflow that cannot be.

    Raises ValueError naming setting, value and repair; InvalidId for an id, ModelError for a model.
    """
    kind = type(of)
    read = _READ.get(kind) or _READ.setdefault(kind, _reading(kind))
    # Without strict=, which would double what it costs to make an Agent; the three come from one list of names.
    for value, default, setting in zip(read.values(of), read.defaults, read.settings):  # noqa: B905
        if value is not default:
            CHECKS[setting](setting, value)


class _Reading(NamedTuple):
    """How the settings of a class are read, and their defaults, which need no look."""

    values: Callable[[object], tuple[Any, ...]]
    defaults: tuple[Any, ...]
    settings: tuple[str, ...]


_READ: dict[type[Any], _Reading] = {}


def _reading(kind: type[Any]) -> _Reading:
    defaults = {name: each.default for name, each in signature(kind).parameters.items()}
    if "num_history_runs" in defaults:
        defaults["history"] = defaults["num_history_runs"]  # what it is, unless there is a policy
    names = [name for name in CHECKS if hasattr(kind, name)]
    no_default = object()
    return _Reading(attrgetter(*names), tuple(defaults.get(name, no_default) for name in names), tuple(names))


def history_of(history: Any, num_history_runs: Any) -> Any:
    """The two settings of the history as one: the policy where there is one, else the number of runs."""
    options.whole("num_history_runs", num_history_runs, none="all")
    return num_history_runs if history is None else options.instance("history", history, HistoryPolicy, "a HistoryPolicy(…)")
