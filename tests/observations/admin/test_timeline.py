"""A session is told in order, a page at a time, with ways between what was done and made."""

from datetime import timedelta

import pytest
from django.test import Client
from hypothesis import given
from hypothesis import strategies as st

from observations.admin import timeline
from observations.admin.timeline import EVENTS_A_PAGE, window
from observations.models import Session
from tests.observations.admin.conftest import Memory, page_of


@given(last=st.integers(0, 10**6), at=st.none() | st.integers(-5, 10**18))
def test_every_event_stands_on_exactly_one_page(last: int, at: int | None) -> None:
    page = window(last, at)
    assert page.first % EVENTS_A_PAGE == 1
    assert page.final <= last < page.final + 1 or page.final - page.first == EVENTS_A_PAGE - 1
    if at is not None and 1 <= at <= last:
        assert page.first <= at <= page.final
    if page.earlier:
        assert window(last, page.earlier).final == page.earlier == page.first - 1
    if page.later:
        assert window(last, page.later).first == page.later == page.final + 1


def test_the_last_page_is_shown_first_and_leads_to_the_others(
    browser: Client, memory: Memory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(timeline, "EVENTS_A_PAGE", 5)
    session = memory(12)
    last = browser.get(page_of(session)).content.decode()
    assert "Events 11 to 12 of 12" in last
    assert 'id="event-12"' in last
    assert 'id="event-10"' not in last
    assert 'href="?at=10#timeline"' in last
    middle = browser.get(f"{page_of(session)}?at=7").content.decode()
    assert "Events 6 to 10 of 12" in middle
    assert 'href="?at=5#timeline"' in middle
    assert 'href="?at=11#timeline"' in middle


def test_each_observation_stands_on_some_page_however_the_clocks_ran(
    memory: Memory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(timeline, "EVENTS_A_PAGE", 4)
    session = memory(13)
    for number in (2, 5, 9, 13):
        event = session.events.get(number=number)
        event.occurred_at -= timedelta(hours=number)
        event.save()
    for row in session.observations.filter(number__gt=3)[:2]:
        row.occurred_at += timedelta(days=1)
        row.save()
    shown = {
        one.number
        for at in range(1, 14)
        for one in timeline.of(session, at).entries
        if not one.is_event
    }
    assert shown == set(session.observations.values_list("number", flat=True))


def test_an_event_leads_to_what_was_made_of_it_and_back(browser: Client, memory: Memory) -> None:
    session = memory(2)
    row, event = session.observations.order_by("number")[0], session.events.get(number=1)
    body = browser.get(page_of(session)).content.decode()
    assert f'made <a href="#observation-{row.number}">#{row.number}</a>' in body
    assert f'#{row.number}, made of <a href="#event-1">event 1</a>' in body
    place = f"/admin/observations/session/{session.pk}/change/?at=1#event-1"
    assert place in browser.get(page_of(row)).content.decode()
    assert place in browser.get(page_of(event)).content.decode()


def test_a_source_on_another_page_is_a_link_to_that_page(
    browser: Client, memory: Memory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(timeline, "EVENTS_A_PAGE", 5)
    session = memory(7)
    late = session.observations.order_by("number")[0]
    late.occurred_at = session.events.get(number=7).occurred_at
    late.save()
    body = browser.get(page_of(session)).content.decode()
    assert f'#{late.number}, made of <a href="?at=1#event-1">event 1</a>' in body


def test_more_observations_than_a_page_holds_are_said_to_be_elsewhere(
    browser: Client, memory: Memory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(timeline, "MOST_OBSERVATIONS", 2)
    body = browser.get(page_of(memory(4))).content.decode()
    assert "There are more observations of this time" in body


@pytest.mark.parametrize("at", ["0", "-1", "x", "9" * 30, ""])
def test_a_nonsensical_place_shows_some_page(browser: Client, memory: Memory, at: str) -> None:
    assert 'id="event-2"' in browser.get(f"{page_of(memory(2))}?at={at}").content.decode()


def test_a_session_without_events_says_so(browser: Client, memory: Memory) -> None:
    session: Session = memory(0)
    assert (
        "Nothing has happened in this session yet."
        in browser.get(page_of(session)).content.decode()
    )
