"""The first page of the server."""

import re

import pytest
from django.contrib.staticfiles import finders
from django.test import Client

from tests.claudemem.api.conftest import asked_anew

__all__ = ["asked_anew"]
pytestmark = pytest.mark.usefixtures("asked_anew")


def test_it_says_what_is_not_well(client: Client) -> None:
    # No queue store was started for these tests.
    assert b"The queue store is not well." in client.get("/").content


def test_it_is_a_page_for_anybody_that_leads_on(client: Client) -> None:
    answer = client.get("/")
    text = answer.content.decode()
    assert (answer.status_code, answer["Content-Type"]) == (200, "text/html; charset=utf-8")
    assert {"/admin/", "/v1/health", "/v1/docs"} <= set(re.findall(r'href="([^"]+)"', text))
    for path in set(re.findall(r'href="([^"]+)"', text)):
        if path.startswith("/static/"):
            assert finders.find(path.removeprefix("/static/"))
        else:
            assert client.get(path).status_code in (200, 302)


def test_it_needs_neither_scripts_nor_styles_of_its_own_nor_cookies(client: Client) -> None:
    answer = client.get("/")
    assert not answer.cookies
    for word in (b"<script", b"<style", b"style=", b"onclick"):
        assert word not in answer.content


def test_it_only_shows(client: Client) -> None:
    assert client.head("/").status_code == 200
    assert client.post("/").status_code == 405
