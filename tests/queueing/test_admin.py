"""Jobs in the admin: what is shown, what an operator may do, what is refused and why."""

from datetime import UTC, datetime, timedelta

import pytest
from django.contrib.auth.models import User
from django.core.paginator import Paginator
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext, override_settings
from django.utils import timezone

from queueing import leases, states
from queueing.admin.operating import MOST_NAMED
from queueing.browsing import (
    LONGEST_JSON,
    MOST_AT_ONCE,
    PAGES_AHEAD,
    NearPaginator,
    earliest_id,
    pretty,
)
from queueing.models import GenerationJob, GenerationJobEvent, Lane, new_id
from tests.queueing.conftest import Enqueue

LIST = "/admin/queueing/generationjob/"


@pytest.fixture
def browser(client: Client, db: None) -> Client:
    """Logged in as one who may do everything; without a password, which takes long to hash."""
    client.force_login(User.objects.create(username="root", is_staff=True, is_superuser=True))
    return client


def _act(client: Client, action: str, *ids: str, **more: str) -> str:
    """What the page says after the operation was chosen and confirmed."""
    form = {"action": action, "index": "0", "_selected_action": list(ids), "confirmed": "yes",
            **more}  # fmt: skip
    return client.post(LIST, form, follow=True).content.decode()


def _state(job_id: str) -> str:
    return GenerationJob.objects.values_list("state", flat=True).get(pk=job_id)


def test_a_failed_job_is_queued_again_with_a_fresh_budget(
    browser: Client, enqueue: Enqueue, published: list[str]
) -> None:
    (row,) = enqueue()
    lease = leases.claim(row.id, "worker")
    assert lease
    leases.bury(lease, {"reason": "the provider refused"})
    assert "the provider refused" in browser.get(LIST).content.decode()
    assert "queued again" in _act(browser, "retry_jobs", row.id)
    assert _state(row.id) == states.QUEUED
    assert published == [row.id]


def test_each_refusal_says_why(browser: Client, enqueue: Enqueue, published: list[str]) -> None:
    (done,), (busy,) = enqueue("one"), enqueue("two")
    lease = leases.claim(done.id, "worker")
    assert lease
    leases.settle(lease, dict, worker="worker", go_on=False)
    assert leases.claim(busy.id, "worker")
    refused = _act(browser, "retry_jobs", done.id, busy.id)
    assert "already completed; retrying would duplicate observations" in refused
    assert "currently processing; cancel or wait for completion" in refused
    assert "already completed; cannot cancel" in _act(browser, "cancel_jobs", done.id)


def test_a_cancelled_job_is_said_to_be_cancelled_once(
    browser: Client, enqueue: Enqueue, published: list[str]
) -> None:
    (row,) = enqueue()
    assert "cancelled" in _act(browser, "cancel_jobs", row.id)
    assert _state(row.id) == states.CANCELLED
    assert "cancelled already" in _act(browser, "cancel_jobs", row.id)
    assert GenerationJobEvent.objects.filter(job_id=row.id, event="cancelled").count() == 1


def test_a_jobs_own_page_offers_what_its_state_allows_and_leads_back(
    browser: Client, enqueue: Enqueue, published: list[str]
) -> None:
    (row,) = enqueue()
    page = f"{LIST}{row.id}/change/"
    body = browser.get(page).content.decode()
    assert 'value="cancel_jobs"' in body
    assert 'value="retry_jobs"' not in body
    form = {"action": "cancel_jobs", "index": "0", "_selected_action": row.id,
            "return-to-job": "1"}  # fmt: skip
    question = browser.post(LIST, form).content.decode()
    assert "Cancel 1 job?" in question
    assert _state(row.id) == states.QUEUED
    assert browser.post(LIST, {**form, "confirmed": "yes"}).headers["Location"] == page
    assert 'value="retry_jobs"' in browser.get(page).content.decode()


def test_a_stalled_jobs_own_page_offers_a_retry(browser: Client, enqueue: Enqueue) -> None:
    (row,) = enqueue()
    assert leases.claim(row.id, "worker")
    page = f"{LIST}{row.id}/change/"
    assert 'value="retry_jobs"' not in browser.get(page).content.decode()
    GenerationJob.objects.update(lease_until=timezone.now() - timedelta(hours=1))
    assert 'value="retry_jobs"' in browser.get(page).content.decode()


