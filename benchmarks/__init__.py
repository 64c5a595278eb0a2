"""What graphflow costs, measured beside what the same work costs without it. ``run.py`` is the program."""
