"""What print_response, cli_app and ``graphflow chat`` show in the terminal, with rich.

``view`` learns from the events of a run, ``panels`` shows what it knows, ``questions`` puts those of a paused run to a person,
``talk`` is the conversation around them.
"""

from graphflow.printing.live import live
from graphflow.printing.talk import Talk

__all__ = ["Talk", "live"]
