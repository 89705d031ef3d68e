"""The first steps: a checklist for each system, and a form that makes a first configuration."""

from http import HTTPStatus

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from service.sources import systems
from service.web.pages import read_form
from service.web.presenters.first_steps import FirstForm, blank_form, read_first_form
from service.web.problems import Problem
from service.web.screens import Screen


class FirstRun(Screen):
    """It stores nothing: the file is made anew from the form for each request."""

    path = "/start"

    def routes(self) -> list[Route]:
        return [
            Route(self.path, self.office.shown(self.show)),
            Route(self.path, self.office.shown(self.make), methods=["POST"]),
            Route(f"{self.path}/taskbell.yaml", self.office.shown(self.download), methods=["POST"]),
        ]

    async def show(self, request: Request) -> Response:
        return self._shown(request)

    async def make(self, request: Request) -> Response:
        """The page with the file that the form makes, or with what is wrong with it."""
        form = await self._sent(request)
        response = self._shown(request, form)
        response.status_code = HTTPStatus.BAD_REQUEST if form.faults else HTTPStatus.OK
        return response

    async def download(self, request: Request) -> Response:
        form = await self._sent(request)
        if form.faults:
            raise Problem(HTTPStatus.BAD_REQUEST, form.faults[0])
        headers = {
            "Content-Disposition": 'attachment; filename="taskbell.yaml"',
            "Cache-Control": "no-store",
        }
        return PlainTextResponse(form.text, headers=headers, media_type="application/yaml")

    async def _sent(self, request: Request) -> FirstForm:
        form = read_first_form(await read_form(request))
        if form is None:
            known = ", ".join(sorted(systems()))
            raise Problem(HTTPStatus.BAD_REQUEST, f"system must be one of {known}")
        return form

    def _shown(self, request: Request, sent: FirstForm | None = None) -> Response:
        zone = self.office.config.timezone.key
        forms = {name: blank_form(name, zone) for name in sorted(systems())}
        if sent is not None:
            forms[sent.fields["system"]] = sent
        return self.render(request, "first_run.html", forms=forms, sent=sent, systems=systems())
