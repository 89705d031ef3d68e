"""The screens of the office, one module each; new modules are discovered automatically."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from functools import cache
from typing import Any, ClassVar
from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from service import plugins
from service.web.auth import actor_of
from service.web.office import Office

_TOO_LATE = ("too_late", "")


class Screen(ABC):
    """One screen of the office.

    `path` is the beginning of its addresses; `words` are its words in the navigation, `place` is
    its position there (0: not in the navigation).
    """

    path: ClassVar[str]
    words: ClassVar[str] = ""
    place: ClassVar[int] = 0

    def __init__(self, office: Office) -> None:
        self.office = office

    @abstractmethod
    def routes(self) -> list[Route]:
        """Its routes; each endpoint is wrapped by `office.shown`."""

    def render(self, request: Request, template: str, **values: Any) -> Response:
        """The screen. `here` is its address, to which its buttons lead back."""
        # That somebody came too late is said once, not after the next button too.
        query = urlencode([one for one in request.query_params.multi_items() if one != _TOO_LATE])
        here = f"{request.scope['path']}{'?' if query else ''}{query}"
        actor = actor_of(request)
        return self.office.render(template, path=self.path, here=here, actor=actor, **values)


@cache
def screens() -> Sequence[type[Screen]]:
    """Every screen module, in the order of the navigation."""
    found = [one for _, one in plugins.find(__name__, Screen)]
    return sorted(found, key=lambda one: (one.place == 0, one.place, one.path))


def sections() -> list[tuple[str, str]]:
    """The navigation: words and path."""
    return [(one.words, one.path) for one in screens() if one.place]