def test_the_whole_history_is_on_the_page(
    browser: Client, enqueue: Enqueue, published: list[str]
) -> None:
    (row,) = enqueue()
    lease = leases.claim(row.id, "worker")
    assert lease
    leases.reschedule(lease, 5.0, {"reason": "busy, try later"})
    body = browser.get(f"{LIST}{row.id}/change/").content.decode()
    assert "badge-retry_scheduled" in body
    assert "busy, try later" in body


def test_a_page_with_thirty_lines_of_history_takes_as_few_queries_as_one_with_three(
    browser: Client, enqueue: Enqueue
) -> None:
    few, many = enqueue("lane", 2)
    for job, lines in ((few, 2), (many, 29)):
        GenerationJobEvent.objects.bulk_create(
            GenerationJobEvent(job_id=job.id, event="released", state_after="queued",
                               created_at=timezone.now())
            for _ in range(lines)
        )  # fmt: skip
    counts = [_queries(browser, f"{LIST}{job.id}/change/") for job in (few, few, many)]
    assert counts[1] == counts[2] <= 15


@pytest.mark.parametrize("address", [LIST, "/admin/queueing/lane/"])
def test_a_list_of_thirty_takes_no_more_queries_than_a_list_of_three(
    browser: Client, enqueue: Enqueue, address: str
) -> None:
    for n in range(3):
        enqueue(f"lane {n}")
    browser.get(address)
    few = _queries(browser, address)
    for n in range(27):
        enqueue(f"other lane {n}")
    assert _queries(browser, address) == few <= 10


def _queries(client: Client, address: str) -> int:
    with CaptureQueriesContext(connection) as queries:
        assert client.get(address).status_code == 200
    return len(queries)


def test_who_belongs_to_no_team_can_do_nothing_to_a_job(client: Client, enqueue: Enqueue) -> None:
    (row,) = enqueue()
    user = User.objects.create(username="reader", is_staff=True)
    client.force_login(user)
    _act(client, "cancel_jobs", row.id)
    assert _state(row.id) == states.QUEUED
    assert client.get(f"{LIST}{row.id}/change/").status_code == 403


def test_no_job_is_edited_by_hand(browser: Client, enqueue: Enqueue) -> None:
    (row,) = enqueue()
    assert browser.post(f"{LIST}{row.id}/change/", {"state": "failed"}).status_code == 403


def test_jobs_are_narrowed_by_state_and_lane_and_found_by_what_they_are_about(
    browser: Client, enqueue: Enqueue
) -> None:
    (row,), _ = enqueue("one"), enqueue("two", 2)
    job = GenerationJob.objects.get(pk=row.id)
    for query, count in {
        "state=queued": 3,
        "state=failed": 0,
        "kind=summary": 0,
        f"lane={job.lane_id}": 1,
        f"q={job.queue_job_id}": 1,
        "within=hour": 3,
    }.items():
        assert len(browser.get(f"{LIST}?{query}").context["cl"].result_list) == count, query


def test_a_filter_with_nonsense_in_it_is_taken_off(browser: Client, db: None) -> None:
    assert browser.get(f"{LIST}?lane=nonsense").headers["Location"] == f"{LIST}?e=1"


def test_busy_lanes_are_told_from_idle_ones(
    browser: Client, enqueue: Enqueue, published: list[str]
) -> None:
    enqueue("busy", 3)
    (row,) = enqueue("idle")
    _act(browser, "cancel_jobs", row.id)
    for answer, key in (("yes", "busy"), ("no", "idle")):
        listed = browser.get(f"/admin/queueing/lane/?busy={answer}").context["cl"]
        assert [lane.key for lane in listed.result_list] == [key]


def test_select_all_means_a_bounded_number(
    browser: Client, enqueue: Enqueue, published: list[str]
) -> None:
    rows = enqueue("lane", MOST_AT_ONCE + 1)
    _act(browser, "cancel_jobs", rows[0].id, select_across="1")
    assert GenerationJob.objects.filter(state=states.QUEUED).count() == 1


