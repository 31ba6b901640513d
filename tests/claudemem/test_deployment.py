"""What is refused in containers, what is missing there, and what the whole program says of it."""

import os
import subprocess
import sys
from dataclasses import replace
from typing import Any

import pytest

from claudemem.deployment import (
    Deployment,
    faults,
    halves,
    hasty_verdicts,
    host,
    is_loopback,
    origin,
    weak_key,
    wrong_host,
)
from tests.stack import ROOT, environment

pytestmark = pytest.mark.once

LAPTOP = Deployment(
    contained=False, deployed=False, auth_mode="api-key", bypass=False, runtime="",
    database=False, store=False, signing_key=False,
)  # fmt: skip
DEV_CONTAINER = replace(LAPTOP, contained=True)
TEAM = replace(DEV_CONTAINER, deployed=True, database=True, store=True, signing_key=True)
GOOD_KEY = "9b2e6f0a7c41d853e6f90b1a2c3d4e5f"


@pytest.mark.parametrize("about", [LAPTOP, DEV_CONTAINER, TEAM])
def test_nothing_is_wrong_with(about: Deployment) -> None:
    assert list(faults(about)) == []


@pytest.mark.parametrize("about", [DEV_CONTAINER, TEAM])
def test_no_container_lets_strangers_in(about: Deployment) -> None:
    said = list(faults(replace(about, auth_mode="local-dev", bypass=True, runtime="worker")))
    assert len(said) == 3
    assert "local-dev is not allowed in Docker" in said[0]
    assert said[1].startswith("CLAUDE_MEM_ALLOW_LOCAL_DEV_BYPASS ")
    assert said[2].startswith("CLAUDE_MEM_RUNTIME ")


@pytest.mark.parametrize("runtime", ["server", "server-beta"])
def test_either_name_of_this_runtime_is_taken_in_a_container(runtime: str) -> None:
    assert list(faults(replace(TEAM, runtime=runtime))) == []


def test_elsewhere_the_runtime_is_none_of_our_business_and_local_dev_is_offered() -> None:
    about = replace(LAPTOP, runtime="worker", auth_mode="local-dev", bypass=True)
    assert list(faults(about)) == list(halves(about)) == []


@pytest.mark.parametrize("open_one", [{"auth_mode": "local-dev"}, {"open_project": True}])
def test_who_needs_no_key_is_of_this_machine_and_nobody_brings_others(
    open_one: dict[str, Any],
) -> None:
    about = replace(LAPTOP, bypass=True, **open_one)
    assert list(faults(about)) == []
    (behind,) = faults(replace(about, proxied=True))
    assert "is not allowed behind a proxy" in behind
    (beyond,) = faults(replace(about, open_host=True))
    assert "is not allowed where other machines can call" in beyond
    assert list(faults(replace(LAPTOP, proxied=True, open_host=True))) == []


@pytest.mark.parametrize(
    ("name", "alone"),
    [("127.0.0.1", True), ("::1", True), ("localhost", True), ("127.8.8.8", True),
     ("0.0.0.0", False), ("::", False), ("10.0.0.7", False), ("host.example", False)],
)  # fmt: skip
def test_only_this_machine_calls_who_listens_on_loopback(name: str, alone: bool) -> None:
    assert is_loopback(name) is alone


def test_half_of_local_dev_is_warned_of() -> None:
    about = replace(LAPTOP, auth_mode="local-dev")
    assert list(faults(about)) == []
    (said,) = halves(about)
    assert said.startswith("CLAUDE_MEM_AUTH_MODE=local-dev does nothing alone")
    # It may be set for all that a shell starts.
    assert list(halves(replace(LAPTOP, bypass=True))) == []


@pytest.mark.parametrize(
    ("missing", "variable"),
    [("database", "SERVER_DATABASE_URL"), ("store", "REDIS_URL"), ("signing_key", "SECRET_KEY")],
)
def test_a_deployment_is_told_what_it_shares(missing: str, variable: str) -> None:
    (said,) = faults(replace(TEAM, **{missing: False}))
    assert said.startswith(f"CLAUDE_MEM_{variable} is required in Docker")


