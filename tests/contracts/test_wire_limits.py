"""Rate limits, monthly caps and metering on the wire."""

import pytest

from tests.contracts.conftest import Client, Wire, told
from tests.waiting import until

pytestmark = pytest.mark.stack

MOST = 3


def test_exactly_as_many_pass_in_a_minute_as_may_and_the_next_is_told_when(wire: Wire) -> None:
    url = wire.beside(CLAUDE_MEM_RATE_LIMIT_PER_MIN=str(MOST))
    for key in ("one", "two", "far"):
        answers = [wire.as_(key, url).get("/v1/jobs") for _ in range(MOST + 1)]
        if len({answer.headers["X-RateLimit-Reset"] for answer in answers}) == 1:
            break  # else a minute ended between them
    assert [answer.status_code for answer in answers] == [200] * MOST + [429]
    left = [answer.headers["X-RateLimit-Remaining"] for answer in answers]
    assert left == ["2", "1", "0", "0"]
    over = answers[-1]
    assert over.headers["X-RateLimit-Limit"] == str(MOST)
    assert 1 <= int(over.headers["Retry-After"]) <= 60
    assert over.json() == {
        "error": "rate_limited", "message": f"Rate limit exceeded ({MOST} requests / 60s)",
    }  # fmt: skip


def test_who_has_no_key_is_not_counted(wire: Wire) -> None:
    url = wire.beside(CLAUDE_MEM_RATE_LIMIT_PER_MIN=str(MOST))
    for _ in range(MOST + 2):
        answer = wire.as_("", url).get("/healthz")
        assert answer.status_code == 200
        assert "X-RateLimit-Limit" not in answer.headers


def test_a_monthly_cap_holds_without_metering_and_names_what_was_used(wire: Wire) -> None:
    far = wire.as_("far", wire.beside(CLAUDE_MEM_MONTHLY_REQUEST_CAP="2"))
    statuses = [far.get("/v1/jobs").status_code for _ in range(2)]
    assert set(statuses) <= {200, 402}
    # What is used is counted behind the answers.
    over = until(lambda: answer if (answer := far.get("/v1/jobs")).status_code == 402 else None)
    said = over.json()
    assert (said["error"], said["cap"]) == ("quota_exceeded", 2)
    assert said["message"] == "Monthly request quota reached (2)"
    assert said["used"] >= 2


def test_what_is_metered_is_told_by_kind_for_the_team(wire: Wire) -> None:
    metered = wire.as_("home", wire.beside(CLAUDE_MEM_USAGE_METERING="1"))
    before = _requests(metered)
    for _ in range(3):
        assert metered.get("/v1/jobs").status_code == 200
    until(lambda: _requests(metered) >= before + 3)
    assert told(metered.get("/v1/usage"), 200)["since"].endswith("-01T00:00:00.000Z")


def test_a_call_that_was_refused_is_not_metered(wire: Wire) -> None:
    url = wire.beside(CLAUDE_MEM_USAGE_METERING="1")
    metered = wire.as_("home", url)
    found = [_requests(metered)]
    for _ in range(5):
        assert wire.as_("revoked", url).get("/v1/jobs").status_code == 403

    def is_more() -> bool:
        found.append(_requests(metered))
        return found[-1] > found[0]

    until(is_more)
    # Each look is a call that counts.
    assert found[-1] <= found[0] + len(found)


def _requests(caller: Client) -> int:
    return int(told(caller.get("/v1/usage"), 200)["usage"].get("request", 0))
