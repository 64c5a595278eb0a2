"""What print_response and cli_app show in the terminal, with rich."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from rich.console import Console, Group
from rich.live import Live
from rich.markdown import Markdown
from rich.panel import Panel
from rich.text import Text

from graphflow.drive.stream import Event


class _Answer:
    """What is known of one run so far, as panels."""

    def __init__(self, input: Any) -> None:
        self.input = input
        self.content = ""
        self.tools: dict[str, str] = {}
        self.questions: list[str] = []
        self.steps: dict[tuple[Any, ...], str] = {}
        """A line for each step of a workflow, by path and iteration: in the order they began, below the group they are in."""

    def take(self, event: Event) -> None:
        """Learn from one event."""
        if event.type in ("step_started", "step_completed"):
            self._take_step(event)
        elif event.type == "token" and not event.ns:
            self.content += event.text
        elif event.type == "attempt_restarted":
            self.content = ""
        elif event.type in ("tool_started", "tool_completed", "tool_failed"):
            mark = {"tool_started": "…", "tool_completed": "✓", "tool_failed": "✗"}[event.type]
            arguments = ", ".join(f"{key}={value!r}" for key, value in event.arguments.items())
            result = f" → {event.result}" if event.type != "tool_started" else ""
            self.tools[event.tool_call_id] = f"{mark} {event.tool}({arguments}){result}"
            self.content = ""
        elif event.type in ("run_completed", "interrupted", "run_cancelled") and hasattr(event, "output"):
            self.questions = [f"{question.id}: {question.value}" for question in event.output.interrupts]
            if event.output.content is not None:
                self.content = str(event.output.content)

    def _take_step(self, event: Event) -> None:
        data = event.data
        mark = "…" if event.type == "step_started" else "✗" if data.get("error") else "✓"
        turn = f" ({data['iteration']})" if data["iteration"] is not None else ""
        chosen = data.get("chosen")
        said = data.get("error") or (chosen if chosen is not None else data.get("content"))
        line = f"{'  ' * len(data['within'])}{mark} {data['name']}{turn}"
        if event.type == "step_completed" and said not in (None, ""):
            line += f" → {' '.join(str(said).split()):.80}"
        within = data["within"]
        key = ((*within, data["name"]), data["iteration"])
        if key in self.steps:
            self.steps[key] = line
            return
        lines = [*self.steps.items()]
        below = [number for number, (other, _) in enumerate(lines, 1) if other[0][: len(within)] == within]
        at = below[-1] if below else len(lines)
        self.steps = dict([*lines[:at], (key, line), *lines[at:]])

    def __rich__(self) -> Group:
        panels = [Panel(Text(str(self.input)), title="Message", title_align="left", border_style="cyan")]
        if self.steps:
            panels.append(Panel(Text("\n".join(self.steps.values())), title="Steps", title_align="left", border_style="blue"))
        if self.tools:
            panels.append(Panel(Text("\n".join(self.tools.values())), title="Tools", title_align="left", border_style="yellow"))
        if self.questions:
            text = Text("\n".join(self.questions) + "\nAnswer with resume(session_id, answer).")
            panels.append(Panel(text, title="Waiting for an answer", title_align="left", border_style="magenta"))
        if self.content or not self.questions:
            panels.append(Panel(Markdown(self.content or "…"), title="Response", title_align="left", border_style="green"))
        return Group(*panels)


@contextmanager
def live(input: Any) -> Iterator[Callable[[Event], None]]:
    """Show a run while it goes on: give each event to what this yields."""
    answer, console = _Answer(input), Console()
    try:
        with Live(answer, console=console, refresh_per_second=12, vertical_overflow="visible"):
            yield answer.take
    finally:
        if not console.is_terminal:
            console.line()  # Live ends the last line only in a terminal


def chat(say: Callable[[str], None]) -> None:
    """Read lines and say each, until an empty line, ``exit``, ``quit`` or the end of input."""
    console = Console()
    while True:
        try:
            text = console.input("[bold cyan]you >[/] ").strip()
        except (EOFError, KeyboardInterrupt):
            return
        if text in ("", "exit", "quit"):
            return
        say(text)
