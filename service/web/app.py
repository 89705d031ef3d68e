"""The web process's application: its parts and routes."""

import os
from collections.abc import Mapping, Sequence

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.routing import BaseRoute, Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp, Receive, Scope, Send

from service import metrics
from service.channels import ways
from service.clock import Clock
from service.config import Config
from service.diagnostics import Diagnostic
from service.doorbell import Doorbell
from service.metrics import MetricsExporter
from service.settings import Settings
from service.store import Pool
from service.store.receipts import ReceiptKeeper
from service.web.actions import OperatorActions
from service.web.answering import Answering
from service.web.api import Api
from service.web.api.computed import Computed
from service.web.auth import Guard
from service.web.buttons import Buttons
from service.web.connection_buttons import ConnectionButtons
from service.web.health import Health
from service.web.limits.concurrency_limit import ConcurrencyLimit
from service.web.live_updates import ChangeNotifier, LiveUpdates
from service.web.office import Editing, Office
from service.web.pages import Pages
from service.web.presenters.forecast import Forecast
from service.web.presenters.task_explainer import TaskExplainer
from service.web.problems import HANDLERS
from service.web.screens import screens, sections
from service.web.sign_in import SignIn
from service.web.webhooks import WebhookEndpoint


def build(
    *,
    settings: Settings,
    config: Config,
    pool: Pool,
    clock: Clock,
    doorbell: Doorbell,
    keeper: ReceiptKeeper,
    board: MetricsExporter,
    guard: Guard,
    live: LiveUpdates,
    faults: Sequence[Diagnostic] = (),
    environ: Mapping[str, str] = os.environ,
) -> Starlette:
    """Build the application; the caller owns its resources, and closes them later.

    `faults` are the errors that keep a changed configuration from replacing this one. `environ` has
    the values of references for the rule editor.
    """
    actions = OperatorActions(pool, clock, doorbell, _rewritable(config))
    guard = guard.for_users(config.users)
    root, pages = settings.root_path, Pages(settings.root_path)
    office = Office(
        *(pool, clock, guard, actions, config, doorbell, pages, Forecast(pool, clock, config)),
        TaskExplainer(pool, clock, config, settings.taskbell_keep_events),
        faults=tuple(faults),
        sections=sections(),
        inbox=settings.taskbell_inbox,
        editing=Editing(settings.taskbell_config, environ, settings.saves_edits),
    )
    answering = Answering(office, settings)
    metrics.expect(config.accounts, ways(config.kinds))
    routes = [
        # Webhooks come first: they come a thousand times as often as anything else.
        *_webhooks(settings, config, keeper, clock),
        *Health(pool, doorbell, clock, guard, board, keeper, len(faults)).routes(),
        *_api(office, root),
        *answering.routes(),
        *live.routes(guard),
        *_pages(office),
    ]
    app = _application(routes, pages, root, doorbell)
    app.state.slack = config, answering.presses
    return app


def _rewritable(config: Config) -> list[str]:
    """The channels that can change what they have sent."""
    return [name for name, way in ways(config.kinds).items() if "update" in way.undoes]


def _webhooks(
    settings: Settings, config: Config, keeper: ReceiptKeeper, clock: Clock
) -> list[BaseRoute]:
    is_open = settings.taskbell_open_door
    door = WebhookEndpoint(config.accounts, keeper, clock, unverified_from_anywhere=is_open)
    return [
        Route("/hooks/{account}", door, methods=["POST"]),
        Route("/hooks/{account}/", door, methods=["POST"]),
    ]


def _api(office: Office, root: str) -> list[BaseRoute]:
    """What scripts ask for: what is stored, and what is computed from it."""
    pool, clock, guard, config = office.pool, office.clock, office.guard, office.config
    return [
        *Api(pool, clock, guard, office.actions, config, root).routes(),
        *Computed(pool, guard, config, office.forecast, office.explainer, clock).routes(),
    ]


def _application(
    routes: Sequence[BaseRoute], pages: Pages, root: str, doorbell: Doorbell
) -> Starlette:
    """These routes below the path `root`, with limits and answers to errors around them."""
    behind = [Middleware(PathInFront, root)] if root else []
    app = Starlette(
        routes=routes,
        exception_handlers={kind: pages.told(one) for kind, one in HANDLERS.items()},
        middleware=[
            *behind,
            Middleware(ConcurrencyLimit),
            Middleware(ChangeNotifier, doorbell),
        ],
    )
    # A sender that is redirected has not delivered.
    app.router.redirect_slashes = False
    return app


def _pages(office: Office) -> list[BaseRoute]:
    """The pages for people: the screens, their buttons, and signing in.

    Addresses with a variable part come last, so that no rule or task takes the place of a screen.
    """
    shown = [route for screen in screens() for route in screen(office).routes()]
    return [
        *SignIn(office).routes(),
        *Buttons(office).routes(),
        *ConnectionButtons(office).routes(),
        *sorted(shown, key=lambda route: "{" in route.path),
        Mount("/static", StaticFiles(packages=[("service.web", "static")])),
    ]


class PathInFront:
    """Removes the path from requests of proxies that forward it; others have removed it already."""

    def __init__(self, app: ASGIApp, path: str) -> None:
        self._app = app
        self._path = path

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and f"{scope['path']}/".startswith(f"{self._path}/"):
            scope = {**scope, "path": scope["path"].removeprefix(self._path) or "/"}
        await self._app(scope, receive, send)
