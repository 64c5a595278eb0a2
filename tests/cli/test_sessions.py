"""``graphflow sessions``: what is stored can be found, read, taken away and deleted, and looking changes nothing."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from typer.testing import CliRunner

from graphflow import Agent
from graphflow.cli.main import app
from graphflow.db import SqliteDb

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
