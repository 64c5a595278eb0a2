"""``python -m graphflow.cli``: the same as the command ``graphflow``."""

from graphflow.cli.main import app

if __name__ == "__main__":
    app(prog_name="graphflow")
