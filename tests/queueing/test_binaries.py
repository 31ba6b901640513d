"""Which program the managed store runs, among real programs."""

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from queueing import binaries
from queueing.store import StoreFailed

pytestmark = pytest.mark.once

Program = Callable[..., Path]


@pytest.fixture
def program(tmp_path: Path) -> Program:
    """program("folder/name", "what it says"): a program that says it, whatever it is asked."""

    def _program(name: str, said: str, mode: int = 0o755) -> Path:
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(f"#!/bin/sh\necho '{said}'\n")
        path.chmod(mode)
        return path

    return _program


@pytest.fixture
def bare(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine for which nothing comes along, with nothing on its PATH but what is put there."""
    monkeypatch.setattr(binaries, "bundled", lambda: None)
    monkeypatch.setattr(binaries, "KNOWN", (tmp_path / "known",))
    monkeypatch.setenv("PATH", f"{tmp_path / 'one'}:{tmp_path / 'two'}")
    return tmp_path


def said(version: str, product: str = "Redis") -> str:
    return f"{product} server v={version} sha=00000000:0 malloc=libc bits=64 build=1"


def test_the_one_that_comes_along_is_found_and_says_what_it_is() -> None:
    found = binaries.find()
    assert (found.path, found.origin, found.fault) == (
        binaries.bundled(), binaries.BUNDLED, "",
    )  # fmt: skip
    assert (found.product, found.version.split(".")[0]) == ("Valkey", "9")


def test_they_are_looked_for_in_order_and_each_is_named_once(
    bare: Path, program: Program, monkeypatch: pytest.MonkeyPatch
) -> None:
    there = [
        program("one/valkey-server", said("8.0.1", "Valkey")),
        program("two/valkey-server", said("9.0.0", "Valkey")),
        program("one/redis-server", said("7.0.15")),
        program("known/redis-server", said("6.2.14")),
    ]
    (bare / "again").symlink_to(bare / "one")
    path = ":".join(str(bare / name) for name in ("one", "again", "two"))
    monkeypatch.setenv("PATH", path)
    found = list(binaries.candidates())
    assert [each.path for each in found] == there
    assert [each.origin for each in found] == [*["PATH"] * 3, "package"]
    assert [f"{each.product} {each.version}" for each in found] == [
        "Valkey 8.0.1", "Valkey 9.0.0", "Redis 7.0.15", "Redis 6.2.14",
    ]  # fmt: skip
    assert binaries.find().path == there[0]


def test_one_that_will_not_do_is_passed_over(bare: Path, program: Program) -> None:
    program("one/valkey-server", said("6.0.16"))
    program("two/valkey-server", said("9.0.0"), mode=0o644)
    program("one/redis-server", "hello")
    good = program("known/redis-server", said("6.2.0"))
    assert binaries.find().path == good


def test_where_none_will_do_each_is_named_with_its_reason_and_what_would_help(
    bare: Path, program: Program
) -> None:
    old = program("one/redis-server", said("6.0.16"))
    locked = program("two/redis-server", said("7.0.0"), mode=0o644)
    broken = bare / "known" / "valkey-server"
    broken.parent.mkdir()
    broken.write_bytes(b"\x7fELF of another machine")
    broken.chmod(0o755)
    with pytest.raises(StoreFailed) as failed:
        binaries.find()
    sentence = str(failed.value)
    assert f"{old} is Redis 6.0.16, older than 6.2" in sentence
    assert f"{locked} is not executable" in sentence
    assert f"{broken} cannot be run (" in sentence
    for helpful in ("setup --install-redis", "CLAUDE_MEM_REDIS_URL", "setup --queue database"):
        assert helpful in sentence


def test_where_there_is_none_at_all_the_places_are_named(bare: Path) -> None:
    with pytest.raises(StoreFailed, match=f"on the PATH and in {bare / 'known'} is no valkey-"):
        binaries.find()


def test_a_path_that_is_named_is_the_only_one_that_is_looked_at(program: Program) -> None:
    named = program("mine/keydb", said("6.3.4", "KeyDB"))
    found = binaries.find(str(named))
    assert (found.path, found.origin, found.product) == (named, binaries.EXPLICIT, "KeyDB")


@pytest.mark.parametrize(
    ("name", "reason"),
    [("missing", "is not there"), ("", "is no file"), ("other", "is no Valkey or Redis server"),
     ("old", "is Redis 5.0.7, older than 6.2"), ("locked", "is not executable")],
)  # fmt: skip
def test_a_path_that_is_no_server_is_a_sentence(
    tmp_path: Path, program: Program, name: str, reason: str
) -> None:
    program("mine/other", "hello")
    program("mine/old", said("5.0.7"))
    program("mine/locked", said("7.0.0"), mode=0o644)
    with pytest.raises(StoreFailed, match=f"CLAUDE_MEM_REDIS_BINARY names .*, which {reason}: "):
        binaries.find(str(tmp_path / "mine" / name))


def test_on_windows_it_is_said_plainly_what_there_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "win32")
    with pytest.raises(StoreFailed) as failed:
        binaries.find()
    for way in ("CLAUDE_MEM_REDIS_MODE=docker", "WSL", "CLAUDE_MEM_REDIS_URL", "--queue database"):
        assert way in str(failed.value)


@pytest.mark.parametrize("whose", ["one/valkey-server", "one"])
def test_one_that_all_users_could_have_put_there_is_not_even_asked(
    bare: Path, program: Program, whose: str
) -> None:
    (bare / "one").mkdir()
    asked = bare / "asked"
    path = bare / "one" / "valkey-server"
    path.write_text(f"#!/bin/sh\ntouch '{asked}'\necho '{said('9.1.0', 'Valkey')}'\n")
    path.chmod(0o755)
    (bare / whose).chmod(0o1777)
    with pytest.raises(StoreFailed, match=r"one/valkey-server may be anybody's"):
        binaries.find()
    assert not asked.exists()
    # Who names it knows it.
    assert binaries.find(str(path)).version == "9.1.0"


def test_a_folder_that_is_another_wherever_one_stands_is_not_looked_into(
    bare: Path, program: Program, monkeypatch: pytest.MonkeyPatch
) -> None:
    program("one/valkey-server", said("9.1.0", "Valkey"))
    monkeypatch.chdir(bare / "one")
    monkeypatch.setenv("PATH", ":.:../one")
    assert list(binaries.candidates()) == []
