"""Request bodies, of which no more is read than may come."""

from http import HTTPStatus

from starlette.types import Receive

from service.web.problems import Problem


async def read_body(receive: Receive, most: int) -> bytes:
    """The whole body; a 413 or 400 Problem. Its announced length proves nothing."""
    body, more = bytearray(), True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise Problem(HTTPStatus.BAD_REQUEST, "The body broke off")
        body += message.get("body", b"")
        more = message.get("more_body", False)
        if len(body) > most:
            # Closing the connection saves reading the rest.
            raise Problem(
                HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
                f"The body is larger than {most} bytes",
                headers={"Connection": "close"},
            )
    return bytes(body)
