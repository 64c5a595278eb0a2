"""What goes wrong on the command line, in one line on stderr."""

from __future__ import annotations

import sys
from io import TextIOWrapper
from typing import Any

import typer
from typer.core import TyperGroup

from graphflow.errors import GraphflowError
from graphflow.printing.text import clean


class Failure(Exception):
    """Ends the command with a line for its user. ``exit_code`` is 2 when the command was written wrongly, else 1."""

    def __init__(self, message: str, *, exit_code: int = 1) -> None:
        super().__init__(message)
        self.exit_code = exit_code


class Readable(TyperGroup):
    """A group of commands that tells expected errors without a traceback; an unexpected one is a bug and keeps it."""

    def main(self, *args: Any, **kwargs: Any) -> Any:
        """Run the command line. Characters that the terminal's encoding lacks are written out, so that no text ends it."""
        for stream in (sys.stdout, sys.stderr):
            if isinstance(stream, TextIOWrapper):
                stream.reconfigure(errors="backslashreplace")
        return super().main(*args, **kwargs)

    def invoke(self, ctx: Any) -> Any:
        """Run the command."""
        try:
            return super().invoke(ctx)
        except BrokenPipeError:  # whoever read the output has seen enough
            raise
        except Exception as error:
            if not is_expected(error):
                raise
            typer.echo(f"graphflow: {in_one_line(error)}", err=True)
            raise typer.Exit(getattr(error, "exit_code", 1)) from None


def is_expected(error: Exception) -> bool:
    """Whether an error is about what the user gave (a name, a file, a session) and not about our code."""
    return isinstance(error, Failure | GraphflowError | OSError) or type(error).__module__.startswith(("sqlite3", "psycopg"))


def in_one_line(error: BaseException) -> str:
    """The error's message without line breaks and control characters; errors of others come with their type."""
    text = clean(" ".join(str(error).split()))
    if text and isinstance(error, Failure | GraphflowError):
        return text
    return f"{type(error).__name__}: {text}".removesuffix(": ")
