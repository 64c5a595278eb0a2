"""From what users write as a model to a Model; and what importing graphflow.models costs."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import graphflow.models
from graphflow.errors import ModelError
from graphflow.models import OfflineModel, OpenAIChat, resolve_model


@pytest.fixture(autouse=True)
def nothing_in_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    monkeypatch.delenv("GRAPHFLOW_MODEL", raising=False)


def test_a_model_is_taken_as_it_is() -> None:
    model = OfflineModel()
    assert resolve_model(model) is model


def test_texts_name_a_provider_and_a_model() -> None:
    assert isinstance(resolve_model("offline"), OfflineModel)
    model = resolve_model("openai:gpt-5-mini")
    assert isinstance(model, OpenAIChat) and model.id == "gpt-5-mini"
    assert resolve_model("openai:ft:gpt-4:me").id == "ft:gpt-4:me"


@pytest.mark.parametrize("wrong", ["gpt-5-mini", "openai:", "openai", "offline:x", "", "mystery:x", 7, OfflineModel])
def test_anything_else_is_an_error_that_lists_the_forms(wrong: object) -> None:
    with pytest.raises(ModelError, match=r'give a Model such as OpenAIChat\("gpt-5-mini"\), "openai:<model id>" or "offline"'):
        resolve_model(wrong)  # type: ignore[arg-type]


def test_without_a_model_the_environment_decides(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-x")
    assert isinstance(resolve_model(None), OpenAIChat)
    monkeypatch.setenv("GRAPHFLOW_MODEL", "offline")
    assert isinstance(resolve_model(None), OfflineModel)


def test_no_model_anywhere_is_an_error_that_names_the_three_ways_out() -> None:
    with pytest.raises(ModelError) as caught:
        resolve_model(None)
    assert all(way in str(caught.value) for way in ("OPENAI_API_KEY", "model=", "GRAPHFLOW_MODEL=offline"))


def test_importing_the_models_loads_nothing_heavy() -> None:
    code = (
        "import sys, graphflow.models\n"
        "heavy = {'openai', 'tenacity', 'asyncio', 'pydantic'}\n"
        "assert not heavy & set(sys.modules), heavy & set(sys.modules)\n"
        "graphflow.models.OpenAIChat('m', api_key='x'), graphflow.models.OfflineModel()\n"
        "assert not {'openai', 'tenacity'} & set(sys.modules)\n"
    )
    root = Path(graphflow.models.__file__).parents[2]
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=root)
    assert done.returncode == 0, done.stderr


def test_every_exported_name_is_there() -> None:
    for name in graphflow.models.__all__:
        assert getattr(graphflow.models, name).__name__ == name
    assert set(graphflow.models.__all__) <= set(dir(graphflow.models))
    with pytest.raises(AttributeError, match="no attribute 'Nothing'"):
        graphflow.models.Nothing  # noqa: B018
