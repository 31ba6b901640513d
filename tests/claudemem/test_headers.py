"""What browsers are told with answers: nothing is fetched, framed or sent elsewhere."""

import re
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client

from claudemem import headers

ROOT = Path(__file__).parents[2]


def _policy(answer: Any) -> dict[str, str]:
    rules = [rule.split(" ", 1) for rule in answer[headers.POLICY].split("; ")]
    return dict(rules)


@pytest.fixture
def browser(db: None) -> Client:
    """Somebody who may see everything, with a browser that checks what forms bring."""
    browser = Client(enforce_csrf_checks=True)
    # Without a password: to digest one takes longer than all that is asked here.
    browser.force_login(User.objects.create(username="ada", is_staff=True, is_superuser=True))
    return browser


def test_a_policy_allows_nothing_that_is_not_named() -> None:
    assert headers.policy() == (
        "default-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
    )
    assert headers.policy(script_src="'self'").endswith("; script-src 'self'")


def test_the_digest_of_a_script_is_as_browsers_count_it() -> None:
    # The example of the recommendation, "Content Security Policy Level 3".
    known = "'sha256-qznLcsROx4GACP2dm0UCKCzCG+HiZ1guq6ZZDob/Tng='"
    assert headers.digest("alert('Hello, world.');") == known


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/", 200),
        ("/admin", 301),
        ("/admin/", 200),
        ("/admin/queueing/generationjob/", 200),
        ("/admin/auth/user/add/", 200),
        ("/admin/nothing/", 404),
        ("/admin/?a=%00", 400),
        ("/nothing", 404),
        ("/static/queueing/admin.css", 200),
        ("/static/nothing.css", 404),
        ("/v1/docs", 200),
    ],
)
def test_whatever_a_browser_opens_is_guarded(browser: Client, path: str, status: int) -> None:
    answer = browser.get(path)
    answer.close()
    assert answer.status_code == status
    for name, value in headers.SECURITY.items():
        # With no referrer at all, browsers send `Origin: null`, and forms are refused.
        assert answer[name] in (value, "same-origin" if name == "Referrer-Policy" else value)
    policy = _policy(answer)
    assert policy["default-src"] == policy["frame-ancestors"] == "'none'"
    assert "'unsafe-inline'" not in policy["script-src"]
    assert not re.search(r"https?:|\*", answer[headers.POLICY])


def test_the_page_of_the_reference_runs_nothing_but_its_own_files(browser: Client) -> None:
    answer = browser.get("/v1/docs")
    assert _policy(answer)["script-src"] == "'self'"
    page = answer.content.decode()
    for address in re.findall(r'(?:src|href)="([^"]+)"', page):
        file = browser.get(address)
        file.close()
        assert file.status_code == 200, address


def test_no_template_of_ours_has_a_script_in_it() -> None:
    pages = [*ROOT.glob("*/templates/**/*.html")]
    assert pages
    for page in pages:
        text = page.read_text()
        assert not re.search(r"<script(?![^>]*\bsrc=)|\son[a-z]+=|javascript:", text), page


@pytest.mark.parametrize(
    "path", ["/admin/logout/", "/admin/auth/user/add/", "/admin/observations/team/add/"]
)
def test_a_form_that_no_page_of_ours_gave_is_refused(browser: Client, path: str) -> None:
    assert browser.post(path, {"name": "x"}).status_code == 403


def test_a_form_of_another_origin_is_refused_even_with_the_token(browser: Client) -> None:
    browser.get("/admin/auth/user/add/")
    token = browser.cookies["csrftoken"].value
    form = {"csrfmiddlewaretoken": token}
    foreign = browser.post("/admin/logout/", form, headers={"Origin": "https://evil.example"})
    assert foreign.status_code == 403
    own = browser.post("/admin/logout/", form, headers={"Origin": "http://testserver"})
    assert own.status_code == 200


def test_cookies_are_sent_to_no_other_site_and_the_session_is_told_to_no_script(
    db: None, settings: Any
) -> None:
    User.objects.create_superuser("ada", password="a long password")
    for encrypted in (False, True):
        settings.SESSION_COOKIE_SECURE = settings.CSRF_COOKIE_SECURE = encrypted
        browser = Client()
        browser.get("/admin/login/")
        answer = browser.post(
            "/admin/login/?next=/admin/", {"username": "ada", "password": "a long password"}
        )
        assert answer.status_code == 302
        session = browser.cookies["sessionid"]
        assert (session["httponly"], session["samesite"]) == (True, "Lax")
        for cookie in browser.cookies.values():
            assert cookie["samesite"] == "Lax"
            assert bool(cookie["secure"]) == encrypted


def test_the_api_takes_no_cookie_for_a_key(browser: Client) -> None:
    assert browser.get("/v1/jobs").status_code == 401
