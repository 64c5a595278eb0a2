"""Importing: what is public, what it costs, and that no order of importing matters."""

from __future__ import annotations

import ast
import json
from collections.abc import Callable
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING

import networkx
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

Orders = dict[str, "Orders"]
"""A tree of lines: each path from its root is an order of importing."""

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
import gc, os, sys

def forget_ours():
    for name in [name for name in sys.modules if name.split(".")[0] in ("graphflow", "graphflow_nodes")]:
        del sys.modules[name]

def run(lines, done=()):
    # Each child of a node runs in a fork of the interpreter that ran the lines above it, and nothing else of ours.
    for line, below in lines.items():
        child = os.fork()
        if child:
            os.waitpid(child, 0)
            continue
        try:
            exec(line, {{}})
            run(below, (*done, line))
        except Exception as error:
            print("; ".join((*done, line)), "->", type(error).__name__, error)
        sys.stdout.flush()
        os._exit(0)

import graphflow.printing.live, graphflow.agentgraph, graphflow.db.statements, graphflow_nodes.model
forget_ours()  # what is left is what others wrote, and need not be run each time
gc.disable()
run({orders!r})
print("all were run")
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


def in_cycles(sources: dict[str, Source]) -> set[str]:
    """The modules whose imports, when followed, lead back to them. Whoever imports a module imports its packages first."""
    imports = networkx.DiGraph()
    for name, source in sources.items():
        used = {found.module for found in source.imports if not found.typing_only and not found.local} & set(sources)
        for module in {name, *used}:
            packages = (module.rsplit(".", up)[0] for up in range(module.count(".") + 1))
            imports.add_edges_from((name, package) for package in packages if package != name)
    return {name for cycle in networkx.strongly_connected_components(imports) if len(cycle) > 1 for name in cycle}


def test_modules_are_in_no_cycle_but_with_their_own_package(sources: dict[str, Source]) -> None:
    """So what a module in none imports is complete when it goes on, whatever was imported before."""
    fronts = {"graphflow", "graphflow.db.statements", "graphflow.printing", "graphflow.workflow"}
    for name in in_cycles(sources):
        assert name in fronts or name.rpartition(".")[0] in fronts
    assert fronts <= in_cycles(sources)


def test_every_module_in_a_cycle_can_be_imported_first(sources: dict[str, Source], run_python: Callable[..., str]) -> None:
    orders: Orders = {f"import {name}": {} for name in sorted(in_cycles(sources))}
    assert run_python(RUN_EACH_AFRESH.format(orders=orders)) == "all were run\n"


def test_any_two_first_lines_work_in_either_order(run_python: Callable[..., str]) -> None:
    orders: Orders = {first: {second: {} for second in FIRST_LINES if second != first} for first in FIRST_LINES}
    assert run_python(RUN_EACH_AFRESH.format(orders=orders)) == "all were run\n"


def test_an_order_that_fails_is_told(run_python: Callable[..., str]) -> None:
    orders: Orders = {"import json": {"import nothing_of_that_name": {}, "import graphflow": {}}}
    told = run_python(RUN_EACH_AFRESH.format(orders=orders))
    assert told.startswith("import json; import nothing_of_that_name -> ModuleNotFoundError") and told.count("->") == 1


@pytest.mark.parametrize(
    ("line", "forbidden"),
    [
        (
            "import graphflow",
            {"openai", "networkx", "sqlalchemy", "psycopg", "rich", "pydantic", "typer", "tenacity", "asyncio"},
        ),
        ("import graphflow_nodes", {"openai", "networkx", "sqlalchemy", "psycopg", "rich", "pydantic", "typer", "asyncio"}),
        ("from graphflow import Agent", {"openai", "networkx", "sqlalchemy", "psycopg", "rich", "typer", "pydantic"}),
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
