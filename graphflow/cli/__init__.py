"""The command ``graphflow``: talk to an agent, look after stored sessions, draw graphs."""
