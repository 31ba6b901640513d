"""One call of `POST …/chat/completions`, through the openai library: messages in, an answer out.

Imported with the first call, for the library takes some 45 MB that only workers need.
"""

import json
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import httpx2
import openai

from observations.providers.errors import ProviderError
from observations.providers.openai_compatible import deadlines
from observations.providers.openai_compatible.failures import moment_of, refused

Message = dict[str, str]

_ROUTE = "/chat/completions"

# More than a worker has threads: nobody waits for a connection, or makes one for each call.
_LIMITS = httpx2.Limits(max_connections=1000, max_keepalive_connections=500, keepalive_expiry=15)


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back: the text, None where there is none, and what it cost in tokens."""

    text: str | None
    cut_off: bool
    input_tokens: int
    output_tokens: int


class Refused(Exception):
    """A request that was refused because of a parameter; `parameter` names it."""

    def __init__(self, parameter: str) -> None:
        super().__init__(parameter)
        self.parameter = parameter


class Wire:
    """A connection pool to one API. Safe to use from many threads."""

    def __init__(self, who: str, base_url: str, key: str) -> None:
        self._who = who
        self._client = openai.OpenAI(
            api_key=key or "none",
            base_url=base_url,
            max_retries=0,
            http_client=openai.DefaultHttpxClient(
                follow_redirects=False,
                limits=_LIMITS,
                event_hooks={"request": [deadlines.started], "response": [deadlines.answered]},
            ),
        )
        # The library takes these from the environment; they are another account's.
        self._client.organization = self._client.project = None

    def ask(
        self,
        model: str,
        messages: list[Message],
        options: dict[str, Any],
        *,
        ends_at: float,
        idempotency_key: str,
    ) -> Answer:
        """The model's answer, before `ends_at` of the monotonic clock.

        Raises ProviderError; Refused where one of `options` is what the API does not take.
        """
        seconds = ends_at - time.monotonic()
        if seconds <= 0:
            raise ProviderError(f"{self._who} was left no time to answer", "transient")
        try:
            # Not `chat.completions.create`: what that adds for programmers costs as much again.
            response = self._client.post(
                _ROUTE,
                cast_to=httpx2.Response,
                body={"model": model, "messages": messages, **options},
                options={
                    "timeout": deadlines.timeout(seconds),
                    "headers": {"Idempotency-Key": idempotency_key},
                },
            )
        except openai.APITimeoutError:
            reason = f"{self._who} did not answer within {seconds:.0f} s"
            raise ProviderError(reason, "transient") from None
        except openai.APIConnectionError as error:
            raise ProviderError(
                f"{self._who} cannot be reached{_why(error)}", "transient"
            ) from None
        except openai.APIStatusError as error:
            raise self._refusal(error.response, options) from None
        return self._answer(response)

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def _refusal(self, response: Any, options: dict[str, Any]) -> Exception:
        body = response.text
        if response.status_code in (400, 404, 422) and (named := _named(body, options)):
            return Refused(named)
        return refused(
            self._who,
            response.status_code,
            body,
            retry_after=response.headers.get("retry-after"),
            now=_their_time(response),
        )

    def _answer(self, response: Any) -> Answer:
        try:
            data = json.loads(response.content)
        except (ValueError, RecursionError):
            raise ProviderError(f"{self._who} answered with no JSON", "parse_error") from None
        if not isinstance(data, dict):
            raise ProviderError(f"{self._who} answered with no JSON object", "parse_error")
        if error := data.get("error"):
            code = error.get("code") if isinstance(error, dict) else None
            status = code if isinstance(code, int) and 400 <= code < 600 else 200
            after = response.headers.get("retry-after")
            raise refused(
                self._who, status, json.dumps(error), retry_after=after, now=_their_time(response)
            )
        return answer_of(data)


def _their_time(response: Any) -> datetime:
    """When it answered, by its own clock: a moment that it names is by that one, not by ours."""
    return moment_of(response.headers.get("date")) or datetime.now(UTC)


def answer_of(data: dict[str, Any]) -> Answer:
    """An answer from a response's JSON, whatever of it is missing or misshapen."""
    choice = _dict(_first(data.get("choices")))
    usage = _dict(data.get("usage"))
    return Answer(
        text=_content(_dict(choice.get("message")).get("content")),
        cut_off=choice.get("finish_reason") == "length",
        input_tokens=_count(usage.get("prompt_tokens")),
        output_tokens=_count(usage.get("completion_tokens")),
    )


def _content(content: object) -> str | None:
    """The text; some APIs answer with a list of parts."""
    if isinstance(content, list):
        return "\n".join(str(_dict(part).get("text") or "") for part in content)
    return content if isinstance(content, str) else None


def _first(items: object) -> object:
    return items[0] if isinstance(items, list) and items else None


def _dict(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _count(value: object) -> int:
    return value if isinstance(value, int) and 0 <= value < 2**31 else 0


# What a refusal says of the parameter that it means, other than its name.
_ALSO = {"response_format": ("json_schema", "structured output")}


def _named(body: str, options: dict[str, Any]) -> str | None:
    low = body.lower()
    for name in options:
        if any(word in low for word in (name, *_ALSO.get(name, ()))):
            return name
    return None


def _why(error: Exception) -> str:
    """The kind of what went wrong: its text may hold an address with a key."""
    return f" ({type(error.__cause__).__name__})" if error.__cause__ else ""
