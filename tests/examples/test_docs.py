"""The guides in docs/: their code runs as it stands, prints what it says, and their links lead somewhere."""

from __future__ import annotations

import re
import sys
from dataclasses import fields
from functools import cached_property
from pathlib import Path
from typing import Any

import pytest

import graphflow
import graphflow_nodes
from graphflow import HistoryPolicy, MemoryPolicy, Message, RunOutput, Snapshot, SummaryPolicy
from graphflow.db import RunRecord, Session, UserMemory
from graphflow.drive.stream import Event

ROOT = Path(__file__).parents[2]
GUIDES = sorted((ROOT / "docs").glob("*.md"))

guides = pytest.mark.parametrize("guide", GUIDES, ids=[path.name for path in GUIDES])


def blocks(text: str) -> list[tuple[int, str]]:
    """The python blocks that are to be run, each with the number of its first line. Those with a word after the language
    (``python coming``) are of features in work.
    """
    found = re.finditer(r"^```python\n(.*?)^```$", text, re.M | re.S)
    return [(text[: match.start(1)].count("\n") + 1, match[1]) for match in found]


def run(guide: Path, folder: Path, patch: pytest.MonkeyPatch) -> dict[int, str]:
    """What each line prints (the first time), after all blocks were run in order in an empty folder."""
    printed: dict[int, str] = {}

    def note(*values: Any, **_: Any) -> None:
        printed.setdefault(sys._getframe(1).f_lineno, " ".join(map(str, values)))

    names: dict[str, Any] = {"__name__": "__main__", "print": note}
    patch.chdir(folder)
    patch.setenv("GRAPHFLOW_MODEL", "offline")
    patch.delenv("OPENAI_API_KEY", raising=False)
    for line, code in blocks(guide.read_text("utf-8")):
        exec(compile("\n" * (line - 1) + code, guide.name, "exec", dont_inherit=True), names)
    names["db"].close()
    return printed


@guides
def test_every_block_runs_and_prints_what_the_comment_beside_it_says(
    guide: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    printed = run(guide, tmp_path, monkeypatch)
    said = {
        number: match[1]
        for first, code in blocks(guide.read_text("utf-8"))
        for number, line in enumerate(code.splitlines(), first)
        if (match := re.match(r"\s*print\(.*\)\s+# (.*)", line)) and "…" not in match[1]
    }
    assert len(said) >= 5
    assert {number: (printed.get(number), text) for number, text in said.items() if printed.get(number) != text} == {}


@guides
def test_every_block_in_work_is_at_least_python(guide: Path) -> None:
    for match in re.finditer(r"^```python coming\n(.*?)^```$", guide.read_text("utf-8"), re.M | re.S):
        compile(match[1], guide.name, "exec")


@guides
def test_every_link_leads_to_a_file(guide: Path) -> None:
    links = re.findall(r"\]\((?!https?:)([^)#]+)\)", guide.read_text("utf-8"))
    assert [link for link in links if not (guide.parent / link).exists()] == []


@guides
def test_every_imported_name_is_public(guide: Path) -> None:
    """In code that is run; what is coming is not there yet."""
    code = "\n".join(code for _, code in blocks(guide.read_text("utf-8")))
    wanted = re.findall(r"^from (graphflow|graphflow_nodes) import (.*?)(?:\s+#.*)?$", code, re.M)
    names = [(module, name.strip()) for module, line in wanted for name in line.split(",")]
    public = {"graphflow": graphflow.__all__, "graphflow_nodes": graphflow_nodes.__all__}
    assert names and [name for name in names if name[1] not in public[name[0]]] == []


@pytest.mark.parametrize("kind", [RunOutput, Message, Session, RunRecord, UserMemory, Snapshot], ids=lambda kind: kind.__name__)
def test_the_guide_to_agents_names_every_field(kind: type[Any]) -> None:
    text = (ROOT / "docs" / "agents.md").read_text("utf-8")
    lazy = [name for name, value in vars(kind).items() if isinstance(value, cached_property)]
    named = [name for name in [*kind.__annotations__, *lazy] if not name.startswith("_") and name != "model_config"]
    assert named and [name for name in named if f"`{name}`" not in text] == []


@pytest.mark.parametrize("policy", [HistoryPolicy, SummaryPolicy, MemoryPolicy], ids=lambda policy: policy.__name__)
def test_the_guide_to_agents_lists_the_parameters_of_every_policy_and_their_defaults(policy: type[Any]) -> None:
    text = (ROOT / "docs" / "agents.md").read_text("utf-8")
    table = text.partition(f"={policy.__name__}(…)`")[2].partition("|---|---|---|\n")[2].partition("\n\n")[0]
    listed = dict(re.findall(r"^\| `(\w+)` \| (\S+) \|", table, re.MULTILINE))
    assert listed == {each.name: str(each.default) for each in fields(policy)}


def test_the_guide_to_agents_names_every_event() -> None:
    text = (ROOT / "docs" / "agents.md").read_text("utf-8")
    types = re.findall(
        r"\b(?:[a-z]+_(?:started|completed|failed|updated|restarted|cancelled)|token|reasoning|custom|checkpoint|interrupted)\b",
        Event.__doc__ or "",
    )
    assert len({*types}) > 20 and [type for type in types if f"`{type}`" not in text] == []
