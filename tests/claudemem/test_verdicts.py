"""What readings mean."""

from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from claudemem import verdicts
from claudemem.verdicts import Check, Limits, Readings, Store
from queueing.canaries import QUEUES, Canary
from queueing.depths import Heads, Held, Table
from queueing.pauses import Hold, Paused, Subject

pytestmark = pytest.mark.once

LIMITS = Limits(
    answer=0.5, lag=300, success=300, canary=45, canary_every=30, upkeep_every=1, depth=1000
)
NO_MESSAGES = dict.fromkeys(QUEUES, 0)
WAITS = Heads("event", all=1, due=1, lacking=0, oldest=10)


def canaries(age: float, *, under_way: bool = False, **others: float) -> list[Canary]:
    """Seen so long ago in all queues but `others`; one that is under way was sent as long ago."""
    return [
        _canary(queue, others.get(queue.replace("-", "_"), age), under_way=under_way)
        for queue in QUEUES
    ]


def _canary(queue: str, age: float, *, under_way: bool = False) -> Canary:
    now = datetime.now(UTC)
    sent = now - timedelta(seconds=age)
    seen = sent - timedelta(seconds=1) if under_way else sent
    return Canary(queue, 1, age, age, "host:1", sent, seen)


def table(**changes: object) -> Table:
    well = Table(Counter(), [], [], 5.0, canaries(5), None)
    return replace(well, **changes)  # type: ignore[arg-type]


def readings(read: Table | None = None, **changes: object) -> Readings:
    well = Readings(read or table(), "", 0.01, Store(0.01, NO_MESSAGES), "", False)
    return replace(well, **changes)  # type: ignore[arg-type]


def told(seen: Readings) -> dict[str, str]:
    """The verdicts by part; of several, by part and queue."""
    return {
        f"{check.name} {check.details['queue']}" if "queue" in check.details else check.name:
            check.verdict
        for check in verdicts.checks(seen, LIMITS)
    }  # fmt: skip


def bad(seen: Readings) -> dict[str, str]:
    return {part: verdict for part, verdict in told(seen).items() if verdict != "ok"}


def test_where_all_is_well_it_is_said_of_every_part() -> None:
    assert set(told(readings()).values()) == {"ok"}
    assert list(told(readings())) == [
        "database", "queueStore", "lag", "lastSuccess", "beat", "workers",
        *(f"canaries {queue}" for queue in QUEUES),
        "queues event", "queues summary", "queues event-batch", "provider",
        "pauses",
    ]  # fmt: skip


def test_a_store_that_may_drop_messages_has_failed_though_it_answers() -> None:
    faults = ("its maxmemory-policy is allkeys-lru", "it is a replica")
    seen = readings(store=Store(0.01, NO_MESSAGES, faults=faults))
    assert bad(seen) == {"queueStore": "failed"}
    assert verdicts.queue_store(seen, LIMITS).reason == "; ".join(faults)


def test_where_who_worked_has_ended_nothing_works_whatever_came_through_a_moment_ago() -> None:
    over = readings(stopped=True)
    untold = {f"canaries {queue}": "unknown" for queue in QUEUES}
    assert bad(over) == {"beat": "failed", "workers": "failed", **untold}
    held = table(held=[Held("event", "host:1", 3)])
    assert told(readings(held, stopped=True))["workers"] == "failed"


def test_a_server_that_was_started_a_moment_ago_has_not_failed() -> None:
    """Whatever the one before it left: nothing yet, or the canaries and jobs of another day."""
    day = 86_400.0
    left = table(
        heads=[replace(WAITS, oldest=day)], done_age=day, canaries=canaries(day, under_way=True)
    )
    never = table(canaries=[Canary(queue) for queue in QUEUES], done_age=None)
    for read, verdict in ((left, "late"), (never, "unknown")):
        first = readings(read, up=5.0)
        assert "failed" not in told(first).values()
        assert verdicts.overall(verdicts.checks(first, LIMITS)) == verdict
        assert told(replace(first, up=day))["beat"] == "failed"
        assert told(replace(first, up=400.0))["beat"] == "failed"


def test_under_an_engine_without_a_store_it_and_beat_are_off() -> None:
    assert bad(readings(store=None)) == {"queueStore": "off", "beat": "off"}


def test_of_a_database_that_is_away_only_the_store_is_known_beside_it() -> None:
    seen = readings(database="does not answer")
    parts = told(replace(seen, table=None))
    assert parts.pop("database") == "failed"
    assert parts.pop("queueStore") == "ok"
    assert set(parts.values()) == {"unknown"}


