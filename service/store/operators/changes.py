"""The history of what people do: who did what, when and from where."""

from datetime import datetime, timedelta
from enum import StrEnum

from service.domain.actors import Actor
from service.store import Connection, Pool

# Of guesses from one address, at one name, one in this time is kept.
_BETWEEN_GUESSES = timedelta(hours=1)


class Action(StrEnum):
    """What somebody did. The subject is a number, or the name of a rule, account, user or file.

    That of an action on several messages is how many they are.
    """

    MESSAGE_RETRIED = "message.retried"
    MESSAGE_HURRIED = "message.hurried"
    MESSAGE_CANCELLED = "message.cancelled"
    MESSAGE_DISMISSED = "message.dismissed"
    MESSAGE_RESOLVED = "message.resolved"
    MESSAGE_APPROVED = "message.approved"
    MESSAGE_DECLINED = "message.declined"
    MESSAGE_ANSWERED = "message.answered"
    MESSAGES_RETRIED = "messages.retried"
    MESSAGES_DISMISSED = "messages.dismissed"
    STORM_RELEASED = "storm.released"
    STORM_DROPPED = "storm.dropped"
    HOLD_BEGUN = "hold.begun"
    HOLD_RELEASED = "hold.released"
    SILENCE_ADDED = "silence.added"
    SILENCE_ENDED = "silence.ended"
    CONTACT_REFUSED = "contact.refused"
    CONTACT_ADMITTED = "contact.admitted"
    ACCOUNT_PAUSED = "account.paused"
    ACCOUNT_RESUMED = "account.resumed"
    ACCOUNT_SYNCED = "account.synced"
    WEBHOOK_RETRIED = "webhook.retried"
    WEBHOOK_IGNORED = "webhook.ignored"
    CHANNEL_TESTED = "channel.tested"
    RULE_SWITCHED = "rule.switched"
    RULE_TRIED = "rule.tried"
    TASK_ACKNOWLEDGED = "task.acknowledged"
    TASK_ASSIGNED = "task.assigned"
    TASK_COMPLETED = "task.completed"
    FILE_SAVED = "file.saved"
    SIGNED_IN = "signed.in"
    SIGNED_OUT = "signed.out"
    SIGN_IN_FAILED = "sign-in.failed"


async def record(
    connection: Connection | Pool,
    by: Actor,
    action: Action,
    subject: str | int,
    now: datetime,
    detail: str = "",
) -> None:
    """Add what somebody does, in the transaction in which it is done; `detail` says how."""
    await connection.execute(
        "INSERT INTO changes (at, by, from_address, action, subject, detail)"
        " VALUES ($1, $2, $3, $4, $5, $6)",
        now,
        by.name,
        by.address,
        action,
        str(subject),
        detail,
    )


async def record_guess(pool: Pool, by: Actor, subject: str, now: datetime) -> None:
    """Add a sign-in that failed, unless the last one like it was a short time ago."""
    await pool.execute(
        """
        INSERT INTO changes (at, by, from_address, action, subject, detail)
        SELECT $1, $2, $3, $4, $5, ''
        WHERE NOT EXISTS (
            SELECT FROM changes
            WHERE by = $2 AND at > $6 AND from_address = $3 AND action = $4 AND subject = $5)
        """,
        now,
        by.name,
        by.address,
        Action.SIGN_IN_FAILED,
        subject,
        now - _BETWEEN_GUESSES,
    )
