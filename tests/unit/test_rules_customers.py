"""Which messages reach the customer of a task, and that those who opted out get none of them."""

from dataclasses import replace

import pytest

from service.model import Customer, Task
from service.rules.customers import OPTED_OUT, reaches_customer, refusal

IDA = Customer("7", "Ida Smith", "Ida.Smith@customer.test", "+1 415 555 0100")
VISIT = Task(id="T1", account="field", system="kickserv", customer=IDA)
OPTED = replace(VISIT, customer=replace(IDA, opted_out=True))

HERS = [
    ("customer", "details"),
    ("email", "ida.smith@customer.test"),
    ("email", "Ida Smith <IDA.SMITH@customer.test>"),
    ("email", "office@field.test; ida.smith@customer.test"),
    ("sms", "+14155550100"),
    ("sms", "1-415-555-0100"),
]
NOT_HERS = [
    ("employee", ""),
    ("slack", "#office"),
    ("email", "jumbo.ida.smith@customer.test"),
    ("sms", "+1 415 555 0101"),
    ("accounting", ""),
    ("create_task", ""),
]


@pytest.mark.parametrize(("channel", "target"), HERS)
def test_whatever_reaches_a_customer_who_opted_out_is_refused(channel: str, target: str) -> None:
    """By their system, by mail or by text, however their address is written."""
    assert reaches_customer(VISIT, channel, target)
    assert refusal(OPTED, channel, target) == OPTED_OUT
    assert refusal(VISIT, channel, target) is None


@pytest.mark.parametrize(("channel", "target"), NOT_HERS)
def test_the_office_is_still_told_about_them(channel: str, target: str) -> None:
    """Colleagues, other people, and what is written back to the system are none of it."""
    assert not reaches_customer(VISIT, channel, target)
    assert refusal(OPTED, channel, target) is None


def test_a_customer_of_whom_nothing_is_known_has_no_address() -> None:
    """An empty target is nobody's, though the customer has no address either."""
    stranger = replace(VISIT, customer=Customer("8", opted_out=True))
    assert refusal(stranger, "email", "") is None
    assert refusal(replace(VISIT, customer=None), "customer", "details") is None
