"""Control API of the emulators at /_sandbox."""

from dataclasses import asdict, fields
from typing import TYPE_CHECKING, Any, TypeVar

import orjson
from pydantic import TypeAdapter, ValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from service.diagnostics import did_you_mean
from service.document.messages import line
from service.sandbox.faults import Fault
from service.sandbox.system import System, TaskSystem

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

Made = TypeVar("Made", bound="DataclassInstance")


class FaultApi:
    """Controls for any emulation, at /_sandbox/{its name}; every response is JSON."""

    def __init__(self, system: System) -> None:
        self._any = system

    def routes(self) -> list[Route]:
        return [
            Route("/faults", self._set_fault, methods=["POST"]),
            Route("/faults", self._clear_faults, methods=["DELETE"]),
            Route("/record", self._record),
        ]

    async def _set_fault(self, request: Request) -> Response:
        self._any.faults.set(_made(Fault, await _body(request)))
        return _json({})

    async def _clear_faults(self, request: Request) -> Response:
        del request
        self._any.faults.clear()
        return _json({})

    async def _record(self, request: Request) -> Response:
        """All calls, writes and notifications, with times."""
        del request
        return _json(asdict(self._any.record))


class ControlApi(FaultApi):
    """Controls for a system with tasks: these can be created and changed as well."""

    def __init__(self, system: TaskSystem) -> None:
        super().__init__(system)
        self._system = system

    def routes(self) -> list[Route]:
        task = "/tasks/{id}"
        return [
            Route("/tasks", self._make, methods=["POST"]),
            Route(task, self._change, methods=["PATCH"]),
            Route(f"{task}/finish", self._finish, methods=["POST"]),
            Route(f"{task}/reopen", self._reopen, methods=["POST"]),
            Route(f"{task}/hide", self._hide, methods=["POST"]),
            Route(f"{task}/show", self._show, methods=["POST"]),
            Route(task, self._delete, methods=["DELETE"]),
            Route("/quirks", self._set_quirks, methods=["PUT"]),
            *super().routes(),
        ]

    async def _make(self, request: Request) -> Response:
        """Create a task; an empty body creates one with invented fields."""
        return _json(self._system.make(**await _body(request)), 201)

    async def _change(self, request: Request) -> Response:
        return _json(self._system.change(request.path_params["id"], **await _body(request)))

    async def _finish(self, request: Request) -> Response:
        return _json(self._system.finish(request.path_params["id"]))

    async def _reopen(self, request: Request) -> Response:
        return _json(self._system.reopen(request.path_params["id"]))

    async def _hide(self, request: Request) -> Response:
        """Hide a task from lists; it is still available by its id, as an archived one."""
        if request.path_params["id"] not in self._system.tasks:
            raise HTTPException(404, "There is no such task.")
        self._system.hidden.add(request.path_params["id"])
        return _json({})

    async def _show(self, request: Request) -> Response:
        self._system.hidden.discard(request.path_params["id"])
        return _json({})

    async def _delete(self, request: Request) -> Response:
        self._system.delete(request.path_params["id"])
        return _json({})

    async def _set_quirks(self, request: Request) -> Response:
        now = self._system.quirks
        wanted = _made(type(now), {**asdict(now), **await _body(request)})
        self._system.set_quirks(**asdict(wanted))
        return _json(self._system.quirks)


async def _body(request: Request) -> dict[str, Any]:
    """The request's JSON object, {} if it is empty; an HTTPException if it is not a JSON object."""
    text = await request.body()
    try:
        return TypeAdapter(dict[str, Any]).validate_json(text or b"{}")
    except ValidationError as error:
        raise HTTPException(422, "Send a JSON object.") from error


def _made(shape: type[Made], values: dict[str, Any]) -> Made:
    """A value of this class; an HTTPException with the error if it is invalid."""
    known = {field.name for field in fields(shape)}
    for name in values.keys() - known:
        hint = did_you_mean(name, known) or f"there are {', '.join(sorted(known))}"
        raise HTTPException(422, f"There is no {name} here: {hint}.")
    try:
        return TypeAdapter(shape).validate_python(values)
    except ValidationError as error:
        wrong = (line(".".join(map(str, one["loc"])), one) for one in error.errors())
        raise HTTPException(422, "; ".join(wrong)) from error


def _json(content: Any, status: int = 200) -> Response:
    return Response(orjson.dumps(content), status, media_type="application/json")
