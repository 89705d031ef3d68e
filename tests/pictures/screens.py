"""Which pictures of the demo docs/ has, and what each shows."""

from dataclasses import dataclass, field
from pathlib import Path

FOLDER = Path(__file__).parents[2] / "docs" / "pictures"
WIDTH = 1200  # pixels
MOST_OF_ONE, MOST_OF_ALL = 120_000, 1_000_000  # bytes


@dataclass(frozen=True, slots=True)
class Screen:
    """A part of the page, and the name of its picture.

    - `path`: its address; `{message}` and `{task}` stand for those of the message in `about`
    - `height`: of the window, in pixels
    - `about`: the message that it shows, by filters of the API
    - `part`: the selector of the element that is shown, the first one, instead of the window
    """

    name: str
    path: str
    height: int = 800
    about: dict[str, str] = field(default_factory=dict)
    part: str = ""

    @property
    def file(self) -> Path:
        """Where the picture is."""
        return FOLDER / f"{self.name}.png"


FIRST = {"rule": "errand-done", "channel": "slack", "state": "sent"}
OVERDUE = {"rule": "overdue-nudge", "channel": "email", "state": "sent"}

SCREENS = (
    Screen("today", "/"),
    Screen("coming-up", "/coming", 1000),
    Screen("message", "/messages/{message}", 900, FIRST),
    Screen("task", "/tasks/{task}#rules", 800, OVERDUE),
    Screen("rules", "/rules"),
    Screen("rule", "/rules/overdue-nudge", 820),
    Screen("silences", "/silences", 620),
    Screen("connections", "/connections", 900),
    Screen("inbox", "/inbox", part='.card:has-text("finished by")'),
    Screen("first-steps", "/start", 500),
    *(
        Screen(f"first-steps-{system}", f"/start#{system}", part=f"details#{system}")
        for system in ("plannr", "kickserv", "letsligo", "rolodex")
    ),
)
