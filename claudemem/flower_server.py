"""The Flower process: Flower with every address but its health check behind the password.

Flower's own handlers leave `/metrics` and unknown addresses open, so the door stands before all of
them. It runs on a Celery app without tasks and without Django: all that it shows comes from events
and from what workers answer.
"""

import hmac
import logging.config
import os
import re
import signal
import time
from base64 import b64encode
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any
from uuid import uuid4

import flower
from celery import Celery
from celery.events import EventReceiver
from flower.api.tasks import GetQueueLengths
from flower.app import Flower
from flower.events import Events
from flower.inspector import Inspector
from flower.options import options
from flower.urls import settings as defaults
from flower.views import BaseHandler
from flower.views.broker import BrokerView
from flower.views.monitor import Healthcheck
from kombu import Queue
from kombu.exceptions import OperationalError
from redis import RedisError
from tornado.httputil import HTTPHeaders, HTTPServerRequest
from tornado.ioloop import IOLoop
from tornado.template import filter_whitespace
from tornado.web import HTTPError, OutputTransform, RedirectHandler

from claudemem import settings
from claudemem.flower import Door, FlowerRefused, password
from claudemem.headers import A_REQUEST_ID, POLICY, REQUEST_ID, SECURITY, digest, policy
from queueing import clients

# Tasks that it remembers, and so the memory that it grows by: 8 kB each.
MAX_TASKS = 5_000
# A task's argument is its job's id.
COLUMNS = "name,uuid,args,state,received,runtime"
# Workers have their process's number in their name: who is gone does not come back.
GONE_SECONDS = 600
_REST_SECONDS = 0.5
_PATIENCE_SECONDS = 5.0

_AWAY = (OperationalError, RedisError, OSError)

log = logging.getLogger(__name__)


class Guard(OutputTransform):
    """Tells browsers with every answer what they may do with it, and what its request is called."""

    policy = ""

    def __init__(self, request: HTTPServerRequest) -> None:
        super().__init__(request)
        given = request.headers.get(REQUEST_ID, "")
        self._request_id = given if A_REQUEST_ID.fullmatch(given) else str(uuid4())

    def transform_first_chunk(
        self, status_code: int, headers: HTTPHeaders, chunk: bytes, finishing: bool
    ) -> tuple[int, HTTPHeaders, bytes]:
        """The answer as it was, with these headers."""
        ours = {**SECURITY, POLICY: self.policy, REQUEST_ID: self._request_id}
        for name, value in ours.items():
            headers[name] = value
        return super().transform_first_chunk(status_code, headers, chunk, finishing)


class Refused(BaseHandler):
    """What anyone gets who does not bring the password."""

    def prepare(self) -> None:
        """Answer 401, whatever is asked for."""
        raise HTTPError(401)


class Reticent(Inspector):
    """Asks workers everything but their configuration: it names hosts and paths of ours."""

    inspect_methods = tuple(method for method in Inspector.inspect_methods if method != "conf")


class Depths:
    """How many messages wait in each queue, asked of the store in the way that we go there."""

    async def queues(self, names: Iterable[str]) -> list[dict[str, Any]]:
        """The queues of these names. Raises RedisError or OSError."""
        return await IOLoop.current().run_in_executor(None, _depths, tuple(names))


class Page(BrokerView):
    """The page of queues, with our depths."""

    def get_broker(self) -> Depths:
        """Who counts."""
        return Depths()


class Lengths(GetQueueLengths):
    """The same for programs."""

    def get_broker(self) -> Depths:
        """Who counts."""
        return Depths()


OWN = {BrokerView: Page, GetQueueLengths: Lengths}


class Attentive(Events):
    """Listens to workers again within two seconds of the queue store's return.

    Flower's own rests twice as long after each failure, and is deaf for as long as the store was
    away.
    """

    def run(self) -> None:
        """Listen until the process ends."""
        try:
            while True:
                self._listen()
        finally:
            # Deaf it is of no use: whoever started it starts another.
            self.io_loop.add_callback(self.io_loop.stop)

    def _listen(self) -> None:
        try:
            with self.capp.connection() as connection:
                connection.ensure_connection()
                receiver = EventReceiver(connection, {"*": self.on_event}, app=self.capp)
                receiver.capture(limit=None, timeout=None, wakeup=True)
        except _AWAY as error:
            log.warning("the queue store does not answer: %s", error)
            time.sleep(_REST_SECONDS)


