"""Tasks, their changes and the times that matter, as pure values and functions."""
