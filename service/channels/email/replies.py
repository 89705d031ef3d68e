"""What a mail server says of a mail and its recipients, and what follows from it."""

from collections.abc import Sequence
from datetime import timedelta
from email.headerregistry import Address
from typing import NamedTuple

from aiosmtplib import SMTP, SMTPRecipientRefused, SMTPResponseException, SMTPSenderRefused

from service.channels import SentRef
from service.errors import SendError

CLOSING, FINAL, TOO_LARGE = 421, 500, 552
# Greylisting: the server wants to see whether the sender comes again, mostly after five minutes.
GREYLISTED = frozenset({450, 451})
GREYLIST_PAUSE = timedelta(minutes=10)
_SETTLED = "settled"


class Recipients(NamedTuple):
    """What has become of the recipients of a mail.

    - `settled`: by their addresses: empty for those who have the mail, or get it now; else what the
      server said of them
    - `is_wanted`: whether the server now takes the mail for somebody
    - `later`: what it said of somebody whom it takes only later; None if there is nobody
    """

    settled: dict[str, str]
    is_wanted: bool
    later: SMTPRecipientRefused | None

    @property
    def refused(self) -> list[str]:
        return [said for said in self.settled.values() if said]


async def name_recipients(
    smtp: SMTP, receivers: Sequence[Address], encoding: str, progress: SentRef | None
) -> Recipients:
    """Name those of whom no earlier attempt has settled anything, by its `progress`.

    Raises what the server said if nobody has the mail, or gets it now.
    """
    settled: dict[str, str] = dict((progress or {}).get(_SETTLED, {}))
    refused: dict[str, SMTPRecipientRefused] = {}
    left = [one.addr_spec for one in receivers if one.addr_spec not in settled]
    for address in left:
        error = await _refusal_of(smtp, address, encoding)
        if error is None:
            settled[address] = ""
        else:
            refused[address] = error
            if error.code >= FINAL:
                settled[address] = f"not sent to {address}: {error.code} {line(error.message)}"
    later = next((one for one in refused.values() if one.code < FINAL), None)
    if "" not in settled.values():
        raise later or next(iter(refused.values()))
    return Recipients(settled, len(refused) < len(left), later)


async def _refusal_of(smtp: SMTP, address: str, encoding: str) -> SMTPRecipientRefused | None:
    """What the server says if it does not take this recipient."""
    try:
        await smtp.rcpt(address, encoding=encoding)
    except SMTPRecipientRefused as error:
        if error.code == CLOSING:
            raise  # with the connection, the mail to the others is gone, too
        return error
    return None


def not_all(
    said: Recipients, later: SMTPRecipientRefused, host: str, receivers: Sequence[Address]
) -> SendError:
    """What is raised if some recipients have the mail, and others are to be tried again."""
    has = list(said.settled.values()).count("")
    return SendError(
        f"{host} refused mail to {later.recipient}: {later.code} {line(later.message)}"
        f" ({has} of {len(receivers)} recipients have the mail, and will not receive it again)",
        retry_after=GREYLIST_PAUSE if later.code in GREYLISTED else None,
        progress={_SETTLED: said.settled},
        status=later.code,
    )


def refusal(error: SMTPResponseException, host: str, what: str) -> SendError:
    """What a server's refusal means."""
    said = f"{host} refused {what}: {error.code} {line(error.message)}"
    if error.code in GREYLISTED:
        return SendError(said, retry_after=GREYLIST_PAUSE, not_now=True, status=error.code)
    if error.code == TOO_LARGE:
        said += " (the mail is too large, or the mailbox is full)"
    elif isinstance(error, SMTPSenderRefused) and error.code >= FINAL:
        said += "; from: must be an address with which this login may send"
    return SendError(said, permanent=error.code >= FINAL, status=error.code)


def line(answer: str) -> str:
    """A server's reply, in a form that can be stored and shown."""
    words = " ".join(answer.split())[:200]
    return "".join(letter if letter.isprintable() else "\ufffd" for letter in words)
