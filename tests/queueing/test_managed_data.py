"""What becomes of the managed store's data, on each server that is tested."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from queueing.store import Server, StoreFailed
from tests import servers
from tests.servers import RELEASES, Release
from tests.stores import House
from tests.waiting import until

pytestmark = pytest.mark.once

NEWEST, _, OLDER, _ = RELEASES
each = pytest.mark.parametrize("release", RELEASES, ids=str)
# The files of Redis 6.2 are one, those of the others several with a list.
several = pytest.mark.parametrize("release", RELEASES[:3], ids=str)


@pytest.fixture
def house(tmp_path: Path, release: Release) -> Iterator[House]:
    """A store with a message in its snapshot and three in what followed, killed."""
    house = House(tmp_path, str(servers.binary(release)))
    house.start()
    house.push(b"first")
    with house.client() as client:
        client.bgrewriteaof()
        _await_rewrite(house)
    house.push(b"second", b"third", b"fourth")
    house.kill()
    yield house
    house.store.stop()


def _await_rewrite(house: House) -> None:
    with house.client() as client:
        until(lambda: client.info("persistence")["aof_rewrite_in_progress"] == 0)
        until(lambda: client.info("persistence")["aof_rewrite_scheduled"] == 0)


def newest(house: House, word: str) -> Path:
    """The file of the data that has this in its name; the only one where there is but one."""
    files = [path for path in (house.redis / "data").rglob("appendonly*") if path.is_file()]
    return max((path for path in files if word in path.name), default=files[0])


def overwrite(path: Path, at: int, garbage: bytes) -> None:
    with path.open("r+b") as file:
        file.seek(at)
        file.write(garbage)


def set_aside(house: House, server: Server) -> Path:
    """Where the warning says that the data are."""
    (warning,) = server.warnings
    (aside,) = house.redis.glob("data-damaged-*")
    assert f"kept in {aside}," in warning
    return aside


@each
def test_a_killed_server_comes_back_on_its_port_with_its_data(house: House) -> None:
    before = house.access
    assert house.store.process() is None
    server = house.start(may_move=False)
    assert (server.adopted, server.warnings) == (False, ())
    assert house.access == before
    assert house.waiting() == 4


@each
def test_a_tail_that_was_cut_off_is_dropped_and_the_rest_goes_on(house: House) -> None:
    file = newest(house, "incr")
    with file.open("r+b") as open_file:
        open_file.truncate(file.stat().st_size - 3)
    server = house.start()
    assert server.warnings == ()
    assert 1 <= house.waiting() < 4
    assert not list(house.redis.glob("data-damaged-*"))


@each
@pytest.mark.parametrize("word", ["base", "incr"])
def test_data_that_are_damaged_are_set_aside_and_it_begins_empty(house: House, word: str) -> None:
    file = newest(house, word)
    size = file.stat().st_size
    overwrite(file, size // 2, b"\xff" * (size // 4))
    server = house.start(may_move=False)
    assert house.waiting() == 0
    aside = set_aside(house, server)
    assert b"\xff\xff" in (aside / file.relative_to(house.redis / "data")).read_bytes()
    house.push(b"message")
    house.kill()
    assert house.start().warnings == ()
    assert house.waiting() == 1


@several
def test_a_list_of_files_that_is_garbage_is_damage_too(house: House) -> None:
    newest(house, "manifest").write_text("garbage")
    assert set_aside(house, house.start()).is_dir()


@several
def test_a_file_that_is_missing_is_damage_too(house: House) -> None:
    newest(house, "incr").unlink()
    assert set_aside(house, house.start()).is_dir()


@pytest.mark.parametrize("release", [NEWEST], ids=str)
def test_a_snapshot_that_fails_refuses_nothing(house: House) -> None:
    (house.redis / "data" / "dump.rdb").unlink(missing_ok=True)
    (house.redis / "data" / "dump.rdb").mkdir()
    house.start()
    with house.client() as client:
        client.bgsave()
        until(lambda: client.info("persistence")["rdb_last_bgsave_status"] == "err")
        assert client.lpush("kept", "message") == 5


def test_data_of_a_newer_server_are_set_aside(tmp_path: Path) -> None:
    first = House(tmp_path, str(servers.binary(NEWEST)))
    second = House(tmp_path, str(servers.binary(OLDER)))
    first.start()
    first.push(b"message")
    with first.client() as client:
        client.bgrewriteaof()
    _await_rewrite(first)
    first.store.stop()
    server = second.start()
    assert (server.product, second.waiting()) == (OLDER.product, 0)
    assert set_aside(second, server).is_dir()
    second.store.stop()


def test_data_of_an_older_server_are_taken_over(tmp_path: Path) -> None:
    first = House(tmp_path, str(servers.binary(RELEASES[-1])))
    second = House(tmp_path)
    first.start()
    first.push(b"message")
    first.store.stop()
    assert second.start().warnings == ()
    assert second.waiting() == 1
    second.store.stop()


def test_only_the_last_data_that_were_set_aside_are_kept(tmp_path: Path) -> None:
    house = House(tmp_path)
    for time in range(5):
        aside = house.redis / f"data-damaged-20010101-00000{time}-000000"
        aside.mkdir(parents=True)
        (aside / "file").touch()
    house.start()
    house.push(b"message")
    house.kill()
    newest(house, "manifest").write_text("garbage")
    (warning,) = house.start().warnings
    kept = list(house.redis.glob("data-damaged-*"))
    assert len(kept) == 3
    assert [aside for aside in kept if str(aside) in warning]
    house.store.stop()


KILLED = """#!/bin/sh
test "$1" = --version && echo 'Valkey server v=9.0.0 sha=0:0' && exit
echo '1:M 01 Jan 2031 00:00:00.000 * Server initialized'
kill -9 $$
"""


def test_data_are_not_to_blame_where_the_server_was_killed_while_it_read_them(
    tmp_path: Path,
) -> None:
    """As the system does that runs out of memory."""
    program = tmp_path / "valkey-server"
    program.write_text(KILLED)
    program.chmod(0o755)
    house = House(tmp_path, str(program))
    with pytest.raises(StoreFailed, match=r"was killed .* memory"):
        house.start()
    assert not list(house.redis.glob("data-damaged-*"))
