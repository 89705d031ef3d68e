"""The `taskbell` command: one module per group of commands."""