@pytest.mark.parametrize("key", ["", "short", "a" * 64, "changeme" * 3])
def test_a_signing_key_that_can_be_guessed_is_refused(key: str) -> None:
    assert "openssl rand -hex 32" in weak_key(key)
    assert weak_key(GOOD_KEY) == ""


def test_hosts_are_names_alone() -> None:
    for name in ("example.org", ".example.org", "127.0.0.1", "[::1]", "*", "localhost"):
        assert wrong_host(name) == "", name
    for name in ("https://example.org", "example.org:443", "example.org/admin", "a b", "u@h"):
        assert wrong_host(name), name


def test_the_origin_of_a_url_is_its_scheme_host_and_port() -> None:
    assert origin("https://Memory.example.org:8443/base") == "https://memory.example.org:8443"


def test_the_host_of_a_url_is_written_as_browsers_write_it() -> None:
    assert [host(url) for url in ("https://Ada.example.org:1/x", "http://[::1]:80", "")] == [
        "ada.example.org", "[::1]", "",
    ]  # fmt: skip


def settings(overrides: dict[str, str], shown: str = "") -> subprocess.CompletedProcess[str]:
    """What becomes of loading the settings, and what `shown` is in them."""
    data = {"CLAUDE_MEM_DATA_DIR": os.environ["CLAUDE_MEM_DATA_DIR"]}
    return subprocess.run(
        [sys.executable, "-c", f"from claudemem import settings; print({shown})"],
        cwd=ROOT, env={**environment(data), **overrides}, capture_output=True, text=True,
        check=False,
    )  # fmt: skip


def test_a_public_address_opens_the_admin_to_browsers_that_come_from_there() -> None:
    shown = (
        "settings.ALLOWED_HOSTS[-1], settings.CSRF_TRUSTED_ORIGINS, settings.SESSION_COOKIE_SECURE"
    )
    told = settings({"CLAUDE_MEM_PUBLIC_URL": "https://memory.example.org/"}, shown)
    assert told.stdout == "memory.example.org ['https://memory.example.org'] True\n"
    assert settings({}, shown).stdout == "[::1] [] False\n"


def test_a_container_has_the_port_that_clients_expect() -> None:
    shared = {
        "CLAUDE_MEM_DOCKER": "1", "CLAUDE_MEM_SERVER_DATABASE_URL": "postgres://db/memory",
        "CLAUDE_MEM_REDIS_URL": "rediss://store/0", "CLAUDE_MEM_SECRET_KEY": GOOD_KEY,
    }  # fmt: skip
    told = settings(shared, "settings.PORT, settings.CELERY_BROKER_USE_SSL")
    assert told.stdout.startswith("37877 {'ssl_cert_reqs': <VerifyMode.CERT_REQUIRED"), told.stderr


def test_a_misspelt_setting_stops_a_container_and_is_only_mentioned_elsewhere() -> None:
    misspelt = {"CLAUDE_MEM_SEVER_PORT": "1"}
    assert "SEVER_PORT is no setting" in settings(misspelt, "settings.UNKNOWN_SETTINGS").stdout
    refused = settings({**misspelt, "CLAUDE_MEM_DOCKER": "1"})
    assert refused.returncode == 1
    assert "- CLAUDE_MEM_SEVER_PORT is no setting" in refused.stderr


def test_a_fault_leaves_no_trace_in_the_data_directory(tmp_path: object) -> None:
    told = settings({"CLAUDE_MEM_DATA_DIR": f"{tmp_path}/new", "CLAUDE_MEM_WEB_THREADS": "x"})
    assert told.returncode == 1
    assert not os.path.exists(f"{tmp_path}/new")


def test_canaries_must_come_more_often_than_they_are_missed() -> None:
    assert list(hasty_verdicts(45, 30)) == []
    (said,) = hasty_verdicts(30, 30)
    assert "CLAUDE_MEM_HEALTH_CANARY_SECONDS" in said
