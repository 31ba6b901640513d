"""Asking a model: what is sent, what is made of good answers, and what bad ones end in."""

import json
import socket
import time
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pytest

from observations import modes
from observations.drafts import Completion, ObservationDraft, Source
from observations.providers import Options, ProviderError, UnknownProvider, provider_named
from observations.providers.openai_compatible import OpenAICompatible, wire
from observations.providers.openai_compatible.failures import classify, seconds_of
from tests.contracts.provider_suite import event, source, worked
from tests.observations.providers.making import RECORDINGS, recorded
from tests.standin import StandIn, running

pytestmark = pytest.mark.once

MODE = modes.load("code")
KEY = "sk-the-key-that-nobody-sees"


@pytest.fixture
def standin() -> Iterator[StandIn]:
    with running() as standin:
        yield standin


def ask(standin: StandIn, asked: Source | None = None, timeout: float = 20.0) -> Completion:
    with closing(OpenAICompatible("openrouter", "a-model", standin.url, KEY)) as provider:
        return provider.complete(asked or source(*worked()), MODE, timeout=timeout)


def failure(standin: StandIn, mode: str, timeout: float = 20.0) -> ProviderError:
    standin.mode = mode
    with pytest.raises(ProviderError) as raised:
        ask(standin, timeout=timeout)
    error = raised.value
    for secret in (KEY, "ECHO", "cart.py"):
        assert secret not in str(error)
    assert error.__cause__ is None
    return error


def test_a_request_names_model_form_and_job(standin: StandIn) -> None:
    completion = ask(standin)
    (request,), (headers,) = standin.requests, standin.headers
    assert request["model"] == "a-model"
    assert request["response_format"]["json_schema"]["strict"] is True
    assert request["max_tokens"] > 0
    assert headers["authorization"] == f"Bearer {KEY}"
    assert headers["idempotency-key"].startswith("job-1-")
    ask(standin)
    assert standin.headers[1]["idempotency-key"] == headers["idempotency-key"]
    assert (completion.input_tokens, completion.output_tokens) == (100, 10)


def test_drafts_cite_their_events_and_hold_no_entities(standin: StandIn) -> None:
    payload = {"tool_name": "Bash", "tool_input": {"command": "cat <in >out && ls"}}
    (draft,) = ask(standin, source(event("so it is", number=1), event(payload, number=2))).drafts[
        1:
    ]
    assert isinstance(draft, ObservationDraft)
    assert draft.event_ids == ("event-2",)
    assert draft.facts == ("`cat <in >out && ls` was at work",)


def test_nothing_is_asked_where_all_is_private(standin: StandIn) -> None:
    completion = ask(standin, source(event({"prompt": "<private>all</private>"}), event("")))
    assert completion.drafts == ()
    assert standin.requests == []


def test_what_an_answer_repeats_of_a_secret_is_not_kept(standin: StandIn) -> None:
    secret = "ghp_" + "a1B2c3D4e5F6" * 3
    told = {"title": f"Key {secret}", "facts": ["<private>x y</private> z"]}
    standin.mode = json.dumps({"observations": [told]})
    (draft,) = ask(standin).drafts
    assert isinstance(draft, ObservationDraft)
    assert secret not in draft.title
    assert draft.facts == ("z",)


@pytest.mark.parametrize(
    "mode", ["prose", "half", "wrong types", "cut off", "nothing", "no choices"]
)
def test_an_answer_that_cannot_be_read_is_repaired_once(standin: StandIn, mode: str) -> None:
    standin.next = [mode]
    completion = ask(standin)
    assert completion.drafts
    first, second = standin.requests
    assert [each["role"] for each in second["messages"]] == ["user", "assistant", "user"]
    assert second["messages"][0] == first["messages"][0]
    keys = [headers["idempotency-key"] for headers in standin.headers]
    assert len(set(keys)) == 2
    if mode != "no choices":
        assert completion.input_tokens == 200


@pytest.mark.parametrize(
    "mode", ["prose", "half", "wrong types", "cut off", "nothing", "no choices"]
)
def test_an_answer_that_stays_unreadable_is_a_parse_error(standin: StandIn, mode: str) -> None:
    error = failure(standin, mode)
    assert error.classification == "parse_error"
    assert "cannot be read" in error.reason
    assert "weather" not in error.reason
    assert len(standin.requests) == 2


@pytest.mark.parametrize(
    ("mode", "classification", "wait"),
    [
        ("400", "unrecoverable", None),
        ("401", "auth_invalid", None),
        ("402", "quota_exhausted", None),
        ("403", "auth_invalid", None),
        ("404", "unrecoverable", None),
        ("429", "rate_limit", 120.0),
        ("500", "transient", None),
        ("error in 200", "rate_limit", None),
        ("not json", "parse_error", None),
        ("list", "parse_error", None),
        ("redirect", "unrecoverable", None),
    ],
)
def test_a_refusal_has_its_class_and_is_not_repeated(
    standin: StandIn, mode: str, classification: str, wait: float | None
) -> None:
    error = failure(standin, mode)
    assert (error.classification, error.retry_after) == (classification, wait)
    assert len(standin.requests) == 1


