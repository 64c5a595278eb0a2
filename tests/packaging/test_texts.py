"""What readers are told: how to install, and what each public name is for."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.packaging.conftest import Source

NAME = "graphflow"
OTHER_PROJECT = re.compile(
    rf"\b(?:pip3?|uv|pipx|poetry|pdm)\s+(?:pip\s+)?(?:install|add|run)\b(?:\s+-\S+)*\s+[\"']?{NAME}(?![\w.-])", re.IGNORECASE
)
"""An instruction to install the package-index project that only shares our import name."""

NOT_OURS = {"__pycache__", "build", "dist", "node_modules", "venv"}


def texts(root: Path) -> Iterator[tuple[Path, str]]:
    """Every text file of the project with what it says."""
    folders = [root]
    while folders:
        for path in folders.pop().iterdir():
            if path.is_dir():
                if path.name not in NOT_OURS and (not path.name.startswith(".") or path.name in {".ci", ".github"}):
                    folders.append(path)
            elif path.suffix not in {".pyc", ".png", ".db"}:
                yield path, path.read_text("utf-8", errors="ignore")


def test_no_text_tells_to_install_another_project(root: Path) -> None:
    seen = dict(texts(root))
    assert root / "pyproject.toml" in seen and Path(__file__) in seen
    found = {path.relative_to(root).as_posix(): OTHER_PROJECT.findall(text) for path, text in seen.items()}
    assert {path: instructions for path, instructions in found.items() if instructions} == {}


WRONG = ["pip install {}", "pip install -U {}\n", 'pip install "{}[postgres]"', "uv add {}", "`pip3 install {}`."]
RIGHT = ["pip install {}-agents", 'pip install "{}-agents[postgres]"', "uv add {}-agents", "import {}", "pip install -e ."]


@pytest.mark.parametrize("text", WRONG)
def test_the_wrong_instruction_is_recognised(text: str) -> None:
    assert OTHER_PROJECT.search(text.format(NAME))


@pytest.mark.parametrize("text", RIGHT)
def test_the_right_instruction_is_not_mistaken_for_it(text: str) -> None:
    assert not OTHER_PROJECT.search(text.format(NAME))


def exported(source: Source) -> list[str]:
    """The names in the module's ``__all__``, none when it has no such list."""
    for node in source.tree.body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__":
            return [str(name) for name in ast.literal_eval(node.value)]
    return []


def is_documented(name: str, source: Source, sources: dict[str, Source]) -> bool:
    """Whether the name's definition carries a docstring: in this module, or in the one of ours it is imported from."""
    if f"{source.name}.{name}" in sources:
        return ast.get_docstring(sources[f"{source.name}.{name}"].tree) is not None
    for node in ast.walk(source.tree):
        if isinstance(node, ast.ImportFrom) and node.module in sources and name in {alias.name for alias in node.names}:
            return is_documented(name, sources[node.module], sources)
    body = source.tree.body
    return any(docstring_of(name, node, after) for node, after in zip(body, [*body[1:], ast.Pass()], strict=True))


def docstring_of(name: str, node: ast.stmt, after: ast.stmt) -> str | None:
    """The docstring, if ``node`` defines the name: inside a class or function (not an overload), after a constant."""
    if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
        return ast.get_docstring(node) if node.name == name else None
    targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
    defines = any(isinstance(target, ast.Name) and target.id == name for target in targets)
    text = after.value if defines and isinstance(after, ast.Expr) else None
    return text.value if isinstance(text, ast.Constant) and isinstance(text.value, str) else None


def test_every_exported_name_says_what_it_is_for(sources: dict[str, Source]) -> None:
    names = [(source, name) for source in sources.values() for name in exported(source)]
    assert len(names) > 30
    assert [f"{source.name}.{name}" for source, name in names if not is_documented(name, source, sources)] == []


def test_every_module_says_what_it_is_for(sources: dict[str, Source]) -> None:
    bare = [source.name for source in sources.values() if source.tree.body and not ast.get_docstring(source.tree)]
    assert bare == []
