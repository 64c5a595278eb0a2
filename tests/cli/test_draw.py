"""``graphflow draw``, the references it takes, and ``--version``."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from typer.testing import CliRunner

from graphflow import __version__
from graphflow.cli.main import app

if TYPE_CHECKING:
    from tests.cli.conftest import Command


def test_the_version_is_told(graphflow: Command) -> None:
    done = graphflow("--version")
    assert (done.returncode, done.stdout, done.stderr) == (0, f"graphflow {__version__}\n", "")


def test_help_names_every_command(graphflow: Command) -> None:
    done = graphflow("--help")
    assert done.returncode == 0
    assert [word for word in ("chat", "sessions", "draw", "--version") if word not in done.stdout] == []


@pytest.mark.usefixtures("bot")
def test_an_agent_is_drawn(graphflow: Command) -> None:
    done = graphflow("draw", "bot:agent")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("flowchart TD\n") and "    model -.-> tools\n" in done.stdout


@pytest.mark.usefixtures("bot")
@pytest.mark.parametrize("name", ["graph", "builder"])
def test_a_graph_is_drawn_compiled_or_not(name: str, graphflow: Command) -> None:
    done = graphflow("draw", f"bot:{name}", "--format", "mermaid")
    assert (done.returncode, done.stderr) == (0, "")
    assert "    start --> count\n    count --> finish\n" in done.stdout


@pytest.fixture
def here(bot: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """This process in the folder of the module ``bot``, which is forgotten afterwards."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    yield
    sys.modules.pop("bot", None)


@pytest.mark.parametrize(
    ("reference", "code", "complaint"),
    [
        ("bto:agent", 1, "there is no module 'bto'; did you mean bot?"),
        ("bot:agnt", 1, "bot has no 'agnt'; did you mean bot:agent?"),
        ("bot:xyz", 1, "bot has no 'xyz'; bot has bot:agent or bot:keyless or bot:builder or bot:graph"),
        ("bot:number", 1, "bot:number is of type int, not a graph or an agent; bot has bot:agent"),
        ("bot:State", 1, "bot:State is the class State, not a graph or an agent"),
        ("bot:agent.colour", 1, "bot has no 'agent.colour'"),
        ("bot", 2, "'bot' names no object: write bot:agent or"),
        ("bot.py:agent", 2, "'bot.py' is a path: write the module's name, bot:agent"),
        ("my bot:agent", 2, "'my bot:agent' is not a reference: write module:name"),
        ("", 2, "'' is not a reference"),
    ],
)
def test_a_wrong_reference_is_told_in_a_line_with_the_repair(reference: str, code: int, complaint: str, here: None) -> None:
    result = CliRunner().invoke(app, ["draw", reference])
    assert (result.exit_code, result.stdout) == (code, "")
    assert result.stderr.startswith(f"graphflow: {complaint}") and result.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("code", "complaint"),
    [
        ("import not_there", "broken needs the module 'not_there', which is not installed"),
        ("\nnumber = 1 / 0", "broken cannot be imported: ZeroDivisionError: division by zero (broken.py, line 2)"),
        ("number = (", "broken cannot be imported: SyntaxError: '(' was never closed (broken.py, line 1)"),
        ("raise SystemExit(3)", "broken ended the program while it was imported"),
    ],
)
def test_a_module_that_cannot_be_imported_is_told_in_a_line(
    code: str, complaint: str, graphflow: Command, tmp_path: Path
) -> None:
    (tmp_path / "broken.py").write_text(code, "utf-8")
    done = graphflow("draw", "broken:graph")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith(f"graphflow: {complaint}") and done.stderr.count("\n") == 1


def test_a_graph_that_cannot_work_is_told_in_a_line(graphflow: Command, tmp_path: Path) -> None:
    lines = ["from typing import TypedDict", "from graphflow import StateGraph", "class State(TypedDict):", "    n: int"]
    lines += ["builder = StateGraph(State).add_node('count', lambda state: None)"]
    (tmp_path / "wrong.py").write_text("\n".join(lines), "utf-8")
    done = graphflow("draw", "wrong:builder")
    assert done.returncode == 1
    assert done.stderr == "graphflow: graph 'graph' has no entry: add_edge(START, 'count')\n"


def test_a_module_in_a_package_is_found(graphflow: Command, tmp_path: Path) -> None:
    (tmp_path / "team").mkdir()
    (tmp_path / "team" / "__init__.py").write_text("", "utf-8")
    (tmp_path / "team" / "bot.py").write_text("from graphflow import Agent\nagent = Agent('offline')", "utf-8")
    assert graphflow("draw", "team.bot:agent").returncode == 0
    assert "there is no module 'team.bto'; did you mean team.bot?" in graphflow("draw", "team.bto:agent").stderr


@pytest.mark.usefixtures("bot")
def test_an_unknown_format_ends_with_2(graphflow: Command) -> None:
    done = graphflow("draw", "bot:agent", "--format", "jpeg")
    assert done.returncode == 2 and "mermaid" in done.stderr


@pytest.mark.usefixtures("bot")
@pytest.mark.parametrize(
    ("format", "begin"), [("ascii", "(START)"), ("svg", "<svg xmlns="), ("json", "{"), ("mermaid", "flowchart TD")]
)
def test_every_format_can_be_written_to_a_file(format: str, begin: str, graphflow: Command, tmp_path: Path) -> None:
    shown = graphflow("draw", "bot:graph", "--format", format)
    written = graphflow("draw", "bot:graph", "--format", format, "--output", "graph.out")
    assert (shown.returncode, shown.stderr, written.stdout, written.stderr) == (0, "", "", "")
    assert shown.stdout.lstrip().startswith(begin)
    assert (tmp_path / "graph.out").read_text("utf-8") == shown.stdout


@pytest.mark.parametrize("format", ["ascii", "svg", "json"])
def test_a_name_that_the_terminal_cannot_show_is_written_out(format: str, graphflow: Command, tmp_path: Path) -> None:
    lines = ["from typing import TypedDict", "from graphflow import END, START, StateGraph"]
    lines += ["builder = StateGraph(TypedDict('State', {'n': int})).add_node('🫖', lambda state: {})"]
    lines += ["builder.add_edge(START, '🫖').add_edge('🫖', END)"]
    (tmp_path / "odd.py").write_text("\n".join(lines), "utf-8")
    done = graphflow("draw", "odd:builder", "--format", format, PYTHONIOENCODING="cp1252")
    assert (done.returncode, done.stderr) == (0, "")
    if format == "json":
        assert "🫖" in {node["id"] for node in json.loads(done.stdout)["nodes"]}
    else:
        assert r"\U0001fad6" in done.stdout


@pytest.mark.usefixtures("bot")
def test_a_file_that_cannot_be_written_is_told_in_a_line(graphflow: Command) -> None:
    done = graphflow("draw", "bot:graph", "--output", "nowhere/graph.svg")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("graphflow: FileNotFoundError:") and done.stderr.count("\n") == 1


@pytest.mark.usefixtures("bot")
def test_the_nodes_and_edges_can_be_read_as_json(graphflow: Command) -> None:
    data = json.loads(graphflow("draw", "bot:agent", "--format", "json").stdout)
    assert {"id": "model", "kind": "flow", "defer": False, "rerunnable": False} in data["nodes"]
    assert ("model", "tools", "branch") in {(edge["source"], edge["target"], edge["kind"]) for edge in data["edges"]}