def test_without_the_store_what_came_through_lately_holds_and_then_is_unknown() -> None:
    away = Store(0.5, away="the queue store did not answer")
    assert bad(readings(store=away)) == {"queueStore": "failed"}
    old = bad(readings(table(canaries=canaries(50)), store=away))
    assert old.pop("queueStore") == "failed"
    assert old.pop("beat") == "unknown"
    assert old.pop("workers") == "unknown"
    assert set(old) == {f"canaries {queue}" for queue in QUEUES}
    assert set(old.values()) == {"unknown"}


def test_beat_and_workers_are_told_apart() -> None:
    """Upkeep sends canaries, and beat asks workers for upkeep: neither goes without the other."""
    silent = table(canaries=canaries(80))
    without_workers = told(readings(silent, store=Store(0.01, NO_MESSAGES | {"upkeep": 60})))
    assert (without_workers["beat"], without_workers["workers"]) == ("ok", "failed")
    assert without_workers["canaries event"] == "failed"
    without_beat = told(readings(silent))
    assert (without_beat["beat"], without_beat["workers"]) == ("failed", "unknown")
    # What it sent before it died is no sign of life.
    few = told(readings(silent, store=Store(0.01, NO_MESSAGES | {"upkeep": 3})))
    assert few["beat"] == "failed"
    # It sends no more than anybody may take.
    full = Store(0.01, NO_MESSAGES | {"upkeep": 60})
    for_long = replace(readings(table(canaries=canaries(3600)), store=full), up=7200)
    assert told(for_long)["beat"] == "ok"
    # While the server was stopped nothing could be sent.
    back = replace(readings(silent, store=Store(0.01, NO_MESSAGES | {"upkeep": 30})), up=50)
    assert told(replace(back, table=table(canaries=canaries(3600))))["beat"] == "ok"


def test_one_queue_that_nobody_serves_shows_alone() -> None:
    one = table(canaries=[*canaries(5)[:2], _canary("event-batch", 70, under_way=True),
                          _canary("upkeep", 5)])  # fmt: skip
    assert bad(readings(one)) == {"canaries event-batch": "failed"}


def test_workers_with_their_hands_full_are_late_and_not_dead() -> None:
    held = [Held("event", "host:1", 32)]
    parts = bad(readings(table(canaries=canaries(600, under_way=True), held=held)))
    assert parts.pop("beat") == "failed"  # its messages are none: it is gone, or so it seems
    assert set(parts.values()) == {"late"}
    full = Store(0.01, NO_MESSAGES | {"upkeep": 600})
    busy = readings(table(canaries=canaries(600, under_way=True), held=held), store=full)
    assert set(bad(busy).values()) == {"late"}
    assert verdicts.overall(verdicts.checks(busy, LIMITS)) == "late"
    elsewhere = [Held("event", "host:2", 32)]
    others = told(readings(table(canaries=canaries(600, under_way=True), held=elsewhere)))
    assert (others["canaries event"], others["canaries summary"]) == ("late", "failed")


def test_what_waits_too_long_is_late_and_failed_if_nothing_was_done_meanwhile() -> None:
    waiting = [replace(WAITS, oldest=400)]
    slow = readings(table(heads=waiting, done_age=2))
    assert bad(slow) == {"lag": "late"}
    still = readings(table(heads=waiting, done_age=350))
    assert bad(still) == {"lag": "late", "lastSuccess": "failed"}
    never = readings(table(heads=waiting, done_age=None))
    assert bad(never) == {"lag": "late", "lastSuccess": "failed"}


def test_where_nothing_waits_nothing_need_have_been_done() -> None:
    assert bad(readings(table(done_age=None))) == {}
    assert bad(readings(table(done_age=10**6))) == {}


def test_calls_that_hung_of_late_are_told_of() -> None:
    assert bad(readings(table(hung=2))) == {"provider": "late"}


def test_a_pause_is_late_and_no_failure() -> None:
    pause = Paused("a key was refused: sk-…", "auth_invalid", 2, 12.0)
    seen = readings(table(pause=pause))
    assert bad(seen) == {"provider": "late"}
    (provider,) = [c for c in verdicts.checks(seen, LIMITS) if c.name == "provider"]
    assert "auth_invalid" in provider.reason
    # What a provider said may name an account.
    assert "sk-" not in provider.reason


def hold(text: str) -> Hold:
    return Hold(Subject.stored(text), "why is told to those who may know", datetime.now(UTC))


def told_of(part: str, seen: Readings) -> str:
    return next(each.reason for each in verdicts.checks(seen, LIMITS) if each.name == part)


