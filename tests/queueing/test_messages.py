"""The broker's client, with a real store that is paused, killed and brought back."""

import os
import signal
import subprocess
import sys
import time
from base64 import b64decode
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import orjson
import pytest
import redis
from celery import current_app
from django.conf import settings
from django.test import override_settings
from kombu import Connection, Producer

from claudemem import celery  # noqa: F401
from queueing import kinds, messages, outbox
from queueing.errors import QueueStoreAway
from queueing.outbox import Head
from queueing.store import Server
from tests.stores import kept
from tests.waiting import until

pytestmark = pytest.mark.once


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    store = kept(tmp_path)
    started = store.start()
    with override_settings(QUEUE_STORE_URL=store.url):
        yield started
        os.kill(started.pid, signal.SIGCONT)
        messages.hang_up()
    store.stop()


def seconds_of_publishing() -> tuple[float, bool]:
    started = time.perf_counter()
    published = outbox.publish([Head("job", "event")])
    return time.perf_counter() - started, bool(published)


@pytest.mark.parametrize("kind", kinds.ALL, ids=lambda kind: kind.name)
def test_a_message_is_what_celery_itself_would_send(kind: kinds.Kind) -> None:
    ours = messages.addressed(messages._template(kind), "job-1", "task-1")
    with Connection("memory://") as connection, connection.channel() as channel:
        current_app.send_task(
            kind.task, args=["job-1"], queue=kind.queue, task_id="task-1",
            producer=Producer(channel), retry=False,
        )  # fmt: skip
        theirs = channel._get(kind.queue)
    assert orjson.loads(b64decode(ours["body"])) == orjson.loads(b64decode(theirs["body"]))
    assert ours["headers"] == {**theirs["headers"], "argsrepr": "('job-1',)"}
    own = {"delivery_tag", "reply_to"}
    for name in set(theirs["properties"]) - own:
        assert ours["properties"][name] == theirs["properties"][name]


def test_published_messages_wait_in_the_queue_of_their_kind(server: Server) -> None:
    messages.publish("a", "event")
    messages.publish("b", "summary")
    messages.publish("c", "summary")
    assert messages.depths() == {"event": 1, "summary": 2, "event-batch": 0, "upkeep": 0}


def test_a_canary_waits_until_it_is_taken(server: Server) -> None:
    messages.publish("a", "event")
    messages.send_canary("event", 7)
    assert messages.canary_waits("event", 7)
    assert not messages.canary_waits("event", 6)
    assert not messages.canary_waits("upkeep", 7)
    assert messages.depths()["event"] == 2
    with closing(redis.Redis.from_url(settings.QUEUE_STORE_URL)) as client:
        client.delete(messages.key("event"))
    assert not messages.canary_waits("event", 7)


def test_a_canary_is_the_same_whichever_process_sent_it(server: Server) -> None:
    ours = messages._canary("summary", 3)
    code = (
        "import os; os.environ['DJANGO_SETTINGS_MODULE'] = 'claudemem.settings'\n"
        "import django; django.setup()\n"
        "from claudemem import celery\n"
        "from queueing import messages\n"
        "os.write(1, messages._canary('summary', 3))"
    )
    theirs = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True).stdout
    assert ours == theirs


def test_a_black_hole_costs_one_caller_its_patience_and_the_next_ones_nothing(
    server: Server,
) -> None:
    messages.depths()
    os.kill(server.pid, signal.SIGSTOP)
    took, published = seconds_of_publishing()
    assert not published
    assert took < 2 * messages.TIMEOUT
    times = [seconds_of_publishing() for _ in range(50)]
    assert not any(published for _, published in times)
    assert sum(took for took, _ in times) < messages.TIMEOUT


@pytest.mark.usefixtures("in_earnest")
def test_publishing_resumes_by_itself_when_the_store_is_back(server: Server) -> None:
    os.kill(server.pid, signal.SIGSTOP)
    with pytest.raises(QueueStoreAway):
        messages.depths()
    os.kill(server.pid, signal.SIGCONT)
    until(lambda: seconds_of_publishing()[1])


@override_settings(QUEUE_STORE_URL="")
def test_without_a_store_the_error_says_how_to_get_one() -> None:
    with pytest.raises(QueueStoreAway, match="claudemem start"):
        messages.publish("job", "event")
