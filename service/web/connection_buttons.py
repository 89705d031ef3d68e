"""What the buttons of Connections do: pause, resume or read an account, send a test."""

from functools import partial
from http import HTTPStatus

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from service.channels.send_test import NotSent, send_test
from service.store.operators import changes
from service.store.operators.changes import Action
from service.web.actions import ACCOUNT_ACTIONS
from service.web.auth import actor_of
from service.web.buttons import Buttons
from service.web.pages import read_form
from service.web.parameters import is_text
from service.web.problems import Problem

_LONGEST_TARGET = 300


class ConnectionButtons(Buttons):
    """Decisions about accounts, and tests of channels."""

    def routes(self) -> list[Route]:
        return [
            *(
                Route(
                    f"/connections/{{account}}/{action}",
                    self._protected(partial(self.act_on_account, action)),
                    methods=["POST"],
                )
                for action in ACCOUNT_ACTIONS
            ),
            Route("/channels/{name}/test", self._protected(self.test), methods=["POST"]),
        ]

    async def act_on_account(self, action: str, request: Request) -> Response:
        form, account = await read_form(request), request.path_params["account"]
        if account not in self._office.config.accounts:
            raise Problem(HTTPStatus.NOT_FOUND, "There is no account with this name")
        said = {"believe": form.get("believe") == "yes"}
        done = self._actions.act_on_account(action, account, said, actor_of(request))
        return await self._decided(done, form)

    async def test(self, request: Request) -> Response:
        """Send one message, wait for what comes of it, and say so on a page of its own."""
        form, config = await read_form(request), self._office.config
        options = config.channels.get(request.path_params["name"])
        if options is None:
            raise Problem(HTTPStatus.NOT_FOUND, "There is no channel with this name")
        target = form.get("target", "").strip()
        if not is_text(target, _LONGEST_TARGET):
            raise Problem(
                HTTPStatus.BAD_REQUEST,
                f"The recipient has to be one line of up to {_LONGEST_TARGET} characters",
            )
        why_not, by, now = None, actor_of(request), self._office.clock.now()
        await changes.record(
            self._office.pool, by, Action.CHANNEL_TESTED, options.name, now, target
        )
        try:
            await send_test(options, target, self._office.clock, config.allow)
        except NotSent as error:
            why_not = str(error)
        return self._office.render(
            "tested.html",
            path="/connections",
            actor=by,
            channel=options.name,
            to=target,
            why_not=why_not,
        )
