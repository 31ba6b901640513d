"""What is said in the log of the server's answers. Pure."""

from __future__ import annotations

from claudemem.hook.link import Answer


def refusal(answer: Answer) -> str:
    """What is said of a payload that the server will never take."""
    return f"the server refused a payload with {answer.status}, it is dropped: {_words(answer)}"


def barrier(answer: Answer) -> str:
    """What is said where somebody has to do something first."""
    return f"the server answers {answer.status}, {_advice(answer.status)}: payloads wait"


def _words(answer: Answer) -> str:
    return answer.body[:300].decode("utf-8", "replace")


def _advice(status: int) -> str:
    said = {
        401: "the key is missing",
        402: "this month's quota is used up",
        403: "the key is wrong, revoked or too narrow",
        404: "there is no such route: the server's address is wrong, or the server too old",
    }
    return said.get(status, "that is no answer of a claudemem server: look at its address")