def test_counting_stops_a_few_pages_beyond_the_shown_one(db: None) -> None:
    Lane.objects.bulk_create(Lane(key=f"lane {n}", project_id="p") for n in range(100))
    for size, page, count in ((10, 1, "60+"), (10, 3, "80+"), (10, 5, "100"), (50, 1, "100")):
        pages = NearPaginator(Lane.objects.order_by("id"), size)
        pages.page_shown = page
        assert str(pages.count) == count
        assert pages.page(page).object_list[0].key == f"lane {(page - 1) * size}"
    assert NearPaginator([1, 2], 1).num_pages == Paginator([1, 2], 1).num_pages
    assert PAGES_AHEAD == 5


def test_a_count_that_stopped_is_shown_as_such(browser: Client, db: None) -> None:
    Lane.objects.bulk_create(Lane(key=f"lane {n}", project_id="p") for n in range(400))
    for page, counted in (("", "300+ lanes"), ("?p=3", "400 lanes")):
        body = browser.get(f"/admin/queueing/lane/{page}").content.decode()
        assert counted in " ".join(body.split())


def test_an_id_made_later_sorts_after_the_earliest_id_of_a_moment() -> None:
    now = datetime.now(UTC)
    assert (
        earliest_id(now - timedelta(seconds=1)) < new_id() < earliest_id(now + timedelta(minutes=1))
    )


def test_json_is_indented_escaped_and_cut() -> None:
    assert pretty({}) == pretty(None) == "–"
    assert pretty({"a": "<b>é"}) == (
        '<pre class="json">{\n  &quot;a&quot;: &quot;&lt;b&gt;é&quot;\n}</pre>'
    )
    assert "more characters" in pretty("x" * (LONGEST_JSON + 10))


def test_a_claim_in_the_history_leads_to_its_task_where_flower_is_known(
    browser: Client, enqueue: Enqueue
) -> None:
    (row,) = enqueue()
    leases.claim(row.id, "worker", task="3f1c")
    page = f"{LIST}{row.id}/change/"
    assert "task: 3f1c" in browser.get(page).content.decode()
    with override_settings(FLOWER_URL="https://memory.example/flower"):
        shown = browser.get(page).content.decode()
    assert 'task: <a href="https://memory.example/flower/task/3f1c">3f1c</a>' in shown


def test_a_job_says_what_is_ahead_of_it(
    browser: Client, enqueue: Enqueue, published: list[str]
) -> None:
    first, second, third = enqueue("lane", 3)
    page = browser.get(f"{LIST}{third.id}/change/").content.decode()
    assert "2 before it" in page
    assert f"{LIST}{first.id}/change/" in page
    assert (
        "At the head: it is its turn." in browser.get(f"{LIST}{first.id}/change/").content.decode()
    )
    _act(browser, "cancel_jobs", first.id)
    _act(browser, "cancel_jobs", second.id)
    assert "It waits no more." in browser.get(f"{LIST}{second.id}/change/").content.decode()
    assert "At the head" in browser.get(f"{LIST}{third.id}/change/").content.decode()


def test_the_question_names_the_jobs_and_goes_nowhere_by_itself(
    browser: Client, enqueue: Enqueue, published: list[str]
) -> None:
    rows = enqueue("lane", MOST_NAMED + 2)
    form = {"action": "cancel_jobs", "index": "0", "_selected_action": [row.id for row in rows]}
    question = browser.post(f"{LIST}?state=queued", form).content.decode()
    assert f"Cancel {MOST_NAMED + 2} jobs?" in question
    assert "and 2 more" in question
    assert f'href="{LIST}?state=queued"' in question
    assert question.count('name="_selected_action"') == MOST_NAMED + 2
    assert {_state(row.id) for row in rows} == {states.QUEUED}


def test_a_lane_names_the_job_at_its_head(browser: Client, enqueue: Enqueue) -> None:
    first, _ = enqueue("lane", 2)
    assert f"{LIST}{first.id}/change/" in browser.get("/admin/queueing/lane/").content.decode()


def test_a_long_error_is_cut_in_the_list_and_whole_on_its_page(
    browser: Client, enqueue: Enqueue
) -> None:
    job = enqueue()[0].id
    GenerationJob.objects.filter(pk=job).update(last_error={"reason": "bad " * 200 + "end"})
    listed = browser.get(LIST).content.decode()
    assert "bad bad" in listed
    assert "bad end" not in listed
    assert "bad end" in browser.get(f"{LIST}{job}/change/").content.decode()
