"""Silences and hours: what is hidden or held for a while, the form for that, and the week."""

from collections.abc import Callable, Coroutine, Mapping, Sequence
from datetime import datetime, timedelta
from http import HTTPStatus
from typing import Any

import orjson
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from service.config.root_shape import HolidaysShape
from service.domain.operators.silences import described
from service.outbox import holds, silence_names, silences
from service.outbox.silence_names import UnknownName
from service.rules.compiler.hours import compile_hours
from service.store.views import dashboard, seen_names
from service.web.auth import Endpoint, actor_of
from service.web.pages import read_form
from service.web.presenters import week
from service.web.presenters.silence_form import (
    LENGTHS,
    SilenceForm,
    blank_form,
    names_of,
    read_form_of_silence,
)
from service.web.screens import Screen

_LATELY = timedelta(days=30)
_MOST, _MANY = 100, 1_000


class Silences(Screen):
    """The list, the form, and the preview before anything is saved."""

    path, words, place = "/silences", "Silences", 6

    def routes(self) -> list[Route]:
        return [
            Route(self.path, self.office.shown(self.show), methods=["GET"]),
            Route(self.path, self._protected(self.save), methods=["POST"]),
            Route(f"{self.path}/preview", self._protected(self.preview), methods=["POST"]),
        ]

    async def show(self, request: Request) -> Response:
        config, query = self.office.config, request.query_params
        form = blank_form(query, config.timezone, config.zones)
        return await self._page(request, form, query)

    async def preview(self, request: Request) -> Response:
        """What the silence would hide. Nothing is saved."""
        form, unknown = await self._checked(request)
        if form.silence is None:
            return await self._page(request, form, {})
        pool = self.office.pool
        found = await silences.preview(pool, form.silence, self.office.clock.now())
        return self.office.render(
            "silence_preview.html",
            path=self.path,
            here=self.path,
            actor=actor_of(request),
            form=form,
            silence=form.silence,
            covers=described(form.fields),
            found=found,
            unknown=unknown,
            messages=await dashboard.numbered(pool, list(found.first)),
            **await self._names(),
        )

    async def save(self, request: Request) -> Response:
        """Save the silence, which is checked again."""
        form, _ = await self._checked(request)
        if form.silence is None:
            return await self._page(request, form, {})
        now = self.office.clock.now()
        await silences.add(self.office.pool, form.silence, actor_of(request), now)
        return self.office.pages.redirect(self.path)

    def _protected(self, endpoint: Callable[[Request], Coroutine[Any, Any, Response]]) -> Endpoint:
        """The endpoint for logged-in users; another browser is redirected to the login."""

        async def answered(request: Request) -> Response:
            return await self.office.unless_away(endpoint(request))

        return self.office.pages.for_people(self.office.guard.protects(answered))

    async def _checked(self, request: Request) -> tuple[SilenceForm, Sequence[UnknownName]]:
        """The form, and names of its silence that no task has had so far."""
        config, now = self.office.config, self.office.clock.now()
        said = await read_form(request)
        form = read_form_of_silence(said, config.timezone, config.zones, now)
        if form.silence is None:
            return form, ()
        unknown = await silence_names.unknown(self.office.pool, form.silence, names_of(config))
        return form.refused(unknown), unknown

    async def _page(
        self, request: Request, form: SilenceForm, query: Mapping[str, str]
    ) -> Response:
        now, zone = self.office.clock.now(), self.office.config.timezone
        shown = week.read_week(query.get("week", ""), zone, now)
        most = _MANY if "all" in query else _MOST
        found = await silences.listed(self.office.pool, min(now - _LATELY, shown.begins), most)
        on_hold = await holds.read(self.office.pool, now)
        status = HTTPStatus.BAD_REQUEST if form.faults else HTTPStatus.OK
        return self.office.render(
            "silences.html",
            status,
            path=self.path,
            here=self.path,
            actor=actor_of(request),
            too_late="too_late" in query,
            form=form,
            holds=on_hold,
            week=shown,
            most=most,
            many=_MANY,
            is_all=len(found) < most,
            rows=self._rows(shown, found, on_hold),
            **_by_time(found, now),
            **await self._names(),
        )

    def _rows(
        self, shown: week.Week, found: list[dict[str, Any]], on_hold: list[dict[str, Any]]
    ) -> list[week.Row]:
        """The lines of the week."""
        raw = orjson.loads(self.office.config.text)
        off = HolidaysShape.model_validate(raw.get("holidays") or {})
        hours, _ = compile_hours(raw.get("hours", {}), off.country, off.closed, off.subdivision)
        holidays = week.holiday_row(shown, off.country, off.subdivision)
        held = [{**one, "name": "All customer messages"} for one in on_hold]
        hidden = [{**one, "name": described(one)} for one in reversed(found)]
        return [
            *week.hours_rows(shown, hours.values()),
            *([] if holidays is None else [holidays]),
            *week.span_rows(shown, "hold", held),
            *week.span_rows(shown, "silence", hidden),
        ]

    async def _names(self) -> dict[str, Any]:
        """What the form offers: names of the configuration, and those that were seen lately."""
        pool, names = self.office.pool, names_of(self.office.config)
        people = {*names["person"], *await seen_names.receivers(pool)}
        offered = {
            **names,
            "person": sorted(people),
            "customer": await seen_names.customers(pool),
            "project": await seen_names.projects(pool),
        }
        return {"offered": offered, "lengths": LENGTHS}


def _by_time(found: list[dict[str, Any]], now: datetime) -> dict[str, Any]:
    """The silences that are on, that have not begun, and that have ended lately."""
    left = [one for one in reversed(found) if one["ends_at"] > now]
    return {
        "active": [one for one in left if one["created_at"] <= now],
        "coming": [one for one in left if one["created_at"] > now],
        "ended": [one for one in found if now - _LATELY < one["ends_at"] <= now],
    }
