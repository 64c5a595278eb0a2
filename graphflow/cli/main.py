"""The entry point: ``graphflow chat``, ``graphflow sessions``, ``graphflow db``, ``graphflow draw``."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from graphflow import __version__
from graphflow import draw as drawing
from graphflow.cli.chat import chat
from graphflow.cli.database import database
from graphflow.cli.failure import Readable
from graphflow.cli.reference import load_graph
from graphflow.cli.sessions import sessions
from graphflow.cli.terminal import encodable

app = typer.Typer(
    cls=Readable,
    name="graphflow",
    help="Agents and graphs whose sessions are stored.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)
app.command()(chat)
app.add_typer(sessions, name="sessions")
app.add_typer(database, name="db")


class Format(StrEnum):
    """What ``graphflow draw`` can write."""

    MERMAID = "mermaid"
    ASCII = "ascii"
    SVG = "svg"
    JSON = "json"


def _version(asked: bool) -> None:
    if asked:
        typer.echo(f"graphflow {__version__}")
        raise typer.Exit


@app.callback()
def _main(
    version: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version.")] = False,
) -> None:
    """Agents and graphs whose sessions are stored."""


@app.command()
def draw(
    graph: Annotated[str, typer.Argument(metavar="MODULE:GRAPH", help="A Graph, a StateGraph or an Agent.")],
    format: Annotated[Format, typer.Option(help="What to write: json has nodes and edges with all that is known of them.")] = (
        Format.MERMAID
    ),
    output: Annotated[Path | None, typer.Option(help="The file to write to, instead of the terminal.")] = None,
    db: Annotated[str | None, typer.Option(help="Taken as by every command; a picture needs no sessions.")] = None,
) -> None:
    """Write a graph as a picture: text that Markdown pages and mermaid.live draw, plain text, or an SVG file."""
    picture = getattr(drawing, f"draw_{format}")(load_graph(graph).plan)
    if output is None:
        typer.echo(encodable(picture) if format is Format.JSON else picture, nl=False)
    else:
        output.write_text(picture, "utf-8")
