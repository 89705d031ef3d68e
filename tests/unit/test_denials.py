"""Answers of 200 that say no, in the words of as many systems as there are."""

from typing import Any

import pytest

from service.http.denials import is_denied

SAYS_NO: list[Any] = [
    {"success": False, "error": "Customer has no mobile phone number"},
    {"Success": "False"},
    {"ok": 0},
    {"isSuccess": False},
    {"is_success": False},
    {"sent": False},
    {"sent": 0},
    {"sent": []},
    {"success": True, "sent": False},
    {"notified": False},
    {"accepted": [], "rejected": ["+14155550100"]},
    {"delivered": False},
    {"errors": {"base": ["no phone"]}},
    {"Errors": ["no phone"]},
    {"error": {"message": "no"}},
    {"error": True},
    {"error_message": "no phone"},
    {"errorCode": 21211},
    {"exception": "NoPhone"},
    {"hasErrors": True},
    {"error_description": "no phone"},
    {"error_count": 1},
    {"@type": "ConstraintViolationList", "violations": [{"message": "no phone"}]},
    {"status": "not_delivered"},
    {"failed": True},
    {"failures": ["no phone"]},
    {"status": "rejected"},
    {"status": "Not sent"},
    {"status": False},
    {"result": False},
    {"state": "undelivered"},
    {"@type": "hydra:Error", "hydra:description": "no phone"},
    {"title": "Unprocessable", "status": 422, "type": "about:blank"},
    {"code": "422", "message": "no phone"},
    {"statusCode": 400},
    {"notification": {"id": 5, "status": "failed"}},
    {"meta": {"success": False}},
    {"data": {"data": {"success": False}}},
    {"data": [{"error": "no phone"}]},
    {"results": [{"success": False}, {"success": False}]},
    [{"success": False}],
    [False],
    False,
    "error",
    "FAILED",
]
SAYS_YES: list[Any] = [
    None,
    {},
    [],
    "",
    True,
    "OK",
    "Notification sent",
    {"success": True},
    {"has_errors": False, "error_count": 0, "violations": []},
    {"success": "1", "errors": []},
    {"error": None},
    {"error": "none"},
    {"errors": {"base": []}},
    {"errors": [None, ""]},
    {"error_code": 0, "error_message": ""},
    {"status": "success", "error_code": 200},
    {"code": 0, "message": "ok"},
    {"status": 200},
    {"sent": 2, "failed": 1},
    {"sent": "2026-03-06T12:00:00Z"},
    {"sent": None},
    {"success": True, "delivered": False},
    {"delivered": False, "status": "queued"},
    {"results": [{"success": True}, {"success": False}]},
    {"failed": 0, "rejected": []},
    {"id": 404, "code": 404, "name": "Mend the fence"},
    {"id": 5, "title": "Call back", "status": "failed", "result": "rejected"},
    {"task": {"id": 5, "status": "failed"}},
    {"id": 5, "name": "Mend the fence", "accepted": False, "sent": 0},
    {"data": [], "warnings": ["It is Sunday"]},
]


@pytest.mark.parametrize("answer", SAYS_NO, ids=str)
def test_an_answer_that_says_no_is_a_no(answer: Any) -> None:
    """Whatever it calls that, in capitals, in an envelope, in a list or alone."""
    assert is_denied(answer)


@pytest.mark.parametrize("answer", SAYS_YES, ids=str)
def test_an_answer_that_does_not_say_no_is_none(answer: Any) -> None:
    """Empty errors, a message that is on its way, a task that is itself called failed."""
    assert not is_denied(answer)


def test_an_answer_that_nests_without_end_is_read_to_some_depth() -> None:
    """What nobody would write says nothing."""
    nested: Any = {"success": False}
    for _ in range(500):
        nested = {"data": nested}
    assert not is_denied(nested)
