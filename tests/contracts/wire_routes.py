"""All routes of the server, of the router and of the table of asynchronous applications."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass

from ninja.operation import Operation

from claudemem.api.calls import Needs
from claudemem.api.routes import api
from claudemem.asgi import ASYNC
from observations import scopes
from observations.scopes import Need


@dataclass(frozen=True, slots=True)
class Route:
    """A method at an address. `need` is None where no key is asked for; `body` names a project."""

    method: str
    path: str
    need: Need | None
    local: bool = False
    body: bool = False

    @property
    def names(self) -> list[str]:
        """What its address names."""
        return re.findall(r"{(\w+)}", self.path)


def _routes() -> Iterator[Route]:
    for mount in api._get_bound_routers():
        for path, view in mount.path_operations.items():
            for operation in view.operations:
                for method in operation.methods:
                    yield _route(method, f"{mount.prefix}{path}", operation)
    for path, mounted in ASYNC.items():
        for method in mounted.methods:
            yield Route(method, path, scopes.READ_MEMORY)


def _route(method: str, path: str, operation: Operation) -> Route:
    asked = [each for each in operation.auth_callbacks if each]
    need = next((each.need for each in asked if isinstance(each, Needs)), None)
    takes = getattr((operation.openapi_extra or {}).get("said"), "takes", None)
    body = takes is not None and "projectId" in json.dumps(takes.json_schema())
    path = re.sub(r"{[^}:]+:", "{", path)
    return Route(method, path, need, local=bool(asked) and need is None, body=body)


ROUTES = sorted(_routes(), key=lambda route: (route.path, route.method))


def written(project: str, name: str) -> dict[str, object]:
    """A body that every route with one understands: what a route does not know it drops."""
    return {
        "projectId": project,
        "sourceType": "api",
        "eventType": "note",
        "occurredAtEpoch": 1_700_000_000_000,
        "payload": {"text": name},
        "externalSessionId": name,
        "contentSessionId": name,
        "query": "a",
        "content": name,
        "name": name,
        # A hook's.
        "session_id": name,
        "hook_event_name": "PostToolUse",
        "cwd": "/home/dev/shop",
        "tool_name": "Bash",
        "tool_use_id": name,
        "tool_input": {"command": name},
        # As OpenCode and Windsurf name a prompt.
        "type": "chat.message",
        "sessionID": name,
        "messageID": name,
        "text": name,
        "agent_action_name": "pre_user_prompt",
        "trajectory_id": name,
        "execution_id": name,
        "tool_info": {"user_prompt": name},
    }
