"""How many lanes of a team or project are worked at once: looked at under a lock by each claim.

Counted from the rows, so that no count drifts. Who fell silent counts until another took the job
over, for the provider may be busy with it still; the lane that is to be claimed never does.
"""

from queueing.statements import fetch


def admit(job_id: str) -> bool:
    """Whether the job may be claimed without exceeding a limit of its team or project.

    Must be called inside the claim's transaction, before any job is locked: those who claim for
    the same share take turns, until the claim is committed.
    """
    limits = fetch("lock_limits", [job_id])
    if not limits:
        return True
    team_id, _, _, lane_id = limits[0]
    worked: dict[str, int] = dict(fetch("others_in_flight", [team_id, lane_id]))
    return all(
        (worked.get(project_id, 0) if project_id else sum(worked.values())) < most
        for _, project_id, most, _ in limits
    )
