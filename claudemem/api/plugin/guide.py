"""Instructions for agents, as their tools ask for them. No key is needed."""

from django.http import HttpRequest
from ninja import Router
from pydantic import BaseModel, Field

from claudemem import instructions
from claudemem.api.answers import Answer
from claudemem.api.documents import says
from claudemem.api.wire import plugin as wire

router = Router(tags=["status"], auth=None)


class Question(BaseModel):
    """What is asked about."""

    topic: str = Field("all", json_schema_extra={"enum": list(instructions.BY_TOPIC)})
    operation: str = Field("", json_schema_extra={"enum": list(instructions.BY_OPERATION)})


@router.get(
    "/api/instructions",
    openapi_extra=says(query=Question, answers={200: wire.Content, 400: wire.Wrong}),
)
def tell(request: HttpRequest) -> Answer[wire.Content | wire.Wrong]:
    """How to work with memory: by `operation` if one is named, else by `topic`, else all of it."""
    topic, operation = request.GET.get("topic") or "all", request.GET.get("operation")
    if topic not in instructions.BY_TOPIC:
        return Answer({"error": "Invalid topic"}, status=400)
    if operation and operation not in instructions.BY_OPERATION:
        return Answer({"error": "Invalid operation"}, status=400)
    by_topic = instructions.BY_TOPIC[topic]
    text = instructions.BY_OPERATION[operation] if operation else by_topic
    return Answer({"content": [{"type": "text", "text": text}]})
