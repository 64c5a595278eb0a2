"""``graphflow sessions``: what is stored can be found, read, taken away and deleted, and looking changes nothing."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
from contextlib import closing
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from typer.testing import CliRunner

from graphflow import Agent, Reply, ToolCall
from graphflow.cli.main import app
from graphflow.db import SqliteDb
from graphflow.testing import ScriptedModel

if TYPE_CHECKING:
    from tests.cli.conftest import Command


def invoke(*arguments: str, said: str | None = None) -> tuple[int, str, str]:
    """Run the command in this process: exit code, stdout, stderr."""
    result = CliRunner().invoke(app, ["sessions", *arguments], input=said)
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.exit_code, result.stdout, result.stderr


def listed(*arguments: str) -> list[str]:
    code, out, _ = invoke("list", *arguments, "--json")
    assert code == 0
    return [session["session_id"] for session in json.loads(out)]


# --- list ------------------------------------------------------------------------------------------------------------------


def test_a_list_shows_every_session_with_its_owner(stored: Path) -> None:
    code, out, _ = invoke("list", "--db", str(stored))
    assert code == 0
    rows = {line.split()[1]: line for line in out.splitlines() if line.startswith("│")}
    assert set(rows) == {"ann-1", "ann-2", "open"}
    assert "ann " in rows["ann-2"] and "clerk" in rows["ann-2"] and "completed" in rows["ann-2"]
    assert "3 of 3 sessions" in out


def test_a_list_is_newest_first_and_can_be_turned_round(stored: Path) -> None:
    assert listed("--db", str(stored)) == ["open", "ann-2", "ann-1"]
    assert listed("--db", str(stored), "--order", "asc") == ["ann-1", "ann-2", "open"]


def test_a_list_can_be_narrowed_down(stored: Path) -> None:
    file = str(stored)
    assert listed("--db", file, "--user", "ann") == ["ann-2", "ann-1"]
    assert listed("--db", file, "--component", "other") == ["open"]
    assert listed("--db", file, "--type", "agent", "--limit", "1") == ["open"]
    assert listed("--db", file, "--type", "graph") == []
    assert listed("--db", file, "--limit", "2", "--page", "2") == ["ann-1"]


def test_a_list_says_how_many_there_are_beyond_the_page(stored: Path) -> None:
    assert "1 of 2 sessions" in invoke("list", "--db", str(stored), "--user", "ann", "--limit", "1")[1]


def test_the_file_is_graphflow_db_unless_named(stored: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(stored.parent)
    assert listed() == ["open", "ann-2", "ann-1"]


def test_a_list_shows_whole_ids_also_where_it_is_narrow(stored: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    db = SqliteDb(stored)
    for id, width in (("0123456789abcdef", 80), ("y" * 16, 40), ("x" * 200, 80)):
        Agent("offline", name="a-component-of-a-long-name", db=db).run("Hello", session_id=id, user_id=f"of-{id[0]}")
        monkeypatch.setattr("graphflow.cli.terminal.PIPED_WIDTH", width)
        code, out, _ = invoke("list", "--db", str(stored), "--user", f"of-{id[0]}")
        assert code == 0 and "…" not in out
        assert id in out if width >= 80 > len(id) else out.count(id[0]) >= len(id)
    db.close()


# --- show ------------------------------------------------------------------------------------------------------------------


def test_show_gives_owner_state_and_messages(stored: Path) -> None:
    code, out, _ = invoke("show", "ann-1", "--db", str(stored))
    assert code == 0
    lines = [" ".join(line.split()) for line in out.splitlines()]
    assert "user_id ann" in lines and "runs 2" in lines
    assert lines[-4:] == [
        "user: Hi, my name is Ann",
        "assistant: Thank you. You said: Hi, my name is Ann",
        "user: What is my name?",
        "assistant: Your name is Ann.",
    ]


def test_show_gives_the_last_messages_only(stored: Path) -> None:
    out = invoke("show", "ann-1", "--db", str(stored), "--limit", "1")[1]
    assert "assistant: Your name is Ann." in out and "user:" not in out


def test_show_as_json_holds_the_same(stored: Path) -> None:
    shown = json.loads(invoke("show", "ann-1", "--db", str(stored), "--json")[1])
    assert (shown["session_id"], shown["user_id"], shown["runs"], shown["session_state"]) == ("ann-1", "ann", 2, {})
    assert [message["role"] for message in shown["messages"]] == ["user", "assistant"] * 2


def test_markup_and_control_characters_in_a_message_are_shown_as_text(tmp_path: Path) -> None:
    db = SqliteDb(tmp_path / "odd.db")
    Agent("offline", db=db).run("[red]alarm[/red] \x1b]0;title\x07", session_id="odd")
    db.close()
    out = invoke("show", "odd", "--db", str(tmp_path / "odd.db"))[1]
    assert r"[red]alarm[/red] \x1b]0;title\x07" in out and "\x1b" not in out


# --- export and delete -----------------------------------------------------------------------------------------------------


def test_an_export_can_be_imported_elsewhere(stored: Path, tmp_path: Path) -> None:
    code, out, _ = invoke("export", "ann-1", "--db", str(stored))
    assert code == 0
    other = SqliteDb(tmp_path / "other.db")
    assert other.import_session(json.loads(out)) == "ann-1"
    assert [message.text for message in other.get_messages("ann-1")][-1] == "Your name is Ann."
    other.close()


def test_an_export_can_go_to_a_file(stored: Path, tmp_path: Path) -> None:
    code, out, _ = invoke("export", "ann-1", "--db", str(stored), "--output", str(tmp_path / "ann.json"))
    assert (code, out) == (0, "")
    assert (tmp_path / "ann.json").read_text("utf-8") == invoke("export", "ann-1", "--db", str(stored))[1]


def test_delete_asks_first(stored: Path) -> None:
    code, _, err = invoke("delete", "ann-1", "--db", str(stored), said="n\n")
    assert code == 1 and "for good?" in err and "nothing was deleted" in err
    assert "ann-1" in listed("--db", str(stored))
    assert invoke("delete", "ann-1", "--db", str(stored), said="y\n")[0] == 0
    assert listed("--db", str(stored)) == ["open", "ann-2"]


def test_delete_with_nobody_to_ask_deletes_nothing(stored: Path) -> None:
    assert invoke("delete", "ann-1", "--db", str(stored), said="")[0] == 1
    assert "ann-1" in listed("--db", str(stored))


def test_delete_can_be_told_not_to_ask(stored: Path) -> None:
    assert invoke("delete", "open", "--db", str(stored), "--yes") == (0, "deleted open\n", "")
    assert listed("--db", str(stored)) == ["ann-2", "ann-1"]


# --- what goes wrong -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("command", [("list",), ("show", "x"), ("export", "x"), ("delete", "x", "--yes")])
def test_a_database_that_is_not_there_is_not_made(command: tuple[str, ...], tmp_path: Path) -> None:
    code, out, err = invoke(*command, "--db", str(tmp_path / "none.db"))
    assert (code, out) == (1, "")
    assert err.startswith("graphflow: there is no database ") and err.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("content", "complaint"), [(b"hello, I am a text\n", "is not a SQLite database"), (b"", "is empty")], ids=["text", "empty"]
)
def test_a_file_that_is_no_database_is_left_alone(content: bytes, complaint: str, tmp_path: Path) -> None:
    file = tmp_path / "file.db"
    file.write_bytes(content)
    code, _, err = invoke("list", "--db", str(file))
    assert code == 1 and complaint in err and err.count("\n") == 1
    assert file.read_bytes() == content and list(tmp_path.iterdir()) == [file]


def test_another_programs_database_is_left_alone(tmp_path: Path) -> None:
    file = tmp_path / "other.db"
    connection = sqlite3.connect(file)
    connection.execute("CREATE TABLE bookmarks (url TEXT)")
    connection.commit()
    connection.close()
    content = file.read_bytes()
    code, _, err = invoke("list", "--db", str(file))
    assert code == 1 and "is a database without sessions" in err and err.count("\n") == 1
    assert file.read_bytes() == content and list(tmp_path.iterdir()) == [file]


def test_sessions_that_are_only_in_the_write_ahead_log_are_found(tmp_path: Path) -> None:
    db = SqliteDb(tmp_path / "live.db")
    Agent("offline", db=db).run("Hello", session_id="live")
    assert b"gf_sessions" not in (tmp_path / "live.db").read_bytes()
    assert listed("--db", str(tmp_path / "live.db")) == ["live"]
    db.close()


def test_a_folder_is_no_database(tmp_path: Path) -> None:
    code, _, err = invoke("list", "--db", str(tmp_path))
    assert code == 1 and "is not a file" in err


def test_a_damaged_database_is_one_line(stored: Path) -> None:
    connection = sqlite3.connect(stored)
    connection.execute("UPDATE gf_messages SET body = '\"Hi, my name is Eve\"' WHERE seq = 1")
    connection.commit()
    connection.close()
    code, _, err = invoke("show", "ann-1", "--db", str(stored))
    assert code == 1 and "checksum" in err and err.count("\n") == 1


@pytest.mark.parametrize("command", [("show",), ("export",), ("delete", "--yes")])
def test_an_unknown_session_is_said_to_be_unknown(command: tuple[str, ...], stored: Path) -> None:
    code, out, err = invoke(*command, "nobody", "--db", str(stored))
    assert (code, out) == (1, "")
    assert err.startswith(f"graphflow: there is no session 'nobody' in {stored}") and err.count("\n") == 1


@pytest.mark.parametrize("command", [("show",), ("export",), ("delete", "--yes")])
def test_another_users_session_is_as_if_it_were_not_there(command: tuple[str, ...], stored: Path) -> None:
    code, out, err = invoke(*command, "ann-1", "--db", str(stored), "--user", "bob")
    assert (code, out) == (1, "")
    assert "no session 'ann-1' of user 'bob'" in err
    assert "ann-1" in listed("--db", str(stored))


@pytest.mark.parametrize(
    "wrong", [("list", "--sort", "size"), ("list", "--limit", "0"), ("list", "--type", "x"), ("show",), ("lst",)]
)
def test_a_command_written_wrongly_ends_with_2(wrong: tuple[str, ...]) -> None:
    code, _, err = invoke(*wrong)
    assert code == 2 and "Error: " in err and "Traceback" not in err


@pytest.mark.parametrize("option", ["--limit", "--page"])
def test_a_list_has_as_many_pages_as_one_likes(option: str, stored: Path) -> None:
    assert listed("--db", str(stored), option, "9" * 23) == (["open", "ann-2", "ann-1"] if option == "--limit" else [])


ODD = "Grüße \udce9 🫖"
"""With half a surrogate pair, which no encoding has, and a character that few have."""


@pytest.mark.parametrize("encoding", ["utf-8", "cp1252", "ascii"])
def test_text_that_the_terminal_cannot_show_is_written_out(graphflow: Command, tmp_path: Path, encoding: str) -> None:
    db = SqliteDb(tmp_path / "graphflow.db")
    Agent("offline", name="Bär 🫖", db=db).run(ODD, session_id="odd", session_state={ODD: ODD})
    db.close()
    for command in ("list", "show odd", "export odd", "list --json", "show odd --json"):
        done = graphflow("sessions", *command.split(), PYTHONIOENCODING=encoding)
        assert (done.returncode, done.stderr) == (0, ""), command
        assert "Traceback" not in done.stdout and "odd" in done.stdout
        if "json" in command or "export" in command:
            assert json.loads(done.stdout), command
    shown = json.loads(done.stdout)
    assert shown["messages"][0]["content"] == ODD and shown["component_id"] == "Bär 🫖"


def test_a_real_process_lists_without_a_warning(graphflow: Command, stored: Path) -> None:
    done = graphflow("sessions", "list", "--limit", "2")
    assert (done.returncode, done.stderr) == (0, "")
    assert "2 of 3 sessions" in done.stdout


# --- what is stored oddly, and what a terminal makes of it -------------------------------------------------------------------


def test_values_that_json_has_no_form_for_are_shown(tmp_path: Path) -> None:
    db = SqliteDb(tmp_path / "s.db")
    model = ScriptedModel([Reply("", [ToolCall("1", "nothing", {"when": date(2030, 1, 2)})]), "\x9b31mhi\x7f"])
    held = {"board": {(0, 0): "x"}, "odds": float("nan"), "day": date.max}
    Agent(model, db=db).run("Hello", session_id="s", session_state=held)
    db.close()
    code, out, _ = invoke("show", "s", "--db", str(tmp_path / "s.db"), "--json")
    shown = json.loads(out, parse_constant=lambda word: pytest.fail(word))
    assert code == 0 and shown["session_state"] == {"board": {"(0, 0)": "x"}, "odds": "nan", "day": "9999-12-31"}
    assert shown["messages"][-1]["content"] == "\x9b31mhi\x7f" and "\x9b" not in out and "\x7f" not in out
    code, out, _ = invoke("show", "s", "--db", str(tmp_path / "s.db"))
    assert code == 0 and '→ nothing({"when": "2030-01-02"})' in out and "\x9b" not in out


@pytest.mark.parametrize("place", [":memory:", "file:x.db?mode=ro"])
def test_a_place_that_is_no_file_is_told_in_a_line(place: str) -> None:
    code, out, err = invoke("list", "--db", place)
    assert (code, out) == (2, "") and err.startswith("graphflow: ") and err.count("\n") == 1


def test_a_damaged_session_can_be_deleted(stored: Path) -> None:
    with closing(sqlite3.connect(stored)) as connection, connection:
        connection.execute("UPDATE gf_sessions SET name = 'other' WHERE session_id = 'ann-1'")
    code, _, err = invoke("delete", "ann-1", "--db", str(stored), said="n\n")
    assert code == 1 and "Delete the damaged session 'ann-1' for good?" in err
    assert invoke("delete", "ann-1", "--db", str(stored), "--yes")[:2] == (0, "deleted ann-1\n")
    assert listed("--db", str(stored)) == ["open", "ann-2"]


def test_a_reader_that_has_seen_enough_is_no_error(stored: Path) -> None:
    db = SqliteDb(stored)
    for turn in range(60):
        Agent("offline", db=db).run(f"Hello {turn} " + "and more " * 300, session_id="big")
    db.close()
    command = [sys.executable, "-m", "graphflow.cli", "sessions", "export", "big", "--db", str(stored)]
    # Python without buffers does not hear of a pipe that is closed in the middle of what it writes.
    env = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=env) as process:
        assert process.stdout is not None and process.stderr is not None
        process.stdout.read(10)
        process.stdout.close()
        assert process.stderr.read() == "" and process.wait(timeout=60) == 1
