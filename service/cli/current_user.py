"""The person at the command line, whose decisions are kept with their name."""

import getpass


def who() -> str:
    """Who decides, as far as the machine knows."""
    try:
        return f"{getpass.getuser()} at the command line"
    except (KeyError, OSError):  # in a container, users need not have names
        return "somebody at the command line"
