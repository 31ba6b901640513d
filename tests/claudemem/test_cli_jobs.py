"""`claudemem jobs …`: within a scope, for people and for programs."""

import json
import threading
from datetime import timedelta
from typing import Any

import pytest
from click.testing import CliRunner, Result
from django.conf import LazySettings
from django.db import connection, transaction
from django.utils import timezone

from claudemem import standing
from claudemem.cli import cli
from claudemem.commands import status
from observations import sessions
from observations.models import AuditEntry, Project, Team
from observations.sessions import NewSession
from queueing import broker, kinds, leases, operations, outbox, pauses
from queueing.errors import QueueStoreAway
from queueing.kinds import Kind
from queueing.models import GenerationJob, Lane
from queueing.outbox import NewJob
from queueing.pauses import Subject
from tests.waiting import until

pytestmark = pytest.mark.django_db

WORKER = "host:7"


@pytest.fixture(autouse=True)
def messages(monkeypatch: pytest.MonkeyPatch, settings: LazySettings) -> dict[str, int]:
    """How many messages wait, by queue; whoever publishes adds one."""
    settings.QUEUE_ENGINE = "celery"
    waiting = dict.fromkeys([*kinds.BY_NAME, kinds.UPKEEP], 0)

    def publish(job_id: str, kind: str) -> None:
        waiting[kind] += 1

    monkeypatch.setattr(broker, "publish", publish)
    monkeypatch.setattr(broker, "depths", lambda: dict(waiting))
    return waiting


@pytest.fixture
def operator(settings: LazySettings) -> None:
    """Whoever runs the commands may reach all teams."""
    settings.SERVER_ADMIN = True


def run(*arguments: str) -> Result:
    return CliRunner().invoke(cli, ["jobs", *arguments])


def told(*arguments: str) -> dict[str, Any]:
    result = run(*arguments)
    assert result.exit_code == 0, result.stderr
    answer: dict[str, Any] = json.loads(result.stdout)
    return answer


def refused(*arguments: str) -> str:
    result = run(*arguments)
    assert (result.exit_code, result.stdout) == (1, "")
    return result.stderr


def enqueue(project: Project, lane: str = "lane", jobs: int = 1, kind: Kind = kinds.EVENT,
            session_id: str | None = None) -> list[str]:  # fmt: skip
    new = [
        NewJob(kind, lane, kind.job_id(project.pk, lane, str(n)), f"event-{n}", project.team_id,
               project.pk, session_id=session_id)
        for n in range(jobs)
    ]  # fmt: skip
    with transaction.atomic():
        rows = outbox.enqueue(new)
    outbox.publish_enqueued(rows)
    return [row.id for row in rows]


@pytest.fixture
def foreign(db: None) -> str:
    """A job of another team."""
    strangers = Team.objects.create(name="strangers")
    return enqueue(Project.objects.create(team=strangers, name="theirs"), "their lane")[0]


EVERY = [
    ("status",), ("list",), ("failed",), ("inspect", "ID"), ("retry", "ID"), ("cancel", "ID"),
    ("clear", "--session", "ID"), ("pause", "provider"), ("pause", "queue:event"),
    ("resume", "provider"), ("drain",),
]  # fmt: skip


@pytest.mark.parametrize("arguments", EVERY, ids=" ".join)
def test_what_concerns_all_teams_is_refused_without_the_admin_flag(
    team: Team, arguments: tuple[str, ...]
) -> None:
    says = refused(*arguments)
    assert "Refusing to run unscoped" in says
    assert "CLAUDE_MEM_SERVER_ADMIN=1" in says
    # Whoever has one team has only to name it.
    assert says.rstrip().endswith(("here: --team team", "here: team:team"))
    assert pauses.held() == []


@pytest.mark.parametrize("arguments", EVERY, ids=" ".join)
def test_an_option_that_there_is_not_is_an_error(arguments: tuple[str, ...]) -> None:
    assert run(*arguments, "--everything").exit_code == 2


@pytest.mark.parametrize("scope", [("--team", "team"), ("--project", "procrastinate")])
def test_within_a_scope_others_jobs_are_not_there(
    project: Project, foreign: str, scope: tuple[str, str]
) -> None:
    (ours,) = enqueue(project)
    page = told("list", *scope, "--json")
    assert [job["id"] for job in page["jobs"]] == [ours]
    assert told("status", *scope, "--json")["postgres"]["queued"] == 1
    for deed in ("inspect", "retry", "cancel"):
        assert f"there is no job {foreign} of the " in refused(deed, foreign, *scope)
    assert GenerationJob.objects.get(pk=foreign).state == "queued"


