"""`python -m tests.bench.bare PORT`: what a bare Starlette costs that parses JSON and says 202."""

import sys

import orjson
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route


async def accept(request: Request) -> Response:
    orjson.loads(await request.body())
    return Response(b'{"receipt":1}', 202, media_type="application/json")


if __name__ == "__main__":
    uvicorn.run(
        Starlette(routes=[Route("/hooks/{account}", accept, methods=["POST"])]),
        host="127.0.0.1",
        port=int(sys.argv[1]),
        http="httptools",
        loop="uvloop",
        log_config=None,
        access_log=False,
    )
