"""The admin and Flower as people use them: found by what is written on them, in a real browser.

The pictures of the documentation are taken on these walks, where CLAUDE_MEM_TEST_PICTURES names a
folder for them (`python -m docs.screenshots`).
"""

import os
import re
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urljoin

import pytest
from playwright.sync_api import Browser, Locator, Page, StorageState, expect

from tests import browser, pictures
from tests.postgres import shown_on_sqlite
from tests.stack import HOOK, Stack
from tests.waiting import until

pytestmark = [pytest.mark.stack, browser.needed, shown_on_sqlite("pages")]

QUESTION = "cap for the exponential backoff of retries"
SESSION = "08896821-bb12-4dd4-97b2-ba180f81edf3"

# Each would write into the page if it came to life in it.
HOSTILE = (
    "</pre><script>document.body.append('BROKEN' + ' OUT')</script>"
    "<img src=x onerror=\"document.body.append('BROKEN' + ' OUT')\">"
)


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    with browser.chromium() as program:
        yield program


@pytest.fixture(scope="module")
def signed_in(watched: Stack, chromium: Browser) -> StorageState:
    """What a browser keeps of one who signed in."""
    with browser.visit(chromium, watched.url) as page:
        sign_in(page, watched)
        return page.context.storage_state()


@pytest.fixture
def page(watched: Stack, chromium: Browser, signed_in: StorageState) -> Iterator[Page]:
    """The admin's first page; Flower asks for its own password."""
    flower = {"username": "admin", "password": watched.flower_password}
    homes = (watched.url, watched.flower)
    with browser.visit(chromium, *homes, storage_state=signed_in, http_credentials=flower) as page:
        page.goto(f"{watched.url}/admin/")
        yield page


def sign_in(page: Page, running: Stack) -> None:
    page.goto(f"{running.url}/admin/")
    page.get_by_label("Username").fill("admin")
    page.get_by_label("Password").fill(running.admin_password)
    page.get_by_role("button", name="Log in").click()
    expect(page.get_by_role("heading", name="Overview")).to_be_visible()


def picture(page: Page, name: str, centre: Locator | None = None) -> None:
    """Take a picture of what is in the window, if pictures are wanted."""
    if folder := os.environ.get("CLAUDE_MEM_TEST_PICTURES"):
        if centre:
            centre.evaluate("it => it.scrollIntoView({block: 'center'})")
        taken = page.screenshot(animations="disabled", caret="hide")
        Path(folder, f"{name}.png").write_bytes(pictures.smaller(taken))


def choose(page: Page, name: str) -> None:
    """Follow a line of the sidebar."""
    page.get_by_role("navigation").get_by_role("link", name=name).click()


def search(page: Page, text: str) -> None:
    box = page.get_by_role("search").get_by_role("textbox")
    box.fill(text)
    with page.expect_navigation():
        box.press("Enter")


def lines(page: Page, table: str) -> Locator:
    return page.get_by_role("table", name=table).get_by_role("row")


def test_a_wrong_password_is_refused_and_the_right_one_shows_what_there_is(
    watched: Stack, chromium: Browser
) -> None:
    with browser.visit(chromium, watched.url) as page:
        page.goto(f"{watched.url}/admin/")
        page.get_by_label("Username").fill("admin")
        page.get_by_label("Password").fill("a wrong one")
        page.get_by_role("button", name="Log in").click()
        expect(page.get_by_text("Please enter the correct username and password")).to_be_visible()
        sign_in(page, watched)
        expect(page.get_by_role("link", name="events captured today")).to_be_visible()
        picture(page, "admin-overview")


def test_a_session_is_found_and_told_in_order(page: Page) -> None:
    choose(page, "Sessions")
    search(page, SESSION)
    page.get_by_role("rowheader").get_by_role("link").click()
    expect(page.get_by_role("table", name="Timeline")).to_be_visible()
    told = lines(page, "Timeline").all_inner_texts()
    places = [
        next(place for place, line in enumerate(told) if word in line)
        for word in ("Add a max_wait cap", "retry.py", "test_retry_max_wait.py", "summary")
    ]
    assert places == sorted(places)
    picture(page, "admin-session")


def test_an_observation_is_found_by_a_question_and_leads_to_its_sources(page: Page) -> None:
    choose(page, "Observations")
    search(page, QUESTION)
    # What exactly was made depends on how many events shared a batch.
    found = page.get_by_role("rowheader").get_by_role("link", name=re.compile("max_wait")).first
    expect(found).to_be_visible()
    picture(page, "admin-observations")
    found.click()
    sources = page.get_by_role("table", name="Sources")
    expect(sources).to_contain_text("/home/dev/procrastinate/")
    picture(page, "admin-observation", sources)
    way = sources.get_by_role("link", name="in its session").first
    number = re.findall(r"\d+", way.inner_text())[0]
    way.click()
    expect(page.locator(f"#event-{number}")).to_be_in_viewport()


