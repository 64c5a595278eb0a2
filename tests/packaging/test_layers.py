"""Which module may know which.

Imports point one way. An import under ``if TYPE_CHECKING`` is never executed and names a type in an annotation only: it
may go against the direction, because it can neither close a cycle nor make one layer run another. Two packages are
boundaries rather than layers, and there even a type counts, because naming it is knowing it: ``graphflow.core`` (no I/O,
no database, no model) and ``graphflow_nodes`` (what its nodes use is what users' own nodes can use).
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from graphlib import TopologicalSorter
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.packaging.conftest import Import, Source

LAYERS: list[set[str]] = [
    {"graphflow.lazy"},
    {"graphflow.errors"},
    {"graphflow.messages"},
    {"graphflow.core"},
    {"graphflow.models.base", "graphflow.models.structured"},
    {"graphflow.signatures"},
    {"graphflow.db", "graphflow.models", "graphflow.tools", "graphflow.draw"},
    {"graphflow.drive", "graphflow.ending", "graphflow.snapshots"},
    {"graphflow.graph"},
    {"graphflow.declaring", "graphflow.printing", "graphflow.shutdown"},
    {"graphflow.builder"},
    {"graphflow_nodes"},
    {"graphflow.asking", "graphflow.input", "graphflow.output", "graphflow.states"},
    {"graphflow.run", "graphflow.contextpolicies"},
    {"graphflow.settings"},
    {"graphflow.conversation"},
    {"graphflow.recollection"},
    {"graphflow.surroundings", "graphflow.forcedsummary"},
    {"graphflow.agentgraph", "graphflow.assistant"},
    {"graphflow.agent"},
    {"graphflow.team", "graphflow.workflow"},
    {"graphflow"},
    {"graphflow.testing"},
    {"graphflow.cli"},
]
"""Lowest first. A name stands for a module or a package with all in it that is not named apart; ``graphflow`` is only the
public front. Rooms of one layer do not know each other."""

NODES_MAY_IMPORT = (
    "graphflow.lazy",
    "graphflow.errors",
    "graphflow.messages",
    "graphflow.core",
    "graphflow.models.base",
    "graphflow.models.structured",
    "graphflow.tools",
)

CORE_MAY_IMPORT = ("graphflow.errors", "graphflow.messages", "graphflow.core")

NOT_IN_CORE = {
    *("asyncio", "concurrent", "http", "io", "multiprocessing", "pathlib", "queue", "selectors", "socket", "sqlite3", "ssl"),
    *("subprocess", "tempfile", "threading", "time", "urllib"),
}
"""What of the standard library waits, reads a clock, or reaches outside the process."""

CORE_LIBRARIES = {"pydantic", "pydantic_core", "networkx", "tenacity"}

HOMES: dict[str, tuple[str, ...]] = {
    "networkx": ("graphflow.core.checks", "graphflow.draw"),
    "openai": ("graphflow.models.openai",),
    "psycopg": ("graphflow.db",),
    "rich": ("graphflow.printing", "graphflow.cli"),
    "sqlalchemy": ("graphflow.db",),
    "sqlite3": ("graphflow.db",),
    "typer": ("graphflow.cli",),
}
"""The rooms that know a library which is slow to load or reaches outside."""

LOCAL_IMPORTS: set[tuple[str, str]] = {
    # names that packages resolve when they are first used
    ("graphflow.lazy", "(dynamic)"),
    ("graphflow.drive", "(dynamic)"),
    # the texts of one dialect
    ("graphflow.db.sqltext", "(dynamic)"),
    # what the user names on the command line
    ("graphflow.cli.reference", "(dynamic)"),
    # libraries that take longer to load than most programs need of them, or the module that knows one
    ("graphflow.surroundings", "graphflow.recollection"),
    ("graphflow.core.checks", "networkx"),
    ("graphflow.messages", "mimetypes"),
    ("graphflow.core.ids", "hashlib"),
    ("graphflow.core.policies", "tenacity"),
    ("graphflow.draw.network", "networkx"),
    ("graphflow.db.postgres", "graphflow.db.pool"),
    ("graphflow.db.retries", "tenacity"),
    ("graphflow.db.sqltext", "graphflow.db.statements"),
    ("graphflow.models.openai", "openai"),
    ("graphflow.models.openai", "tenacity"),
    ("graphflow.tools", "graphflow.signatures"),
}
"""(module, what it imports inside a function): all there are."""


def room_of(module: str) -> str | None:
    """The most precise name in LAYERS that covers the module."""
    rooms = [room for layer in LAYERS for room in layer]
    covering = [room for room in rooms if module == room or (room != "graphflow" and module.startswith(room + "."))]
    return max(covering, key=len, default=None)


def rank_of(room: str) -> int:
    return next(rank for rank, layer in enumerate(LAYERS) if room in layer)


def is_ours(module: str) -> bool:
    return module.split(".")[0] in {"graphflow", "graphflow_nodes"}


def is_below(module: str, packages: tuple[str, ...]) -> bool:
    return any(module == package or module.startswith(package + ".") for package in packages)


def test_every_module_has_a_place(sources: dict[str, Source]) -> None:
    assert len(sources) > 20
    homeless = [name for name in sources if room_of(name) is None]
    assert homeless == [], "give the module a place in LAYERS"


def test_imports_point_one_way(sources: dict[str, Source]) -> None:
    wrong = []
    for source in sources.values():
        own = room_of(source.name)
        for found in source.imports:
            room = room_of(found.module) if is_ours(found.module) else None
            if found.typing_only or room is None or own is None or room == own:
                continue
            if rank_of(room) >= rank_of(own):
                wrong.append(f"{source.name}:{found.line} imports {found.module}")
    assert wrong == []


def test_no_imports_go_round_in_a_circle(sources: dict[str, Source]) -> None:
    graph = {
        source.name: {found.module for found in source.imports if not found.typing_only and found.module in sources}
        for source in sources.values()
    }
    order = list(TopologicalSorter(graph).static_order())  # raises CycleError and names the circle
    assert set(order) == set(sources)


def test_core_knows_only_errors_and_messages(sources: dict[str, Source]) -> None:
    core = [source for source in sources.values() if source.is_below("graphflow.core")]
    assert core
    wrong = [
        f"{source.name}:{found.line} imports {found.module}"
        for source in core
        for found in source.imports
        if is_ours(found.module) and not is_below(found.module, CORE_MAY_IMPORT)
    ]
    assert wrong == []


def test_core_performs_nothing(sources: dict[str, Source]) -> None:
    wrong = []
    for source in sources.values():
        for found in source.imports if source.is_below("graphflow.core") else ():
            top = found.module.split(".")[0]
            foreign = top not in sys.stdlib_module_names and not is_ours(top) and top not in CORE_LIBRARIES
            if foreign or top in NOT_IN_CORE:
                wrong.append(f"{source.name}:{found.line} imports {found.module}")
    assert wrong == []


def test_nodes_use_only_what_users_nodes_can_use(sources: dict[str, Source]) -> None:
    wrong = []
    for source in sources.values():
        for found in source.imports if source.is_below("graphflow_nodes") else ():
            allowed = (*NODES_MAY_IMPORT, "graphflow_nodes", "pydantic", "pydantic_core")
            free = found.module == "(dynamic)" or found.module.split(".")[0] in sys.stdlib_module_names
            if not free and not is_below(found.module, allowed):
                wrong.append(f"{source.name}:{found.line} imports {found.module}")
    assert wrong == []


def test_only_agents_teams_and_workflows_use_the_ready_made_nodes(sources: dict[str, Source]) -> None:
    users = {
        (source.name, found.module)
        for source in sources.values()
        for found in source.imports
        if is_below(found.module, ("graphflow_nodes",)) and not source.is_below("graphflow_nodes")
    }
    agent = (
        "graphflow.agent",
        "graphflow.surroundings",
        "graphflow.agentgraph",
        "graphflow.recollection",
        "graphflow.forcedsummary",
    )
    assert [name for name, _ in users if not is_below(name, (*agent, "graphflow.team", "graphflow.workflow"))] == []
    assert "graphflow_nodes" not in {module for _, module in users}, "import the module, graphflow_nodes.<module>"


def test_a_library_is_known_in_one_place(sources: dict[str, Source]) -> None:
    wrong = [
        f"{source.name}:{found.line} imports {found.module}"
        for source in sources.values()
        for found in source.imports
        if (homes := HOMES.get(found.module.split(".")[0])) and not source.is_below(*homes)
    ]
    assert wrong == []


def test_imports_inside_functions_are_the_listed_ones(sources: dict[str, Source]) -> None:
    found = {(source.name, found.module) for source in sources.values() for found in source.imports if found.local}
    assert found - LOCAL_IMPORTS == set(), "import at the top of the module"
    assert LOCAL_IMPORTS - found == set(), "these are gone; take them off the list"


def test_every_file_is_named_after_a_noun_of_its_own(sources: dict[str, Source]) -> None:
    assert [name for name in sources if name.split(".")[-1] in {"util", "utils", "helper", "helpers", "common", "misc"}] == []


def test_the_reader_of_imports_sees_them_all(imports_of: Callable[[str], list[Import]]) -> None:
    code = """
import os.path
from graphflow.core import state, Thing
if TYPE_CHECKING:
    from graphflow.run import RunOutput
else:
    import json
class A:
    import csv
    async def method(self):
        with self:
            import openai
        import_module("rich.panel")
        importlib.import_module(name)
"""
    seen = {(found.module, found.typing_only, found.local) for found in imports_of(code)}
    assert seen == {
        ("os.path", False, False),
        ("graphflow.core.state", False, False),
        ("graphflow.core", False, False),
        ("graphflow.run", True, False),
        ("json", False, False),
        ("csv", False, False),
        ("openai", False, True),
        ("rich.panel", False, True),
        ("(dynamic)", False, True),
    }
