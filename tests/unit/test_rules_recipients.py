"""Which messages reach the customer of a task, and that those who opted out get none of them."""

from dataclasses import replace

import pytest

from service.domain.model import Customer, Task
from service.rules.recipients import OPTED_OUT, customer_refusal, is_address, reaches_customer

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
KEPT_AS = [
    ("Ida <ida@x.test>", "email", "ida@x.test"),
    ("<ida@x.test>", "email", "<ida@x.test>"),
    ("ida@x.test; al@x.test", "email", "al@x.test"),
    ("mailto:ida@x.test", "email", "Ida (ida@x.test)"),
    ("ida@x.test", "slack", "@ida@x.test"),
    ("'ida@x.test'", "email", "ida@x.test"),
    ("ida@bücher.test", "email", "ida@xn--bcher-kva.test"),
    ("ida@x.test\u200b", "email", "ida@x.test"),
    ("tel:+14155550100", "sms", "tel:+14155550100"),
    ("555-010-0123 (mobile)", "sms", "555-010-0123 (mobile)"),
    ("415-555-0100", "sms", "whatsapp:+14155550100"),
    ("020 7946 0958", "sms", "+44 20 7946 0958"),
    ("0044 20 7946 0958", "sms", "+442079460958"),
    ("030/1234567", "sms", "+49 30 1234567"),
    ("415-555-0199 / 415-555-0100", "sms", "4155550100"),
    ("41\u2011555\u20110100", "sms", "415550100"),
    ("12345", "sms", "12345"),
]
NOT_HERS = [
    ("employee", ""),
    ("slack", "#office"),
    ("email", "jumbo.ida.smith@customer.test"),
    ("sms", "+1 415 555 0101"),
    ("slack", "C4155550100"),
    ("accounting", ""),
    ("create_task", ""),
]


@pytest.mark.parametrize(("channel", "target"), HERS)
def test_whatever_reaches_a_customer_who_opted_out_is_refused(channel: str, target: str) -> None:
    """By their system, by mail or by text, however their address is written."""
    assert reaches_customer(VISIT, channel, target)
    assert customer_refusal(OPTED, channel, target) == OPTED_OUT
    assert customer_refusal(VISIT, channel, target) is None


@pytest.mark.parametrize(("channel", "target"), NOT_HERS)
def test_the_office_is_still_told_about_them(channel: str, target: str) -> None:
    """Colleagues, other people, and what is written back to the system are none of it."""
    assert not reaches_customer(VISIT, channel, target)
    assert customer_refusal(OPTED, channel, target) is None


def test_a_customer_of_whom_nothing_is_known_has_no_address() -> None:
    """An empty target is nobody's, though the customer has no address either."""
    stranger = replace(VISIT, customer=Customer("8", opted_out=True))
    assert customer_refusal(stranger, "email", "") is None
    assert customer_refusal(replace(VISIT, customer=None), "customer", "details") is None


@pytest.mark.parametrize(("kept", "channel", "target"), KEPT_AS)
def test_an_address_is_hers_however_her_system_keeps_it(
    kept: str, channel: str, target: str
) -> None:
    """With a name, a scheme, a remark, a second one, or without its country."""
    hers = Customer("7", "Ida", phone=kept, opted_out=True)
    if "@" in kept:
        hers = Customer("7", "Ida", email=kept, opted_out=True)
    assert is_address(target) or channel == "sms"
    assert customer_refusal(replace(VISIT, customer=hers), channel, target) == OPTED_OUT


def test_everybody_a_task_is_for_may_opt_out() -> None:
    """A second contact who has is not told; nor a customer at an address of their own."""
    own, other = Customer("7", email="own@x.test"), Customer("8", email="al@x.test", opted_out=True)
    of_two = replace(VISIT, contacts=(IDA, other))
    assert customer_refusal(of_two, "email", "al@x.test") == OPTED_OUT
    assert customer_refusal(of_two, "email", IDA.email or "") is None
    assert customer_refusal(of_two, "customer", "details") is None
    assert customer_refusal(replace(OPTED, contacts=(own,)), "email", "own@x.test") == OPTED_OUT
    assert reaches_customer(of_two, "email", "al@x.test")