def test_a_failed_job_is_retried_and_its_task_seen_in_flower(page: Page, watched: Stack) -> None:
    page.get_by_role("link", name="1 jobs failed").click()
    page.get_by_role("rowheader").get_by_role("link").click()
    expect(page.get_by_text("ModeError in ObserveEvents").first).to_be_visible()
    job = page.url.split("/")[-3]
    page.get_by_role("button", name="Retry").click()
    page.get_by_role("button", name="Yes, retry").click()
    expect(page.get_by_text("queued again")).to_be_visible()
    history = page.get_by_role("table").filter(has_text="What happened")

    def is_done() -> bool:
        page.reload()
        return history.get_by_text("completed").count() > 0

    until(is_done, 60)
    expect(history).to_contain_text("retried")
    picture(page, "admin-job", history)
    told = history.get_by_role("link").last
    # It hears of the task while the job goes on, and may be the later of the two.
    until(lambda: _is_there(watched, told.get_attribute("href") or ""))
    told.click()
    expect(page.get_by_text(job)).to_be_visible()
    expect(page.get_by_text("observations.generate_event", exact=True)).to_be_visible()
    picture(page, "flower-task")


def _is_there(watched: Stack, address: str) -> bool:
    with watched.flowers() as flower:
        return flower.get(urljoin(watched.flower, address)).is_success


def test_flowers_task_list_leads_to_a_task_and_its_job(page: Page, watched: Stack) -> None:
    choose(page, "Flower")
    expect(page.get_by_role("cell", name="Online")).to_be_visible()
    page.get_by_role("link", name="Tasks", exact=True).click()
    expect(page.get_by_role("row", name="observations.generate_summary").first).to_be_visible()
    page.set_viewport_size({"width": 1560, "height": 900})
    picture(page, "flower-tasks")
    newest = page.get_by_role("row", name="observations.generate_event").first.inner_text()
    task, job = re.findall(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", newest)
    page.get_by_role("searchbox").fill(job)
    rows = page.get_by_role("row", name="observations.")
    expect(rows.filter(has_not_text=job)).to_have_count(0)
    expect(rows.filter(has_text=job).first).to_be_visible()
    page.get_by_role("link", name=task).click()
    expect(page.get_by_text(f"('{job}',)")).to_be_visible()
    page.goto(f"{watched.url}/admin/")
    choose(page, "Jobs")
    search(page, job)
    page.get_by_role("rowheader").get_by_role("link").click()
    expect(page.get_by_role("link", name=task)).to_be_visible()


def test_a_hostile_payload_is_text(page: Page, watched: Stack) -> None:
    payload = {
        "session_id": HOSTILE, "cwd": "/home/dev/project", "hook_event_name": "PostToolUse",
        "tool_name": "Bash", "tool_use_id": "1", "tool_input": {"command": HOSTILE},
    }  # fmt: skip
    assert watched.post(HOOK, payload).is_success
    choose(page, "Sessions")
    for way in (
        page.get_by_role("rowheader").get_by_role("link").first,
        page.get_by_role("table", name="Timeline").get_by_role("link").first,
    ):
        with page.expect_navigation():
            way.click()
        expect(page.locator("body")).to_contain_text("BROKEN")
        expect(page.locator("body")).not_to_contain_text("BROKEN OUT")


def test_a_key_is_made_with_the_admins_own_scripts(page: Page) -> None:
    choose(page, "API keys")
    page.get_by_role("link", name="Add").click()
    page.get_by_label("Name").fill("laptop")
    page.get_by_role("combobox").first.click()
    page.get_by_role("option", name="default").click()
    page.get_by_role("link", name="calendar_today").click()
    page.get_by_role("link", name="Tomorrow").click()
    page.get_by_role("link", name="schedule").click()
    page.get_by_role("link", name="Midnight").click()
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.get_by_label("The new API key")).to_have_value(re.compile("cmem_[0-9a-f]{48}"))


def test_the_reference_shows_every_route_and_lets_it_be_tried(watched: Stack, page: Page) -> None:
    page.goto(f"{watched.url}/v1/docs")
    expect(page.locator(".opblock").first).to_be_visible()
    route = page.locator("#operations-status-statusInfo")
    route.locator(".opblock-summary-control").click()
    route.get_by_role("button", name="Try it out").click()
    route.get_by_role("button", name="Execute").click()
    expect(route.locator(".live-responses-table")).to_contain_text("server-beta")
