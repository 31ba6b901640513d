import pytest

from claudemem.hook import verdict

pytestmark = pytest.mark.once

DAY = 86_400.0


@pytest.mark.parametrize(
    ("status", "is_object", "found"),
    [
        (200, True, verdict.TAKEN),
        (201, True, verdict.TAKEN),
        (200, False, verdict.BARRED),
        (204, False, verdict.BARRED),
        (302, False, verdict.BARRED),
        *[(status, True, verdict.REFUSED) for status in (400, 413, 415, 422)],
        *[(status, False, verdict.BARRED) for status in (400, 415, 422)],
        (413, False, verdict.REFUSED),
        *[(status, True, verdict.BARRED) for status in (401, 402, 403, 404, 405, 409)],
        *[(status, False, verdict.LATER) for status in (408, 425, 429, 500, 502, 503, 504)],
    ],
)
def test_an_answer_says_what_becomes_of_a_payload(status: int, is_object: bool, found: str) -> None:
    assert verdict.of(status, is_object) == found


def test_what_may_be_the_payloads_own_fault_is_given_up_after_a_day() -> None:
    for status in (404, 409, 500):
        assert verdict.of(status, True, DAY - 1) != verdict.REFUSED
        assert verdict.of(status, True, DAY + 1) == verdict.REFUSED
        assert verdict.of(status, False, DAY + 1) != verdict.REFUSED
    for status in (401, 402, 403, 429, 503):
        assert verdict.of(status, True, 100 * DAY) != verdict.REFUSED
