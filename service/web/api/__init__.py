"""/api/v1: all records as JSON, and operator actions."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from http import HTTPStatus
from typing import Any

import orjson
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from service.clock import Clock
from service.config import Config
from service.domain.model import Person
from service.domain.operators.overrides import Mode
from service.http.json_body import aside
from service.outbox import silence_names, silences
from service.outbox.silence_names import NothingKnown
from service.rules.overrides import modes, overrides_in
from service.store import Pool, decisions
from service.store.operators import rule_overrides
from service.store.views import api_lists, listing, webhook_log
from service.store.views.listing import Listing
from service.web.actions import (
    DELIVERY_ACTIONS,
    RULE_ACTIONS,
    STORM_ACTIONS,
    WEBHOOK_ACTIONS,
    OperatorActions,
    action_routes,
)
from service.web.api.accounts import Accounts
from service.web.api.answers import NOTHING, answer, by_id, found, page, said
from service.web.api.bulk_body import read_bulk
from service.web.api.contacts import ContactChoices
from service.web.api.openapi import describe
from service.web.api.silence_body import ANYWAY, read_hold, read_silence
from service.web.auth import Endpoint, Guard, actor_of
from service.web.parameters import (
    LARGEST_ID,
    cursor,
    filtered,
    is_text,
    read_parameters,
    read_time,
    wrong,
)
from service.web.presenters.silence_form import names_of
from service.web.presenters.webhook_body import masked_text
from service.web.problems import Problem

LARGEST_PAGE = 2_000_000  # characters of texts; five hundred tasks may have fifteen million

LISTS: Mapping[str, Listing] = {
    "events": api_lists.EVENTS,
    "decisions": api_lists.DECISIONS,
    "deliveries": api_lists.DELIVERIES,
    "receipts": api_lists.RECEIPTS,
    "silences": api_lists.SILENCES,
    "storms": api_lists.STORMS,
    "holds": api_lists.HOLDS,
    "contacts": api_lists.CONTACTS,
    "audit": api_lists.CHANGES,
}


class Api:
    """The API, over the database and the active configuration."""

    def __init__(
        self,
        pool: Pool,
        clock: Clock,
        guard: Guard,
        actions: OperatorActions,
        config: Config,
        root: str = "",
    ) -> None:
        self._root = root
        self._pool = pool
        self._clock = clock
        self._guard = guard
        self._actions = actions
        self._accounts = Accounts(pool, clock, guard, actions, list(config.accounts))
        self._contacts = ContactChoices(pool, clock, guard)
        self._text = config.text
        self._names = names_of(config)

    def routes(self) -> list[Route]:
        protects = self._guard.protects
        return [
            *(Route(f"/api/v1{path}", protects(one)) for path, one in self._reading().items()),
            *action_routes(self._guard.protects, "/api/v1/deliveries", self._act, DELIVERY_ACTIONS),
            *action_routes(
                self._guard.protects, "/api/v1/receipts", self._act_on_webhook, WEBHOOK_ACTIONS
            ),
            *action_routes(self._guard.protects, "/api/v1/storms", self._end_storm, STORM_ACTIONS),
            *self._accounts.routes(),
            Route("/api/v1/acknowledgements", protects(self._acknowledge), methods=["POST"]),
            Route("/api/v1/assignments", protects(self._assign), methods=["POST"]),
            Route("/api/v1/completions", protects(self._complete), methods=["POST"]),
            Route(
                "/api/v1/deliveries/{id:number}/snooze", protects(self._snooze), methods=["POST"]
            ),
            *self._contacts.routes(),
            Route("/api/v1/deliveries/bulk", protects(self._act_on_all), methods=["POST"]),
            Route("/api/v1/silences", protects(self._add_silence), methods=["POST"]),
            Route("/api/v1/holds", protects(self._hold), methods=["POST"]),
            Route("/api/v1/holds/{id:number}/release", protects(self._release), methods=["POST"]),
            Route(
                "/api/v1/silences/{id:number}/expire", protects(self._end_silence), methods=["POST"]
            ),
            *(
                Route(
                    f"/api/v1/rules/{{id}}/{action}",
                    protects(partial(self._switch_rule, mode)),
                    methods=["POST"],
                )
                for action, mode in RULE_ACTIONS.items()
            ),
        ]

    def _reading(self) -> dict[str, Endpoint]:
        """The endpoints for reading, by path."""
        reading: dict[str, Endpoint] = {
            "/tasks": partial(self._list, api_lists.TASKS),
            "/tasks/{id:path}": self._task,
        }
        for name, one in LISTS.items():
            reading[f"/{name}"] = partial(self._list, one)
            reading[f"/{name}/{{id:number}}"] = partial(self._one, one)
        return reading | {
            "/rules": self._all_rules,
            "/rules/{id}": self._one_rule,
            "/receipts/{id:number}": self._receipt,
            "/deliveries/{id:number}/attempts": self._attempts,
            "/openapi.json": self._openapi,
        }

    async def _list(self, one: Listing, request: Request) -> Response:
        asked = read_parameters(request.query_params, one)
        rows = await listing.read_page(
            self._pool, one, asked.values, asked.limit, asked.after, LARGEST_PAGE
        )
        return page(rows.rows, cursor(rows.next))

    async def _one(self, one: Listing, request: Request) -> Response:
        number = request.path_params["id"]
        row = await listing.read_one(self._pool, one, number) if number <= LARGEST_ID else None
        return answer(found(row))

    async def _attempts(self, request: Request) -> Response:
        """The attempts of one delivery, also none."""
        attempts, number = api_lists.ATTEMPTS, request.path_params["id"]
        asked = read_parameters(request.query_params, replace(attempts, filters={}))
        await self._one(api_lists.DELIVERIES, request)
        rows = await listing.read_page(
            self._pool, attempts, {"delivery": number}, asked.limit, asked.after, LARGEST_PAGE
        )
        return page(rows.rows, cursor(rows.next))

    async def _receipt(self, request: Request) -> Response:
        """A webhook with its headers and the text of its body, without secrets."""
        number = request.path_params["id"]
        row = found(
            await webhook_log.as_listed(self._pool, number) if number <= LARGEST_ID else None
        )
        body = await aside(row["size"], masked_text, row["body"])
        return answer({**row, "body": body})

    async def _task(self, request: Request) -> Response:
        account = request.query_params.get("account")
        return answer(await self._named(request.path_params["id"], account))

    async def _acknowledge(self, request: Request) -> Response:
        """Somebody takes care of a task; it is returned as it was until then."""
        given, by = await said(request), actor_of(request)
        task = await self._task_in(given)
        await self._actions.tasks.acknowledge(
            (task["account"], task["id"]), Person(name=by.name), by
        )
        return answer(task)

    async def _assign(self, request: Request) -> Response:
        """A task is assigned to somebody; it is returned as it was until then."""
        given, by = await said(request), actor_of(request)
        task, assignee = await self._task_in(given), given.get("assignee")
        if not isinstance(assignee, str) or not is_text(assignee):
            raise wrong("assignee", "the id, the mail address or the name of a person")
        await self._actions.tasks.assign((task["account"], task["id"]), assignee, by)
        return answer(task)

    async def _complete(self, request: Request) -> Response:
        """A task is completed in its system; it is returned as it was until then."""
        task = await self._task_in(await said(request))
        await self._actions.tasks.complete((task["account"], task["id"]), actor_of(request))
        return answer(task)

    async def _snooze(self, request: Request) -> Response:
        """A message is sent again later; the one that comes then is returned."""
        until, number = read_time(await said(request), "until"), request.path_params["id"]
        again = await self._actions.tasks.snooze(number, until, actor_of(request))
        return answer(found(await listing.read_one(self._pool, api_lists.DELIVERIES, again)))

    async def _task_in(self, given: Mapping[str, Any]) -> Mapping[str, Any]:
        """The task that a body is about."""
        named, account = given.get("task"), given.get("account")
        if not isinstance(named, str) or not is_text(named):
            raise wrong("task", "the id of a task")
        if account is not None and (not isinstance(account, str) or not is_text(account)):
            raise wrong("account", "the name of an account")
        return await self._named(named, account)

    async def _named(self, task: str, account: str | None) -> Mapping[str, Any]:
        """A task's id is unique in its account only; if it is ambiguous, `account` is required."""
        if not task.isprintable() or not (account or "").isprintable():
            raise Problem(HTTPStatus.NOT_FOUND, NOTHING)
        rows = await api_lists.read_task(self._pool, task, account)
        if len(rows) > 1:
            names = ", ".join(sorted(row["account"] for row in rows))
            raise wrong("account", f"one of {names}, which all have a task {task}")
        return found(rows[0] if rows else None)

    async def _all_rules(self, request: Request) -> Response:
        rules = await self._rules(request)
        return page(filtered(request.query_params, rules, {"rule": "id"}, "version"), None)

    async def _one_rule(self, request: Request) -> Response:
        return answer(found(by_id(await self._rules(request), request.path_params["id"])))

    async def _rules(self, request: Request) -> Sequence[Mapping[str, Any]]:
        """The rules as they were written, each with its mode and the override that it comes from.

        They are those of now, or of another `version` that made decisions.
        """
        version = request.query_params.get("version")
        if version is None:
            text, overrides = self._text, await rule_overrides.read(self._pool)
        else:
            text = await self._kept(version)
            overrides = overrides_in(text)
        mode_of = modes(text, overrides)
        return [
            one | {"mode": mode_of[one["id"]].mode, "override": mode_of[one["id"]].override}
            for one in orjson.loads(text).get("rules", [])
        ]

    async def _kept(self, version: str) -> str:
        text = await decisions.rules_text(self._pool, version) if version.isprintable() else None
        if text is None:
            raise Problem(HTTPStatus.NOT_FOUND, "No rules were ever loaded under this version")
        return text

    async def _openapi(self, request: Request) -> Response:
        del request
        return answer(describe(has_token=self._guard.has_login, root=self._root))

    async def _act(self, action: str, request: Request) -> Response:
        """Carry out an action and return the delivery."""
        body = await said(request)
        await self._actions.act(action, request.path_params["id"], body, actor_of(request))
        return await self._one(api_lists.DELIVERIES, request)

    async def _act_on_all(self, request: Request) -> Response:
        """Count the deliveries of a search; with their `count`, act on all of them."""
        asked = read_bulk(await said(request))
        if asked.count is not None:
            by = actor_of(request)
            await self._actions.act_on_all(asked.action, asked.search, asked.count, by)
            return answer({"count": asked.count, "customers": None, "done": True})
        matching = await self._actions.matching(asked.action, asked.search)
        counts = {"count": len(matching.numbers), "customers": len(matching.customers)}
        return answer({**counts, "done": False})

    async def _switch_rule(self, mode: str, request: Request) -> Response:
        """Switch a rule and return it; one that is not configured any more has only an id."""
        rule = request.path_params["id"]
        body = await said(request) | {"mode": mode}
        await self._actions.switch_rule(rule, self._text, body, actor_of(request))
        gone = {"id": rule, "mode": Mode.OFF, "override": None}
        return answer(by_id(await self._rules(request), rule) or gone)

    async def _act_on_webhook(self, action: str, request: Request) -> Response:
        by = actor_of(request)
        await self._actions.act_on_webhook(action, request.path_params["id"], by)
        return await self._one(api_lists.RECEIPTS, request)

    async def _end_storm(self, action: str, request: Request) -> Response:
        await self._actions.end_storm(action, request.path_params["id"], actor_of(request))
        return await self._one(api_lists.STORMS, request)

    async def _add_silence(self, request: Request) -> Response:
        """Store a silence that begins now, and return it."""
        silence, anyway = read_silence(await said(request), self._clock.now())
        try:
            if not anyway:
                await silence_names.demand_known(self._pool, silence, self._names, ANYWAY)
        except NothingKnown as error:
            raise Problem(HTTPStatus.CONFLICT, str(error)) from error
        number = await silences.add(self._pool, silence, actor_of(request))
        row = await listing.read_one(self._pool, api_lists.SILENCES, number)
        return answer(found(row), HTTPStatus.CREATED)

    async def _end_silence(self, request: Request) -> Response:
        await self._actions.end_silence(request.path_params["id"], actor_of(request))
        return await self._one(api_lists.SILENCES, request)

    async def _hold(self, request: Request) -> Response:
        """Hold all customer messages from now on, and return the hold."""
        until, reason = read_hold(await said(request), self._clock.now())
        number = await self._actions.hold(until, reason, actor_of(request))
        row = await listing.read_one(self._pool, api_lists.HOLDS, number)
        return answer(found(row), HTTPStatus.CREATED)

    async def _release(self, request: Request) -> Response:
        await self._actions.release_hold(request.path_params["id"], actor_of(request))
        return await self._one(api_lists.HOLDS, request)
