"""uvicorn's HTTP protocol, which answers what is not HTTP as the rest of Taskbell does."""

from http import HTTPStatus

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from service.web.problems import Problem, respond

_DETAIL = "This is not a well-formed HTTP/1.1 request: see its first line and its headers"


class ProblemProtocol(HttpToolsProtocol):
    """Such requests never reach the application; uvicorn answers them itself, in plain text."""

    def send_400_response(self, msg: str) -> None:
        del msg
        answer = respond(Problem(HTTPStatus.BAD_REQUEST, _DETAIL, headers={"connection": "close"}))
        headers = (*self.server_state.default_headers, *answer.raw_headers)
        lines = [b"%b: %b\r\n" % header for header in headers]
        body = bytes(answer.body)
        self.transport.write(b"".join([STATUS_LINE[HTTPStatus.BAD_REQUEST], *lines, b"\r\n", body]))
        self.transport.close()