def test_a_scope_is_named_by_id_or_name_and_told(project: Project, foreign: str) -> None:
    for team in (project.team_id, "team"):
        for which in (project.pk, "procrastinate"):
            scope = told("list", "--team", team, "--project", which, "--json")["scope"]
            assert scope == {"team": project.team_id, "project": project.pk}
    assert "There is no team nobody; there are strangers, team." in refused(
        "list", "--team", "nobody"
    )
    nothing = refused("list", "--team", "team", "--project", "theirs")
    assert "There is no project theirs of the team team; there is procrastinate." in nothing


def test_a_project_whose_name_several_teams_have_needs_its_team(project: Project) -> None:
    Project.objects.create(team=Team.objects.create(name="others"), name=project.name)
    assert "name its team as well" in refused("list", "--project", project.name)


@pytest.mark.usefixtures("operator")
def test_an_operator_of_the_server_sees_the_jobs_of_all_teams(
    project: Project, foreign: str
) -> None:
    enqueue(project, jobs=2)
    page = told("list", "--json")
    assert (page["total"], page["scope"]) == (3, {"team": None, "project": None})


@pytest.mark.usefixtures("operator")
def test_jobs_are_listed_for_people_and_for_programs(project: Project) -> None:
    enqueue(project, jobs=3)
    GenerationJob.objects.filter(source_id="event-1").update(
        state="failed", last_error={"reason": "it was refused", "classification": "auth"}
    )
    assert "3 of 3 jobs" in run("list").stdout
    assert "it was refused" in run("list", "--status", "failed").stdout
    page = told("list", "--json", "--status", "queued", "--limit", "1")
    assert (page["status"], page["count"], page["total"]) == ("queued", 1, 2)
    assert list(page["jobs"][0])[:4] == ["id", "projectId", "teamId", "sourceType"]


@pytest.mark.usefixtures("operator")
def test_what_failed_is_listed_with_why_the_last_first(project: Project) -> None:
    ids = enqueue(project, jobs=3)
    for age, (job_id, why) in enumerate(zip(ids, ("one", "two", "three"), strict=True)):
        GenerationJob.objects.filter(pk=job_id).update(
            state="failed", last_error={"reason": why}, attempts=3, token=3,
            failed_at=timezone.now() - timedelta(minutes=age),
        )  # fmt: skip
    page = told("failed", "--limit", "2", "--json")
    assert (page["limit"], page["count"]) == (2, 2)
    assert [job["lastError"] for job in page["failed"]] == ["one", "two"]
    assert list(page["failed"][0]) == [
        "id", "sourceType", "sourceId", "teamId", "projectId", "attempts", "failedAt", "lastError",
    ]  # fmt: skip
    shown = run("failed").stdout
    assert "attempts 3  three" in shown
    assert "3 failed jobs: `claudemem jobs retry ID` tries one again" in shown


@pytest.mark.usefixtures("operator")
def test_a_job_is_cancelled_and_retried_and_that_is_entered_in_the_audit(project: Project) -> None:
    (job,) = enqueue(project)
    cancelled = told("cancel", job)
    assert (cancelled["action"], cancelled["outcome"]) == ("cancel", "cancelled")
    assert told("cancel", job)["outcome"] == "noop_already_cancelled"
    retried = told("retry", job)
    assert (retried["outcome"], retried["retriedCount"], retried["status"]) == (
        "requeued", 1, "queued",
    )  # fmt: skip
    assert told("retry", job)["outcome"] == "noop_already_queued"
    rows = AuditEntry.objects.order_by("id")
    assert [row.action.partition(".")[2] for row in rows] == [
        "cancelled_by_operator", "cancelled_by_operator", "retried_by_operator",
        "retried_by_operator",
    ]  # fmt: skip
    assert {(row.details["source"], row.actor_id) for row in rows} == {
        ("cli_operator", "system:server-cli")
    }


@pytest.mark.usefixtures("operator")
def test_a_completed_job_is_neither_retried_nor_cancelled(project: Project) -> None:
    (job,) = enqueue(project)
    GenerationJob.objects.update(state="completed")
    assert "would duplicate observations" in refused("retry", job)
    assert "already completed" in refused("cancel", job)


