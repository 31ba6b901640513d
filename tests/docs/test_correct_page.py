"""The calls of the page about correcting and forgetting do what it says, in its order."""

import json
import re
import shlex
from datetime import UTC, datetime
from typing import Any

import pytest
from django.test import Client

from observations import keys
from observations.models import Observation, Project
from tests.docs import pages

PAGE = pages.ROOT / "docs" / "how-to" / "correct-and-forget.md"
NUMBER = 88


def _calls() -> list[list[str]]:
    text = "\n".join(block.text for block in pages.blocks(PAGE, "bash"))
    return [shlex.split(line) for line in text.replace("\\\n", " ").splitlines() if line]


def _asked(words: list[str], known: dict[str, str]) -> Any:
    """What curl would be answered."""
    words = [re.sub(r"\$([A-Z]+)", lambda name: known[name[1]], word) for word in words]
    method, body, headers, path = "GET", "", {}, ""
    rest = iter(words[1:])
    for word in rest:
        if word == "-X":
            method = next(rest)
        elif word == "-d":
            body = next(rest)
        elif word == "-H":
            name, value = next(rest).split(": ", 1)
            headers[name] = value
        else:
            path = word
    client: Any = Client(headers=headers)
    return client.generic(method, path, body, content_type="application/json")


@pytest.mark.django_db(transaction=True)
def test_each_call_of_the_page_works(project: Project) -> None:
    key = keys.create("k", ["memories:read", "memories:write"], team=project.team).raw
    known = {"URL": "", "KEY": key, "PROJECT": project.id}
    content = "Retries are capped at ten minutes."
    now = datetime(2026, 1, 1, tzinfo=UTC)
    times = {"occurred_at": now, "created_at": now, "updated_at": now}
    Observation.objects.create(
        number=NUMBER, team=project.team, project=project, content=content, **times
    )
    answers = []
    for words in _calls():
        answers.append(_asked(words, known))
        assert answers[-1].status_code == 200, words
        known["ETAG"] = answers[-1].headers.get("ETag", known.get("ETAG", ""))
    found, listed, one, corrected, bound, forgotten, emptied, under_way = map(_told, answers)
    assert [each["number"] for each in found["observations"]] == [NUMBER]
    assert listed["observations"] == []
    assert one["observation"]["content"] == content
    assert corrected["observation"]["title"] == "Retries are capped"
    assert bound["observation"]["kind"] == "decision"
    assert forgotten["deleted"]
    assert emptied["purged"]
    assert under_way == {"projectId": project.id, "emptying": None}


def _told(answer: Any) -> Any:
    return json.loads(answer.content)
