"""A run on the screen while it goes on."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.live import Live

from graphflow.drive.stream import Event
from graphflow.printing.panels import Panels
from graphflow.printing.view import RunView


@contextmanager
def live(
    input: Any, console: Console | None = None, *, talking: bool = False, stored: bool = True
) -> Iterator[Callable[[Event], None]]:
    """Show a run while it goes on: give each event to what this yields. ``input=None``: a run that is resumed.

    In a terminal it is drawn anew as it grows, else (a pipe, a file) once at its end. An error is shown and goes on its
    way. ``talking``: questions and errors are not shown, because whoever calls puts them to the person. ``stored``: whether the
    run is, so that its questions can be answered.
    """
    console = console or Console(highlight=False)
    view = RunView(input)
    panels = Panels(view, asks=not talking, stored=stored)
    panels.live = console.is_terminal
    screen = Live(panels, console=console, refresh_per_second=12, vertical_overflow="crop", transient=False)
    try:
        with screen:
            try:
                yield view.take
            except Exception as error:
                if not talking:
                    view.failed(error)
                raise
            finally:
                panels.live = False
    finally:
        if not console.is_terminal:
            console.line()  # Live ends the last line only in a terminal
