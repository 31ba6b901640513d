"""The pages of the admin that memory fills, with addresses of rows that are there."""

from observations.models import Event, Observation, Project, Session
from queueing.models import GenerationJob, Lane


def addresses(project: Project) -> dict[str, str]:
    """A name for each page, and its address, for rows in the middle of the project's memory."""
    session = Session.objects.filter(project=project).order_by("-started_at")[1]
    event = Event.objects.filter(session=session).order_by("number")[25]
    row = Observation.objects.filter(session=session).order_by("occurred_at")[25]
    job = GenerationJob.objects.get(source_id=event.pk, lane__key=session.lane_key)
    lane = Lane.objects.get(key=session.lane_key)
    within = f"project={project.pk}"
    memory, delivery = "/admin/observations", "/admin/queueing"
    return {
        "overview": "/admin/",
        "sessions": f"{memory}/session/?{within}",
        "sessions, ended": f"{memory}/session/?{within}&open=no",
        "sessions by prompt": f"{memory}/session/?{within}&q=bound+lease",
        "session": f"{memory}/session/{session.pk}/change/",
        "events": f"{memory}/event/?{within}",
        "events, page 3": f"{memory}/event/?{within}&p=3",
        "events of a type": f"{memory}/event/?{within}&event_type=SessionEnd",
        "events, past hour": f"{memory}/event/?{within}&within=hour",
        "events of a session": f"{memory}/event/?session={session.pk}",
        "events by prompt": f"{memory}/event/?{within}&q=bound+lease",
        "event": f"{memory}/event/{event.pk}/change/",
        "observations": f"{memory}/observation/?{within}",
        "observations of a kind": f"{memory}/observation/?{within}&kind=security_note",
        "observations, past hour": f"{memory}/observation/?{within}&within=hour",
        "observations by words": f"{memory}/observation/?{within}&q=lease+of+a+worker",
        "observation": f"{memory}/observation/{row.pk}/change/",
        "jobs": f"{delivery}/generationjob/?{within}",
        "jobs, failed": f"{delivery}/generationjob/?{within}&state=failed",
        "jobs, completed": f"{delivery}/generationjob/?{within}&state=completed",
        "jobs of a kind": f"{delivery}/generationjob/?{within}&kind=summary",
        "job by id": f"{delivery}/generationjob/?{within}&q={job.pk}",
        "jobs by event": f"{delivery}/generationjob/?{within}&q={event.pk}",
        "jobs by session": f"{delivery}/generationjob/?{within}&q=agent-{session.pk}",
        "jobs of a lane": f"{delivery}/generationjob/?lane={lane.pk}",
        "job": f"{delivery}/generationjob/{job.pk}/change/",
        "lanes": f"{delivery}/lane/?{within}",
        "lanes, busy": f"{delivery}/lane/?{within}&busy=yes",
        "lanes, idle": f"{delivery}/lane/?{within}&busy=no",
        "lane": f"{delivery}/lane/{lane.pk}/change/",
        "pauses": f"{delivery}/pause/",
        "teams": f"{memory}/team/",
        "members": f"{memory}/member/",
        "projects": f"{memory}/project/",
        "audit": f"{memory}/auditentry/",
        "keys": f"{memory}/apikey/",
        "usage": f"{memory}/dailyusage/",
        "usage of a kind": f"{memory}/dailyusage/?kind=request",
    }


def of_all(project: Project) -> dict[str, str]:
    """The lists of a project without the project, as superusers see them."""
    within = f"project={project.pk}"
    return {
        name: at.replace(within, "").replace("?&", "?")
        for name, at in addresses(project).items()
        if within in at
    }
