"""A workspace of Slack, as far as Taskbell talks to it, over a real socket."""

from collections.abc import Callable
from functools import partial
from itertools import count
from typing import Any

from tests.harness.receivers import Answer, Fault, HttpReceiver, Request
from tests.harness.slack_schema import problems


class SlackReceiver(HttpReceiver):
    """A workspace with the channels of `names`, one user of each mail, and what was posted."""

    def __init__(self, *names: str) -> None:
        super().__init__()
        self.channels = {name: f"C{number}" for number, name in enumerate(names)}
        self.posted: dict[tuple[str, str], dict[str, Any]] = {}
        self._ts = count(1)
        self._losing = 0
        self.emails: dict[str, str] = {}
        self.told: list[dict[str, Any]] = []
        self.strangers: set[str] = set()

    def lose_answers(self, times: int) -> None:
        """Post the next messages, and break off before saying so."""
        self._losing = times

    def answer(self, request: Request) -> Answer:
        methods: dict[str, Callable[[Request], dict[str, Any]]] = {
            "/api/auth.test": lambda _: {"user": "taskbell"},
            "/api/apps.connections.open": self._open_connection,
            "/api/chat.postMessage": self._post,
            "/api/chat.update": self._update,
            "/api/chat.delete": self._delete,
            "/api/users.lookupByEmail": self._user,
            "/api/users.info": self._info,
            "/actions/1": self._tell,
            "/api/conversations.open": lambda one: {"channel": {"id": f"D-{one.json['users']}"}},
            "/api/conversations.list": partial(self._page, self._listing),
            "/api/conversations.history": partial(self._page, self._history),
            "/api/conversations.replies": partial(self._page, self._replies),
        }
        answer = {"ok": True, **methods[request.path](request)}
        self._losing -= 1
        return Answer(body=answer, fault=Fault.RESET_AFTER if self._losing >= 0 else None)

    def take(self, content: dict[str, Any]) -> dict[str, Any]:
        """Post a message as chat.postMessage does, without a request."""
        wanted = content["channel"]
        known = {*self.channels.values(), f"D-{wanted}"}
        channel = f"D-{wanted}" if wanted.startswith("U") else wanted
        channel = channel if channel in known else self.channels[wanted.strip("#")]
        ts = f"{next(self._ts)}.000100"
        self.posted[channel, ts] = content
        return {"channel": channel, "ts": ts}

    def _open_connection(self, request: Request) -> dict[str, Any]:
        """Only an app-level token opens a connection."""
        if not request.headers["authorization"].startswith("Bearer xapp-"):
            return {"ok": False, "error": "not_allowed_token_type"}
        return {"url": "wss://slack.test/socket"}

    def _post(self, request: Request) -> dict[str, Any]:
        if wrong := problems(request.json):
            return {"ok": False, "error": "invalid_blocks", "errors": wrong}
        if request.json["channel"].removeprefix("U-") in self.strangers:
            return {"ok": False, "error": "channel_not_found"}
        return self.take(request.json)

    def _user(self, request: Request) -> dict[str, Any]:
        email = request.query["email"]
        if email in self.strangers:
            return {"ok": False, "error": "users_not_found"}
        return {"user": {"id": f"U-{email}"}}

    def _info(self, request: Request) -> dict[str, Any]:
        email = self.emails.get(request.query["user"])
        if email is None:
            return {"ok": False, "error": "user_not_found"}
        return {"user": {"id": request.query["user"], "profile": {"email": email}}}

    def _tell(self, request: Request) -> dict[str, Any]:
        """What only the person is told who has pressed a button."""
        self.told.append(request.json)
        return {}

    def _update(self, request: Request) -> dict[str, Any]:
        if wrong := problems(request.json):
            return {"ok": False, "error": "invalid_blocks", "errors": wrong}
        place = {"channel": request.json["channel"], "ts": request.json["ts"]}
        self.posted[place["channel"], place["ts"]] |= request.json
        return place

    def _delete(self, request: Request) -> dict[str, Any]:
        place = (request.json["channel"], request.json["ts"])
        if self.posted.pop(place, None) is None:
            return {"ok": False, "error": "message_not_found"}
        return {"channel": place[0], "ts": place[1]}

    def _listing(self, request: Request) -> dict[str, list[dict[str, Any]]]:
        del request
        return {"channels": [{"id": key, "name": name} for name, key in self.channels.items()]}

    def _history(self, request: Request) -> dict[str, list[dict[str, Any]]]:
        told = [one for one in self._in_channel(request) if "thread_ts" not in one]
        return {"messages": told[::-1]}

    def _replies(self, request: Request) -> dict[str, list[dict[str, Any]]]:
        ts, posts = request.query["ts"], self._in_channel(request)
        return {"messages": [one for one in posts if ts in {one["ts"], one.get("thread_ts")}]}

    def _in_channel(self, request: Request) -> list[dict[str, Any]]:
        channel = request.query["channel"]
        return [{**text, "ts": ts} for (place, ts), text in self.posted.items() if place == channel]

    def _page(
        self, items_of: Callable[[Request], dict[str, list[dict[str, Any]]]], request: Request
    ) -> dict[str, Any]:
        """Two at a time, so that whoever reads only the first page is found out."""
        ((name, items),) = items_of(request).items()
        begin = int(request.query.get("cursor") or 0)
        after = str(begin + 2) if begin + 2 < len(items) else ""
        return {name: items[begin : begin + 2], "response_metadata": {"next_cursor": after}}
