"""The processes of a run: the servers it stands on, the programs, and how all of them end."""
