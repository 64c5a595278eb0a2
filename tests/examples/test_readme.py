"""The README: its code runs as it stands, prints what it says, and its pictures and commands are real."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from graphflow import Agent
from graphflow.cli.main import app

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "README.md").read_text("utf-8")


def blocks(language: str) -> list[tuple[int, str]]:
    """The code blocks in a language, each with the number of its first line."""
    found = re.finditer(rf"^```{language}\n(.*?)^```$", TEXT, re.M | re.S)
    return [(TEXT[: match.start(1)].count("\n") + 1, match[1]) for match in found]


@pytest.fixture(scope="module")
def printed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[int, str]]:
    """What each line of the README prints (the first time), after all python blocks were run in order in one folder."""
    lines: dict[int, str] = {}

    def note(*values: Any, **_: Any) -> None:
        lines.setdefault(sys._getframe(1).f_lineno, " ".join(map(str, values)))

    names: dict[str, Any] = {"__name__": "__main__", "print": note}
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp("readme"))
        patch.setenv("GRAPHFLOW_MODEL", "offline")
        patch.delenv("OPENAI_API_KEY", raising=False)
        for line, code in blocks("python"):
            exec(compile("\n" * (line - 1) + code, "README.md", "exec", dont_inherit=True), names)
        yield lines
        names["db"].close()


def test_every_python_block_runs(printed: dict[int, str]) -> None:
    assert len(blocks("python")) > 10
    assert len(printed) > 20


def test_every_print_shows_what_the_comment_beside_it_says(printed: dict[int, str]) -> None:
    said = {}
    for number, line in enumerate(TEXT.splitlines(), 1):
        if (match := re.match(r"\s*print\(.*\)\s+# (.*)", line)) and "…" not in match[1]:
            said[number] = match[1]
    assert len(said) > 15
    wrong = {
        number: (printed.get(number), text) for number, text in said.items() if not text.startswith(printed.get(number, "?"))
    }
    assert wrong == {}


def test_the_picture_is_that_of_an_agent_with_tools() -> None:
    def look(place: str) -> str:
        """Look."""
        return place

    ((_, picture),) = blocks("mermaid")
    assert picture == Agent("offline", tools=[look]).graph.draw_mermaid()


def test_every_command_and_option_exists() -> None:
    commands = [
        line.split("#")[0].split() for _, code in blocks("bash") for line in code.splitlines() if line.startswith("graphflow ")
    ]
    assert {tuple(words[1:3]) for words in commands} >= {("sessions", "list"), ("sessions", "delete"), ("draw", "mybot:agent")}
    for words in commands:
        path = words[1:3] if words[1] in ("sessions", "db") else words[1:2]
        shown = CliRunner().invoke(app, [*path, "--help"])
        assert shown.exit_code == 0
        assert [option for option in words if option.startswith("--") and option not in shown.stdout] == []


def test_every_make_target_exists() -> None:
    targets = re.findall(r"^make (\w+)", "\n".join(code for _, code in blocks("bash")), re.M)
    makefile = (ROOT / "Makefile").read_text("utf-8")
    assert targets == ["demo", "test"]
    assert [target for target in targets if not re.search(rf"^{target}:", makefile, re.M)] == []


def test_every_link_leads_to_a_file() -> None:
    links = re.findall(r"\]\((?!https?:)([^)#]+)\)", TEXT)
    assert len(links) >= 5
    assert [link for link in links if not (ROOT / link).exists()] == []
