"""What the keys on the wire mean: a word means the same wherever it stands. For the document."""

from typing import Any, Final

MEANING: Final = {
    # whose it is
    "id": "Its name for ever, a UUIDv7 where this server made it",
    "projectId": "The project that it belongs to",
    "teamId": "The team that it belongs to",
    "serverSessionId": "The session that it belongs to, by the id that this server gave it",
    "contentSessionId": "The session by the name that its agent gave it",
    "externalSessionId": "The session by the name by which its client finds it again",
    "agentId": "Which agent",
    "agentType": "What sort of agent",
    "platformSource": "The program that the agent runs in, such as `claude-code`",
    # events
    "event": "The event as it was stored",
    "events": "One each, in their order",
    "sourceType": "Where it comes from, or what the work is about",
    "sourceAdapter": "What the request calls `sourceType`",
    "sourceId": "The id of what the work is about",
    "sourceEventId": "The sender's own name for it, so that it can be sent again; or `toolUseId`",
    "eventType": "What happened, in a word",
    "payload": "What is told of it: any JSON",
    "metadata": "Whatever its client said besides",
    "occurredAtEpoch": "When it happened, in milliseconds since 1970",
    # observations
    "observations": "What was found, or made",
    "memory": "The memory as it was stored",
    "kind": "What sort of memory, or of job",
    "content": "What is remembered, in plain words",
    "narrative": "The same as `content`, if that is not there",
    "text": "The same as `content`, if neither of these is there",
    "title": "A heading; what is remembered too, if nothing else is told",
    "type": "What sort of memory, for its metadata",
    "generationKey": "What it was made of, so that it is made once",
    "createdByJobId": "The job that made it",
    "source": "What it was made of",
    "context": "What was found, as one text for an agent",
    "query": "What is looked for, in plain words",
    "limit": "How many at most",
    "deleted": "It is gone",
    # sessions
    "session": "The session as it is",
    "generationStatus": "Whether something is being made of it",
    # jobs
    "generationJob": "The job that makes something of it",
    "generationJobId": "The job that made it, or that it tells of",
    "jobs": "The jobs of this page",
    "agentEventId": "The event that it works on",
    "jobType": "What sort of work",
    "attempts": "How often it was begun",
    "attempt": "Which beginning it was",
    "maxAttempts": "How often it is begun at most",
    "lastError": "Why its last attempt came to nothing",
    "reason": "Why, in a sentence",
    "classification": "Why, in a word",
    "statusAfter": "Its state from then on",
    "details": "More of it",
    "cancelled": "How many were cancelled",
    "retriedCount": "How often it was queued again by hand",
    "alreadyQueued": "It was queued anyway, and was nudged",
    "alreadyCancelled": "It was cancelled before",
    # keys, and what they may use
    "key": "What is known of the key, which is not the key itself",
    "keys": "What is known of each key, which are not the keys themselves",
    "apiKey": "The key itself, shown once",
    "name": "What it is called",
    "label": "What the key is for",
    "scopes": "What the key may do",
    "status": "How it is, in a word",
    "expiresInDays": "How long it works; for ever if that is not said",
    "hint": "What to do next",
    "caps": "What the team may use in a month",
    "cap": "How much may be used in a month",
    "used": "How much of it is used",
    "left": "How much of it is left",
    "request": "Of requests; null where there is no cap",
    "tokens": "Of tokens; null where there is no cap",
    "days": "By day",
    "projects": "By project",
    # the Model Context Protocol
    "jsonrpc": "Always `2.0`",
    "params": "What the method is given",
    "result": "What the method answers",
    "code": "What went wrong, as JSON-RPC numbers it",
    "data": "More of what went wrong",
    # what went wrong
    "error": "What went wrong, in a word",
    "message": "What went wrong, in a sentence",
    "issues": "What is not as it must be, one each",
}


def explained(schema: dict[str, Any]) -> dict[str, Any]:
    """An object's schema in which each key that says nothing of itself has its meaning here."""
    fields = {
        name: {**field, "description": MEANING[name]}
        if name in MEANING and "description" not in field
        else field
        for name, field in schema.get("properties", {}).items()
    }
    return {**schema, "properties": fields} if fields else schema
