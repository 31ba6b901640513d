import json
from pathlib import Path

import pytest

from claudemem.hook import target
from claudemem.hook.target import NoTarget, Target

pytestmark = pytest.mark.once

URL, KEY = "CLAUDE_MEM_SERVER_URL", "CLAUDE_MEM_SERVER_API_KEY"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.delenv(URL, raising=False)
    monkeypatch.delenv(KEY, raising=False)
    said = {"url": "http://127.0.0.1:37877", "key": "cmem_file", "ca": None}
    (tmp_path / "config.json").write_text(json.dumps(said))
    return tmp_path


@pytest.mark.parametrize(
    ("url", "secure", "host", "port", "path", "authority"),
    [
        ("http://127.0.0.1:37877", False, "127.0.0.1", 37877, "", "127.0.0.1:37877"),
        ("http://memory.example/", False, "memory.example", 80, "", "memory.example"),
        ("HTTPS://memory.example", True, "memory.example", 443, "", "memory.example"),
        ("https://h:8443/team/mem/", True, "h", 8443, "/team/mem", "h:8443"),
        ("http://[::1]:37877", False, "::1", 37877, "", "[::1]:37877"),
        ("https://[fe80::1]/x", True, "fe80::1", 443, "/x", "[fe80::1]"),
    ],
)
def test_a_url_is_read(
    url: str, secure: bool, host: str, port: int, path: str, authority: str
) -> None:
    found = Target(url, "k", "", "spool")
    assert (found.secure, found.host, found.port, found.path) == (secure, host, port, path)
    assert found.authority == authority
    assert found.shown.startswith(f"http{'s' if secure else ''}://{authority}")


@pytest.mark.parametrize(
    "url",
    ["", "memory.example", "ftp://h", "http://", "http://h:x", "http://h:0", "http://h:70000",
     "http://[::1", "http://ada:secret@h", "http://h/a b", "http://h/?q", "http://h/\r\nX: y",
     "http://h\u00e9"],
)  # fmt: skip
def test_what_is_no_address_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match=r"no|user|IPv6|printable"):
        Target(url, "k", "", "spool")


def test_the_environment_beats_the_file(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert target.read(str(folder)).key == "cmem_file"
    monkeypatch.setenv(KEY, "cmem_env")
    found = target.read(str(folder))
    assert (found.key, found.port) == ("cmem_env", 37877)
    monkeypatch.setenv(URL, "http://other:1")
    found = target.read(str(folder))
    assert (found.key, found.host) == ("cmem_env", "other")


def test_each_server_and_key_of_the_environment_has_a_spool_of_its_own(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spools = [target.read(str(folder)).spool]
    monkeypatch.setenv(KEY, "cmem_file")
    assert target.read(str(folder)).spool == "spool"
    for key, url in (("cmem_a", ""), ("cmem_b", ""), ("cmem_b", "http://other")):
        monkeypatch.setenv(KEY, key)
        monkeypatch.setenv(URL, url)
        spools.append(target.read(str(folder)).spool)
    assert len(set(spools)) == 4


def test_the_key_of_the_file_goes_to_no_server_of_the_environments(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(URL, "http://127.0.0.1:37877/")
    assert target.read(str(folder)).key == "cmem_file"
    monkeypatch.setenv(URL, "http://other")
    with pytest.raises(NoTarget, match=KEY) as raised:
        target.read(str(folder))
    assert not raised.value.passing


def test_without_a_file_a_url_is_enough_where_no_key_is_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(URL, "http://127.0.0.1:1")
    monkeypatch.delenv(KEY, raising=False)
    assert target.read(str(tmp_path)).key == ""
    monkeypatch.setenv(KEY, "cmem_env")
    assert target.read(str(tmp_path)).key == "cmem_env"


@pytest.mark.parametrize(
    ("text", "passing"),
    [(None, False), (b"", True), (b"{", True), (b"[]", True), (b"\xff", True),
     (b'{"url": 7}', True), (b'{"url": "http://h:x"}', True),
     (b'{"url": "http://h", "key": "a\\nb"}', True)],
)  # fmt: skip
def test_a_file_that_cannot_be_used_is_said_and_payloads_wait_until_it_is_mended(
    folder: Path, text: bytes | None, passing: bool
) -> None:
    path = folder / "config.json"
    path.unlink()
    if text is not None:
        path.write_bytes(text)
    with pytest.raises(NoTarget, match=str(path)) as raised:
        target.read(str(folder))
    assert raised.value.passing is passing
