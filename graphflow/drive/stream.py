"""Events, and the views of them that ``stream`` gives.

The order of events, the same under both drivers:

1. ``run_started``, after the input was committed.
2. For each superstep: ``node_started`` of its tasks in task order · what its tasks tell while they run, in the order each
   task told it, tasks mixed as they came (``token``, ``reasoning``, ``custom``, ``attempt_restarted``, tools, nested graphs) ·
   after its commit ``node_completed`` of its tasks in task order · ``checkpoint``.
3. One of ``run_completed``, ``interrupted`` (the run waits), ``run_failed``, ``run_cancelled``.

Of an Agent, a Team or a Workflow, an answer that came by no token, because a node wrote it itself, is told by one ``token``
before the last event.

A call that is given what an earlier one with its idempotency key came to runs nothing. It tells of that run ``token`` (the text
it answered, if it did, as one), ``checkpoint`` (its last), and the last event, whose ``replayed`` is True.

Tasks that wait or fail have no ``node_completed``, nor have their finished siblings until their superstep is committed. An
event becomes a part of each mode that shows it, in the order the modes were given, before the next event. The reader may be
``STREAM_SIZE`` parts behind; then the run waits for it. The updates and values of a run without a database are made as they are
read, in the reader's own thread (under asyncio, in its task).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from threading import Lock
from typing import Any, Final, Literal, NamedTuple

from graphflow.core import options
from graphflow.core.audience import Audience, Types
from graphflow.core.control import END
from graphflow.core.spoken import messages_in

StreamMode = Literal["values", "updates", "messages", "custom", "tasks", "checkpoints", "events"]
"""A view of the events of a run; see ``Graph.stream``."""


class Event:
    """Something that happened in a run.

    ``type`` says what, ``node`` and ``ns`` where (an event about the whole run has neither), ``run_id`` and ``session_id`` in
    which run. An event's own fields, below, are attributes too: ``event.text`` of a token.

    run_started (values) · node_started (task_id, input) · node_completed (task_id, update, seconds; untracked: the fields of
    the update that are never stored) · checkpoint (values, seq; stored: False while it waits for the next commit) · token,
    reasoning (text, attempt; member, where one speaks) ·
    attempt_restarted (attempt: what it told so far does not count) · custom (``event.data["data"]``: what ``ctx.write`` was
    given) · tool_started (tool, arguments, tool_call_id), tool_completed, tool_failed (result, too) · member_started (member,
    task; inside: the ns of its own events), member_completed (member, inside, content) · step_started (name, within: the
    groups around it, iteration, attempt), step_completed (content, error, skipped, stop, or what was chosen, too) ·
    memory_updated (action, memory, topics, memory_id), memory_failed (error) · summary_updated (summary, topics, upto_seq),
    summary_failed (error).

    What a model says before it calls tools comes as tokens, too: whether it will call any is not known before. The first token
    after a node_started or an attempt_restarted begins a new reply; the last reply is the answer.

    The last one is interrupted, run_completed, run_cancelled (output, which is what the call returns; interrupts; replayed:
    whether the call's idempotency key had begun the run before) or run_failed (error, which the call raises).
    """

    __slots__ = ("data", "node", "ns", "run_id", "session_id", "type")

    def __init__(self, type: str, node: str, ns: str, run_id: str, session_id: str | None, data: Mapping[str, Any]) -> None:
        self.type = type
        self.node = node
        self.ns = ns
        self.run_id = run_id
        self.session_id = session_id
        self.data = data

    def __getattr__(self, name: str) -> Any:
        if name != "data" and name in self.data:
            return self.data[name]
        raise AttributeError(f"a {self.type} event has no field {name!r}; it has {', '.join(self.data) or 'none of its own'}")

    def __repr__(self) -> str:
        own = "".join(f", {key}={value!r}" for key, value in self.data.items())
        return f"Event({self.type!r}, node={self.node!r}{own})"


SKIP = object()
"""What a view gives for an event it has no part for."""


INTERRUPT: Final = "__interrupt__"
"""The key, among those of nodes or fields, that a part has in which a run says that it pauses, and at which questions."""


def _values(event: Event) -> Any:
    return {INTERRUPT: event.data["interrupts"]} if event.type == "interrupted" else event.data["values"]


def _updates(event: Event) -> Any:
    if event.type == "interrupted":
        return {INTERRUPT: event.data["interrupts"]}
    if event.type == "run_completed":
        return {END: event.data["output"].value} if event.data["replayed"] else SKIP
    return {event.node: event.data["update"]}


class _Messages:
    """Tokens as they come, and every Message that a node wrote, unless its text came as tokens, or it was there before: read
    from the log into a field that is not stored, or told by the graph inside that wrote it. Several threads may tell events.
    """

    def __init__(self) -> None:
        self.lock = Lock()
        self.streaming: set[tuple[str, str]] = set()
        """Nodes (with their namespace) whose tokens came in the current superstep."""
        self.around: set[str] = set()
        """Places of the nodes that graphs ran inside of, in the current superstep of the outermost graph."""
        self.voices: set[tuple[str, str]] = set()
        """Where members run that speak for their team (what their namespaces begin with), and the node of theirs that does."""

    def __call__(self, event: Event) -> list[Any]:
        with self.lock:
            return self._parts(event)

    def _parts(self, event: Event) -> list[Any]:
        place = event.ns, event.node
        about = {"node": event.node, "ns": event.ns, "run_id": event.run_id}
        if event.ns:
            self.around.update(_places_around(event.ns))
        if event.type == "token":
            self.streaming.add(place)
            member = event.data.get("member")
            if member is not None:
                self.streaming.add((event.ns, member))
                self.voices.add((f"{event.ns}/{member}:" if event.ns else f"{member}:", event.node))
            return [(event.data["text"], {**about, "attempt": event.data.get("attempt", 1)})]
        if event.type == "checkpoint":
            self.streaming = {known for known in self.streaming if known[0] != event.ns}
            if not event.ns:
                self.around.clear()
                self.voices.clear()
            return []
        update, untracked = event.data["update"], event.data["untracked"]
        said = [message for name, value in update.items() if name not in untracked for message in messages_in(value)]
        told = place in self.streaming or any(
            event.node == node and event.ns.startswith(begin) for begin, node in self.voices
        )
        inside = (f"{event.ns}/{event.node}" if event.ns else event.node) in self.around
        return [
            (message, about)
            for message in said
            if not (told and message.role == "assistant") and not (inside and message.id is not None)
        ]


@lru_cache(maxsize=1024)
def _places_around(ns: str) -> frozenset[str]:
    """The nodes, each after its namespace, that a namespace is inside of: "a" and "a:0.0/b" of "a:0.0/b:1.0". (A name may hold
    a slash, so there may be some among them that are none.)
    """
    parts = ns.split("/")
    return frozenset("/".join(parts[: end + 1]).rpartition(":")[0] for end in range(len(parts)))


def _custom(event: Event) -> Any:
    return event.data["data"]


def _itself(event: Event) -> Any:
    return event


def _tasks(event: Event) -> Any:
    return SKIP if event.type == "run_completed" and not event.data["replayed"] else event


def _checkpoints(event: Event) -> Any:
    return event if event.data.get("stored", True) else SKIP


class _Mode(NamedTuple):
    """How a stream mode looks at a run."""

    types: frozenset[str] | None
    """The types of events it shows; None: all."""
    part: Callable[[Event], Any]
    outermost: bool = False
    """Whether its parts do not say where they are from: those of nested graphs are left out unless they are asked for."""


_MODES: dict[str, _Mode] = {
    "values": _Mode(frozenset({"run_started", "checkpoint", "interrupted"}), _values, True),
    "updates": _Mode(frozenset({"node_completed", "interrupted", "run_completed"}), _updates, True),
    "messages": _Mode(frozenset({"token", "node_completed", "checkpoint"}), _itself),
    "custom": _Mode(frozenset({"custom"}), _custom),
    "tasks": _Mode(frozenset({"node_started", "node_completed", "interrupted", "run_completed"}), _tasks),
    "checkpoints": _Mode(frozenset({"checkpoint", "interrupted"}), _checkpoints),
    "events": _Mode(None, _itself),
}


_CONTENTS: Final = frozenset({"values", "updates", "messages", "custom"})
"""The modes whose parts are what events tell."""


class View:
    """What stream modes show of a run: called with an event, it gives the parts they make of it.

    Several modes give (mode, data) pairs. With ``subgraphs`` each part comes with the namespace it is from, in front.
    ``audience`` tells what it has to hear for that.
    """

    def __init__(self, modes: str | Sequence[str], subgraphs: bool = False) -> None:
        self.several = isinstance(modes, list | tuple)
        if self.several and not modes:
            raise options.refused("stream_mode", modes, f"some of {', '.join(map(repr, _MODES))}")
        names = [options.one_of("stream_mode", name, _MODES) for name in (modes if self.several else [modes])]
        self.subgraphs = options.flag("subgraphs", subgraphs)
        self.outermost, self.nested, self.audience = _looks(tuple(names), subgraphs)
        self.messages = _Messages()

    def __call__(self, event: Event) -> list[Any]:
        """The parts that an event makes."""
        found: list[Any] = []
        type, labelled = event.type, self.several or self.subgraphs
        for name, (types, part_of, _) in self.nested if event.ns else self.outermost:
            if types is None or type in types:
                for part in self.messages(event) if name == "messages" else (part_of(event),):
                    if part is not SKIP:
                        found.append(self._labelled(part, name, event.ns) if labelled else part)
        return found

    def _labelled(self, part: Any, name: str, ns: str) -> Any:
        if self.subgraphs:
            return (ns, name, part) if self.several else (ns, part)
        return (name, part)


_Looks = tuple[tuple[str, _Mode], ...]
"""Modes with their names."""


@lru_cache(maxsize=128)
def _looks(names: tuple[str, ...], subgraphs: bool) -> tuple[_Looks, _Looks, Audience]:
    """The modes that look at the outermost graph, those that look at the ones inside, and what they hear together."""
    outermost = tuple((name, _MODES[name]) for name in names)
    nested = tuple((name, mode) for name, mode in outermost if subgraphs or not mode.outermost)
    return outermost, nested, Audience(_heard(outermost), _heard(nested), _CONTENTS.issuperset(names))


def _heard(modes: _Looks) -> Types:
    """The types of events that these modes show."""
    types = [mode.types for _, mode in modes]
    return None if None in types else frozenset[str]().union(*filter(None, types))
