"""The limit: Python, sqlite3 and psycopg, doing only what has to be done."""

SESSION = """
import pydantic, sqlite3
connection = sqlite3.connect(sys.argv[1])
connection.execute("PRAGMA journal_mode = WAL")
connection.execute("CREATE TABLE message (session TEXT, seq INTEGER, role TEXT, content TEXT, PRIMARY KEY (session, seq))")
connection.execute("INSERT INTO message VALUES ('first', 1, 'user', 'Hi'), ('first', 2, 'assistant', 'Hello')")
connection.commit()
"""
IMPORTS = {"library": "pass", "agent": "import pydantic", "session": SESSION}