class Guarded(Flower):
    """Flower behind its door."""

    def __init__(self, door: Door, app: Celery) -> None:
        loop = IOLoop.current()
        events = Attentive(app, loop, max_tasks_in_memory=MAX_TASKS)
        super().__init__(options=options, capp=app, events=events, io_loop=loop, **_paths(door))
        self.inspector = Reticent(self.io_loop, app, options.inspect_timeout / 1000)
        self._known = b"Basic " + b64encode(options.basic_auth[0].encode())
        Guard.policy = _policy()
        self.add_transform(Guard)
        if door.prefix:
            way = {"url": door.path, "permanent": False}
            self.add_handlers(".*", [(rf"/(?:{door.prefix})?", RedirectHandler, way)])

    def get_handler_delegate(
        self, request: Any, target_class: Any, *args: Any, **kwargs: Any
    ) -> Any:
        """Whoever does not bring the password is refused; containers may ask whether it lives."""
        brought = request.headers.get("Authorization", "").encode(errors="replace")
        if target_class is not Healthcheck and not hmac.compare_digest(brought, self._known):
            target_class, args, kwargs = Refused, (), {}
        own = OWN.get(target_class, target_class)
        return super().get_handler_delegate(request, own, *args, **kwargs)


def serve(door: Door) -> None:
    """Serve until SIGTERM or SIGINT. Raises FlowerRefused if its port is taken."""
    app = _celery()
    _configure(door)
    server = Guarded(door, app)
    try:
        server.start_http_server()
    except OSError as error:
        raise FlowerRefused(
            f"Flower cannot listen at {door.host}, port {door.port} ({error.strerror}): choose "
            "another port in CLAUDE_MEM_FLOWER_PORT"
        ) from error
    for number in (signal.SIGINT, signal.SIGTERM):
        server.io_loop.asyncio_loop.add_signal_handler(number, server.io_loop.stop)
    server.start()
    _disable_events(app)
    server.stop()


def _celery() -> Celery:
    os.environ.pop("DJANGO_SETTINGS_MODULE", None)
    app = Celery("claudemem", set_as_current=True, amqp="queueing.transport:AMQP")
    app.config_from_object("claudemem.settings", namespace="CELERY")
    logging.config.dictConfig(settings.LOGGING)
    # It knows queues as objects.
    app.conf.task_queues = [Queue(name) for name in app.conf.task_queues]
    return app


def _depths(names: tuple[str, ...]) -> list[dict[str, Any]]:
    url, owner = settings.QUEUE_STORE_URL, settings.QUEUE_STORE_OWNER
    with clients.client(url, timeout=_PATIENCE_SECONDS, owner=owner) as client:
        pipe = client.pipeline(transaction=False)
        for name in names:
            pipe.llen(f"{settings.QUEUE_PREFIX}:{name}")
        counts = zip(names, pipe.execute(), strict=True)
        return [{"name": name, "messages": count} for name, count in counts]


def _configure(door: Door) -> None:
    options.address, options.port = door.host, door.port
    options.basic_auth = [f"{door.user}:{password()}"]
    options.url_prefix = door.prefix
    options.read_only = door.read_only
    options.tasks_columns = COLUMNS
    options.purge_offline_workers = GONE_SECONDS


def _paths(door: Door) -> dict[str, Any]:
    own = {"login_url": f"{door.path}login", "static_url_prefix": f"{door.path}static/"}
    return {**defaults, **own}


def _policy() -> str:
    """What its pages may do. One of them has a script in it, which is let run by its text."""
    page = Path(flower.__file__).with_name("templates") / "workers.html"
    scripts = re.findall(r"<script[^>]*>(.+?)</script>", page.read_text(), re.DOTALL)
    known = [digest(filter_whitespace("single", text.replace("{{ autorefresh }}", "1")))
             for text in scripts]  # fmt: skip
    return policy(
        script_src=" ".join(["'self'", *known]),
        style_src="'self'",
        style_src_attr="'unsafe-inline'",
        img_src="'self' data:",
        font_src="'self'",
        connect_src="'self'",
    )


def _disable_events(app: Celery) -> None:
    """Let workers save the cost of telling what they do; nobody listens now."""
    with suppress(*_AWAY), app.connection_for_write() as connection:
        connection.ensure_connection(max_retries=1)
        app.control.disable_events(connection=connection)
