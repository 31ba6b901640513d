"""Instructions for agents, as their tools ask for them. No key is needed."""

from django.http import HttpRequest
from ninja import Router

from claudemem import instructions
from claudemem.api.answers import Answer

router = Router(tags=["status"], auth=None)


@router.get("/api/instructions")
def tell(request: HttpRequest) -> Answer:
    """How to work with memory: by `operation` if one is named, else by `topic`, else all of it."""
    topic, operation = request.GET.get("topic") or "all", request.GET.get("operation")
    if topic not in instructions.BY_TOPIC:
        return Answer({"error": "Invalid topic"}, status=400)
    if operation and operation not in instructions.BY_OPERATION:
        return Answer({"error": "Invalid operation"}, status=400)
    by_topic = instructions.BY_TOPIC[topic]
    text = instructions.BY_OPERATION[operation] if operation else by_topic
    return Answer({"content": [{"type": "text", "text": text}]})
