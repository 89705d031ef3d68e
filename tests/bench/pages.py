"""`python -m tests.bench.pages PORT TASKS PER_PAGE`: a Plannr list that never changes, as bytes."""

import sys

import orjson
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from tests.bench import work


def render(tasks: int, per_page: int) -> list[bytes]:
    """The pages of the list, the same in every process."""
    last = tasks // per_page
    return [
        orjson.dumps(
            {
                "data": [
                    {**work.task(number, f"Task {number}"), **_UNCHANGING}
                    for number in range(page * per_page, (page + 1) * per_page)
                ],
                "meta": {"current_page": page + 1, "last_page": last, "total": tasks},
            }
        )
        for page in range(last)
    ]


_UNCHANGING = {
    "created_at": "2026-01-05T10:00:00+00:00",
    "updated_at": "2026-01-05T10:00:00+00:00",
}


def main() -> None:
    port, tasks, per_page = map(int, sys.argv[1:])
    pages = render(tasks, per_page)

    async def answer(request: Request) -> Response:
        page = pages[int(request.query_params["page"]) - 1]
        return Response(page, media_type="application/json")

    app = Starlette(routes=[Route("/api/v1/task", answer)])
    uvicorn.run(app, host="127.0.0.1", port=port, log_config=None, access_log=False)


if __name__ == "__main__":
    main()
