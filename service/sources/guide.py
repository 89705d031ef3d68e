"""What a person needs to know to connect an account of a system, in plain words."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Guide:
    """The steps of a checklist; each text is one or more whole sentences.

    - `credential`: what the token is, and where it is found as far as that is known
    - `base_url`: the usual address of the system's API; empty if it differs from account to account
    - `company`: the label of the account's first `tenant_options`; empty if there is none
    - `webhook`: how the system is told to report changes
    - `subscribes`: whether `taskbell doctor --subscribe` does that
    """

    credential: str
    base_url: str
    webhook: str
    company: str = ""
    subscribes: bool = False


POLLED = "There is nothing to set up: it sends no webhooks, so Taskbell asks it at regular times."
