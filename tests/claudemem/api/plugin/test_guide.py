"""Instructions for agents."""

import pytest

from claudemem import instructions
from tests.claudemem.api.conftest import Api, told

pytestmark = pytest.mark.once


@pytest.mark.parametrize("topic", ["workflow", "search_params", "examples", "all"])
def test_each_topic_has_its_text(topic: str) -> None:
    answer = told(Api().get(f"/api/instructions?topic={topic}"), 200)
    assert answer == {"content": [{"type": "text", "text": instructions.BY_TOPIC[topic]}]}


@pytest.mark.parametrize("operation", ["search", "context", "summarize", "import", "export"])
def test_each_operation_has_its_text(operation: str) -> None:
    answer = told(Api().get(f"/api/instructions?operation={operation}"), 200)
    assert answer["content"][0]["text"] == instructions.BY_OPERATION[operation]


def test_who_names_nothing_is_told_everything() -> None:
    text = told(Api().get("/api/instructions"), 200)["content"][0]["text"]
    for topic in ("workflow", "search_params", "examples"):
        assert instructions.BY_TOPIC[topic] in text


@pytest.mark.parametrize(
    ("query", "said"),
    [("topic=x", "Invalid topic"), ("operation=x", "Invalid operation")],
)
def test_what_there_is_not_is_said(query: str, said: str) -> None:
    assert told(Api().get(f"/api/instructions?{query}"), 400) == {"error": said}
