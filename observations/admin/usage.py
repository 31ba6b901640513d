"""What was used by day, to be read."""

# Django gives these methods more than each of them needs.

from django.contrib import admin
from django.utils.safestring import SafeString

from observations.admin.filters import TeamFilter
from observations.admin.reach import Scoped
from observations.models import ApiKey, DailyUsage, Project, Team
from queueing.browsing import NOTHING, ReadOnly, Words, link


class KindFilter(Words):
    """What is counted. The tokens of a day are in two rows: those asked, and those answered."""

    title = parameter_name = "kind"
    words = ("request", "input_tokens", "output_tokens", "observation")


class UsageAdmin(ReadOnly[DailyUsage], Scoped[DailyUsage]):
    """A row for each day, team, project, key and kind, the newest first."""

    team = "team_id"
    by_project = "id"

    list_display = ("day", "team_name", "project_name", "key", "kind", "quantity")
    list_filter = (KindFilter, TeamFilter)
    fields = list_display
    readonly_fields = fields

    def accompany(self, rows: list[DailyUsage]) -> None:
        """The names of the rows' teams, projects and keys."""
        teams = _names(Team, {row.team_id for row in rows})
        projects = _names(Project, {row.project_id for row in rows})
        keys = _names(ApiKey, {row.api_key_id for row in rows})
        for row in rows:
            vars(row)["names"] = (
                teams.get(row.team_id), projects.get(row.project_id), keys.get(row.api_key_id),
            )  # fmt: skip

    def _named(self, row: DailyUsage) -> tuple[str | None, str | None, str | None]:
        if "names" not in vars(row):
            self.accompany([row])
        names: tuple[str | None, str | None, str | None] = vars(row)["names"]
        return names

    @admin.display(description="team")
    def team_name(self, row: DailyUsage) -> str:
        """The team's name; its id if it is gone."""
        return self._named(row)[0] or row.team_id

    @admin.display(description="project")
    def project_name(self, row: DailyUsage) -> str:
        """The project's name; its id if it is gone; nothing where it was of no project."""
        return self._named(row)[1] or row.project_id or NOTHING

    @admin.display(description="key")
    def key(self, row: DailyUsage) -> SafeString | str:
        """The key by which it was used, if there was one."""
        if not row.api_key_id:
            return NOTHING
        return link(ApiKey, row.api_key_id, self._named(row)[2] or row.api_key_id)


def _names(model: type[Team] | type[Project] | type[ApiKey], ids: set[str]) -> dict[str, str]:
    return dict(model.objects.filter(pk__in=ids - {""}).values_list("pk", "name"))


admin.site.register(DailyUsage, UsageAdmin)