def test_what_an_operator_paused_is_told_and_is_no_fault_however_much_waits() -> None:
    waits = [Heads("event", all=9, due=0, lacking=0, oldest=0, paused=9)]
    rows: Counter[tuple[str, str]] = Counter({("event", "queued"): 10**6})
    holds = (hold("team:acme"), hold("team:other"), hold("queue:event"))
    seen = readings(table(heads=waits, open=rows, holds=holds, done_age=10**6))
    assert bad(seen) == {"pauses": "off"}
    assert verdicts.overall(verdicts.checks(seen, LIMITS)) == "ok"
    # Whoever asks needs no key: no team is named, and nobody's reason.
    assert told_of("pauses", seen) == "paused by an operator: queue:event, 2 teams"
    assert told_of("lag", seen) == "nothing waits but what is paused"
    assert told_of("queues", seen) == "1000000 jobs wait or are worked; 9 lanes are paused"


def test_teams_that_wait_for_their_quota_are_told_and_are_no_fault() -> None:
    waits = [Heads("event", all=9, due=0, lacking=0, oldest=0, paused=9)]
    spent = readings(table(heads=waits, holds=(hold("quota:acme"),)))
    assert bad(spent) == {"pauses": "off"}
    assert told_of("pauses", spent) == "waiting for a quota: 1 team"
    both = readings(table(heads=waits, holds=(hold("quota:acme"), hold("provider"))))
    assert told_of("pauses", both) == "paused by an operator: provider; waiting for a quota: 1 team"


def test_a_provider_that_an_operator_paused_is_off_whatever_it_said_itself() -> None:
    own = Paused("a key was refused", "auth_invalid", 2, 12.0)
    seen = readings(table(holds=(hold("provider"),), pause=own))
    assert bad(seen) == {"provider": "off", "pauses": "off"}


def test_what_is_not_paused_is_late_beside_what_is() -> None:
    waits = [Heads("event", all=9, due=1, lacking=1, oldest=301, paused=8)]
    seen = readings(table(heads=waits, holds=(hold("team:acme"),)))
    assert bad(seen) == {"lag": "late", "queues event": "late", "pauses": "off"}


def test_a_provider_that_there_is_not_has_failed() -> None:
    assert bad(readings(provider="there is no provider oracle")) == {"provider": "failed"}


def test_heads_without_messages_are_missed_once_they_were_nudged_long_ago() -> None:
    heads = [replace(WAITS, all=5, due=5, lacking=3)]
    lost = readings(table(heads=heads), store=Store(0.01, NO_MESSAGES | {"event": 2}))
    assert bad(lost) == {"queues event": "late"}
    (event,) = [c for c in verdicts.checks(lost, LIMITS) if c.details.get("missing")]
    assert (event.details["missing"], event.details["messages"], event.details["heads"]) == (
        1, 2, 5,
    )  # fmt: skip
    assert bad(readings(table(heads=heads), store=Store(0.01, NO_MESSAGES | {"event": 3}))) == {}
    paused = table(heads=heads, pause=Paused("quota", "quota", 1, 5))
    assert bad(readings(paused)) == {"provider": "late"}


def test_a_queue_that_is_too_deep_is_late() -> None:
    deep = Counter({("event-batch", "queued"): 1000, ("event-batch", "processing"): 1})
    assert bad(readings(table(open=deep))) == {"queues event-batch": "late"}


def test_where_generation_is_off_silence_is_meant() -> None:
    seen = readings(table(canaries=canaries(900, under_way=True), heads=[WAITS]), idle=True)
    parts = told(replace(seen, store=Store(0.01, NO_MESSAGES | {"upkeep": 900})))
    assert {part for part, verdict in parts.items() if verdict == "off"} == {
        "lag", "lastSuccess", "workers", *(f"canaries {queue}" for queue in QUEUES),
    }  # fmt: skip
    assert "failed" not in parts.values()


def test_the_very_first_canary_is_awaited_before_it_is_missed() -> None:
    young, old = (
        replace(_canary("event", age, under_way=True), seen_at=None, seen_age=None)
        for age in (3, 50)
    )
    rest = canaries(3)[1:]
    assert bad(readings(table(canaries=[young, *rest]))) == {"canaries event": "unknown"}
    assert bad(readings(table(canaries=[old, *rest]))) == {"canaries event": "failed"}
    again = replace(young, number=2)
    assert bad(readings(table(canaries=[again, *rest]))) == {"canaries event": "failed"}


@given(st.lists(st.sampled_from(["ok", "late", "failed", "unknown", "off"])))
def test_the_overall_verdict_is_the_worst(given: list[str]) -> None:
    checks = [Check("part", verdict, "") for verdict in given]  # type: ignore[arg-type]
    worst = next((each for each in ("failed", "late", "unknown") if each in given), "ok")
    assert verdicts.overall(checks) == worst


@pytest.mark.parametrize("seconds", [0.0, 44.9])
def test_within_its_limit_a_canary_is_well(seconds: float) -> None:
    assert bad(readings(table(canaries=canaries(seconds)))) == {}