def test_a_sessions_queue_is_cleared_and_each_job_is_entered_in_the_audit(
    project: Project, foreign: str
) -> None:
    session, _ = sessions.start(project.team_id, NewSession(project.pk, "e-1"))
    enqueue(project, session.lane_key, 2, session_id=session.pk)
    of_team = ("--team", "team")
    assert told("clear", "--session", session.pk, *of_team) == {
        "sessionId": session.pk, "action": "clear", "cancelled": 2,
    }  # fmt: skip
    assert told("clear", "--session", session.pk, *of_team)["cancelled"] == 0
    entered = AuditEntry.objects.filter(action="generation_job.cancelled_by_operator")
    assert [row.actor_id for row in entered] == ["system:server-cli"] * 2
    for scope in (of_team, ("--team", "strangers")):
        missing = "nobody" if scope == of_team else session.pk
        assert f"there is no session {missing}" in refused("clear", "--session", missing, *scope)


# --- status ---------------------------------------------------------------------------------------


def test_where_rows_and_messages_agree_nothing_diverges(project: Project) -> None:
    enqueue(project, jobs=3)
    report = told("status", "--team", "team", "--json")
    assert report["divergence"] == {}
    assert report["postgres"] == {
        "queued": 3, "processing": 0, "completed": 0, "failed": 0, "cancelled": 0,
    }  # fmt: skip
    assert report["bullmq"]["event"] == {
        "waiting": 1, "active": 0, "completed": 0, "failed": 0, "delayed": 0, "stalled": 0,
    }  # fmt: skip
    assert "divergence   none" in run("status", "--team", "team").stdout


@pytest.mark.usefixtures("operator")
@pytest.mark.parametrize(("change", "says"), [(-1, "1 of 2 lanes"), (1, "1 messages more")])
def test_divergence_is_named_with_its_queue(
    project: Project, foreign: str, messages: dict[str, int], change: int, says: str
) -> None:
    enqueue(project)
    messages["event"] += change
    divergence = told("status", "--json")["divergence"]
    assert divergence["queuedMismatch"] == {"postgres": 2, "bullmq": 2 + change}
    assert list(divergence["queues"]) == ["event"]
    assert says in divergence["queues"]["event"]["message"]
    assert f"divergence   event: {says}" in run("status").stdout


def test_jobs_that_wait_for_their_time_or_a_worker_are_told_apart(project: Project) -> None:
    delayed, stalled, active = (enqueue(project, lane)[0] for lane in ("a", "b", "c"))
    GenerationJob.objects.filter(pk=delayed).update(due_at=timezone.now() + timedelta(hours=1))
    for job in (stalled, active):
        assert leases.claim(job, WORKER)
    GenerationJob.objects.filter(pk=stalled).update(
        lease_until=timezone.now() - timedelta(seconds=1)
    )
    for scope in ("--team", "team"), ("--project", project.pk):
        event = told("status", *scope, "--json")["queues"]["event"]
        assert (event["queued"], event["delayed"]) == (1, 1)
        assert (event["processing"], event["stalled"]) == (2, 1)


