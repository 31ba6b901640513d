"""The managed store on a disk that fills up, and on one that cannot be written."""

import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
import redis
from django.test import override_settings

from claudemem import celery  # noqa: F401
from queueing import messages, outbox
from queueing.outbox import Head
from queueing.store import StoreFailed
from tests.stores import Disk, House, mounted
from tests.waiting import until


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    with mounted(tmp_path / "disk") as disk:
        yield disk


@pytest.fixture
def house(disk: Disk) -> Iterator[House]:
    house = House(disk.root)
    yield house
    house.store.stop()


def fill(house: House, disk: Disk) -> None:
    """Fill the disk until the server notices."""
    disk.fill()

    def refused() -> bool:
        with house.client() as client:
            try:
                client.lpush("ballast", bytes(1000))
            except redis.ResponseError as error:
                return "No space left" in str(error)
        return False

    until(refused)


@pytest.mark.parametrize("room", [0, 4096, 8192])
def test_without_room_nothing_is_started_and_the_sentence_says_so(
    disk: Disk, house: House, room: int
) -> None:
    disk.fill(leaving=room)
    before = psutil.Process().children()
    with pytest.raises(StoreFailed, match=f"No space left.* make room on the disk of {disk.root}"):
        house.start()
    # One that could not be noted down was ended: nobody would find it again.
    assert psutil.Process().children() == before
    disk.clear()
    assert not house.start().adopted


def test_a_server_whose_disk_fills_up_refuses_messages_until_there_is_room(
    disk: Disk, house: House
) -> None:
    house.start()
    fill(house, disk)
    with house.client() as client:
        with pytest.raises(redis.ResponseError, match="No space left"):
            client.ping()
        disk.clear()
        until(lambda: _takes(client))


def _takes(client: redis.Redis) -> bool:
    try:
        return bool(client.lpush("kept", "message"))
    except redis.ResponseError:
        return False


@pytest.mark.django_db
def test_for_publishers_a_full_disk_is_a_store_that_is_away(disk: Disk, house: House) -> None:
    house.start()
    with override_settings(QUEUE_STORE_URL=house.store.url):
        assert outbox.publish([Head("job", "event")])
        fill(house, disk)
        assert not outbox.publish([Head("job", "event")])
        disk.clear()
        until(lambda: outbox.publish([Head("job", "event")]))
        messages.hang_up()


def test_on_a_full_disk_it_is_found_adopted_and_stopped_at_once(disk: Disk, house: House) -> None:
    first = house.start()
    house.push(b"message")
    fill(house, disk)
    assert house.start().pid == first.pid
    began = time.monotonic()
    assert house.store.stop(timeout=60)
    assert time.monotonic() - began < 30
    disk.clear()
    house.start()
    assert house.waiting() == 1


def test_on_a_full_disk_a_server_whose_mark_was_lost_is_found(disk: Disk, house: House) -> None:
    first = house.start()
    (house.redis / "redis.pid").unlink()
    fill(house, disk)
    assert house.start().pid == first.pid
    assert house.store.stop()


def test_a_killed_server_comes_back_with_its_data_when_there_is_room(
    disk: Disk, house: House
) -> None:
    house.start()
    house.push(b"message")
    fill(house, disk)
    house.kill()
    with pytest.raises(StoreFailed, match="make room"):
        house.start(may_move=False)
    disk.clear()
    assert house.start(may_move=False).warnings == ()
    assert house.waiting() == 1


def test_a_read_only_directory_is_a_sentence(disk: Disk, house: House) -> None:
    disk.make_read_only()
    with pytest.raises(StoreFailed, match=r"Read-only file system.*make .* writable"):
        house.start()


def test_a_store_in_a_directory_that_became_read_only_is_a_sentence(
    disk: Disk, house: House
) -> None:
    house.start()
    house.store.stop()
    disk.make_read_only()
    with pytest.raises(StoreFailed, match=r"Read-only file system.*CLAUDE_MEM_DATA_DIR"):
        house.start()
    assert house.store.running() is None
    assert house.store.stop() is False
