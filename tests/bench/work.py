"""The work that is measured: a Plannr account that pushes whole tasks, one rule, one webhook."""

import hashlib
import hmac
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import orjson

from tests.bench.wire import request

SECRET = "secret-of-the-bench"


def account(
    name: str,
    base_url: str,
    poll: str = "60s",
    full_scan: str = "1h",
    zone: str = "Europe/London",
) -> str:
    """An account whose webhooks are signed, and whose system may be called as often as it likes."""
    return f"""
  {name}:
    system: plannr
    base_url: "{base_url}"
    token: none
    account_uuid: 00000000-0000-0000-0000-000000000001
    timezone: {zone}
    poll: {poll}
    full_scan: {full_scan}
    per_minute: 1000000
    webhook: {{ verify: plannr, secret: {SECRET} }}"""


def configuration(receiver: int, *accounts: str) -> str:
    """These accounts (default: `london`, of which nothing is to be polled), and one rule."""
    listed = accounts or (account("london", f"http://127.0.0.1:{receiver}"),)
    return f"""
version: 1
network: {{ allow: ["127.0.0.0/8"] }}
accounts:{"".join(listed)}
channels:
  receiver:
    {{ kind: webhook, url: "http://127.0.0.1:{receiver}/in",
       secret: whsec_c2VjcmV0IG9mIHRoZSBiZW5jaA== }}
rules:
- id: tell
  when: task.created
  if: task.type == "case"
  then: [{{ notify: receiver, text: "{{{{ task.title }}}} is for {{{{ task.assignee.name }}}}" }}]
"""


def task(number: int, title: str) -> dict[str, Any]:
    """One task in Plannr's own JSON, about as large as the vendor's sample."""
    now = datetime.now(UTC).isoformat()
    person = {"uuid": str(UUID(int=7)), "name": "Bo Miller", "email": "bo@example.test"}
    return {
        "name": title,
        "uuid": str(UUID(int=number)),
        "author": person,
        "due_at": "2031-01-01 09:00:00",
        "status": {
            "name": "Incomplete",
            "uuid": str(UUID(int=1)),
            "is_archived": False,
            "is_not_started": False,
            "is_type_completed": False,
        },
        "position": 1,
        "priority": "high",
        "taskable": {"uuid": str(UUID(int=9)), "name": "Pension transfer"},
        "created_at": now,
        "updated_at": now,
        "assigned_to": person,
        "completed_at": None,
        "custom_fields": [{"name": "Drink", "reference": "drink", "value": "Tea"}],
        "taskable_type": "case",
    }


def webhook(number: int, title: str, account: str = "london") -> bytes:
    """A signed request that says that this task was made."""
    return signed(task(number, title), account)


def signed(content: Any, account: str) -> bytes:
    """A webhook's request with this content."""
    body = orjson.dumps(content)
    signature = hmac.new(SECRET.encode(), body, hashlib.sha256).hexdigest()
    return request(f"/hooks/{account}", body, X_Signature=signature)
