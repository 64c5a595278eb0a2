"""What helps after an error: not every run goes on just because it is resumed."""

from __future__ import annotations

from typing import Final

from graphflow.errors import ChangedInPlace, GraphError, InvalidAnswer, InvalidUpdate, SerializationError, StepRejected

_MISTAKES: Final = (ChangedInPlace, GraphError, InvalidUpdate, SerializationError)
"""Errors that come again as long as the code is what it is."""


def advice(error: Exception, session: str | None) -> str:
    """What becomes of a stored run that ended with this error, and what to do."""
    again = f"resume({session!r})"
    if isinstance(error, StepRejected):
        return f"the rejection is stored, so {again} raises this again: begin a new run, or fork the session to be asked again"
    if isinstance(error, InvalidAnswer):
        return (
            f"the answer is stored, so {again} raises this again: fork the session to be asked again, and let "
            "interrupt(…, response_schema=) say what an answer has to be, so that others are refused before they are stored"
        )
    mended = " once that is mended; until then it raises this again" if isinstance(error, _MISTAKES) else ""
    return f"the committed work is kept: {again} goes on{mended}"
