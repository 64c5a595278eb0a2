"""What a workflow is run with: as the type it declares, and as the message that its session keeps of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, get_args

from pydantic import TypeAdapter, ValidationError

from graphflow.core.excerpts import excerpt
from graphflow.core.hints import one
from graphflow.errors import InvalidUpdate
from graphflow.input import input_messages
from graphflow.messages import Message
from graphflow_nodes.model import as_text
from graphflow_nodes.stepdata import is_object


def as_declared(adapter: TypeAdapter[Any], input: Any) -> Any:
    """The input as its declared type; a text that is none of it is read as the JSON of one. Raises ValidationError."""
    try:
        return adapter.validate_python(input)
    except ValidationError:
        if not isinstance(input, str):
            raise
    return adapter.validate_json(input)


def refused(workflow: str, schema: Any, input: Any, error: ValidationError) -> InvalidUpdate:
    """The error for an input that is not of the declared type."""
    first = error.errors(include_url=False)[0]
    at = "".join(f"[{part!r}]" for part in first["loc"])
    kind = str(schema) if get_args(schema) else getattr(schema, "__name__", str(schema))
    return InvalidUpdate(
        f"workflow {workflow!r} takes {one(kind)} (input_schema=) and was run with {excerpt(input)}: "
        f"input{at}: {first['msg']}; give {one(kind)}, the plain data of one, or its JSON as a text",
        field="input",
    )


def as_message(input: Any) -> Message:
    """The input of a run as a message of its session."""
    if isinstance(input, Mapping) or is_object(input):
        return Message("user", as_text(input))
    try:
        (message,) = input_messages(input)
    except (InvalidUpdate, ValueError):
        return Message("user", as_text(input))
    return message