def test_without_the_queue_store_the_rows_are_counted_all_the_same(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    enqueue(project)

    def away() -> dict[str, int]:
        raise QueueStoreAway("the queue store does not answer")

    monkeypatch.setattr(broker, "depths", away)
    report = told("status", "--team", "team", "--json")
    assert report["postgres"]["queued"] == 1
    assert report["bullmq"] == {"unavailable": True}
    assert report["divergence"]["reason"] == "bullmq_unavailable"
    assert "not told: the queue store does not answer" in run("status", "--team", "team").stdout


def test_the_database_engine_has_nothing_to_differ_from(
    project: Project, settings: LazySettings
) -> None:
    settings.QUEUE_ENGINE = "database"
    enqueue(project)
    report = told("status", "--team", "team", "--json")
    assert report["queues"]["event"]["heads"] == 1
    assert report["divergence"]["reason"] == "database_engine"


def test_the_status_of_the_server_tells_what_is_paused_and_how_it_goes_on(team: Team) -> None:
    pauses.hold(Subject("team", team.pk), "maintenance", by={"actor_id": "user:mia"})
    pauses.hold(Subject("team", "gone"), "")
    gone, ours = sorted(status.paused(standing.held(pauses.held()))[::2], key=len)
    assert "team:gone, since" in gone
    assert ours.startswith("paused        team team, since")
    assert ours.endswith(" by user:mia: maintenance")
    pauses.hold_quota(team.pk, "spent")
    goes_on = status.paused(standing.held(pauses.held()))[1::2]
    assert "goes on by itself, when the team may use more" in goes_on[0]
    assert status.paused(standing.held(pauses.held()))[0].endswith(" by quota: spent")
    assert f"goes on with `claudemem jobs resume team:{team.pk}`" in " ".join(goes_on)


# --- inspect --------------------------------------------------------------------------------------


def inspected(job: str) -> dict[str, Any]:
    return told("inspect", job, "--team", "team", "--json")


def test_a_job_is_shown_with_all_there_is_to_know(project: Project) -> None:
    first, second = enqueue(project, jobs=2)
    told("cancel", second, "--team", "team")
    told("retry", second, "--team", "team")
    report = inspected(second)
    assert (report["status"], report["lane"]["ahead"]) == ("queued", 1)
    assert report["lane"]["firstAhead"] == first
    assert report["waitsFor"] == f"1 job before it in its lane, first of all {first}"
    assert [line["event"] for line in report["history"]] == ["queued", "cancelled", "retried"]
    assert report["history"][-1]["details"]["source"] == "cli_operator"
    shown = run("inspect", second, "--team", "team").stdout
    assert "1 before it" in shown
    assert "retried → queued" in shown


def test_why_a_job_does_not_go_on_is_said(project: Project) -> None:
    (job,) = enqueue(project)
    assert inspected(job)["waitsFor"] == "a worker that is free: it is its turn"
    pauses.pause("a key was refused", "auth", probing=False)
    assert "the provider, which is tried again in" in inspected(job)["waitsFor"]
    pauses.lift()
    GenerationJob.objects.update(due_at=timezone.now() + timedelta(hours=1))
    assert "it is due at" in inspected(job)["waitsFor"]
    GenerationJob.objects.update(due_at=timezone.now())
    pauses.hold(Subject("queue", "event"), "maintenance")
    pauses.hold(Subject("queue", "summary"), "another")
    held = inspected(job)
    assert held["waitsFor"] == "an operator, who paused queue:event"
    assert [hold["reason"] for hold in held["pauses"]] == ["maintenance"]
    assert "queue:event, since" in run("inspect", job, "--team", "team").stdout


def test_who_has_a_job_is_said_and_whether_it_still_works(project: Project) -> None:
    (job,) = enqueue(project)
    assert leases.claim(job, WORKER)
    report = inspected(job)
    assert (report["lease"]["by"], report["lease"]["expired"]) == (WORKER, False)
    assert report["waitsFor"] == f"{WORKER}, who works it"
    GenerationJob.objects.update(lease_until=timezone.now() - timedelta(seconds=1))
    report = inspected(job)
    assert report["lease"]["expired"]
    assert report["waitsFor"] == "another worker: the one that had it died or hangs"
    operations.cancel(job)
    report = inspected(job)
    assert (report["lease"], report["waitsFor"]) == (None, "nothing: it is cancelled")


# --- pause, resume, drain -------------------------------------------------------------------------


def test_a_team_is_paused_by_its_name_and_resumed(
    project: Project, messages: dict[str, int]
) -> None:
    Team.objects.create(name="others")
    (job,) = enqueue(project)
    paused = told("pause", "team:team", "--reason", "maintenance")
    assert paused == {
        "action": "pause", "subject": f"team:{project.team_id}", "reason": "maintenance",
    }  # fmt: skip
    assert leases.claim(job, WORKER) is None
    shown = run("status", "--team", "team").stdout
    assert "paused       team team, since" in shown
    assert "by system:server-cli: maintenance" in shown
    assert "paused" not in run("status", "--team", "others").stdout.partition("messages")[2]
    messages["event"] = 0
    assert told("resume", "team:team")["action"] == "resume"
    assert messages["event"] == 1
    actions = AuditEntry.objects.order_by("id").values_list("action", "team_id", "actor_id")
    assert list(actions) == [
        (f"work.{deed}_by_operator", project.team_id, "system:server-cli")
        for deed in ("paused", "resumed")
    ]


@pytest.mark.usefixtures("operator")
@pytest.mark.parametrize(
    ("subject", "says"),
    [
        ("queue:nothing", "There is no queue nothing: name one of event, summary, event-batch."),
        ("team:nobody", "There is no team nobody; there is team."),
        ("nothing", "nothing is nothing that can be paused"),
    ],
)
def test_what_is_not_there_is_neither_paused_nor_resumed(
    team: Team, subject: str, says: str
) -> None:
    for deed in ("pause", "resume"):
        assert says in refused(deed, subject)
    assert pauses.held() == []


def test_the_pause_of_a_team_that_is_gone_can_be_ended(team: Team) -> None:
    pauses.hold(Subject("team", "gone"), "")
    assert told("resume", "team:gone")["subject"] == "team:gone"
    assert "There is no team gone" in refused("resume", "team:gone")


@pytest.mark.usefixtures("operator")
def test_what_is_not_paused_cannot_be_resumed(team: Team) -> None:
    assert "no operator paused provider: nothing is paused" in refused("resume", "provider")
    pauses.hold(Subject("queue", "event"), "")
    assert "queue:event can be resumed" in refused("resume", "provider")
    pauses.pause("a key was refused", "auth", probing=False)
    assert "the pause is its own (a key was refused)" in refused("resume", "provider")


@pytest.mark.django_db(transaction=True)
def test_a_drain_waits_for_what_is_in_hand_and_leaves_it_paused(
    project: Project, foreign: str
) -> None:
    first, _ = enqueue(project, jobs=2)
    # What others have in hand is none of its business.
    assert leases.claim(foreign, WORKER)
    lease = leases.claim(first, WORKER)
    assert lease

    def settle() -> None:
        try:
            until(pauses.held)
            leases.settle(lease.alone, dict, worker=WORKER, go_on=True)
            leases.release(lease.followers)  # type: ignore[arg-type]
        finally:
            connection.close()

    worker = threading.Thread(target=settle)
    worker.start()
    drained = told_of(run("drain", "--team", "team", "--timeout", "60"))
    worker.join(60)
    assert (drained["outcome"], drained["waiting"]) == ("drained", 1)
    assert [str(hold.subject) for hold in pauses.held()] == [f"team:{project.team_id}"]


def told_of(result: Result) -> dict[str, Any]:
    assert result.exit_code == 0, result.stderr
    answer: dict[str, Any] = json.loads(result.stdout)
    return answer


@pytest.mark.usefixtures("operator")
def test_a_drain_that_takes_too_long_says_who_has_what_and_stays_paused(project: Project) -> None:
    first, _ = enqueue(project, jobs=2)
    assert leases.claim(first, WORKER)
    says = refused("drain", "--timeout", "0")
    assert f"not drained in time: {WORKER} has 2 of event; 0 wait" in says
    assert "provider stays paused, go on with `claudemem jobs resume provider`" in says
    assert pauses.held()


@pytest.mark.usefixtures("operator")
def test_a_lease_that_ran_out_is_in_nobodys_hand(project: Project) -> None:
    (job,) = enqueue(project)
    assert leases.claim(job, WORKER)
    GenerationJob.objects.update(lease_until=timezone.now() - timedelta(seconds=1))
    assert told_of(run("drain", "--timeout", "30"))["waiting"] == 1


@pytest.mark.usefixtures("operator")
def test_a_drain_until_empty_pauses_only_when_all_is_worked(project: Project) -> None:
    (job,) = enqueue(project)
    says = refused("drain", "--until-empty", "--timeout", "0")
    assert "nothing is in hand; 1 wait; provider was not paused" in says
    assert pauses.held() == []
    operations.cancel(job)
    assert told_of(run("drain", "--until-empty", "--timeout", "30"))["waiting"] == 0
    assert [str(hold.subject) for hold in pauses.held()] == ["provider"]


@pytest.mark.usefixtures("operator")
def test_a_drain_until_empty_does_not_wait_for_what_is_paused(project: Project) -> None:
    enqueue(project)
    pauses.hold(Subject("team", project.team_id), "another day")
    assert told_of(run("drain", "--until-empty", "--timeout", "30"))["waiting"] == 1
    assert Lane.objects.get().head == 1


def test_what_answers_in_json_may_be_asked_for_it(project: Project, team: Team) -> None:
    (job,) = enqueue(project)
    scope = ("--team", team.id, "--json")
    assert told("cancel", job, *scope)["outcome"] == "cancelled"
    assert told("retry", job, *scope)["outcome"] == "requeued"
    assert told("pause", f"team:{team.id}", "--json")["action"] == "pause"
    assert told("resume", f"team:{team.id}", "--json")["action"] == "resume"
    assert told("drain", *scope)["outcome"] == "drained"


def test_an_offset_beyond_all_rows_is_a_wrong_call(team: Team) -> None:
    result = run("list", "--team", team.id, "--offset", "9" * 20)
    assert (result.exit_code, "is not in the range" in result.stderr) == (2, True)


def test_what_a_provider_said_stays_on_its_line(project: Project, team: Team) -> None:
    (job,) = enqueue(project)
    error = {"reason": "400\n\x1b[2J gone"}
    GenerationJob.objects.filter(pk=job).update(
        state="failed", last_error=error, failed_at=timezone.now(), attempts=1, token=1
    )
    for command in (("list",), ("failed",), ("inspect", job)):
        assert "400  [2J gone\n" in run(*command, "--team", team.id).stdout
