"""The output of commands: for people on a terminal, and as JSON."""
