"""Importing: what is public, what it costs, and that no order of importing matters."""

from __future__ import annotations

import ast
import json
from collections.abc import Callable
from importlib import import_module
from itertools import permutations
from types import ModuleType
from typing import TYPE_CHECKING

import pytest

import graphflow
import graphflow.agent
import graphflow.db
import graphflow.models
import graphflow.team
import graphflow.testing
import graphflow_nodes

if TYPE_CHECKING:
    from tests.packaging.conftest import Source

FRONTS = [graphflow, graphflow.db, graphflow.models, graphflow_nodes]

FIRST_LINES = [
    "import graphflow",
    "from graphflow import Agent, StateGraph, tool",
    "from graphflow import START, interrupt",
    "import graphflow.messages",
    "import graphflow.core.machine",
    "import graphflow.tools",
    "import graphflow.db",
    "import graphflow.models",
    "import graphflow.drive",
    "import graphflow.graph",
    "import graphflow.run",
    "import graphflow.agent",
    "import graphflow.testing",
    "import graphflow_nodes",
    "import graphflow_nodes.model",
    "from graphflow_nodes import history, respond, call_tools",
]
"""What programs begin with."""

RUN_EACH_AFRESH = """
import sys
import pydantic  # once: it is none of ours

for lines in {orders!r}:
    for name in [name for name in sys.modules if name.split(".")[0] in ("graphflow", "graphflow_nodes")]:
        del sys.modules[name]
    try:
        for line in lines:
            exec(line, {{}})
    except Exception as error:
        print("; ".join(lines), "->", type(error).__name__, error)
"""

NAMES_LOADED = """
import json, sys
before = set(sys.modules)
{line}
print(json.dumps(sorted(set(sys.modules) - before)))
"""


def declared_types(source: Source) -> dict[str, str]:
    """What a type checker is told: name -> module, from the imports under ``if TYPE_CHECKING``."""
    blocks = [node for node in source.tree.body if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"]
    imports = [node for block in blocks for node in block.body if isinstance(node, ast.ImportFrom)]
    return {alias.name: str(node.module) for node in imports for alias in node.names}


@pytest.mark.parametrize("front", FRONTS, ids=lambda front: front.__name__)
def test_the_three_lists_of_public_names_agree(front: ModuleType, sources: dict[str, Source]) -> None:
    assert declared_types(sources[front.__name__]) == front._HOME
    assert sorted(front._HOME) == sorted(set(front.__all__) - {"__version__"})
    assert len(front.__all__) == len(set(front.__all__)) <= 37


@pytest.mark.parametrize("front", FRONTS, ids=lambda front: front.__name__)
def test_every_public_name_resolves_to_the_object_of_its_home(front: ModuleType) -> None:
    for name, home in front._HOME.items():
        assert getattr(front, name) is getattr(import_module(home), name)
    assert set(front.__all__) <= set(dir(front))


def test_what_a_run_gives_stands_beside_what_runs() -> None:
    for home in (graphflow.agent, graphflow.team):
        assert home.RunOutput is graphflow.RunOutput and home.RunStatus is graphflow.RunStatus
    assert graphflow.Reply is graphflow.testing.Reply is graphflow.models.Reply


@pytest.mark.parametrize("front", FRONTS, ids=lambda front: front.__name__)
def test_an_unknown_name_is_an_ordinary_attribute_error(front: ModuleType) -> None:
    with pytest.raises(AttributeError, match=f"module '{front.__name__}' has no attribute 'Agnet'"):
        front.Agnet  # noqa: B018
    with pytest.raises(ImportError):
        exec(f"from {front.__name__} import Agnet")


def test_no_exported_name_is_also_a_modules_name(sources: dict[str, Source]) -> None:
    """Importing ``package.history`` the module would replace ``package.history`` the function."""
    for front in FRONTS:
        assert [name for name in front.__all__ if f"{front.__name__}.{name}" in sources] == []


def test_every_module_can_be_imported_first(sources: dict[str, Source], run_python: Callable[..., str]) -> None:
    orders = [[f"import {name}"] for name in sources if not name.endswith(".__main__")]
    assert len(orders) > 20
    assert run_python(RUN_EACH_AFRESH.format(orders=orders)) == ""


def test_any_two_first_lines_work_in_either_order(run_python: Callable[..., str]) -> None:
    orders = [list(pair) for pair in permutations(FIRST_LINES, 2)]
    assert run_python(RUN_EACH_AFRESH.format(orders=orders)) == ""


@pytest.mark.parametrize(
    ("line", "forbidden"),
    [
        (
            "import graphflow",
            {"openai", "networkx", "sqlalchemy", "psycopg", "rich", "pydantic", "typer", "tenacity", "asyncio"},
        ),
        ("import graphflow_nodes", {"openai", "networkx", "sqlalchemy", "psycopg", "rich", "pydantic", "typer", "asyncio"}),
        ("from graphflow import Agent", {"openai", "networkx", "sqlalchemy", "psycopg", "rich", "typer"}),
        ("from graphflow import StateGraph", {"openai", "networkx", "sqlalchemy", "psycopg", "rich", "typer"}),
        ("import graphflow.core.machine", {"openai", "networkx", "sqlalchemy", "psycopg", "rich", "typer", "asyncio"}),
    ],
)
def test_importing_loads_nothing_heavy(line: str, forbidden: set[str], run_python: Callable[..., str]) -> None:
    loaded = {name.split(".")[0] for name in json.loads(run_python(NAMES_LOADED.format(line=line)))}
    assert "graphflow" in loaded or "graphflow_nodes" in loaded
    assert loaded & forbidden == set()


def test_importing_graphflow_loads_only_what_resolves_its_names(run_python: Callable[..., str]) -> None:
    loaded = json.loads(run_python(NAMES_LOADED.format(line="import graphflow")))
    assert [name for name in loaded if name.startswith("graphflow")] == ["graphflow", "graphflow.lazy"]
