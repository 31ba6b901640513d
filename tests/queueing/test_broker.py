"""The broker: whichever engine is chosen, and no other."""

from pathlib import Path

import pytest
from django.conf import LazySettings

from claudemem.datadir import DataDir
from queueing import broker, outbox
from queueing.errors import QueueStoreAway
from queueing.outbox import Head
from queueing.wakes import Ear

pytestmark = pytest.mark.once


def test_a_store_that_is_away_is_no_reason_to_wake_anybody(
    settings: LazySettings, tmp_path: Path
) -> None:
    settings.DATA_DIR, settings.QUEUE_STORE_URL = DataDir(tmp_path), ""
    ear = Ear(["event"])
    with pytest.raises(QueueStoreAway):
        broker.publish("job", "event")
    assert not ear.heard(1)
    ear.close()


def test_the_database_engine_wakes_and_asks_no_store(
    settings: LazySettings, tmp_path: Path
) -> None:
    settings.DATA_DIR, settings.QUEUE_STORE_URL = DataDir(tmp_path), "redis://127.0.0.1:1/0"
    settings.QUEUE_ENGINE = "database"
    ear = Ear(["event"])
    assert outbox.publish([Head("job", "event")]) == 1
    assert ear.heard(1)
    ear.close()