@pytest.mark.parametrize("hours", [-1, 0, 1])
def test_a_moment_to_wait_for_is_by_the_clock_of_whoever_named_it(
    standin: StandIn, monkeypatch: pytest.MonkeyPatch, hours: int
) -> None:
    ours = SimpleNamespace(now=lambda tz: datetime.now(tz) + timedelta(hours=hours))
    monkeypatch.setattr(wire, "datetime", ours)
    wait = failure(standin, "429 until").retry_after
    assert wait is not None
    assert 118 <= wait <= 120


def test_a_handshake_that_never_comes_is_waited_for_no_longer() -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as silent:
        url = f"https://127.0.0.1:{silent.getsockname()[1]}/v1"
        with (
            closing(OpenAICompatible("openrouter", "a-model", url, KEY)) as provider,
            pytest.raises(ProviderError) as raised,
        ):
            provider.complete(source(*worked()), MODE, timeout=0.4)
    assert raised.value.classification == "transient"


@pytest.mark.parametrize("mode", ["hang", "drip"])
def test_no_call_outlasts_its_deadline(standin: StandIn, mode: str) -> None:
    started = time.monotonic()
    assert failure(standin, mode, timeout=0.4).classification == "transient"
    assert time.monotonic() - started < 2


def test_an_answer_that_breaks_off_on_the_way_is_a_passing_trouble(standin: StandIn) -> None:
    assert failure(standin, "broken").classification == "transient"
    assert len(standin.requests) == 1


def test_a_server_that_is_not_there_is_a_passing_trouble() -> None:
    with running() as gone:
        pass
    assert failure(gone, "good").classification == "transient"


def test_a_parameter_that_is_refused_is_left_out_from_then_on(standin: StandIn) -> None:
    standin.next = ["no format", "no format", "good", "no limit", "no limit"]
    with closing(OpenAICompatible("openai-compatible", "m", standin.url, "")) as provider:
        for _ in range(3):
            assert provider.complete(source(*worked()), MODE, timeout=20).drafts
    told = [("response_format" in each, "max_tokens" in each) for each in standin.requests]
    assert told == [(True, True), (False, True), (False, True), (False, True), (False, False)]
    assert "<observation>" in standin.prompts[1]
    assert "max_completion_tokens" in standin.requests[-1]


@pytest.mark.parametrize("file", RECORDINGS, ids=lambda file: file.stem)
def test_a_recorded_session_is_asked_about_within_bounds(standin: StandIn, file: object) -> None:
    asked = Source("summarise", "job", "app", "s", recorded(file))  # type: ignore[arg-type]
    assert ask(standin, asked).drafts
    assert len(standin.prompts[0]) < 200_000


@pytest.mark.parametrize(
    ("url", "base"),
    [
        ("https://api.example.com", "https://api.example.com"),
        (" https://api.example.com/v1// ", "https://api.example.com/v1"),
        ("https://api.example.com/v1/chat/completions", "https://api.example.com/v1"),
        ("", "https://openrouter.ai/api/v1"),
    ],
)
def test_a_base_url_may_name_the_route_or_not(url: str, base: str) -> None:
    from observations.providers.selection import resolved

    assert resolved("openrouter", Options(url, key="k")).base_url == base


def test_a_key_is_needed_unless_the_server_is_ones_own() -> None:
    with pytest.raises(UnknownProvider, match="OPENROUTER_API_KEY"):
        provider_named("openrouter", Options())
    with pytest.raises(UnknownProvider, match="address"):
        provider_named("openrouter", Options("not a url", key="k"))
    assert provider_named("openrouter", Options("http://localhost:1234/v1")).model
    assert provider_named("openrouter", Options(key="k")).model == "anthropic/claude-3.5-sonnet"


@pytest.mark.parametrize(
    ("status", "body", "classification"),
    [
        (400, '{"error": "insufficient_quota"}', "quota_exhausted"),
        (429, "Rate limit exceeded", "rate_limit"),
        (429, "You exceeded your current quota: insufficient_quota", "quota_exhausted"),
        (403, "Key limit exceeded", "quota_exhausted"),
        (403, "Input was flagged by moderation", "unrecoverable"),
        (529, "", "transient"),
        (418, "", "unrecoverable"),
    ],
)
def test_a_body_can_say_what_a_status_means(status: int, body: str, classification: str) -> None:
    assert classify(status, body) == classification


@pytest.mark.parametrize(
    ("text", "wait"),
    [
        (None, None), ("", None), ("7", 7.0), ("1.5", 1.5), ("-1", None), ("nan", None),
        ("1e300", 86_400.0), ("soon", None), ("Sun, 01 Mar 2026 12:00:30 GMT", 30.0),
        ("Sun, 01 Mar 2026 11:00:00 GMT", 0.0),
    ],
)  # fmt: skip
def test_retry_after_is_seconds_or_a_date(text: str | None, wait: float | None) -> None:
    assert seconds_of(text, datetime(2026, 3, 1, 12, tzinfo=UTC)) == wait
