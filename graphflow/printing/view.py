"""What is known of a run so far, learned from its events. Knows nothing of terminals."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from time import monotonic
from typing import Any

from graphflow.core.control import Interrupt
from graphflow.drive.stream import Event
from graphflow.printing.text import call_text, in_a_line, shown

LENGTH = 160
"""Characters of a tool's result, or of what a step gave, in the view."""


@dataclass(slots=True)
class Speaker:
    """The run itself, or a member in it: what it thinks, calls and says."""

    name: str = ""
    task: str = ""
    thinking: str = ""
    said: str = ""
    led_in: str = ""
    """What it said before it called tools."""
    tools: dict[str, str] = field(default_factory=dict)
    """A line for each tool call, by id."""
    started: float = 0.0
    seconds: float | None = None
    """How long it took; None while it goes on."""

    def act(self) -> None:
        """It calls a tool or a member: what it said so far was no answer."""
        self.led_in, self.said = self.said or self.led_in, ""


@dataclass(slots=True)
class StepLine:
    """A step of a workflow: one line of its progress."""

    name: str
    depth: int
    place: str
    """The namespace of what runs inside it begins with this."""
    started: float
    seconds: float | None = None
    mark: str = "…"
    text: str = ""


class RunView:
    """Takes the events of a run in their order."""

    def __init__(self, input: Any, clock: Callable[[], float] = monotonic) -> None:
        self.clock = clock
        self.input = shown(input) if input is not None else None
        self.started = clock()
        self.ended: float | None = None
        self.session_id: str | None = None
        self.top = Speaker(started=self.started)
        self.voice: str | None = None
        """The member that speaks for the team, when one does."""
        self.members: dict[str, Speaker] = {}
        """By the namespace of their own events, in the order they began."""
        self.steps: dict[tuple[tuple[str, ...], int | None, str], StepLine] = {}
        """By path, iteration and namespace: in the order they began, each below the group it is in."""
        self.kept: list[str] = []
        """What was added to memories and summaries."""
        self.questions: tuple[Interrupt, ...] = ()
        self.metrics: dict[str, Any] = {}
        self.status = "running"
        self.error: BaseException | None = None

    def take(self, event: Event) -> None:
        """Learn from one event."""
        self.session_id = event.session_id or self.session_id
        taker = _TAKERS.get(event.type)
        if taker is not None:
            taker(self, event)

    def failed(self, error: BaseException) -> None:
        """The run ended with an error."""
        self.error, self.status, self.ended = error, "error", self.clock()

    def speaker_of(self, event: Event) -> Speaker | None:
        """Who an event is about: the run, a member, or nobody shown (a graph inside a node)."""
        if not event.ns:
            return self.top
        return self.members.get(event.ns)

    # --- what it takes -----------------------------------------------------------------------------------------------------

    def _token(self, event: Event) -> None:
        speaker = self.speaker_of(event)
        if speaker is not None:
            speaker.said += event.text
            if not event.ns:
                self.voice = event.data.get("member")
        elif (step := self._step_around(event)) is not None:
            step.text = (step.text + event.text)[-LENGTH:]

    def _reasoning(self, event: Event) -> None:
        speaker = self.speaker_of(event)
        if speaker is not None:
            speaker.thinking += event.text

    def _restarted(self, event: Event) -> None:
        speaker = self.speaker_of(event)
        if speaker is not None:
            speaker.said = speaker.thinking = ""

    def _tool(self, event: Event) -> None:
        speaker = self.speaker_of(event)
        if speaker is None:
            return
        mark = {"tool_started": "…", "tool_completed": "✓", "tool_failed": "✗"}[event.type]
        result = "" if event.type == "tool_started" else f" → {in_a_line(event.result, LENGTH)}"
        speaker.tools[event.tool_call_id] = f"{mark} {call_text(event.tool, event.arguments)}{result}"
        speaker.act()

    def _member_started(self, event: Event) -> None:
        around = self.members.get(event.ns)
        name = event.member if around is None else f"{around.name} > {event.member}"
        made = Speaker(name, in_a_line(event.task, LENGTH), started=self.clock())
        members = [item for item in self.members.items() if item[0] != event.inside]
        inside = [number for number, (ns, _) in enumerate(members, 1) if ns == event.ns or ns.startswith(f"{event.ns}/")]
        at = inside[-1] if around is not None and inside else len(members)
        self.members = dict([*members[:at], (event.inside, made), *members[at:]])
        speaker = self.speaker_of(event)
        if speaker is not None:
            speaker.act()

    def _member_completed(self, event: Event) -> None:
        member = self.members[event.inside]
        member.said, member.seconds = event.content, self.clock() - member.started

    def _step_around(self, event: Event) -> StepLine | None:
        running = [step for step in self.steps.values() if step.seconds is None and event.ns.startswith(step.place)]
        return max(running, key=lambda step: (len(step.place), step.depth), default=None)

    def _step(self, event: Event) -> None:
        data, within = event.data, event.data["within"]
        key = ((*within, data["name"]), data["iteration"], event.ns)  # workflows inside may have steps of the same names
        line = self.steps.get(key)
        if line is None or event.type == "step_started":
            turn = f" ({data['iteration']})" if data["iteration"] is not None else ""
            place = f"{event.ns}/{event.node}:" if event.ns else f"{event.node}:"
            line = StepLine(f"{data['name']}{turn}", len(within), place, self.clock())
            self._insert(key, within, line)
        if event.type == "step_completed":
            chosen, error = data.get("chosen"), data.get("error")
            said = error or (chosen if chosen is not None else data.get("content"))
            line.mark = "✗" if error else "✓"
            line.text = "" if said in (None, "") else in_a_line(said, LENGTH)
            line.seconds = self.clock() - line.started

    def _insert(self, key: tuple[tuple[str, ...], int | None, str], within: tuple[str, ...], line: StepLine) -> None:
        if key in self.steps:
            self.steps[key] = line
            return
        lines, path = [*self.steps.items()], key[0]
        inside = [number for number, (other, _) in enumerate(lines) if other[0][: len(path)] == path and other[0] != path]
        below = [number for number, (other, _) in enumerate(lines, 1) if other[0][: len(within)] == within]
        early = inside and not any(other[0] == path for other, _ in lines)  # a branch told of itself before its group did
        at = inside[0] if early else below[-1] if below else len(lines)
        self.steps = dict([*lines[:at], (key, line), *lines[at:]])

    def _memory(self, event: Event) -> None:
        what = event.memory or event.memory_id
        self.kept.append(f"memory {event.action}: {in_a_line(what, LENGTH)}")

    def _summary(self, event: Event) -> None:
        self.kept.append(f"summary: {in_a_line(event.summary, LENGTH)}")

    def _not_kept(self, event: Event) -> None:
        again = " (tried again in the next run)" if event.type == "summary_failed" else ""
        self.kept.append(f"{event.type.replace('_', ' ')}: {in_a_line(str(event.error), LENGTH)}{again}")

    def _end(self, event: Event) -> None:
        self.ended = self.clock()
        self.status = {"run_completed": "completed", "interrupted": "paused"}.get(event.type, "cancelled")
        output = event.data.get("output")
        if output is None:
            return
        self.questions, self.metrics = output.interrupts, dict(output.metrics)
        if self.questions:
            for speaker in (self.top, *self.members.values()):
                speaker.tools = {id: _waiting(line) for id, line in speaker.tools.items()}
        for question in self.questions:
            self._show_held(question)
        content = getattr(output, "content", None)
        self.top.said = shown(content) if content is not None else self.top.said or self.top.led_in

    def _show_held(self, question: Interrupt) -> None:
        """A tool call that has not begun, because of what is asked about it, has a line as well."""
        held = question.value if isinstance(question.value, dict) else {}
        speaker = self.members.get(question.ns) if question.ns else self.top
        if speaker is not None and "tool_call_id" in held:
            speaker.tools[held["tool_call_id"]] = f"? {call_text(held['tool'], held['arguments'])}"


def _waiting(line: str) -> str:
    return f"?{line[1:]}" if line.startswith("…") else line


_TAKERS: dict[str, Callable[[RunView, Event], None]] = {
    "token": RunView._token,
    "reasoning": RunView._reasoning,
    "attempt_restarted": RunView._restarted,
    "tool_started": RunView._tool,
    "tool_completed": RunView._tool,
    "tool_failed": RunView._tool,
    "member_started": RunView._member_started,
    "member_completed": RunView._member_completed,
    "step_started": RunView._step,
    "step_completed": RunView._step,
    "memory_updated": RunView._memory,
    "summary_updated": RunView._summary,
    "memory_failed": RunView._not_kept,
    "summary_failed": RunView._not_kept,
    "run_completed": RunView._end,
    "interrupted": RunView._end,
    "run_cancelled": RunView._end,
}
