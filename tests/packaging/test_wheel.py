"""The built distribution: what is in it, and that it works where the checkout is not."""

from __future__ import annotations

import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Callable
from email import message_from_string
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from graphflow import __version__

if TYPE_CHECKING:
    from tests.packaging.conftest import Source

DIST_INFO = f"graphflow_agents-{__version__}.dist-info"

IMPORT_ALL = """
import importlib
for name in {names!r}:
    print(importlib.import_module(name).__file__)
"""


@pytest.fixture(scope="module")
def built(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the sdist and the wheel that was built from the sdist, so that both are complete."""
    folder = tmp_path_factory.mktemp("built")
    command = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(folder), str(root)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


@pytest.fixture(scope="module")
def wheel(built: Path) -> Path:
    (path,) = built.glob("*.whl")
    return path


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that holds what installing the wheel put there; its dependencies are those of this environment."""
    folder = tmp_path_factory.mktemp("installed")
    command = [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--no-index", "--target", str(folder), str(wheel)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


def test_the_wheel_holds_exactly_the_two_packages(wheel: Path, sources: dict[str, Source]) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    assert wheel.name.startswith(f"graphflow_agents-{__version__}-")
    assert {name.split("/")[0] for name in names} == {"graphflow", "graphflow_nodes", DIST_INFO}
    modules = {name.removesuffix(".py").removesuffix("/__init__").replace("/", ".") for name in names if name.endswith(".py")}
    assert modules == set(sources)


def test_both_packages_are_marked_as_typed(wheel: Path) -> None:
    assert {"graphflow/py.typed", "graphflow_nodes/py.typed"} <= set(zipfile.ZipFile(wheel).namelist())


def test_the_metadata_name_the_distribution_and_its_licence(wheel: Path) -> None:
    archive = zipfile.ZipFile(wheel)
    metadata = message_from_string(archive.read(f"{DIST_INFO}/METADATA").decode())
    assert (metadata["Name"], metadata["License-Expression"]) == ("graphflow-agents", "Apache-2.0")
    assert metadata["Requires-Python"] == ">=3.11"
    needed = {line.split(">")[0] for line in metadata.get_all("Requires-Dist") if "extra ==" not in line}
    assert needed == {"networkx", "openai", "psycopg", "pydantic", "rich", "sqlalchemy", "tenacity", "typer"}
    assert b"Apache License" in archive.read(f"{DIST_INFO}/licenses/LICENSE")


def test_the_sdist_holds_sources_and_tests_and_nothing_made(built: Path) -> None:
    (path,) = built.glob("*.tar.gz")
    with tarfile.open(path) as archive:
        names = {name.split("/", 1)[1] for name in archive.getnames()}
    assert {"pyproject.toml", "README.md", "LICENSE", "CHANGELOG.md", "graphflow/__init__.py"} <= names
    assert {"nodes/graphflow_nodes/__init__.py", "tests/packaging/test_wheel.py"} <= names
    assert [name for name in names if ".venv" in name or "__pycache__" in name or name.endswith(".db")] == []


def test_an_installed_wheel_works_without_the_checkout(
    installed: Path, sources: dict[str, Source], run_python: Callable[..., str], tmp_path: Path
) -> None:
    names = [name for name in sources if not name.endswith(".__main__")]
    files = run_python(IMPORT_ALL.format(names=names), path=(installed,), cwd=tmp_path).splitlines()
    assert len(files) == len(names)
    assert [file for file in files if installed not in Path(file).parents] == []


def test_the_command_is_there_and_runs(installed: Path, run_python: Callable[..., str], tmp_path: Path) -> None:
    code = """
from importlib.metadata import distribution
(command,) = distribution("graphflow-agents").entry_points.select(group="console_scripts")
print(command.name, callable(command.load()))
"""
    assert run_python(code, path=(installed,), cwd=tmp_path) == "graphflow True\n"
