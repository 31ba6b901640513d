"""Which engine and which queue store the environment asks for."""

import json
import subprocess
import sys
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from claudemem.storechoice import MODES, Asked, external_url, faults, is_named, mode, wrong_host
from tests.stack import ROOT, environment

pytestmark = pytest.mark.once

NOTHING = Asked(mode="", url="", host="", port=0)
URL = "redis://:secret@memory.example:6390/2"
SAY = """
import json
from claudemem import settings
print(json.dumps([settings.QUEUE_ENGINE, settings.STORE_MODE, settings.QUEUE_STORE_URL,
                  settings.STORE is not None, settings.STORE_BINARY]))"""

asked = st.builds(
    Asked,
    mode=st.sampled_from(["", *MODES]),
    url=st.sampled_from(["", URL]),
    host=st.sampled_from(["", "memory.example", "other.example", "::1"]),
    port=st.sampled_from([0, 6379, 6390]),
)


def said(data: Path, **given: str) -> subprocess.CompletedProcess[str]:
    """What the settings are with these variables."""
    variables = {f"CLAUDE_MEM_{name}": value for name, value in given.items()}
    return subprocess.run(
        [sys.executable, "-c", SAY], cwd=ROOT, capture_output=True, text=True, check=False,
        env=environment({**variables, "CLAUDE_MEM_DATA_DIR": str(data)}),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (NOTHING, "managed"),
        (Asked("", URL, "", 0), "external"),
        (Asked("", "", "memory.example", 0), "external"),
        (Asked("", "", "", 6390), "external"),
        (Asked("managed", "", "", 0), "managed"),
        (Asked("docker", "", "", 0), "docker"),
        (Asked("external", "", "", 0), "external"),
    ],
)
def test_who_names_a_server_means_that_one(given: Asked, expected: str) -> None:
    assert mode(given) == expected
    assert list(faults(given)) == []


@pytest.mark.parametrize(
    ("given", "url"),
    [
        (Asked("external", "", "", 0), "redis://127.0.0.1:6379/0"),
        (Asked("", "", "", 6390), "redis://127.0.0.1:6390/0"),
        (Asked("", "", "memory.example", 0), "redis://memory.example:6379/0"),
        (Asked("", "", "::1", 6390), "redis://[::1]:6390/0"),
        (Asked("", URL, "", 0), URL),
        (Asked("external", URL, "memory.example", 6390), URL),
        (Asked("managed", "", "", 0), ""),
        (Asked("docker", "", "", 0), ""),
    ],
)
def test_the_url_of_an_external_one(given: Asked, url: str) -> None:
    assert external_url(given) == url


@given(asked)
def test_whatever_is_asked_for_is_one_mode_with_a_server_or_a_fault(given: Asked) -> None:
    assert mode(given) in MODES
    assert bool(external_url(given)) == (mode(given) == "external")
    if not list(faults(given)) and given.host:
        assert urlsplit(external_url(given)).hostname == given.host


@pytest.mark.parametrize("word", ["managed", "docker"])
def test_a_server_of_the_users_and_one_of_ours_contradict_each_other(word: str) -> None:
    found = list(faults(Asked(word, URL, "memory.example", 6390)))
    assert [fault.split()[0] for fault in found] == [
        "CLAUDE_MEM_REDIS_URL", "CLAUDE_MEM_REDIS_HOST", "CLAUDE_MEM_REDIS_PORT",
    ]  # fmt: skip
    assert all(f"CLAUDE_MEM_REDIS_MODE is {word}" in fault for fault in found)
    assert "secret" not in "".join(found)


def test_two_different_servers_contradict_each_other() -> None:
    (fault,) = faults(Asked("", URL, "other.example", 0))
    assert "name different servers" in fault


@pytest.mark.parametrize("host", ["redis://memory.example", "memory.example/0", "a b", "[::1]"])
def test_a_host_is_a_name_or_an_address(host: str) -> None:
    assert "a host name or an address alone" in wrong_host(host)


def test_a_deployment_names_its_store_unless_it_needs_none() -> None:
    assert is_named("celery", Asked("", URL, "", 0))
    assert is_named("celery", Asked("", "", "valkey", 0))
    assert not is_named("celery", NOTHING)
    assert is_named("database", NOTHING)


@pytest.mark.parametrize(
    ("name", "engine"),
    [("", "celery"), ("celery", "celery"), ("bullmq", "celery"), ("database", "database"),
     ("SQLite", "database")],
)  # fmt: skip
def test_the_database_engine_has_no_store(tmp_path: Path, name: str, engine: str) -> None:
    told = said(tmp_path, QUEUE_ENGINE=name, REDIS_URL=URL, REDIS_BINARY="/bin/valkey")
    assert json.loads(told.stdout) == [
        engine, "external", URL if engine == "celery" else "", engine == "celery", "/bin/valkey",
    ]  # fmt: skip


def test_all_contradictions_are_said_in_one_message(tmp_path: Path) -> None:
    told = said(tmp_path, REDIS_MODE="managed", REDIS_URL=URL, REDIS_PORT="70000")
    assert "3 settings must be mended" in told.stderr
    assert "CLAUDE_MEM_REDIS_PORT must be a whole number from 1 to 65535" in told.stderr
    assert "secret" not in told.stderr
