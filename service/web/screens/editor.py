"""The rule editor: a file of the configuration as text, its faults, a dry run, and saving."""

import asyncio
from collections.abc import Mapping
from dataclasses import asdict, replace
from http import HTTPStatus
from typing import Any, TypeAlias
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from service.config.json_schema.completion import suggestions
from service.config.working_copy import NotEditable
from service.document.files import MAX_BYTES
from service.domain.actors import Role
from service.web.auth import Endpoint, actor_of
from service.web.office import Office
from service.web.pages import read_form
from service.web.presenters.rule_editor import EditorView, faults_as_json
from service.web.presenters.rule_recipes import recipes
from service.web.problems import Problem
from service.web.rule_editing import RuleEditing
from service.web.screens import Screen

Form: TypeAlias = Mapping[str, str]

# Each byte of the text may be three in a form.
_FORM_BYTES = 3 * MAX_BYTES + 64 * 1024
_FORM_FIELDS = 150
_DIGITS = 7  # of the number of a line
_ADDRESS = "/rules/edit"
_SAVED = "Saved. Taskbell uses the new text within a few seconds."
_UNSTORED = {"Cache-Control": "no-store"}


class Editor(Screen):
    """For admins only: a file may hold secrets, and an editor of it decides where they go."""

    path = "/rules"

    def __init__(self, office: Office) -> None:
        super().__init__(office)
        self._editing = RuleEditing(office)

    def routes(self) -> list[Route]:
        return [
            Route(_ADDRESS, self.office.shown(self.show, Role.ADMIN)),
            Route(_ADDRESS, self._protected(self.act), methods=["POST"]),
            Route(f"{_ADDRESS}/check", self._protected(self.check), methods=["POST"]),
            Route(f"{_ADDRESS}/suggestions", self._protected(self.suggest), methods=["POST"]),
            Route(f"{_ADDRESS}/download", self._protected(self.download), methods=["POST"]),
        ]

    def _protected(self, endpoint: Endpoint) -> Endpoint:
        """The endpoint for admins; unlike a screen's, it may take longer than a database."""
        return self.office.pages.for_people(self.office.guard.protects(endpoint, Role.ADMIN))

    async def show(self, request: Request) -> Response:
        try:
            view = self._editing.opened(request.query_params.get("file", ""))
        except NotEditable as error:
            raise Problem(HTTPStatus.NOT_FOUND, str(error)) from None
        return self._shown(
            request, replace(view, notice=_SAVED if "saved" in request.query_params else "")
        )

    async def act(self, request: Request) -> Response:
        """Do what the pressed button says, and show the text with the result."""
        form, view = await self._sent(request)
        if "task" in form:
            account, _, task = form["task"].partition("/")
            view = replace(view, query=form.get("q", ""))
            return self._shown(request, await self._editing.tried(view, (account, task)))
        what, _, name = form.get("do", "check").partition(":")
        if what == "save":
            return await self._save(request, view)
        if what == "review":
            done = await self._editing.reviewed(view)
        elif what == "try":
            done = await self._editing.searched(view, form.get("q", "").strip())
        elif what == "add" and name in recipes():
            said = {field: form.get(f"{name}.{field}", "") for field in recipes()[name].asked}
            done = await self._editing.with_recipe(view, recipes()[name], said)
        else:
            done = await self._editing.checked(view)
        return self._shown(request, done)

    async def _save(self, request: Request, view: EditorView) -> Response:
        if not self.office.editing.saves:
            why = "Saving on the page is switched off: TASKBELL_EDIT is not on"
            raise Problem(HTTPStatus.FORBIDDEN, why)
        why_not = await self._editing.saved(view, actor_of(request))
        if why_not is None:
            name = quote(view.copy.name, safe="")
            return self.office.pages.redirect(f"{_ADDRESS}?file={name}&saved=1")
        response = self._shown(request, why_not)
        response.status_code = HTTPStatus.CONFLICT
        return response

    async def check(self, request: Request) -> Response:
        """The faults for the script, which asks while the user types."""
        _, view = await self._sent(request)
        found = await self._editing.checked(view)
        return JSONResponse(faults_as_json(found.faults or ()), headers=_UNSTORED)

    async def suggest(self, request: Request) -> Response:
        """What can be written at a place of the text, for the script."""
        form, view = await self._sent(request)
        line, column = (_number(form.get(name, "")) for name in ("line", "column"))
        others = await asyncio.to_thread(view.copy.others)
        begun, found = suggestions(view.copy.text, line, column, others)
        said = {"begun": len(begun), "suggestions": [asdict(one) for one in found]}
        return JSONResponse(said, headers=_UNSTORED)

    async def download(self, request: Request) -> Response:
        _, view = await self._sent(request)
        name = quote(view.copy.name, safe="")
        headers = {"Content-Disposition": f"attachment; filename*=UTF-8''{name}", **_UNSTORED}
        return PlainTextResponse(view.copy.text, headers=headers, media_type="application/yaml")

    async def _sent(self, request: Request) -> tuple[Form, EditorView]:
        """The form, and the text in it. Browsers send line ends as CR LF."""
        form = await read_form(request, _FORM_BYTES, _FORM_FIELDS)
        text = form.get("text", "").replace("\r\n", "\n").replace("\r", "\n")
        if len(text.encode()) > MAX_BYTES:
            raise Problem(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "The file would be over 1 MB")
        try:
            return form, self._editing.view(form.get("file", ""), text, form.get("mark", ""))
        except NotEditable as error:
            raise Problem(HTTPStatus.NOT_FOUND, str(error)) from None

    def _shown(self, request: Request, view: EditorView) -> Response:
        saves = self.office.editing.saves
        values: dict[str, Any] = {"view": view, "saves": saves, "address": _ADDRESS}
        return self.render(request, "editor.html", **values)


def _number(text: str) -> int:
    return int(text) if text.isdecimal() and len(text) <= _DIGITS else -1
