"""Flower beside the whole server: closed to strangers, and silent about secrets to all."""

import json
import os
import re
from collections import defaultdict
from collections.abc import Iterator

import httpx
import psutil
import pytest

from claudemem.headers import POLICY, REQUEST_ID, SECURITY
from tests.postgres import shown_on_sqlite
from tests.stack import Stack
from tests.waiting import until

pytestmark = [pytest.mark.stack, shown_on_sqlite("Flower")]

ADDRESSES = (
    "", "workers", "tasks", "tasks/datatable", "task/x", "broker", "metrics", "login", "logout",
    "api/workers", "api/tasks", "api/queues/length", "static/css/flower.css", "nothing/at/all",
)  # fmt: skip


@pytest.fixture(scope="module")
def flower(watched: Stack) -> Iterator[httpx.Client]:
    """One who knows the password."""
    with watched.flowers() as client:
        yield client


@pytest.mark.parametrize("address", ADDRESSES)
def test_without_the_password_nothing_is_shown(watched: Stack, address: str) -> None:
    for wrong in (None, ("admin", "wrong"), ("", watched.flower_password)):
        for method in ("GET", "POST"):
            answer = httpx.request(method, watched.flower + address, auth=wrong, timeout=30)
            assert (answer.status_code, answer.text) == (401, "Access denied")


def test_whether_it_lives_may_be_asked_by_anyone(watched: Stack) -> None:
    answer = httpx.get(f"{watched.flower}healthcheck")
    assert (answer.status_code, answer.text) == (200, "OK")


def test_its_port_leads_to_its_prefix(watched: Stack, flower: httpx.Client) -> None:
    for address in (watched.flower.removesuffix("/"), watched.flower.removesuffix("/flower/")):
        assert flower.get(address).headers["Location"] == "/flower/"


def test_measurements_are_for_those_who_know_the_password(flower: httpx.Client) -> None:
    assert "flower_events_total" in flower.get("metrics").text


def test_it_changes_nothing(watched: Stack, flower: httpx.Client) -> None:
    (worker,) = until(lambda: list(flower.get("api/workers?refresh=1").json()))
    for deed in (f"api/worker/shutdown/{worker}", f"api/worker/pool/grow/{worker}",
                 "api/task/send-task/queueing.reconcile", "api/task/revoke/x"):  # fmt: skip
        answer = flower.post(deed, json={})
        assert (answer.status_code, answer.text) == (403, "Read only mode is enabled"), deed


def test_every_answer_tells_browsers_what_they_may_do_with_it(
    watched: Stack, flower: httpx.Client
) -> None:
    strangers = httpx.get(watched.flower)
    for answer in (strangers, *map(flower.get, ADDRESSES), flower.get("healthcheck")):
        assert {name: answer.headers[name] for name in SECURITY} == SECURITY, answer.url
        policy = answer.headers[POLICY]
        assert "default-src 'none'" in policy
        assert "unsafe-eval" not in policy


def test_every_answer_names_its_request(watched: Stack, flower: httpx.Client) -> None:
    strangers = httpx.get(watched.flower)
    answers = [strangers, *map(flower.get, ADDRESSES), flower.get("healthcheck")]
    assert len({answer.headers[REQUEST_ID] for answer in answers}) == len(answers)
    for given, taken in (("request-1", True), ("a b", False), ("x" * 65, False)):
        answer = flower.get("healthcheck", headers={REQUEST_ID: given})
        assert (answer.headers[REQUEST_ID] == given) is taken


def test_a_page_of_another_origin_changes_nothing_with_the_password_of_a_browser(
    flower: httpx.Client,
) -> None:
    for foreign in ({"Sec-Fetch-Site": "cross-site"}, {"Origin": "https://evil.example"}):
        answer = flower.post("api/task/revoke/x", headers=foreign)
        assert answer.status_code == 403
        assert "Read only" not in answer.text


def test_a_job_names_its_task_and_the_task_its_job(watched: Stack, flower: httpx.Client) -> None:
    query = "SELECT job_id, details FROM queueing_generationjobevent WHERE event = 'processing'"
    claimed = defaultdict(set)
    for job, details in watched.sql(query):
        # One of the drivers knows JSON.
        claimed[(json.loads(details) if isinstance(details, str) else details)["task"]].add(job)
    assert len(claimed) > 20
    # It hears of a task while the job goes on, and may be the later of the two.
    until(lambda: claimed.keys() <= {uuid for uuid, args in _tasks(flower).items() if args})
    tasks = _tasks(flower)
    for task, jobs in claimed.items():
        woken_for = re.findall(r"^\('([0-9a-f-]{36})',\)$", tasks[task])
        assert len(woken_for) == 1
        assert woken_for[0] in jobs


def _tasks(flower: httpx.Client) -> dict[str, str]:
    """The tasks that it knows, and what they were called with."""
    return {uuid: task["args"] for uuid, task in flower.get("api/tasks").json().items()}


def test_upkeep_does_not_bury_the_tasks_of_jobs(flower: httpx.Client) -> None:
    names = {task["name"] for task in flower.get("api/tasks").json().values()}
    assert names == {"observations.generate_event", "observations.generate_summary"}


def test_it_counts_the_messages_of_each_queue(flower: httpx.Client) -> None:
    until(lambda: _queues(flower) == {"event", "event-batch", "summary", "upkeep"})
    shown = flower.get("broker").text
    assert "redis://:**@127.0.0.1" in shown
    assert 'id="event-batch"' in shown


def _queues(flower: httpx.Client) -> set[str]:
    """Those of which it knows the length: of the workers that have told it of theirs."""
    told = flower.get("api/queues/length").json()["active_queues"]
    return {queue["name"] for queue in told}


def test_no_secret_is_on_its_pages_or_in_its_process(watched: Stack, flower: httpx.Client) -> None:
    (worker,) = until(lambda: list(flower.get("api/workers?refresh=1").json()))
    (task, *_) = flower.get("api/tasks").json()
    pages = (*ADDRESSES, "api/workers?refresh=1", f"worker/{worker}", f"task/{task}",
             "tasks/datatable?draw=1&start=0&length=500&order[0][column]=0")  # fmt: skip
    shown = "".join(flower.get(page).text for page in pages)
    assert worker in shown
    secrets = (watched.store_access().password, watched.flower_password, watched.key,
               (watched.data / "secret_key").read_text().strip())  # fmt: skip
    process = psutil.Process(watched.pids()["flower"])
    written = "".join(path.read_text() for path in watched.data.glob("logs/flower-*"))
    for secret in secrets:
        assert secret not in shown
        assert secret not in " ".join(process.cmdline())
        assert secret not in written
    assert watched.flower_password in watched.output.read_text()
    # Workers would tell their whole configuration: hosts, paths, names of databases.
    for private in (str(watched.data), "ALLOWED_HOSTS", "DATABASES"):
        assert private not in shown


def test_status_says_where_it_is(watched: Stack) -> None:
    told = json.loads(watched.cli("status", "--json"))
    (flower,) = [process for process in told["processes"] if process["name"] == "flower"]
    assert (flower["state"], flower["detail"]) == ("running", watched.flower)
    assert os.path.basename(str(watched.data)) not in flower["detail"]
