"""One call of a tool: who asks, with what, about which project; and the trace that it leaves."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django.db.models import Q, QuerySet
from django.db.models.functions import Coalesce

from claudemem.api import calls, reach
from claudemem.mcp.arguments import Arguments
from observations import entries, readings
from observations.errors import Forbidden, InvalidInput, NotFound
from observations.keys import Principal
from observations.models import Observation, Project

# So many projects are named to whoever has to choose one.
MOST_NAMED = 20


@dataclass(frozen=True, slots=True)
class Asked:
    """A call of a tool by the holder of a key."""

    principal: Principal
    request_id: str
    arguments: Arguments

    @property
    def team(self) -> str:
        """The caller's team; nobody is admitted without one."""
        assert self.principal.team_id is not None
        return self.principal.team_id

    @property
    def origin(self) -> dict[str, Any]:
        """Who asks, as it is kept with what is done."""
        return calls.origin_of(self.principal, self.request_id, "mcp")

    def projects(self) -> QuerySet[Project]:
        """The projects in the caller's reach, by name."""
        return reach.projects(self.principal).order_by("name")

    def project(self) -> str:
        """The project that is asked about: the one that is named, or else the only one in reach.

        Raises Forbidden for one that is out of reach, InvalidInput where none is named of several.
        """
        named = self.arguments.optional("projectId") or self.arguments.optional("project")
        if named is not None:
            return self._named(named)
        return self.principal.project_id or self._only()

    def observations(self) -> QuerySet[Observation]:
        """The observations in the caller's reach."""
        return reach.observations(self.principal)

    def observation(self, which: int | str) -> Observation:
        """The observation with this number or id. Raises NotFound where none is in reach."""
        found = self.observations().filter(**_column(which)).first()
        if found is None:
            raise NotFound(f"There is no observation {which} in the reach of this key")
        return found

    def shown(self, mode: str, rows: Sequence[Observation], **details: Any) -> None:
        """Enter in the audit that the caller is about to be shown these."""
        of = {row.project_id for row in rows}
        details.setdefault("project_id", of.pop() if len(of) == 1 else self.principal.project_id)
        self.told(mode, [row.id for row in rows], **details)

    def told(self, mode: str, ids: Sequence[str], *, project_id: str | None, **more: Any) -> None:
        """Enter the same of observations with these ids."""
        details = {"via": "mcp", "resultCount": len(ids), "observationIds": list(ids), **more}
        entry = entries.read(mode, self.team, project_id, self.origin, **details)
        readings.shared.record(entry)

    def _named(self, which: str) -> str:
        rows = reach.with_merged(self.principal).filter(Q(pk=which) | Q(name=which))
        found = rows.values_list("pk", Coalesce("merged_into", "pk"))
        if chosen := sorted(found, key=lambda each: each[0] != which):
            return str(chosen[0][1])
        if self.principal.project_id:
            raise Forbidden(reach.OTHER_PROJECT)
        raise Forbidden(f"This key reaches no project {which[:100]}: {self._choice()}")

    def _only(self) -> str:
        found = list(self.projects().values_list("pk", flat=True)[:2])
        if len(found) != 1:
            raise InvalidInput(f'"projectId" is required: {self._choice()}', ("projectId",))
        return found[0]

    def _choice(self) -> str:
        names = list(self.projects().values_list("name", flat=True)[: MOST_NAMED + 1])
        if not names:
            return "there is no project yet; the first captured event makes one"
        more = ", …" if len(names) > MOST_NAMED else ""
        return f"name one of {', '.join(names[:MOST_NAMED])}{more}"


def chosen(rows: QuerySet[Observation], which: Sequence[int | str]) -> QuerySet[Observation]:
    """Those of the rows that have one of these numbers or ids."""
    numbers = [each for each in which if isinstance(each, int)]
    ids = [each for each in which if isinstance(each, str)]
    return rows.filter(Q(number__in=numbers) | Q(id__in=ids))


def _column(which: int | str) -> dict[str, Any]:
    return {"number": which} if isinstance(which, int) else {"id": which}
