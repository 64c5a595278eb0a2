"""From what users write as a model to a Model."""

from __future__ import annotations

import os

from graphflow import models
from graphflow.errors import ModelError
from graphflow.models.base import Model

_FORMS = 'give a Model such as OpenAIChat("gpt-5-mini"), "openai:<model id>" or "offline"'


def resolve_model(model: Model | str | None) -> Model:
    """The Model meant by a Model, by a text (``"openai:gpt-5-mini"``, ``"offline"``), or by the environment when it is None.

    The environment is GRAPHFLOW_MODEL (a text as above), else OPENAI_API_KEY for ``OpenAIChat()``. Raises ModelError when
    nothing says which model to use, or the text is none of the forms.
    """
    if isinstance(model, Model):
        return model
    if model is None:
        return _from_environment()
    if not isinstance(model, str):
        raise ModelError(f"{model!r} is not a model: {_FORMS}")
    provider, _, id = model.strip().partition(":")
    if provider == "offline" and not id:
        return models.OfflineModel()
    if provider == "openai" and id:
        return models.OpenAIChat(id)
    raise ModelError(f"model {model!r} is not known: {_FORMS}")


def _from_environment() -> Model:
    if chosen := os.environ.get("GRAPHFLOW_MODEL"):
        return resolve_model(chosen)
    if os.environ.get("OPENAI_API_KEY"):
        return models.OpenAIChat()
    raise ModelError(
        'there is no model to ask: set OPENAI_API_KEY, or give model= (OpenAIChat(...), "openai:gpt-5-mini", …), '
        "or set GRAPHFLOW_MODEL=offline to try things without a key"
    )
