"""Teams and projects: who memory belongs to, and the way into it."""

# Django gives these methods more than each of them needs.
# ruff: noqa: ARG002

from typing import TYPE_CHECKING, Any

from django import forms
from django.contrib import admin
from django.core.exceptions import ValidationError
from django.db.models import OuterRef, QuerySet, Subquery
from django.http import HttpRequest
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from observations.admin import merges
from observations.admin.filters import TeamFilter
from observations.admin.reach import Scoped, reach
from observations.models import ApiKey, Event, Member, Observation, Project, Session, Team
from queueing.browsing import NOTHING, list_link, once
from queueing.models import GenerationJob

if TYPE_CHECKING:
    _Form = forms.ModelForm[Project]
else:
    _Form = forms.ModelForm


class TeamAdmin(Scoped[Team]):
    """Teams, by name. Not deleted here: that would leave their jobs and lanes behind."""

    team = "pk"
    list_display = ("name", "created_at", "ways")
    ordering = ("name",)
    search_fields = ("name",)
    fields = ("name", "created_at", "ways")
    readonly_fields = ("created_at", "ways")

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Only who sees all teams makes one."""
        return reach(request).is_whole

    def has_delete_permission(self, request: HttpRequest, obj: Team | None = None) -> bool:
        """Nobody deletes one here."""
        return False

    @admin.display(description="browse")
    def ways(self, team: Team) -> SafeString | str:
        """The way to what the team has."""
        if team._state.adding:
            return NOTHING
        projects = list_link(Project, "projects", team=team.pk)
        keys = list_link(ApiKey, "API keys", team=team.pk)
        members = list_link(Member, "members", team=team.pk)
        return format_html("{} · {} · {}", projects, keys, members)


class ProjectForm(_Form):
    """A project's name. Django looks whether it is taken only where the team can be chosen too."""

    def clean_name(self) -> str:
        """Refuse what another project of the team is called."""
        name: str = self.cleaned_data["name"]
        others = Project.objects.exclude(pk=self.instance.pk)
        if others.filter(team=self.instance.team_id, name=name).exists():
            raise ValidationError("Another project of the team has this name.")
        return name


class ProjectAdmin(Scoped[Project]):
    """Projects, by name, with when something last happened in them. Not deleted here either."""

    form = ProjectForm
    list_display = ("name", "team", "hooks", "merged_into", "last_session", "created_at", "ways")
    list_filter = (TeamFilter,)
    list_select_related = ("team", "merged_into")
    ordering = ("name",)
    search_fields = ("name",)
    autocomplete_fields = ("team",)
    fields = (
        *("name", "team", "capture", "context", "created_at", "ways"),
        *("known_by", "merges"),
    )
    readonly_fields = ("created_at", "ways", "known_by", "merges")

    def get_urls(self) -> list[Any]:
        """With the pages on which projects are merged and brought back."""
        return [*merges.urls(self.admin_site), *super().get_urls()]

    def get_fields(self, request: HttpRequest, obj: Project | None = None) -> tuple[str, ...]:
        """A project that is not made yet is known by nothing."""
        return self.fields if obj else self.fields[:-2]

    def get_object(
        self, request: HttpRequest, object_id: str, from_field: str | None = None
    ) -> Project | None:
        """The project, with whether who asks may act in its team."""
        project: Project | None = super().get_object(request, object_id, from_field)
        if project is not None:
            vars(project)["may_act"] = self.has_change_permission(request, project)
        return project

    def get_queryset(self, request: HttpRequest) -> QuerySet[Project]:
        """Projects with the start of their latest session: one step in an index for each."""
        rows: QuerySet[Project] = super().get_queryset(request)
        sessions = Session.objects.filter(project=OuterRef("pk")).order_by("-started_at")
        return rows.annotate(latest_session=Subquery(sessions.values("started_at")[:1]))

    def has_delete_permission(self, request: HttpRequest, obj: Project | None = None) -> bool:
        """Nobody deletes one here."""
        return False

    def get_readonly_fields(
        self, request: HttpRequest, obj: Project | None = None
    ) -> tuple[str, ...]:
        """A project stays with its team: all of its rows name it too."""
        return (*self.readonly_fields, "team") if obj else self.readonly_fields

    @admin.display(description="known by")
    @once
    def known_by(self, project: Project) -> SafeString:
        """By what sessions are known to be its."""
        return merges.known_by(project)

    @admin.display(description="merged")
    @once
    def merges(self, project: Project) -> SafeString:
        """What was merged into it, or it into which."""
        return merges.merges(project, bool(vars(project).get("may_act")))

    @admin.display(description="hooks")
    def hooks(self, project: Project) -> str:
        """What hooks do there, where that is less than all."""
        if not project.capture:
            return "store and tell nothing"
        return "" if project.context else "tell nothing"

    @admin.display(description="last session")
    def last_session(self, project: Project) -> object:
        """When its latest session started."""
        return vars(project).get("latest_session")

    @admin.display(description="browse")
    def ways(self, project: Project) -> SafeString | str:
        """The way to what the project has."""
        if project._state.adding:
            return NOTHING
        lists = (
            (Observation, "observations"), (Session, "sessions"), (Event, "events"),
            (GenerationJob, "jobs"),
        )  # fmt: skip
        links = ((list_link(model, text, project=project.pk),) for model, text in lists)
        return format_html_join(" · ", "{}", links)


admin.site.register(Team, TeamAdmin)
admin.site.register(Project, ProjectAdmin)
