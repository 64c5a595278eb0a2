"""A RunView as rich panels: message, steps, members, tools, thinking, answer, questions, error, and a line of metrics."""

from __future__ import annotations

from collections.abc import Iterator

from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.markdown import Markdown
from rich.panel import Panel
from rich.segment import Segment
from rich.table import Table
from rich.text import Text

from graphflow.core.excerpts import error_text
from graphflow.printing.questions import asked_text, how_to_answer
from graphflow.printing.text import clean, plain
from graphflow.printing.view import RunView, Speaker

_COLOURS = {"✓": "green", "✗": "red", "…": "yellow", "?": "magenta"}
_UNANSWERABLE = "It cannot be answered, because nothing is stored without a database: give db=SqliteDb(…)"
_THINKING_LINES = 4
"""Of what a model thinks, the newest lines that are shown."""


class Panels:
    """What a run looks like now. While it is live only the newest lines that fit on the screen are shown, at the end all."""

    def __init__(self, view: RunView, asks: bool = True, stored: bool = True) -> None:
        self.view = view
        self.stored = stored
        """Whether the run is stored, so that its questions can be answered."""
        self.asks = asks
        """Whether the questions of a paused run are among them."""
        self.live = False

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        group = Group(*self._parts())
        if not self.live:
            yield group
            return
        lines = console.render_lines(group, options, pad=False)
        for line in lines[-max(1, (options.height or console.height) - 1) :]:
            yield from line
            yield Segment.line()

    def _parts(self) -> Iterator[RenderableType]:
        view = self.view
        if view.input is not None:
            yield _panel(Text(view.input), "Message", "cyan")
        if view.steps:
            yield _panel(_steps(view), "Steps", "blue")
        for member in view.members.values():
            yield _member(member)
        if view.top.tools:
            yield _panel(_tools(view.top), "Tools", "yellow")
        if view.top.thinking and not view.ended:
            yield _panel(_thinking(view.top), "Thinking", "bright_black")
        if view.kept:
            yield _panel(Text("\n".join(view.kept)), "Kept", "bright_black")
        if view.questions and self.asks:
            yield _panel(_questions(view, self.stored), "Waiting for an answer", "magenta")
        if view.error is not None:
            yield error_panel(view.error)
        answered = view.status == "completed" or not (view.ended or view.steps or view.members)
        if view.top.said or answered:
            title = f"Response from {view.voice}" if view.voice else "Response"
            waits = Text("" if view.ended else "…")
            yield _panel(Markdown(clean(view.top.said)) if view.top.said else waits, title, "green")
        if view.ended:
            yield plain(_metrics(view), "dim")


def _panel(content: RenderableType, title: str, colour: str, under: str | None = None) -> Panel:
    return Panel(content, title=plain(title), title_align="left", border_style=colour, subtitle=under, subtitle_align="left")


def _member(member: Speaker) -> Panel:
    parts: list[RenderableType] = [plain(member.task, "dim")] if member.task else []
    if member.tools:
        parts.append(_tools(member))
    if member.thinking and not member.said and member.seconds is None:
        parts.append(_thinking(member))
    parts.append(Markdown(clean(member.said)) if member.said else Text("…" if member.seconds is None else ""))
    under = None if member.seconds is None else f"{member.seconds:.1f} s"
    return _panel(Group(*parts), member.name, "bright_blue", under)


def _tools(speaker: Speaker) -> Text:
    return Text("\n").join(_marked(line[0], line[1:]) for line in speaker.tools.values())


def _marked(mark: str, text: str) -> Text:
    return Text.assemble((mark, _COLOURS.get(mark, "")), text)


def _thinking(speaker: Speaker) -> Text:
    return plain("\n".join(speaker.thinking.splitlines()[-_THINKING_LINES:]), "dim italic")


def _steps(view: RunView) -> Table:
    """A line for each step, its seconds at the right."""
    table = Table.grid(expand=True, padding=(0, 1))
    table.add_column(ratio=1)
    table.add_column(justify="right", style="dim", no_wrap=True)
    for step in view.steps.values():
        text = f" {step.name}" + (f" → {clean(' '.join(step.text.split()))}" if step.text else "")
        seconds = f"{step.seconds:.1f} s" if step.seconds is not None and step.seconds >= 0.05 else ""
        table.add_row(Text("  " * step.depth) + _marked(step.mark, text), seconds)
    return table


def _questions(view: RunView, stored: bool) -> Text:
    asked = [asked_text(question) for question in view.questions]
    if len(asked) > 1:
        asked = [f"{question.id}: {text}" for question, text in zip(view.questions, asked, strict=True)]
    how = f"Answer: {how_to_answer(view.questions, view.session_id)}" if stored else _UNANSWERABLE
    return Text.assemble("\n".join(asked), "\n\n", (clean(how), "dim"))


def error_panel(error: BaseException) -> Panel:
    """An error, with its notes: where it happened and how to go on."""
    notes = "".join(f"\n{note}" for note in getattr(error, "__notes__", ()))
    name = type(error).__name__
    text = Text.assemble((name, "bold red"), clean(error_text(error).removeprefix(name)), (clean(notes), "dim"))
    return _panel(text, "Error", "red")


def _metrics(view: RunView) -> str:
    parts = [] if view.status == "completed" else [view.status]
    parts.append(f"{(view.ended or view.started) - view.started:.1f} s")
    taken, given = view.metrics.get("input_tokens", 0), view.metrics.get("output_tokens", 0)
    if taken or given:
        parts.append(f"{taken} + {given} tokens")
    if view.session_id:
        parts.append(f"session {view.session_id}")
    return f" {' · '.join(parts)}"
