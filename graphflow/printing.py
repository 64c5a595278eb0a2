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

    def take(self, event: Event) -> None:
        """Learn from one event."""
        if event.type == "token":
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

    def __rich__(self) -> Group:
        panels = [Panel(Text(str(self.input)), title="Message", title_align="left", border_style="cyan")]
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
