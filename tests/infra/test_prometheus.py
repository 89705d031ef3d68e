"""Alerts, scrape job and dashboard, as Prometheus itself reads them."""

import json
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from service.clock import VirtualClock
from service.metrics import MetricsExporter
from service.store import Pool
from tests.infra.programs import INFRA, ROOT, checked

ALERTS = INFRA / "prometheus" / "alerts.yaml"
TIMELINES = ROOT / "tests" / "promtool" / "alerts.yaml"


def read(path: Path) -> Any:
    return YAML(typ="safe").load(path)


def test_alerts_fire_when_they_should() -> None:
    """What each says and when, timeline by timeline, as Prometheus reckons."""
    checked("promtool", "test", "rules", TIMELINES)


def test_every_alert_is_seen_firing_and_silent() -> None:
    """In the timelines: one that is not there would never be noticed to be broken."""
    alerts = {rule["alert"] for group in read(ALERTS)["groups"] for rule in group["rules"]}
    looks = [one for test in read(TIMELINES)["tests"] for one in test["alert_rule_test"]]
    assert {one["alertname"] for one in looks if one.get("exp_alerts")} == alerts
    assert {one["alertname"] for one in looks if not one.get("exp_alerts")} == alerts


def test_rules_and_scrape_job_are_sound() -> None:
    """Prometheus takes both; the files that they name are on the operator's machine."""
    checked("promtool", "check", "rules", "--lint-fatal", ALERTS)
    checked(
        "promtool", "check", "config", "--syntax-only", INFRA / "prometheus" / "scrape.yaml"
    )


def test_panels_ask_in_promql(tmp_path: Path) -> None:
    """Each question of the dashboard is one that Prometheus understands."""
    board = json.loads((INFRA / "grafana" / "taskbell.json").read_text("utf-8"))
    asked = [target["expr"] for panel in board["panels"] for target in panel["targets"]]
    rules = [
        {"record": f"panel:{number}", "expr": one.replace("$__rate_interval", "1m")}
        for number, one in enumerate(asked)
    ]
    page = tmp_path / "panels.yaml"
    page.write_text(json.dumps({"groups": [{"name": "panels", "rules": rules}]}))
    checked("promtool", "check", "rules", page)


@pytest.mark.parametrize("is_up", [True, False])
async def test_numbers_are_what_prometheus_wants(
    pool: Pool, clock: VirtualClock, *, is_up: bool
) -> None:
    """Names, types and texts of /metrics hold to its conventions, with a database and without."""
    board = MetricsExporter(pool)
    await board.look(clock.now())
    if not is_up:
        await pool.close()
    checked("promtool", "check", "metrics", given=(await board.text(clock.now())).decode())
