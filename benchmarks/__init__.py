"""What graphflow costs, beside what the same work costs without it and with other libraries. ``run.py`` is the program."""
