"""What a test does to a store in a process of its own, whose settings name the database.

`fill` captures all recordings and works them, but for one session whose worker is gone in the
middle of a job; `ask` tells what recall answers; `due` and `work` finish what is open. What they
return is printed as JSON.
"""

import json
import sys
from typing import Any

import django
from django.core.management import call_command

QUESTIONS = ("retry max wait", "timedelta rounding", "which challenge was solved with RSA",
             "how are the docs built", "tests fail")  # fmt: skip


def fill() -> dict[str, Any]:
    from django.utils import timezone

    from claudemem.commands.first_run import prepare
    from observations import counters, ingest, keys
    from observations.models import Project
    from observations.quotas import Limits
    from tests.stack import RECORDINGS, payloads

    call_command("migrate", verbosity=0)
    team, _ = keys.default_tenant()
    project = Project.objects.create(team=team, name="stack")
    made = prepare()
    for file in RECORDINGS:
        for payload in payloads([file]):
            ingest.capture_hook(team.id, project.id, payload, origin={})
    call = counters.Call("a-key", team.id, project.id, True, timezone.now())
    counters.count(call, Limits(per_minute=9, metering=True))
    _leave_one_in_hand()
    work()
    return {"key": made.api_key, "project": project.id, "open": len(_open())}


def _leave_one_in_hand() -> None:
    from queueing import leases
    from queueing.models import GenerationJob

    lease = leases.claim(GenerationJob.objects.filter(seq=1).latest("id").id, "gone")
    assert lease is not None
    long_ago = "2020-01-01T00:00:00+00:00"
    # Out, so that anybody may take it over; but not due, so that `fill` does not do so itself.
    GenerationJob.objects.filter(id=lease.head.id).update(lease_until=long_ago)
    GenerationJob.objects.filter(lane_id=lease.head.lane_id).update(due_at="2100-01-01T00:00+00:00")


def work() -> dict[str, Any]:
    from observations import tasks
    from queueing import kinds

    handlers = {kinds.EVENT.name: tasks.generate_event, kinds.SUMMARY.name: tasks.generate_summary}
    while heads := _heads():
        for job_id, kind in heads:
            handlers[kind](job_id)
    return {"open": len(_open())}


def due() -> dict[str, Any]:
    from django.utils import timezone

    from queueing.models import GenerationJob

    return {"due": GenerationJob.objects.filter(id__in=_open()).update(due_at=timezone.now())}


def _open() -> list[str]:
    from queueing.models import GenerationJob

    rows = GenerationJob.objects.filter(state__in=("queued", "processing"))
    return list(rows.values_list("id", flat=True))


def _heads() -> list[tuple[str, str]]:
    from django.db.models import F
    from django.utils import timezone

    from queueing.models import GenerationJob

    rows = GenerationJob.objects.filter(id__in=_open(), seq=F("lane__head"))
    return list(rows.filter(due_at__lte=timezone.now()).values_list("id", "kind"))


def ask() -> dict[str, Any]:
    from observations import keys, recall
    from observations.models import Observation, Project

    project = Project.objects.get(name="stack")
    return {
        "context": recall.session_context(project.id, budget_tokens=4000).text,
        "recent": [row.number for row in recall.recent(project.id, 50)],
        "found": {
            question: [
                row.number for row in recall.search(project.id, question, limit=3).observations
            ]
            for question in QUESTIONS
        },
        "contents": dict(Observation.objects.values_list("id", "content")),
        "keys": list(keys.listed().values_list("key_hash", flat=True)),
    }


if __name__ == "__main__":
    django.setup()
    from queueing import broker

    broker.publish = lambda job_id, kind: None
    print(json.dumps({name: globals()[name]() for name in sys.argv[1:]}))
