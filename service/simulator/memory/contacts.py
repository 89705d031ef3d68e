"""What customers chose and got, in a simulation."""

from collections.abc import Sequence
from datetime import datetime

from service.domain.contacts import Choices, SentCounts
from service.domain.operators.holds import Hold
from service.outbox.gates import Candidate
from service.rules.contacts.policy import ContactsPolicy


class MemoryContacts:
    """The choices of customers, the messages that reached them, and holds of such messages.

    Without choices from the database, everybody counts as having agreed to get messages.
    """

    def __init__(self) -> None:
        self.choices = Choices(are_all_asked=True)
        self.sent = SentCounts()
        self.holds: Sequence[Hold] = ()

    def note_sent(self, one: Candidate, policy: ContactsPolicy, now: datetime) -> None:
        """Count a message; the ids of a simulation are not those of the database."""
        for customer in policy.counted(one.receivers, one.key[0]) if one.reaches_customer else ():
            self.sent.add(-one.id, customer, now)
