"""The `taskbell` command: one module a group of commands."""
