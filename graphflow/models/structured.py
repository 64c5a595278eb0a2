"""Structured output: the value that a model's text stands for."""

from __future__ import annotations

import re
from typing import Any, Final

from pydantic import TypeAdapter, ValidationError

from graphflow.errors import ModelError

FENCED: Final = re.compile(r"\s*```(?:json)?\s*\n(.*?)\n\s*```\s*", re.DOTALL | re.IGNORECASE)
"""JSON in a fence of Markdown."""


def parse_output(schema: type[Any], content: str) -> Any:
    """The value of the type, from JSON, in a fence of Markdown or not. Raises ModelError when it does not fit."""
    fenced = FENCED.fullmatch(content)
    try:
        return TypeAdapter(schema).validate_json(content if fenced is None else fenced[1])
    except ValidationError as error:
        name = getattr(schema, "__name__", str(schema))
        raise ModelError(
            f"the model's answer is not a {name}: {error}; resume the run to ask again, or give a clearer instruction"
        ) from error
