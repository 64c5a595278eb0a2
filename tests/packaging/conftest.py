"""The library's own source, parsed once, and a fresh interpreter that sees the checkout."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FOLDERS = {"graphflow": ROOT / "graphflow", "graphflow_nodes": ROOT / "nodes" / "graphflow_nodes"}
DYNAMIC = "(dynamic)"
"""Stands for the module that ``import_module(name)`` loads when ``name`` is not written out."""


@dataclass(frozen=True)
class Import:
    """One imported module. ``typing_only``: under ``if TYPE_CHECKING``, so never executed. ``local``: inside a function."""

    module: str
    line: int
    typing_only: bool
    local: bool


@dataclass(frozen=True)
class Source:
    """One module of the library."""

    name: str
    path: Path
    tree: ast.Module
    imports: tuple[Import, ...]

    def is_below(self, *packages: str) -> bool:
        """Whether the module is one of these packages or in one of them."""
        return any(self.name == package or self.name.startswith(package + ".") for package in packages)


@dataclass(frozen=True)
class _Place:
    typing_only: bool = False
    local: bool = False


def read_imports(tree: ast.Module, name: str, modules: set[str]) -> Iterator[Import]:
    """Every import of a module called ``name``; ``from package import module`` counts as ``package.module`` if that is one."""
    yield from _walk(tree, _Place(), name, modules)


def _walk(node: ast.AST, place: _Place, name: str, modules: set[str]) -> Iterator[Import]:
    for imported in _imported(node, name, modules):
        yield Import(imported, getattr(node, "lineno", 0), place.typing_only, place.local)
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
        place = _Place(place.typing_only, local=True)
    if isinstance(node, ast.If) and ast.unparse(node.test) in {"TYPE_CHECKING", "typing.TYPE_CHECKING"}:
        for child in node.body:
            yield from _walk(child, _Place(typing_only=True, local=place.local), name, modules)
        for child in node.orelse:
            yield from _walk(child, place, name, modules)
        return
    for child in ast.iter_child_nodes(node):
        yield from _walk(child, place, name, modules)


def _imported(node: ast.AST, name: str, modules: set[str]) -> Iterator[str]:
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
    elif isinstance(node, ast.ImportFrom):
        if node.level:
            raise AssertionError(f"{name}:{node.lineno} has a relative import; write the module's full name")
        base = node.module or ""
        yield from {submodule if (submodule := f"{base}.{alias.name}") in modules else base for alias in node.names}
    elif isinstance(node, ast.Call) and ast.unparse(node.func).split(".")[-1] in {
        *("import_module", "__import__", "deferred"),
    }:
        first = node.args[0] if node.args else None
        yield first.value if isinstance(first, ast.Constant) and isinstance(first.value, str) else DYNAMIC


@pytest.fixture(scope="session")
def root() -> Path:
    return ROOT


@pytest.fixture(scope="session")
def sources() -> dict[str, Source]:
    """Every module of both packages by its full name."""
    paths: dict[str, Path] = {}
    for package, folder in FOLDERS.items():
        for path in sorted(folder.rglob("*.py")):
            parts = path.relative_to(folder).with_suffix("").parts
            paths[".".join([package, *(part for part in parts if part != "__init__")])] = path
    found = {}
    for name, path in paths.items():
        tree = ast.parse(path.read_text("utf-8"), filename=str(path))
        found[name] = Source(name, path, tree, tuple(read_imports(tree, name, set(paths))))
    return found


@pytest.fixture(scope="session")
def imports_of() -> Callable[[str], list[Import]]:
    """Reads the imports of a piece of code as those of a module of the library are read."""

    def read(code: str) -> list[Import]:
        return list(read_imports(ast.parse(code), "example", {"graphflow.core", "graphflow.core.state"}))

    return read


@pytest.fixture(scope="session")
def run_python() -> Callable[..., str]:
    """Runs code in a fresh interpreter in which warnings are errors; gives what it printed."""

    def run(code: str, *, path: tuple[Path, ...] = (ROOT, ROOT / "nodes"), cwd: Path | None = None) -> str:
        env = {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, path)), "PYTHONSAFEPATH": "1"}
        done = subprocess.run([sys.executable, "-W", "error", "-c", code], env=env, cwd=cwd, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run
