"""Providers that speak OpenAI's chat completions: OpenRouter, a gateway, a server of one's own.

A completion is at most one answer and one repair. Structured output is asked for until the API
says that it does not take it; from then on this process asks for the tag grammar instead.
"""

import json
import threading
import time
from dataclasses import dataclass, replace
from hashlib import sha256
from typing import TYPE_CHECKING, Any

from observations import answers, prompts
from observations.answers import Raw, Unreadable
from observations.drafts import Completion, Source, Tokens
from observations.modes import Mode
from observations.providers.errors import ProviderError
from observations.providers.openai_compatible.drafting import drafts_of
from observations.providers.openai_compatible.schemas import response_format

if TYPE_CHECKING:
    from observations.providers.openai_compatible.wire import Answer, Message, Wire

MOST_TOKENS = 8192  # of an answer
TEMPERATURE = 0.3
# As much of an answer that could not be read is shown to the model again.
_SHOWN_AGAIN = 8_000


@dataclass(frozen=True, slots=True)
class Dialect:
    """Which optional parameters an API takes, as far as it has told us by refusing them."""

    response_format: bool = True
    temperature: bool = True
    limit: str = "max_tokens"

    def options(self, task: str, mode: Mode) -> dict[str, Any]:
        """What is sent besides model and messages."""
        options: dict[str, Any] = {self.limit: MOST_TOKENS} if self.limit else {}
        if self.temperature:
            options["temperature"] = TEMPERATURE
        if self.response_format:
            options["response_format"] = response_format(task, mode)
        return options

    def without(self, parameter: str) -> "Dialect":
        """The same without a parameter; the limit has an older and a newer name."""
        if parameter == "max_tokens":
            return replace(self, limit="max_completion_tokens")
        if parameter == "max_completion_tokens":
            return replace(self, limit="")
        if parameter == "temperature":
            return replace(self, temperature=False)
        return replace(self, response_format=False)


@dataclass(frozen=True, slots=True)
class _Question:
    """What is asked until when; `told` are the source's events as they are shown."""

    source: Source
    mode: Mode
    told: list[str]
    ends_at: float

    def prompt(self, dialect: Dialect) -> str:
        """It in words."""
        structured = dialect.response_format
        return prompts.prompt(self.source, self.mode, self.told, structured=structured)


@dataclass(slots=True)
class _Spent:
    input_tokens: int = 0
    output_tokens: int = 0

    def add(self, answer: "Answer") -> None:
        self.input_tokens += answer.input_tokens
        self.output_tokens += answer.output_tokens


class OpenAICompatible:
    """Asks a model by `POST <base_url>/chat/completions`. Safe to use from many threads."""

    def __init__(self, name: str, model: str, base_url: str, key: str) -> None:
        self.name = name
        self.model = model
        self._base_url = base_url
        self._key = key
        self._dialect = Dialect()
        self._making = threading.Lock()
        self._made: Wire | None = None

    def complete(self, source: Source, mode: Mode, *, timeout: float) -> Completion:
        """The model's drafts; nothing is sent where the events have nothing that may be told."""
        ends_at = time.monotonic() + timeout
        raws: tuple[Raw, ...] = ()
        spent = _Spent()
        if told := prompts.shown(source.events):
            try:
                raws = self._drafted(_Question(source, mode, told, ends_at), spent)
            except ProviderError as error:
                error.spent = Tokens(spent.input_tokens, spent.output_tokens)
                raise
        drafts = drafts_of(raws, source, mode)
        return Completion(drafts, self.name, self.model, spent.input_tokens, spent.output_tokens)

    def close(self) -> None:
        """Let its connections go; the next completion makes new ones."""
        with self._making:
            made, self._made = self._made, None
        if made:
            made.close()

    def _drafted(self, question: _Question, spent: _Spent) -> tuple[Raw, ...]:
        """Ask; if the answer cannot be read, say why and ask once more."""
        said: list[Message] = []
        wrong = Unreadable("")
        for _ in ("asked", "asked to repair it"):
            answer = self._asked(question, said)
            spent.add(answer)
            try:
                return answers.read(answer.text, question.source.task)
            except Unreadable as error:
                wrong = Unreadable("it was cut off") if answer.cut_off else error
            said = self._said(answer, wrong)
        raise ProviderError(
            f"{self.name} gave an answer that cannot be read, and another when asked to repair "
            f"it: {wrong}",
            "parse_error",
        )

    def _said(self, answer: "Answer", wrong: Unreadable) -> "list[Message]":
        again = prompts.cut(answer.text or "(nothing)", _SHOWN_AGAIN)
        please = prompts.repair(str(wrong), structured=self._dialect.response_format)
        return [{"role": "assistant", "content": again}, {"role": "user", "content": please}]

    def _asked(self, question: _Question, said: "list[Message]") -> "Answer":
        """One answer, in the first dialect that the API takes."""
        from observations.providers.openai_compatible.wire import Refused

        while True:
            dialect = self._dialect
            messages = [{"role": "user", "content": question.prompt(dialect)}, *said]
            options = dialect.options(question.source.task, question.mode)
            try:
                return self._wire().ask(
                    self.model,
                    messages,
                    options,
                    ends_at=question.ends_at,
                    idempotency_key=_key(question.source.request_id, messages, options),
                )
            except Refused as refused:
                # Each round has a parameter less, so this ends.
                self._dialect = dialect.without(refused.parameter)

    def _wire(self) -> "Wire":
        from observations.providers.openai_compatible.wire import Wire

        with self._making:
            if self._made is None:
                self._made = Wire(self.name, self._base_url, self._key)
            return self._made


def _key(request_id: str, *asked: object) -> str:
    """The idempotency key: the same only for the same question about the same job."""
    return f"{request_id}-{sha256(json.dumps(asked).encode()).hexdigest()[:16]}"
