"""After a whole replay the audit tells the same as the rows that it is about."""

import json

import pytest

from tests.stack import HOOK, payloads, recording
from tests.stack_tests.conftest import Replayed
from tests.waiting import until

pytestmark = pytest.mark.stack

AUDIT = "observations_auditentry"


def entered(replayed: Replayed, action: str) -> list[str]:
    """What the action was done to, in order."""
    rows = replayed.stack.sql(f"SELECT resource_id FROM {AUDIT} WHERE action = ?", action)
    return sorted(row[0] for row in rows)


def ids(replayed: Replayed, table: str, where: str = "true") -> list[str]:
    return sorted(row[0] for row in replayed.stack.sql(f"SELECT id FROM {table} WHERE {where}"))


def test_each_event_session_job_and_observation_was_entered_once(replayed: Replayed) -> None:
    jobs = ids(replayed, "queueing_generationjob", "state = 'completed'")
    assert jobs
    assert entered(replayed, "event.received") == ids(replayed, "observations_event")
    assert entered(replayed, "session.write") == ids(replayed, "observations_session")
    assert entered(replayed, "generation_job.completed") == jobs
    assert set(entered(replayed, "generation_job.processing")) == set(jobs)
    made = "created_by_job_id IS NOT NULL"
    assert entered(replayed, "observation.created") == ids(
        replayed, "observations_observation", made
    )


def test_the_installations_own_key_and_the_command_lines_were_entered(replayed: Replayed) -> None:
    rows = replayed.stack.sql(f"SELECT actor_id FROM {AUDIT} WHERE action = 'api_key.create'")
    assert {row[0] for row in rows} >= {"system:server-bootstrap", "system:server-cli"}


def test_a_delivery_that_comes_again_is_not_entered_again(replayed: Replayed) -> None:
    before = replayed.stack.count(AUDIT)
    call = payloads([recording("locks-explained")])[1]
    assert replayed.stack.post(HOOK, call).headers["X-Duplicate"] == "true"
    assert replayed.stack.count(AUDIT) == before


def test_a_search_is_entered_without_what_was_searched_for(replayed: Replayed) -> None:
    found = replayed.stack.search("zanzibar locks")

    def last() -> list[str]:
        rows = replayed.stack.sql(
            f"SELECT details FROM {AUDIT} WHERE action = 'observation.read' ORDER BY id DESC"
        )
        texts = [row[0] if isinstance(row[0], str) else json.dumps(row[0]) for row in rows]
        assert not any("zanzibar" in text for text in texts)
        ids: list[str] = json.loads(texts[0])["observationIds"] if texts else []
        return ids

    until(lambda: last() == [row["id"] for row in found])
