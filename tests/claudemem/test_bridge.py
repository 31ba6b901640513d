"""What is answered where Django has no say: its own failure, and a body that does not come."""

from typing import Any

import orjson
import pytest

from claudemem.api import door, errors
from claudemem.bridge import Bridge, called

pytestmark = pytest.mark.once


class Silent:
    """A request whose body never comes, and what it is answered."""

    def __init__(self) -> None:
        self.sent: list[dict[str, Any]] = []
        self._heard: Any = None

    def receive(self) -> "Silent":
        return self

    def send(self, message: dict[str, Any]) -> None:
        self.sent.append(message)

    def add_done_callback(self, heard: Any) -> None:
        self._heard = heard

    def done(self) -> bool:
        return False

    def cancelled(self) -> bool:
        return True

    def give_up(self) -> None:
        self._heard(self)


def _told(headers: list[tuple[bytes, bytes]]) -> dict[str, str]:
    return {name.decode().lower(): value.decode() for name, value in headers}


def _everybodys(request_id: str) -> dict[str, str]:
    fixed = {**door.HEADERS, "Vary": "Origin", "X-Request-Id": request_id}
    return {name.lower(): value for name, value in fixed.items()}


def test_an_application_that_fails_is_an_answer_like_any_other() -> None:
    def application(*_: object) -> Any:
        raise ValueError("as asked")

    status, headers, body = called(application, {"PATH_INFO": "/", "HTTP_X_REQUEST_ID": "a-1"})
    assert status == 500
    assert orjson.loads(body)["error"] == "InternalError"
    assert _told(headers).items() >= _everybodys("a-1").items()


def test_who_is_too_slow_hears_of_it_in_an_answer_like_any_other() -> None:
    proto = Silent()
    scope = {
        "method": "POST", "raw_path": b"/v1/events", "query_string": b"", "http_version": "1.1",
        "server": ("127.0.0.1", "1"), "client": ("10.0.0.7", 4711), "scheme": "http",
        "headers": [(b"content-length", b"5"), (b"x-request-id", b"a-1")],
    }  # fmt: skip
    Bridge(lambda *_: pytest.fail("the body is not there")).take(scope, proto)
    proto.give_up()
    start, content = proto.sent
    assert start["status"] == errors.TOO_SLOW.status == 408
    assert orjson.loads(content["body"])["error"] == "RequestTimeout"
    told = _told(start["headers"])
    assert told.items() >= _everybodys("a-1").items()
    assert told["connection"] == "close"
