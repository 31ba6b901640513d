"""Chromium as it is installed, used as a person uses it, with an eye on what its pages ask for."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright

PROGRAM = shutil.which("chromium") or shutil.which("chromium-browser")

# On a laptop it may be missing; where CI set the machine up it must not be.
needed = pytest.mark.skipif(
    PROGRAM is None and "CI" not in os.environ, reason="Chromium is not installed"
)

# By itself it would ask its makers for updates, lists and time.
_QUIET = (
    "--disable-quic", "--disable-background-networking", "--disable-component-update",
    "--no-first-run", "--disable-sync", "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
)  # fmt: skip
# A machine that is busy with other tests is slow.
_TIMEOUT_MS = 30_000
expect.set_options(timeout=_TIMEOUT_MS)
_LOOKS: dict[str, Any] = {
    "viewport": {"width": 1280, "height": 900},
    "color_scheme": "light",
    "locale": "en-GB",
    # As the server's, so that both mean the same day.
    "timezone_id": "UTC",
}


@contextmanager
def chromium() -> Iterator[Browser]:
    """A browser without a window, with a profile of its own that is gone at the end.

    While it is open this thread has an event loop: Django's ORM refuses to work in it.
    """
    assert PROGRAM, "Chromium is not installed"
    # Chromium's sandbox refuses to run as root, as in most containers.
    is_root = os.name == "posix" and os.geteuid() == 0
    with sync_playwright() as driver:
        browser = driver.chromium.launch(
            executable_path=PROGRAM, args=[*_QUIET], chromium_sandbox=not is_root
        )
        yield browser
        browser.close()


@contextmanager
def visit(browser: Browser, *homes: str, **options: Any) -> Iterator[Page]:
    """A page for one who visits these servers alone.

    Fails at the end if a script failed, something could not be loaded, or anything was asked of
    another server.
    """
    context = browser.new_context(**_LOOKS, **options)
    context.set_default_timeout(_TIMEOUT_MS)
    troubles: list[str] = []
    _watch(context, {urlsplit(home).netloc for home in homes}, troubles)
    try:
        yield context.new_page()
    finally:
        context.close()
    assert not troubles, "\n".join(troubles)


def _watch(context: BrowserContext, hosts: set[str], troubles: list[str]) -> None:
    def asked(request: Any) -> None:
        address = urlsplit(request.url)
        if address.scheme in {"http", "https", "ws", "wss"} and address.netloc not in hosts:
            troubles.append(f"asked elsewhere: {request.url}")

    def answered(response: Any) -> None:
        if response.status >= 400:
            troubles.append(f"{response.status}: {response.url}")

    def said(message: Any) -> None:
        if message.type == "error":
            troubles.append(f"on the console: {message.text}")

    context.on("request", asked)
    context.on("response", answered)
    context.on("console", said)
    context.on("weberror", lambda it: troubles.append(f"in a script: {it.error}"))
